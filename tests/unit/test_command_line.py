"""What the commands of the worker print: help without cuts, tables that fit, logs that begin with what happened."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from aci_hooks.__main__ import main
from shared.telemetry import for_people
from worker.commands.lazily import Place
from worker.commands.output import ROOMY, count_of, print_table

LETTER = "5b1f0000-0000-0000-0000-000000000000"
DETAIL = "it ended with exit code 1, again and again, " * 3


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--help"], terminal_width=80)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("arguments", [(), ("dead-letters",)])
def test_no_command_is_described_by_half_a_sentence(arguments: tuple[str, ...]) -> None:
    _, _, listed = shown(*arguments).partition("\nCommands:\n")
    assert "..." not in listed
    # A description that goes on in a second line is too long for a list.
    assert all(line[2] != " " for line in listed.splitlines())


@pytest.mark.parametrize("path", [path for path in commands(main) if path not in {("dead-letters",), ("ingress",)}])
def test_every_command_has_an_example(path: tuple[str, ...]) -> None:
    assert f"Example: aci-hooks {' '.join(path)}" in shown(*path)


@pytest.mark.parametrize("path", [path for path in commands(main) if len(path) == 1])
def test_the_list_says_of_a_command_what_it_says_of_itself(path: tuple[str]) -> None:
    context = click.Context(main)
    command = main.get_command(context, path[0])
    assert command is not None
    said = command.short_help or command.get_short_help_str(200)
    listed = next(item.help for item in main.shell_complete(context, path[0]) if item.value == path[0])
    assert listed == said or path == ("ingress",)


def test_another_name_of_a_command_is_offered_for_one_that_is_misspelt() -> None:
    result = CliRunner().invoke(main, ["statsu"])
    assert result.exit_code == 2
    assert "status" in result.output


def test_a_place_that_holds_no_command_is_told() -> None:
    with pytest.raises(TypeError, match=r"worker\.commands\.output:WIDE is not a command"):
        Place("worker.commands.output:WIDE", "").load()


def test_the_help_names_what_must_be_set() -> None:
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "ACI_HOOKS_TARGETS", "CONTAINER_GROUP_NAME"):
        assert name in shown()


def letters() -> None:
    rows = [(LETTER, "CrashLoop", "docker.io/acme/shop:v3", "", DETAIL)]
    print_table(("id", "code", "image", "target", "detail"), rows, empty="none", titled=2)


@pytest.mark.parametrize("columns", ["80", str(ROOMY - 1)])
def test_in_a_narrow_place_rows_are_blocks(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    letters()
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert (first, second.rstrip()) == (f"{LETTER}  CrashLoop", "  image: docker.io/acme/shop:v3")
    assert " ".join(" ".join(rest).split()) == f"detail: {DETAIL.strip()}"
    assert max(len(line) for line in rest) <= int(columns)


@pytest.mark.parametrize("columns", [None, str(ROOMY)])
def test_where_there_is_room_they_are_a_table_with_its_ids_whole(
    columns: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    letters()
    out = capsys.readouterr().out
    assert f"│ {LETTER} │ CrashLoop │" in out
    assert len(out.splitlines()[0]) <= int(columns or 160)


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a",), [], empty="no [dead] letters")
    assert capsys.readouterr().out == "no [dead] letters\n"


def test_one_is_no_plural() -> None:
    assert (count_of(1, "dead letter"), count_of(0, "dead letter")) == ("1 dead letter", "0 dead letters")


def test_a_person_reads_first_what_happened() -> None:
    event = {"trace_id": "a", "id": "1", "detail": "d", "event": "ended", "code": "C", "outcome": "failed"}
    assert list(for_people(None, "info", event).items())[:3] == [("outcome", "failed"), ("code", "C"), ("detail", "d")]
    assert for_people(None, "info", event).keys() == event.keys() - {"trace_id"}
