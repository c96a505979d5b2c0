"""Times and durations as people write them on the command line. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from shared.durations import how_long

__all__ = ["HOW", "ago", "ahead", "duration", "how_long", "moment"]

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = timedelta(days=36500)
HOW = "for example 90s, 30m, 2h, 3d, 1w or 1h30m, or 2026-11-27T08:00, which is UTC unless it names another zone"


def duration(text: str) -> timedelta | None:
    """The duration that is written there, None if it is none."""
    parts = _PART.findall(text.strip().lower())
    left_over = _PART.sub("", text.strip().lower()).strip()
    if not parts or left_over:
        return None
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return timedelta(seconds=seconds) if seconds <= _LONGEST.total_seconds() else None


def moment(text: str) -> datetime | None:
    """The time that is written there, in UTC unless it says otherwise; None if it is none."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def ago(text: str, now: datetime) -> datetime | None:
    """A time, or the one that long before now; None if it is neither."""
    back = duration(text)
    return now - back if back is not None else moment(text)


def ahead(text: str, now: datetime) -> datetime | None:
    """A time, or the one that long after now; None if it is neither."""
    on = duration(text)
    return now + on if on is not None else moment(text)
