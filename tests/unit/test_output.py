"""How commands print: wide tables, blocks where a terminal is narrow, JSON; nothing that outsiders wrote acts on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from rich.text import Text

from worker.commands.output import count_of, example, print_json, print_line, print_table, when

COLUMNS = ("group", "image", "why")
ROWS = [("web/shop", "acme/shop:v2", "healthy"), ("web/api", "acme/api:v1", "")]


@pytest.mark.parametrize("titled", [0, 1])
def test_a_wide_table_has_a_line_for_each_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], titled: int
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    print_table(COLUMNS, [*ROWS, (Text("styled"), 1, None)], empty="none", titled=titled)
    lines = capsys.readouterr().out.splitlines()
    assert any("web/shop" in line and "acme/shop:v2" in line and "healthy" in line for line in lines)
    assert any("styled" in line and "None" in line for line in lines)


def test_a_narrow_terminal_gets_a_block_for_each_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_table(COLUMNS, ROWS, empty="none", titled=1)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["web/shop", "  image: acme/shop:v2", "  why: healthy", "web/api", "  image: acme/api:v1"]


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [], empty="no [group] is held")
    assert capsys.readouterr().out.strip() == "no [group] is held"


@pytest.mark.parametrize("in_a_line", [True, False])
def test_json_is_one_document(capsys: pytest.CaptureFixture[str], in_a_line: bool) -> None:
    value = {"image": "é\x1b[2J", "at": datetime(2026, 1, 1, tzinfo=UTC)}
    print_json(value, in_a_line=in_a_line)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert json.loads(out) == {"image": "é\x1b[2J", "at": "2026-01-01 00:00:00+00:00"}
    assert (len(out.splitlines()) == 1) is in_a_line


def test_a_line_of_an_outsider_can_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("a\x1b[2Jb", err=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err


def test_small_words() -> None:
    assert (count_of(1, "message"), count_of(2, "message")) == ("1 message", "2 messages")
    assert (when(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)), when(None)) == ("2026-01-02 03:04:05", "")
    assert example("status") == "Example: aci-hooks status"
