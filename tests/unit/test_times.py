"""Times and durations as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from worker.commands.times import ago, ahead, duration, how_long

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("3d", 259200), ("1w", 604800), ("1h30m", 5400), (" 1H 30M ", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "2", "2x", "h", "2h later", "-2h", "999999999999w", "2h3"])
def test_other_texts_are_not_durations(text: str) -> None:
    assert duration(text) is None


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("2026-11-26", datetime(2026, 11, 26, tzinfo=UTC)),
        ("2026-11-26T10:30", datetime(2026, 11, 26, 10, 30, tzinfo=UTC)),
        ("2026-11-26T10:30+02:00", datetime(2026, 11, 26, 8, 30, tzinfo=UTC)),
        ("yesterday", None),
    ],
)
def test_a_time_of_the_past(text: str, at: datetime | None) -> None:
    assert ago(text, NOW) == at


def test_a_time_to_come() -> None:
    assert ahead("2h", NOW) == NOW + timedelta(hours=2)
    assert ahead("2026-12-01", NOW) == datetime(2026, 12, 1, tzinfo=UTC)
    assert ahead("soon", NOW) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (7500, "2 h 5 min"), (266400, "3 d 2 h")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert how_long(seconds) == text
