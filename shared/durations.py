"""Durations as people read them. Pure."""

from __future__ import annotations

import math


def how_long(seconds: float) -> str:
    """A duration as people read it: `7 s`, `3 min`, `2 h 5 min`, `4 d 2 h`."""
    minutes, rest = divmod(_whole(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"


def how_long_exactly(seconds: float) -> str:
    """A duration to the second, as far as there is anything to say: `7 s`, `3 min 5 s`, `15 min`, `2 h 5 min`."""
    minutes, rest = divmod(_whole(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = zip((days, hours, minutes, rest), ("d", "h", "min", "s"), strict=True)
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def _whole(seconds: float) -> int:
    # A record or a letter may hold what is no number of seconds, and must be shown all the same.
    return int(seconds) if math.isfinite(seconds) else 0
