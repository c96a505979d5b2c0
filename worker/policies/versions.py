"""Versions as image tags spell them, and their order.

A tag is read as `[v]numbers[_build][pre-release][variant][revision]`. SemVer's own grammar does not fit: image tags
have any count of numbers, name the base image behind a dash, and number the builds of one version there, too. For
SemVer alone (https://semver.org/#spec-item-9) `16.2-alpine` and `1.4.2-1` would be pre-releases.
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
_SEGMENT = r"[A-Za-z0-9]+(?:\.[A-Za-z0-9]+)*"
_DOTTED = r"[0-9]+(?:\.[0-9]+)*"
_VERSION = re.compile(
    rf"""
    (?P<v> v )?
    (?:
        (?P<date> (?:19|20)[0-9]{{2}} - (?:0[1-9]|1[0-2]) (?: -[0-9]{{2}} (?: \.[0-9]+ )* )? ) (?![A-Za-z0-9.])
      | (?P<numbers> {_DOTTED} )
    )
    (?P<attached> (?:{_WORDS})[0-9]* | [abm][0-9]+ )?  # 1.5.0rc1, 3.14.0b2
    (?: _(?P<build> {_DOTTED} ) (?![A-Za-z0-9.]) )?  # 17.0.9_9
    (?P<suffix> (?: [-_]{_SEGMENT} )* )  # 1.5.0-rc.1-alpine3.19, 1.4.2-debian-12-r3
    (?: \+[A-Za-z0-9._-]+ )?  # SemVer's build metadata, which has no part in the order
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
# No `b` here: -b7 is a revision, and only 3.14.0b2 a beta.
_STARTS_PRE_RELEASE = re.compile(rf"(?:(?:{_WORDS})[0-9]*|[am][0-9]+)(?:\..+)?", re.IGNORECASE | re.ASCII)
_NUMERIC = re.compile(_DOTTED)
_NUMBERED_WORD = re.compile(r"([A-Za-z]+)([0-9]+)")
_MARKED_REVISION = re.compile(rf"(?:r|ls|b|build|rev)\.?({_DOTTED})", re.IGNORECASE | re.ASCII)
_DAY = re.compile(r"(?:19|20)[0-9]{6}(?:[0-9]{2}){0,3}(?:\.[0-9]+)*")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_HAVE_NO_VERSIONS = re.compile(
    r"""
      alpine | slim | full | minimal | lite | base | core | debug | rootless | nonroot | distroless | scratch
    | bookworm | bullseye | buster | trixie | focal | jammy | noble | resolute | amd64 | arm64 | arm64v8
    | fpm | apache | cli | zts | server | stable | lts | ce | ee | oss | community | enterprise | developer
    | prod | production | release | build | rev | revision | patch | hotfix
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
"""Words of tags that have no versions of their own: a number behind one of them counts the builds of the image."""
_LONGEST_OF_A_VERSION = 4
"""Digits of a number that may be a version of the word in front of it: otp-25, nanoserver-1809."""
_STRAY = 1000
"""From here on a first number that is over ten times the running one is a year or a build."""
_BUILD = 100_000
"""From here on a first number is a build or a date, whatever stands behind it: 20260115.2."""

Rank = tuple[bool, int, str]
Precedence = tuple[Numbers, Numbers, bool, tuple[Rank, ...], Numbers]


@dataclass(frozen=True, slots=True)
class Version:
    """What a tag says, without its build metadata (`+…`), which has no part in the order.

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
        return self.numbers, self.build, not self.pre_release, identifiers, self.revision

    @property
    def line(self) -> tuple[bool, bool, int, bool, str]:
        """What a container keeps through all updates: the spelling, the count of numbers and the variant."""
        return self.has_v, self.is_dashed, len(self.numbers), bool(self.build), self.variant

    def shares(self, parts: int, other: Version) -> bool:
        """Whether the first `parts` numbers are equal; numbers not written count as 0."""
        return _padded(self.numbers, parts) == _padded(other.numbers, parts)

    def is_stray(self, running: Version) -> bool:
        """Is it a year or a build, pushed once by mistake, where small numbers run? (10.11.4, then 2021.12.16)"""
        first, before = self.numbers[0], running.numbers[0]
        return first >= _STRAY and first > 10 * before

    def may_be_a_build(self, below: int) -> bool:
        """Does it look like a date or a build's number? For those who run none that it could be compared with.

        A number that stands alone is a version only `below` this one.
        """
        first = self.numbers[0]
        return self.is_dashed or first >= _BUILD or (len(self.numbers) == 1 and first >= below)


@lru_cache(maxsize=4096)
def parse_version(text: str) -> Version | None:
    """The version, of any count of numbers, that `text` spells; None if it spells none or is longer than a tag."""
    if len(text) > _LONGEST:
        return None
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    segments = re.split("[-_]", match["suffix"])[1:]
    pre_release, segments = _split_pre_release(match["attached"], segments)
    variant, revision = _split_revision(segments)
    return Version(
        numbers=_numbers(match["date"] or match["numbers"]),
        pre_release=pre_release,
        variant="-".join(variant),
        build=_numbers(match["build"]) if match["build"] else (),
        revision=revision,
        has_v=bool(match["v"]),
        is_dashed=bool(match["date"]),
        text=text,
    )


def _split_pre_release(attached: str | None, segments: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Tell the pre-release from the rest: `rc`, `1` and `alpine` of 1.5.0-rc.1-alpine.

    A pre-release begins with one of the known words, wherever it stands, and takes the numbers behind it along
    (`dev-20260101`).
    """
    if attached:
        segments, start = [attached, *segments], 0
    else:
        starts = (index for index, segment in enumerate(segments) if _STARTS_PRE_RELEASE.fullmatch(segment))
        start = next(starts, len(segments))
    if start == len(segments):
        return (), segments
    end = start + 1
    while end < len(segments) and _NUMERIC.fullmatch(segments[end]):
        end += 1
    identifiers: list[str] = []
    for identifier in ".".join(segments[start:end]).split("."):
        # Read strictly, rc10 would come before rc9; nobody who writes it means that.
        numbered_word = _NUMBERED_WORD.fullmatch(identifier)
        identifiers += numbered_word.groups() if numbered_word else [identifier]
    return tuple(identifiers), [*segments[:start], *segments[end:]]


def _split_revision(segments: list[str]) -> tuple[list[str], Numbers]:
    """Tell the variant from the revision, which comes last: `debian`, `9` and 24 of -debian-9-r24."""
    if not segments:
        return [], ()
    marked = _MARKED_REVISION.fullmatch(segments[-1])
    if marked:
        return segments[:-1], _numbers(marked[1])
    start = _where_revision_starts(segments)
    return segments[:start], _numbers(".".join(segments[start:])) if start < len(segments) else ()


def _where_revision_starts(segments: Sequence[str]) -> int:
    """The place of the first number of the revision; the count of the segments if there is none."""
    end = len(segments)
    first_number = end
    while first_number and _NUMERIC.fullmatch(segments[first_number - 1]):
        first_number -= 1
    # A date may have dashes of its own, and a time of day behind it.
    for place in range(first_number, end):
        if _is_date(segments[place:]):
            return place
    last = segments[-1]
    if first_number == end or (end > 1 and _belongs_to(segments[-2], last)):
        return end
    return end - 1


def _is_date(segments: Sequence[str]) -> bool:
    """Do the segments begin with a date: 20230512, 202305121230, or 2023-05-12?"""
    if _DAY.fullmatch(segments[0]):
        return True
    return len(segments) >= 3 and bool(_YEAR.fullmatch(segments[0])) and all(len(part) == 2 for part in segments[1:3])


def _belongs_to(word: str, number: str) -> bool:
    """Is the number a version of the word in front of it, and so of the variant: otp-25, scala_2.12, x86_64?

    Which words have versions nobody can list. To take a revision for a part of the variant costs a rebuild of one
    version; to take a part of the variant for a revision would bring in another base image.
    """
    if _NUMERIC.fullmatch(word):
        return False
    is_dotted = "." in number
    is_short = len(number) <= _LONGEST_OF_A_VERSION
    return is_dotted or (is_short and not _HAVE_NO_VERSIONS.fullmatch(word))


def _rank(identifier: str) -> Rank:
    """Orders the identifiers of pre-releases: numbers by their value, and before words (semver.org/#spec-item-11)."""
    is_word = not identifier.isdigit()
    return (is_word, 0, identifier.lower()) if is_word else (is_word, int(identifier), "")


def significant(numbers: Numbers) -> Numbers:
    """Without zeros at the end, so that equal versions are equal and the order of tuples is that of versions."""
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return numbers[:end]


def _numbers(text: str) -> Numbers:
    return tuple(int(number) for number in re.split("[-.]", text))


def _padded(numbers: Numbers, parts: int) -> Numbers:
    return (numbers + (0,) * parts)[:parts]
