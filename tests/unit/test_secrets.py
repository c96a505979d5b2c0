"""Sources of secrets: read as they are, and named, all of them, where they can't be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from shared.errors import RemoteError
from worker.adapters.secret_sources import SecretReader

CREDENTIAL: Any = object()


def secrets(learnt: list[str | bytes] | None = None, **environment: str) -> SecretReader:
    return SecretReader(environment, lambda: CREDENTIAL, ([] if learnt is None else learnt).append)


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
    learnt: list[str | bytes] = []
    assert secrets(learnt).read(f"file:{path}", "env/web/A") == value
    assert learnt == [value.encode()]


PFX = b"\x80\x81PFX\xff\r\n"


@pytest.mark.parametrize(
    ("source", "value"), [("file", PFX.removesuffix(b"\r\n")), ("base64file", PFX)], ids=["file", "base64file"]
)
def test_a_file_of_a_secret_volume_may_be_no_text(tmp_path: Path, source: str, value: bytes) -> None:
    # The certificate of Azure's own quickstart is one.
    path = tmp_path / "tls.pfx"
    path.write_bytes(PFX)
    learnt: list[str | bytes] = []
    volume = "volume/certs/secret/tls.pfx"
    assert secrets(learnt).resolve({volume: f"{source}:{path}"}) == {volume: value}
    assert learnt == [value]


def test_a_binary_file_keeps_the_newline_at_its_end_also_where_it_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"one\n")
    assert secrets().resolve({"env/web/A": f"base64file:{path}"}) == {"env/web/A": "one\n"}


def test_a_variable_may_hold_bytes_for_a_secret_volume() -> None:
    values = secrets(A=os.fsdecode(PFX)).resolve({"volume/certs/secret/tls.pfx": "env:A"})
    assert values == {"volume/certs/secret/tls.pfx": PFX}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("kubeConfig: x", "is not a JSON object, which protected settings are; write {} for none"),
        ('["kubeConfig"]', "is not a JSON object, which protected settings are; write {} for none"),
        ('{"kubeConfig": "x"}', None),
        ("{}", None),
    ],
)
def test_protected_settings_are_a_json_object(content: str, why: str | None) -> None:
    path = "extension/kube-proxy/protectedSettings"
    store = secrets(A=content)
    if why is None:
        assert store.resolve({path: "env:A"}) == {path: content}
        return
    with pytest.raises(RemoteError) as caught:
        store.resolve({path: "env:A"})
    assert (caught.value.code, caught.value.message) == (
        "SecretUnavailable",
        f"the secret for {path} can't be read: env:A {why}",
    )


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
        f"the secret for d can't be read: file:{binary} is not UTF-8 text at byte 2, "
        "and only files of a secret volume may contain other bytes"
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

    store = SecretReader({}, credential, lambda _: None)
    values = store.resolve(
        {
            "a": "keyvault:https://one.vault.azure.net/secrets/db",
            "b": "keyvault:https://one.vault.azure.net/secrets/db/7",
            "c": "keyvault:https://two.vault.azure.net/secrets/db",
        }
    )
    assert values == {"a": "db None", "b": "db 7", "c": "db None"}
    assert [vault.url for vault in vaults] == ["https://one.vault.azure.net", "https://two.vault.azure.net"]
    assert len(credentials) == 1
    # azure-core's own are five minutes.
    assert all((vault.options["connection_timeout"], vault.options["read_timeout"]) == (5, 20) for vault in vaults)


@pytest.mark.usefixtures("vaults")
def test_an_error_of_a_vault_names_the_secret() -> None:
    with pytest.raises(RemoteError) as caught:
        secrets().resolve({"env/web/DB": "keyvault:https://one.vault.azure.net/secrets/gone"})
    assert caught.value.service == "key vault"
    assert caught.value.message.startswith("the secret for env/web/DB can't be read from keyvault:https://one")
