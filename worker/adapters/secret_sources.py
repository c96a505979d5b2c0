"""Where secrets come from: `env:NAME`, `file:PATH` or `keyvault:URL`. Read when they are needed, never kept on disk."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.keyvault.secrets import SecretClient

from shared.azure_errors import translated
from shared.errors import RemoteError

_TIMEOUTS = {"connection_timeout": 5, "read_timeout": 20}
"""Seconds; azure-core's own are 300."""


class Secrets:
    """Reads secrets from their sources; every value read is told to `learn`, so that the logs can hide it."""

    def __init__(
        self,
        environment: Mapping[str, str],
        credential: Callable[[], TokenCredential],
        learn: Callable[[str], None],
    ) -> None:
        self._environment = environment
        self._credential = cache(credential)
        self._learn = learn
        self._vaults: dict[str, SecretClient] = {}
        self._lock = threading.Lock()

    def resolve(self, sources: Mapping[str, str]) -> dict[str, str]:
        """Read each source (path → source); raises RemoteError naming the path and source of all that can't be read."""
        values, errors = {}, []
        for path, source in sources.items():
            try:
                values[path] = self.read(source, path)
            except RemoteError as error:
                errors.append(error)
        if errors:
            first = errors[0]
            why = "; ".join(error.message for error in errors)
            raise RemoteError(first.service, first.status, first.code, why, first.retry_after) from first
        return values

    def read(self, source: str, path: str) -> str:
        """One secret; `path` is what it is for. A file loses one trailing newline."""
        try:
            value = self._read(source)
        except RemoteError as error:
            why = f"the secret for {path} can't be read from {source}: {error.message}"
            raise RemoteError(error.service, error.status, error.code, why, error.retry_after) from error
        except _Unreadable as error:
            why = f"the secret for {path} can't be read: {source} {error}"
            raise RemoteError("secrets", None, "SecretUnavailable", why) from error
        self._learn(value)
        return value

    def _read(self, source: str) -> str:
        kind, _, place = source.partition(":")
        readers = {"env": self._from_environment, "file": _from_file, "keyvault": self._from_key_vault}
        return readers[kind](place)

    def _from_environment(self, name: str) -> str:
        if name not in self._environment:
            raise _Unreadable("is not set")
        return self._environment[name]

    def _from_key_vault(self, url: str) -> str:
        parts = urlsplit(url)
        _, _, name, *rest = parts.path.split("/")  # /secrets/<name>, maybe with /<version>
        version = rest[0] if rest else None
        with translated("key vault"):
            vault = self._vault(f"{parts.scheme}://{parts.netloc}")
            return vault.get_secret(name, version).value or ""

    def _vault(self, url: str) -> SecretClient:
        with self._lock:
            if url not in self._vaults:
                self._vaults[url] = SecretClient(url, self._credential(), retry_total=0, **_TIMEOUTS)
            return self._vaults[url]


class _Unreadable(Exception):
    """There is no such secret. The text goes on after the name of its source: `is not set`."""


def _from_file(path: str) -> str:
    try:
        # As bytes: read as text, a file with CRLF would lose its CRs.
        text = Path(path).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8 text at byte {error.start}, and only texts can be sent") from error
    except OSError as error:
        raise _Unreadable(f"can't be read: {error.strerror}") from error
    # Editors and `echo` end a file with a newline that is not part of the secret.
    return re.sub(r"\r?\n\Z", "", text)
