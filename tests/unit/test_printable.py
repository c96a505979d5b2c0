"""What outside systems say moves no terminal, whichever way it is shown."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import structlog

from shared.printable import plain, printable, printable_json, printable_line
from shared.telemetry import for_people
from worker.commands.output import print_json, print_line, print_table

HOSTILE = "a\x1b[2J\x1b]52;c;eA==\x07\x9b31m\r\x7f\u202eb\ud800"
HARMLESS = r"a\x1b[2J\x1b]52;c;eA==\x07\x9b31m\x0d\x7f\u202eb\ud800"


def test_every_control_is_an_escape() -> None:
    assert printable(HOSTILE) == HARMLESS
    assert printable("plain, größe, 日本, tab\tand\nnewline") == "plain, größe, 日本, tab\tand\nnewline"
    assert printable_line("a\nlevel=error") == r"a\nlevel=error"


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x200F, 0x2028, 0x2066, 0xFEFF])
def test_no_control_is_left(code: int) -> None:
    assert (printable(chr(code)) == chr(code)) is (chr(code) in "\t\n")


def test_a_json_document_means_the_same() -> None:
    document = json.dumps({"detail": HOSTILE}, ensure_ascii=False)
    assert json.loads(printable_json(document)) == {"detail": HOSTILE}
    assert all(character.isprintable() for character in printable_json(document))


@pytest.mark.parametrize("columns", ["80", "200"])
def test_what_commands_print(columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(("id", "detail"), [("1", HOSTILE)], empty=HOSTILE, titled=1)
    print_table(("id", "detail"), [], empty=HOSTILE)
    print_json([HOSTILE])
    print_line(HOSTILE)
    print_line(HOSTILE, err=True)
    written = capsys.readouterr()
    for stream in (written.out, written.err):
        assert "2J" in stream
        assert all(character.isprintable() or character == "\n" for character in stream)


def test_texts_in_a_log_for_people_are_printable() -> None:
    event: Any = {
        "event": HOSTILE,
        "detail": "a\nb",
        "images": {HOSTILE: [HOSTILE]},
        "count": 1,
        "exception": "a\n\x1b",
    }
    shown = for_people(None, "info", event)
    assert shown == {
        "event": HARMLESS,
        "detail": r"a\nb",
        "images": {HARMLESS: [HARMLESS]},
        "count": 1,
        "exception": "a\n\\x1b",
    }
    out = io.StringIO()
    out.write(structlog.dev.ConsoleRenderer(colors=False)(None, "info", shown))
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("plain, größe, tab\tand\nnewline", "plain, größe, tab\tand\nnewline"),
        ("\x1b[1;31mred\x1b[0m \x9b2Jgone \x1b(Bset \x1b7saved", "red gone set saved"),
        ("\x1b]0;title\x07a \x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\ \x9d1;x\x9cb", "a link b"),
        ("unended \x1b]0;title\nnext\x1b[", "unended \nnext"),
        ("windows\r\n10 %\r20 %\rdone\r\n", "windows\ndone\n"),
        ("\x00a\x7f\u202eb\ud800\x1b", "ab"),
    ],
)
def test_what_a_program_wrote_is_read_as_on_a_terminal(written: str, read: str) -> None:
    assert plain(written) == read
