"""Versions as image tags spell them, their order, and ranges of them.

The order is that of https://semver.org/#spec-item-11. Tags add to it: a `v` in front, one or two numbers instead of
three, dates with dashes, build metadata after `+` or `_` (a tag can't hold a `+`, so Helm and others write `_`), and
variants such as `-alpine3.19`, which SemVer alone would take for pre-releases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

Numbers = tuple[int, ...]

_LONGEST = 128
_WORDS = (
    "alpha|beta|rc|cr|pre|preview|prerelease|dev|snapshot|nightly|canary|next|edge|ea|eap|milestone|unstable"
    "|experimental|test|testing|insiders?"
)
_PRE_RELEASE = rf"(?:(?:{_WORDS})[0-9]*|[abm][0-9]+)"
_SEGMENT = r"[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*"
_VERSION = re.compile(
    rf"""
    v?
    (?P<numbers>
        [0-9]{{4}}-[0-9]{{2}} (?: -[0-9]{{2}} (?: \.[0-9]+ )* )? (?![A-Za-z0-9.])  # a date: 2026-01, 2026-01-31.2
      | [0-9]+ (?: \.[0-9]+ )*
    )
    (?P<attached> {_PRE_RELEASE} )?  # 1.5.0rc1
    (?P<suffix> (?: -{_SEGMENT} )* )  # 1.5.0-rc.1-alpine3.19
    (?:
        \+[A-Za-z0-9._-]+  # build metadata, as SemVer writes it
      | _(?P<behind> {_SEGMENT} (?: [-_]{_SEGMENT} )* )  # and as tags do, where a variant may stand as well
    )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# Behind a `_` these words mean what they mean behind a dash; whatever else has a digit (b7, k3s1, 3f2a1bc) is a build.
_NO_BUILD = re.compile(
    rf"(?:{_WORDS})[0-9]*(?:\..+)?|[A-Za-z]+|(?:arm|amd|aarch|x86|i386|ppc|s390|riscv)[A-Za-z0-9]*",
    re.IGNORECASE | re.ASCII,
)
_DATE = re.compile(r"v?[0-9]{4}-[0-9]{2}\b")
_MANY = 100_000
"""From here on a first number is rather a build's or a date (20260131) than a major version."""
_STARTS_PRE_RELEASE = re.compile(rf"{_PRE_RELEASE}(?:\..+)?", re.IGNORECASE | re.ASCII)
_NUMERIC = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_NUMBERED_WORD = re.compile(r"([A-Za-z]+)([0-9]+)")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|\^|~)v?([0-9]+(?:\.[0-9]+){0,2})")


@dataclass(frozen=True, slots=True)
class Version:
    """A version without its build metadata, which has no part in the order.

    `numbers` are as many as were written, `pre_release` its identifiers (`rc1` gives `rc`, `1`), `variant` the rest
    of the suffix, such as `alpine3.19`, or "". `str` gives `text`, which is how the version was written.
    """

    numbers: Numbers
    pre_release: tuple[str, ...] = ()
    variant: str = ""
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text

    @property
    def precedence(self) -> tuple[Numbers, bool, tuple[tuple[bool, int, str], ...]]:
        """Orders versions of one variant: 1.4 equals 1.4.0, and a pre-release comes before its release."""
        is_release = not self.pre_release
        return _significant(self.numbers), is_release, tuple(_rank(identifier) for identifier in self.pre_release)

    def may_be_a_build(self, running: Version | None) -> bool:
        """Does it look like a build's number or a date, where the `running` one does not?"""
        runs_single_number = running is not None and len(running.numbers) == 1
        if len(self.numbers) == 1 and not runs_single_number:
            return True
        first, before = self.numbers[0], running.numbers[0] if running else 0
        leaps = first >= _MANY and before < first // 10
        runs_date = running is not None and _DATE.match(running.text)
        return leaps or bool(_DATE.match(self.text) and not runs_date)

    def shares(self, parts: int, other: Version) -> bool:
        """Whether the first `parts` numbers are equal; numbers not written count as 0."""
        return _padded(self.numbers, parts) == _padded(other.numbers, parts)


@lru_cache(maxsize=4096)
def parse_version(text: str) -> Version | None:
    """The version, of any count of numbers, that `text` spells; None if it spells none or is longer than a tag."""
    if len(text) > _LONGEST:
        return None
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    numbers = tuple(int(number) for number in re.split("[-.]", match["numbers"]))
    attached = [match["attached"]] if match["attached"] else []
    suffix = match["suffix"].split("-")[1:]
    behind = re.split("[-_]", match["behind"] or "")
    is_build_metadata = not _NO_BUILD.fullmatch(behind[0])
    if is_build_metadata:
        behind = behind[1:]
    pre_release, variant = _split_suffix([*attached, *suffix, *behind])
    return Version(numbers, pre_release, variant, text)


def _split_suffix(segments: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Tell the pre-release from the variant: `rc.1`, `alpine` of 1.5.0-rc.1-alpine.

    A pre-release begins with one of the known words, or is a number right after the version (SemVer's 1.4.2-0), and
    takes the numbers behind it along (`dev-20260101`). What is left names the variant.
    """
    starts = [index for index, segment in enumerate(segments) if _starts_pre_release(index, segment)]
    if not starts:
        return (), "-".join(segments)
    start, end = starts[0], starts[0] + 1
    while end < len(segments) and _NUMERIC.fullmatch(segments[end]):
        end += 1
    identifiers: list[str] = []
    for identifier in ".".join(segments[start:end]).split("."):
        # Read strictly, rc10 would come before rc9; nobody who writes it means that.
        numbered_word = _NUMBERED_WORD.fullmatch(identifier)
        identifiers += numbered_word.groups() if numbered_word else [identifier]
    return tuple(identifiers), "-".join([*segments[:start], *segments[end:]])


def _starts_pre_release(index: int, segment: str) -> bool:
    return bool(_STARTS_PRE_RELEASE.fullmatch(segment) or (index == 0 and _NUMERIC.fullmatch(segment)))


def _rank(identifier: str) -> tuple[bool, int, str]:
    """Orders the identifiers of pre-releases: numbers by their value, and before words (semver.org/#spec-item-11)."""
    is_word = not identifier.isdigit()
    return (is_word, 0, identifier.lower()) if is_word else (is_word, int(identifier), "")


def outranks(new: Version | None, old: Version | None) -> bool | None:
    """Is `new` the higher version of the same variant? None if they are the same text, or if `old` is not a version."""
    if old is None:
        return None
    if new is None:
        return False
    if new.text == old.text:
        return None
    return new.variant == old.variant and new.precedence > old.precedence


def why_not_higher(new: Version, old: Version, policy: str) -> str | None:
    """Why `new` may not follow `old` under a policy that never goes down; None if it may, as the same text may."""
    if new.variant != old.variant:
        return f"{new} is {_variant(new)}, and {old} is {_variant(old)}: {policy} stays with the variant"
    if new.precedence < old.precedence:
        return f"{new} is lower than {old}, and {policy} never goes down"
    if new.precedence == old.precedence and new.text != old.text:
        return f"{new} is the same version as {old}, in another spelling or of another build"
    return None


def describe_change(new: Version, old: Version) -> str:
    """What `new` is to the lower `old`, as in "a minor update of"."""
    for parts, name in enumerate(("major", "minor", "patch"), 1):
        if not new.shares(parts, old):
            return f"a {name} update of"
    if _significant(new.numbers) != _significant(old.numbers):
        return "higher than"
    return "a later pre-release than" if new.pre_release else "the release of"


def _variant(version: Version) -> str:
    return f"the variant {version.variant}" if version.variant else "the plain image"


@dataclass(frozen=True, slots=True)
class Range:
    """From `low`, included, to `high`, excluded (None: no end). A pre-release of either bound is outside."""

    text: str
    low: Numbers
    high: Numbers | None

    def __contains__(self, version: Version) -> bool:
        if version.precedence < Version(self.low).precedence:
            return False
        return self.high is None or _significant(version.numbers) < self.high


def parse_range(text: str) -> Range:
    """Read comparators joined by spaces, such as `>=1.4 <2`, `^1.4`, `~1.4.2`; ValueError says what is wrong.

    A comparator looks at the numbers that it names: `<=1.4` and `=1.4` admit 1.4.9, `>1.4` begins at 1.5.
    """
    comparators = re.sub(r"(?<=[<>=^~])\s+", "", text).split()
    if not comparators:
        raise ValueError("there is none after the colon")
    lows: list[Numbers] = []
    highs: list[Numbers] = []
    for comparator in comparators:
        match = _COMPARATOR.fullmatch(comparator)
        if match is None:
            raise ValueError(f"{comparator!r} is not a comparator such as >=1.4, <2, ^1.4 or ~1.4.2")
        first, beyond = _bounds(match[1], tuple(int(number) for number in match[2].split(".")))
        lows.append(_significant(first))
        if beyond is not None:
            highs.append(_significant(beyond))
    low, high = max(lows), min(highs, default=None)
    if high is not None and low >= high:
        raise ValueError(f"no version is within {text.strip()}")
    return Range(" ".join(comparators), low, high)


def _bounds(operator: str, version: Numbers) -> tuple[Numbers, Numbers | None]:
    """The first version inside, and the first one beyond."""
    # ^1.4 goes up to 2, ^0.4 up to 0.5: the first number that is not 0 stays, as npm and Cargo read it.
    kept = next((place for place, number in enumerate(version, 1) if number), len(version))
    first, beyond = {
        ">=": (version, None),
        ">": (_after(version), None),
        "<": ((), version),
        "<=": ((), _after(version)),
        "=": (version, _after(version)),
        "~": (version, _after(version[:2])),
        "^": (version, _after(version[:kept])),
    }[operator]
    return first, beyond


def _after(numbers: Numbers) -> Numbers:
    return (*numbers[:-1], numbers[-1] + 1)


def _significant(numbers: Numbers) -> Numbers:
    """Without zeros at the end, so that equal versions are equal and the order of tuples is that of versions."""
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return numbers[:end]


def _padded(numbers: Numbers, parts: int) -> Numbers:
    return (numbers + (0,) * parts)[:parts]
