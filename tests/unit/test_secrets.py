"""Sources of secrets: read as they are, and named, all of them, where they can't be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from shared.errors import RemoteError
from worker.adapters.secret_sources import Secrets

CREDENTIAL: Any = object()


def secrets(learnt: list[str] | None = None, **environment: str) -> Secrets:
    return Secrets(environment, lambda: CREDENTIAL, ([] if learnt is None else learnt).append)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"one\n", "one"),
        (b"one\n\n", "one\n"),
        (b"one\r\n", "one"),
        (b"one\r\ntwo\r\n", "one\r\ntwo"),
        ("ü".encode(), "ü"),
        (b"", ""),
    ],
)
def test_a_file_is_read_as_it_is_but_for_one_newline_at_its_end(tmp_path: Path, content: bytes, value: str) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    learnt: list[str] = []
    assert secrets(learnt).read(f"file:{path}", "env/web/A") == value
    assert learnt == [value]


def test_every_source_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"ab\xff")
    sources = {"a": "env:A", "b": "env:B", "c": f"file:{tmp_path}/none", "d": f"file:{binary}"}
    with pytest.raises(RemoteError) as caught:
        secrets(A="1").resolve(sources)
    assert caught.value.code == "SecretUnavailable"
    assert caught.value.message == (
        "the secret for b can't be read: env:B is not set; "
        f"the secret for c can't be read: file:{tmp_path}/none can't be read: No such file or directory; "
        f"the secret for d can't be read: file:{binary} is not UTF-8 text at byte 2, and only texts can be sent"
    )


@dataclass
class Vault:
    """A Key Vault that has one secret."""

    url: str
    credential: object
    options: dict[str, Any]

    def get_secret(self, name: str, version: str | None) -> Any:
        if name != "db":
            raise HttpResponseError(f"{name}: no such secret")
        return type("Secret", (), {"value": f"{name} {version}"})


@pytest.fixture
def vaults(monkeypatch: pytest.MonkeyPatch) -> list[Vault]:
    """All that were opened."""
    opened: list[Vault] = []

    def open_vault(url: str, credential: object, **options: Any) -> Vault:
        opened.append(Vault(url, credential, options))
        return opened[-1]

    monkeypatch.setattr("worker.adapters.secret_sources.SecretClient", open_vault)
    return opened


def test_one_client_a_vault_and_one_credential_for_all(vaults: list[Vault]) -> None:
    credentials: list[object] = []

    def credential() -> Any:
        credentials.append(object())
        return credentials[-1]

    store = Secrets({}, credential, lambda _: None)
    values = store.resolve(
        {
            "a": "keyvault:https://one.vault.azure.net/secrets/db",
            "b": "keyvault:https://one.vault.azure.net/secrets/db/7",
            "c": "keyvault:https://two.vault.azure.net/secrets/db",
        }
    )
    assert values == {"a": "db None", "b": "db 7", "c": "db None"}
    assert [one.url for one in vaults] == ["https://one.vault.azure.net", "https://two.vault.azure.net"]
    assert len(credentials) == 1
    # azure-core's own are five minutes.
    assert all((one.options["connection_timeout"], one.options["read_timeout"]) == (5, 20) for one in vaults)


@pytest.mark.usefixtures("vaults")
def test_an_error_of_a_vault_names_the_secret() -> None:
    with pytest.raises(RemoteError) as caught:
        secrets().resolve({"env/web/DB": "keyvault:https://one.vault.azure.net/secrets/gone"})
    assert caught.value.service == "key vault"
    assert caught.value.message.startswith("the secret for env/web/DB can't be read from keyvault:https://one")
