"""Looking at many things side by side."""

from __future__ import annotations

import threading

import pytest

from worker.commands.side_by_side import AT_A_TIME, side_by_side


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
