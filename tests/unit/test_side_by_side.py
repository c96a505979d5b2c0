"""Looking at many things side by side."""

from __future__ import annotations

import io
import threading

import pytest

from worker.commands.side_by_side import AT_A_TIME, BAR_FROM, Once, side_by_side


def test_the_results_are_in_the_order_of_the_things() -> None:
    assert side_by_side(lambda number: number * 2, range(100), "doubling") == [number * 2 for number in range(100)]
    assert side_by_side(str, [], "nothing") == []


def test_many_are_looked_at_at_once() -> None:
    together = threading.Barrier(AT_A_TIME, timeout=30)
    assert len(side_by_side(lambda _: together.wait(), range(AT_A_TIME), "waiting")) == AT_A_TIME


def test_what_goes_wrong_comes_up() -> None:
    def look(number: int) -> int:
        if number == 3:
            raise ValueError("no")
        return number

    with pytest.raises(ValueError, match="no"):
        side_by_side(look, range(10), "trying")


class TestOnce:
    def test_a_call_is_made_once(self) -> None:
        calls: list[int] = []

        def call() -> int:
            calls.append(1)
            return 7

        once = Once(call)
        assert (once(), once(), calls) == (7, 7, [1])

    def test_its_error_is_raised_each_time(self) -> None:
        calls: list[int] = []

        def fail() -> int:
            calls.append(1)
            raise ValueError("no")

        once = Once(fail)
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                once()
        assert calls == [1]


class TestTheBar:
    """A terminal shows how far a long wait is; nothing else gets a byte of it."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown(self, monkeypatch: pytest.MonkeyPatch, count: int, doing: str | None, term: str) -> str:
        terminal = self.Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setenv("TERM", term)
        assert side_by_side(str, range(count), doing) == [str(number) for number in range(count)]
        return terminal.getvalue()

    def test_a_long_wait_has_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "looking" in self.shown(monkeypatch, BAR_FROM, "looking", "xterm")

    @pytest.mark.parametrize(
        ("count", "doing", "term"),
        [(BAR_FROM - 1, "looking", "xterm"), (BAR_FROM, None, "xterm"), (BAR_FROM, "looking", "dumb")],
        ids=["few things", "nothing to say", "a terminal that can't go back"],
    )
    def test_others_have_none(self, monkeypatch: pytest.MonkeyPatch, count: int, doing: str | None, term: str) -> None:
        assert self.shown(monkeypatch, count, doing, term) == ""

    def test_a_file_gets_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        file = io.StringIO()
        monkeypatch.setattr("sys.stderr", file)
        side_by_side(str, range(BAR_FROM), "looking")
        assert file.getvalue() == ""
