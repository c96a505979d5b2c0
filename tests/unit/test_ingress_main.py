"""The command: which port it serves on, and what it says and ends with when it is misconfigured."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingress import __main__ as command
from tests.ingress_harness import environment

served: list[int] = []


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes the port, and serves nothing."""
    served.clear()
    monkeypatch.setattr(command, "listen", lambda _host, port: served.append(port))
    monkeypatch.setattr(command, "serve", lambda *_: None)
    monkeypatch.setattr(command, "_assemble", lambda *_: None)  # it would look for its queue
    monkeypatch.setattr(command, "configure_logging", lambda *_: None)


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner().invoke(command.main, arguments, env=environment(**variables))


@pytest.mark.parametrize(("arguments", "port"), [((), 7001), (("--port", "7002"), 7002)])
@pytest.mark.parametrize("variable", ["PORT", "PORT_FILE"])
def test_the_option_wins_over_the_port_in_either_form(
    tmp_path: Path, arguments: tuple[str, ...], port: int, variable: str
) -> None:
    (tmp_path / "port").write_text("7001\n")
    result = run(*arguments, **{variable: "7001" if variable == "PORT" else str(tmp_path / "port")})
    assert (result.exit_code, served) == (0, [port]), result.output


def test_every_problem_is_told_before_anything_is_served() -> None:
    result = run(
        AZURE_STORAGE_CONNECTION_STRING="AccountName=acme7;AccountKey=cut-off",
        ACI_HOOKS_WEBHOOK_TOKENS="/begins-with-a-slash",
        ACI_HOOKS_MAX_BODY="0",
    )
    assert (result.exit_code, served) == (2, [])
    names = [line.split(":")[1].split()[0] for line in result.output.splitlines()]
    assert sorted(names) == ["ACI_HOOKS_MAX_BODY", "ACI_HOOKS_WEBHOOK_TOKENS", "AZURE_STORAGE_CONNECTION_STRING"]


def test_problems_of_the_receivers_file_are_among_them(tmp_path: Path) -> None:
    file = tmp_path / "receivers.yaml"
    file.write_text("receivers: [{sender: ghcr, secrets: [env:NOT_SET_ANYWHERE]}]")
    result = run(ACI_HOOKS_RECEIVERS=str(file), ACI_HOOKS_MAX_BODY="0")
    assert (result.exit_code, served) == (2, [])
    assert "ACI_HOOKS_MAX_BODY: " in result.output
    assert "ACI_HOOKS_RECEIVERS: receivers[0].secrets[0]: env:NOT_SET_ANYWHERE is not set" in result.output
    result = run(ACI_HOOKS_RECEIVERS=str(file), NOT_SET_ANYWHERE="a-secret-of-16-letters")
    assert (result.exit_code, served) == (0, [8080])


def test_a_port_that_is_taken_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def listen(_host: str, _port: int) -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(command, "listen", listen)
    result = run()
    assert (result.exit_code, served) == (1, [])
    assert "cannot listen on 0.0.0.0, port 8080: Address already in use" in result.output
