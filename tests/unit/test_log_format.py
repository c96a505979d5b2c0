"""Who the log is for: people at a terminal, with colours if they want them, else programs."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from shared.telemetry import Redaction, configure_logging, takes_colours


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


def written(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO, log_format: str | None, **variables: str) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", stderr)
    configure_logging(log_format, Redaction())  # type: ignore[arg-type]
    structlog.get_logger().warning("dead letter", code="CrashLoop")
    return stderr.getvalue()


@pytest.mark.parametrize(
    ("stderr", "log_format", "for_programs"),
    [
        (io.StringIO, None, True),
        (Terminal, None, False),
        (Terminal, "json", True),
        (io.StringIO, "console", False),
    ],
)
def test_a_terminal_is_for_people_unless_it_is_said_otherwise(
    monkeypatch: pytest.MonkeyPatch, stderr: type[io.StringIO], log_format: str | None, for_programs: bool
) -> None:
    assert written(monkeypatch, stderr(), log_format).startswith("{") is for_programs


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"TERM": "unknown"}, False)],
)
def test_colours_are_left_out_where_nobody_wants_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    assert ("\x1b[" in written(monkeypatch, Terminal(), None, **variables)) is coloured
    assert takes_colours() is coloured


def test_a_log_in_a_file_has_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" not in written(monkeypatch, io.StringIO(), "console")
