"""Where secrets come from: `env:NAME`, `file:PATH` or `keyvault:URL`. Read when they are needed, never kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.keyvault.secrets import SecretClient

from shared.azure_errors import translated
from shared.errors import RemoteError


class Secrets:
    """Reads secrets from their sources; every value read is told to `learn`, so that the logs can hide it."""

    def __init__(
        self,
        environment: Mapping[str, str],
        credential: Callable[[], TokenCredential],
        learn: Callable[[str], None],
    ) -> None:
        self._environment = environment
        self._credential = credential
        self._learn = learn

    def resolve(self, sources: Mapping[str, str]) -> dict[str, str]:
        """Read each source (path → source); raises RemoteError naming the path and source of what can't be read."""
        return {path: self.read(source, path) for path, source in sources.items()}

    def read(self, source: str, path: str) -> str:
        """One secret; `path` is what it is for. A file loses one trailing newline."""
        kind, _, place = source.partition(":")
        try:
            value = {"env": self._from_environment, "file": _from_file, "keyvault": self._from_key_vault}[kind](place)
        except (KeyError, OSError, UnicodeDecodeError) as error:
            why = f"the secret for {path} can't be read from {source}: {error}"
            raise RemoteError("secrets", None, "SecretUnavailable", why) from error
        self._learn(value)
        return value

    def _from_environment(self, name: str) -> str:
        return self._environment[name]

    def _from_key_vault(self, url: str) -> str:
        parts = urlsplit(url)
        _, _, name, *version = parts.path.split("/")
        with translated("key vault"):
            client = SecretClient(f"{parts.scheme}://{parts.netloc}", self._credential(), retry_total=0)
            return client.get_secret(name, version[0] if version else None).value or ""


def _from_file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8").removesuffix("\n")
