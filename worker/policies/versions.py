"""Versions as image tags spell them, and their order. worker.policies.version_grammar reads them from tags.

A version belongs to a line: its spelling, the count of its numbers and its variant. A container keeps its line through
all updates, so a pushed version is compared with the running one only within it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Numbers = tuple[int, ...]

_STRAY = 1000
"""From this value on, a first number that is over ten times the running one is a year or a build."""
_BUILD = 100_000
"""From this value on, a first number is a build or a date, whatever follows it: 20260115.2."""

Rank = tuple[bool, int, str]
Precedence = tuple[Numbers, Numbers, bool, tuple[Rank, ...], Numbers]


@dataclass(frozen=True, slots=True)
class Version:
    """What a tag says, without its build metadata (`+…`), which does not affect the order.

    `numbers` are as many as were written, `pre_release` its identifiers (`rc1` gives `rc`, `1`), `variant` what names
    the kind of image, such as `alpine3.19`, or "". `build` is the `_N` right behind the numbers, `revision` the number
    at the end. `has_v` and `is_dashed` (a date: 2026-01-31) belong to the spelling. `str` gives `text`, the tag.
    """

    numbers: Numbers
    pre_release: tuple[str, ...] = ()
    variant: str = ""
    build: Numbers = ()
    revision: Numbers = ()
    has_v: bool = False
    is_dashed: bool = False
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def precedence(self) -> Precedence:
        """Orders the versions of one line. A pre-release comes before its release, no revision before the first."""
        identifiers = tuple(_rank(identifier) for identifier in self.pre_release)
        # `not pre_release`: False sorts before True, and so every pre-release before its release.
        return (
            self.numbers,
            self.build,
            not self.pre_release,
            identifiers,
            self.revision,
        )

    @property
    def line(self) -> tuple[bool, bool, int, bool, str]:
        """What a container keeps through all updates: the spelling, the count of numbers and the variant."""
        return (
            self.has_v,
            self.is_dashed,
            len(self.numbers),
            bool(self.build),
            self.variant,
        )

    def shares(self, parts: int, other: Version) -> bool:
        """Whether the first `parts` numbers are equal; numbers not written count as 0."""
        # Only ever asked of two versions with as many numbers, so what counts as 0 is missing in both.
        return _padded(self.numbers, parts) == _padded(other.numbers, parts)

    def is_stray(self, running: Version) -> bool:
        """Whether it is a year or a build, pushed by mistake where small numbers run: 2021.12.16 after 10.11.4."""
        # By both: 21 after 2 is a version that skipped some, and a group that runs 2021.12 goes on to 2022.1.
        first, before = self.numbers[0], running.numbers[0]
        return first >= _STRAY and first > 10 * before

    def may_be_a_build(self, below: int) -> bool:
        """Whether it looks like a date or a build number. For containers that run no version to compare it with.

        A single number is a version only if it is less than `below`.
        """
        first = self.numbers[0]
        is_date_or_build = self.is_dashed or first >= _BUILD
        is_single_number = len(self.numbers) == 1
        return is_date_or_build or (is_single_number and first >= below)


def _rank(identifier: str) -> Rank:
    """Orders the identifiers of pre-releases: numbers by their value, and before words (semver.org/#spec-item-11)."""
    is_word = not identifier.isdigit()
    if is_word:
        # In lower case, unlike SemVer, which compares ASCII: RC1 and rc1 are meant as one.
        return is_word, 0, identifier.lower()
    return is_word, int(identifier), ""


def significant(numbers: Numbers) -> Numbers:
    """The numbers without zeros at the end, so that equal versions are equal tuples and tuples sort as versions do."""
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return numbers[:end]


def _padded(numbers: Numbers, parts: int) -> Numbers:
    return (numbers + (0,) * parts)[:parts]
