"""Where secrets come from: `env:NAME`, `file:PATH`, `base64file:PATH` or `keyvault:URL`.

They are read when they are needed, and never kept on disk. Most are texts; a file of a secret volume may be any bytes,
such as a certificate in a PFX file, whatever its source.
"""

from __future__ import annotations

import os
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
from worker.groups import secret_paths
from worker.groups.withheld import Secret, unfit

_TIMEOUTS = {"connection_timeout": 5, "read_timeout": 20}
"""Seconds; azure-core's own are 300."""


class SecretReader:
    """Reads secrets from their sources; every value read is told to `learn`, so that the logs can hide it."""

    def __init__(
        self,
        environment: Mapping[str, str],
        credential: Callable[[], TokenCredential],
        learn: Callable[[Secret], None],
    ) -> None:
        self._environment = environment
        self._credential = cache(credential)
        self._learn = learn
        self._vaults: dict[str, SecretClient] = {}
        self._lock = threading.Lock()

    def resolve(self, sources: Mapping[str, str]) -> dict[str, Secret]:
        """Read each source (path → source); raises RemoteError naming the path and source of all that can't be read.

        A file of a secret volume is bytes, every other secret a text.
        """
        values: dict[str, Secret] = {}
        # All are read before anything is raised, so that somebody who corrects one learns of the others at once.
        errors = []
        for path, source in sources.items():
            try:
                content = self._read(source, path)
            except RemoteError as error:
                errors.append(error)
                continue
            values[path] = content if secret_paths.is_file(path) else content.decode()
        if errors:
            first = errors[0]
            why = "; ".join(error.message for error in errors)
            raise RemoteError(
                first.service, first.status, first.code, why, first.retry_after
            ) from first
        return values

    def read(self, source: str, path: str) -> str:
        """One secret that is a text; `path` is what it is for. Raises RemoteError."""
        return self._read(source, path).decode()

    def _read(self, source: str, path: str) -> bytes:
        """The bytes of a secret, which are fit for `path`: UTF-8 where that is a text."""
        kind, _, place = source.partition(":")
        readers = {
            "env": self._from_environment,
            "file": _from_file,
            "base64file": _from_binary_file,
            "keyvault": self._from_key_vault,
        }
        try:
            content = readers[kind](place)
        # The text names the path and the source, never the value.
        except RemoteError as error:
            why = f"the secret for {path} can't be read from {source}: {error.message}"
            raise RemoteError(
                error.service, error.status, error.code, why, error.retry_after
            ) from error
        except _Unreadable as error:
            raise _unavailable(path, source, str(error)) from error
        # Learnt before it is judged: what is unfit is a secret all the same, and must not be logged.
        self._learn(content)
        if misfit := unfit(path, content):
            raise _unavailable(path, source, misfit)
        return content

    def _from_environment(self, name: str) -> bytes:
        if name not in self._environment:
            raise _Unreadable("is not set")
        # A variable may hold any bytes but NUL; Python keeps bytes that are not text in a form of its own.
        return os.fsencode(self._environment[name])

    def _from_key_vault(self, url: str) -> bytes:
        parts = urlsplit(url)
        # The path is /secrets/<name>, maybe with /<version>.
        _, _, name, *rest = parts.path.split("/")
        version = rest[0] if rest else None
        with translated("key vault"):
            vault = self._vault(f"{parts.scheme}://{parts.netloc}")
            return (vault.get_secret(name, version).value or "").encode()

    def _vault(self, url: str) -> SecretClient:
        # A client for each vault is kept, so that its token is not fetched again for every secret.
        with self._lock:
            if url not in self._vaults:
                self._vaults[url] = SecretClient(
                    url, self._credential(), retry_total=0, **_TIMEOUTS
                )
            return self._vaults[url]


class _Unreadable(Exception):
    """There is no such secret. The text follows the name of its source in a message: `is not set`."""


def _unavailable(path: str, source: str, why: str) -> RemoteError:
    return RemoteError(
        "secrets",
        None,
        "SecretUnavailable",
        f"the secret for {path} can't be read: {source} {why}",
    )


def _from_file(path: str) -> bytes:
    # Editors and `echo` end a file with a newline that is not part of the secret.
    return re.sub(rb"\r?\n\Z", b"", _from_binary_file(path))


def _from_binary_file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise _Unreadable(f"can't be read: {error.strerror}") from error
