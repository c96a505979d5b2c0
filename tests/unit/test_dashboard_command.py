"""`aci-hooks dashboard`: to whom it is served, and what it ends with when it is misconfigured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from shared import serving
from tests.azurite import ACCOUNT, KEY
from worker.__main__ import main

TOKEN = "a-token-of-the-status-page"
SETTINGS = {
    "AZURE_STORAGE_CONNECTION_STRING": f"AccountName={ACCOUNT};AccountKey={KEY};"
    "BlobEndpoint=http://127.0.0.1:9/a;QueueEndpoint=http://127.0.0.1:9/a",
    "AZURE_SUBSCRIPTION_ID": "sub",
    "RESOURCE_GROUP_NAME": "web",
    "CONTAINER_GROUP_NAME": "shop",
    "ACI_HOOKS_ARM_ENDPOINT": "http://127.0.0.1:9",
}
served: list[tuple[str, int]] = []


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes where it listens, and serves nothing."""

    def listen(host: str, port: int) -> Any:
        if port == 1:
            raise OSError(13, "Permission denied")
        served.append((host, port))

    served.clear()
    monkeypatch.setattr(serving, "listen", listen)
    monkeypatch.setattr(serving, "serve", lambda *_: None)
    monkeypatch.setattr("shared.telemetry.configure_logging", lambda *_: None)


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["dashboard", *arguments], env=SETTINGS | variables)


def test_it_is_served_to_this_machine_alone() -> None:
    result = run()
    assert (result.exit_code, served) == (0, [("127.0.0.1", 8082)]), result.output


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "status.example"])
def test_elsewhere_it_needs_a_token(host: str) -> None:
    result = run("--host", host)
    assert (result.exit_code, served) == (2, [])
    assert f"ACI_HOOKS_DASHBOARD_TOKENS: not set, so the status page would be open to everybody who reaches {host}" in (
        result.output
    )
    assert run("--host", host, "--port", "9000", ACI_HOOKS_DASHBOARD_TOKENS=f" {TOKEN}, ").exit_code == 0
    assert served == [(host, 9000)]


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert run("--host", "::", ACI_HOOKS_DASHBOARD_TOKENS_FILE=str(tmp_path / "token")).exit_code == 0


@pytest.mark.parametrize("tokens", ["short", f"{TOKEN},short", ",", " , "])
def test_a_token_that_could_be_guessed_is_refused(tokens: str) -> None:
    result = run(ACI_HOOKS_DASHBOARD_TOKENS=tokens)
    assert (result.exit_code, served) == (2, [])
    assert "ACI_HOOKS_DASHBOARD_TOKENS" in result.output
    assert TOKEN not in result.output


def test_a_port_that_is_taken_is_reported() -> None:
    result = run("--port", "1")
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1, port 1: Permission denied" in result.output
