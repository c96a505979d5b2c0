"""Who works at the command line, as the history names them."""

from __future__ import annotations

import getpass

import click
import pytest
from click.testing import CliRunner

from worker.commands.people import MOST, by_option, somebody


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Ada", "Ada"),
        ("  Ada \n Lovelace ", "Ada Lovelace"),
        ("", None),
        ("a" * 300, "a" * MOST),
        ("J\udcf6rg \U0001f600", "J\ufffdrg \U0001f600"),
    ],
)
def test_a_given_name_is_one_line_of_bounded_length_and_can_be_written(given: str, name: str | None) -> None:
    assert somebody(given) == name


def test_the_user_of_the_machine_is_meant_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    assert somebody(None) == "ada"


@pytest.mark.parametrize("error", [OSError, KeyError, ImportError])
def test_a_machine_may_know_no_name(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert somebody(None) is None


def test_the_option_hands_the_name_to_its_command() -> None:
    @click.command()
    @by_option
    def hold(by: str | None) -> None:
        click.echo(by)

    assert CliRunner().invoke(hold, ["--by", " Ada  Lovelace "]).output == "Ada Lovelace\n"
