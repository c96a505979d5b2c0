"""Ranges of versions, such as `>=1.4 <2`, `^1.4` and `~1.4.2`, read from text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from worker.policies.versions import Numbers, Version, significant

_COMPARATOR = re.compile(r"(>=|<=|>|<|=|\^|~)v?([0-9]+(?:\.[0-9]+){0,2})")


@dataclass(frozen=True, slots=True)
class Range:
    """From `low`, included, to `high`, excluded (None: no end). A pre-release of either bound is outside."""

    text: str
    low: Numbers
    high: Numbers | None

    def __contains__(self, version: Version) -> bool:
        """Whether every image that the tag may stand for is inside. 1.9 means any 1.9.x, so it is not in <1.9.5."""
        numbers = significant(version.numbers)
        is_before_low = numbers == self.low and bool(version.pre_release)
        if numbers < self.low or is_before_low:
            return False
        # 2.0.0-rc.1 comes before 2, but nobody who writes <2 wants it. By its numbers alone it is not below.
        return self.high is None or after(version.numbers) <= self.high


def parse_range(text: str) -> Range:
    """Read comparators joined by spaces, such as `>=1.4 <2`, `^1.4`, `~1.4.2`; ValueError says what is wrong.

    A comparator compares only the numbers that it names: `<=1.4` and `=1.4` admit 1.4.9, `>1.4` begins at 1.5.
    """
    # A space may stand behind an operator (">= 1.4"), and separates the comparators as well.
    comparators = re.sub(r"(?<=[<>=^~])\s+", "", text).split()
    if not comparators:
        raise ValueError("no range is given after the colon")
    lows: list[Numbers] = []
    highs: list[Numbers] = []
    for comparator in comparators:
        match = _COMPARATOR.fullmatch(comparator)
        if match is None:
            raise ValueError(
                f"{comparator!r} is not a comparator such as >=1.4, <2, ^1.4 or ~1.4.2"
            )
        operator, numbers = match.groups()
        version = tuple(int(number) for number in numbers.split("."))
        first, beyond = _bounds(operator, version)
        lows.append(significant(first))
        if beyond is not None:
            highs.append(significant(beyond))
    # All comparators must hold, so the narrowest bounds count.
    low, high = max(lows), min(highs, default=None)
    if high is not None and low >= high:
        raise ValueError(f"no version is within {text.strip()}")
    return Range(" ".join(comparators), low, high)


def _bounds(operator: str, version: Numbers) -> tuple[Numbers, Numbers | None]:
    """The first version inside, and the first one above."""
    # ^1.4 ends before 2, and ^0.4 before 0.5. The first number that is not 0 stays, as in npm and Cargo.
    kept = next(
        (place for place, number in enumerate(version, 1) if number), len(version)
    )
    first, beyond = {
        ">=": (version, None),
        ">": (after(version), None),
        "<": ((), version),
        "<=": ((), after(version)),
        "=": (version, after(version)),
        "~": (version, after(version[:2])),
        "^": (version, after(version[:kept])),
    }[operator]
    return first, beyond


def after(numbers: Numbers) -> Numbers:
    """The first numbers above everything that begins with these: 1.5 comes after every 1.4.x."""
    return (*numbers[:-1], numbers[-1] + 1)
