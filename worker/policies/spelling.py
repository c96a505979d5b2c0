"""How tags are spelt, which decides between two that are equal in a policy's order.

A registry lists tags in an order of its own. Without a rule for equal ones, two workers could choose differently.
"""

from __future__ import annotations

import re

Natural = tuple[tuple[int, str], ...]
_PARTS = re.compile(r"([0-9]+)|([^0-9]+)")


def natural(tag: str) -> Natural:
    """A key that sorts tags as people do, r9 before r10."""
    # Every part has both kinds of value, so that a number and a text can be compared; texts come before numbers.
    return tuple(
        (int(number), "") if number else (-1, text)
        for number, text in _PARTS.findall(tag)
    )


def shape(tag: str) -> str:
    """The tag without its numbers, but with their leading zeros: 24.04_alpine and 22.04_alpine have the same shape."""
    return re.sub(r"(0?)[0-9]+", lambda match: "0#" if match[1] else "#", tag)


def is_closer(running: str | None, first: str, second: str) -> bool:
    """Whether `first` is spelt more like the running tag than the otherwise equal `second`. The order is total."""
    return _distance(running, first) < _distance(running, second)


def _distance(running: str | None, tag: str) -> tuple[bool, int, Natural, str]:
    # The tag itself comes last and decides every tie, so that two workers never choose differently.
    differs = running is None or shape(tag) != shape(running)
    return differs, len(tag), natural(tag), tag
