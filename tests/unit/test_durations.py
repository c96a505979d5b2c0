"""Durations as people read them."""

from __future__ import annotations

import pytest

from shared.durations import how_long, how_long_exactly


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (12, "12 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (900, "15 min"),
        (7500, "2 h 5 min"),
        (3605, "1 h 5 s"),
        (90000, "1 d 1 h"),
        (float("inf"), "0 s"),
        (float("nan"), "0 s"),
    ],
)
def test_to_the_second(seconds: float, said: str) -> None:
    assert how_long_exactly(seconds) == said


def test_what_is_no_number_of_seconds_is_shown_all_the_same() -> None:
    assert [how_long(seconds) for seconds in (float("inf"), float("-inf"), float("nan"))] == ["0 s"] * 3
