"""Reads the version in an image tag.

A tag is read as `[v]numbers[_build][pre-release][variant][revision]`. SemVer's own grammar does not fit: image tags
have any count of numbers, name the base image after a dash, and also number the builds of one version there. Under
SemVer (https://semver.org/#spec-item-9) `16.2-alpine` and `1.4.2-1` would be pre-releases.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from worker.policies.versions import Numbers, Version

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
# No `b` here: -b7 is a revision, and only 3.14.0b2 a beta. Pre-releases are known by their words alone: a bare number
# behind a dash, which SemVer would take for one, is nearly always a build of the image.
_STARTS_PRE_RELEASE = re.compile(
    rf"(?:(?:{_WORDS})[0-9]*|[am][0-9]+)(?:\..+)?", re.IGNORECASE | re.ASCII
)
_NUMERIC = re.compile(_DOTTED)
_NUMBERED_WORD = re.compile(r"([A-Za-z]+)([0-9]+)")
_MARKED_REVISION = re.compile(
    rf"(?:r|ls|b|build|rev)\.?({_DOTTED})", re.IGNORECASE | re.ASCII
)
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
"""Words in tags that have no versions of their own: a number after one of them counts the builds of the image."""
_LONGEST_OF_A_VERSION = 4
"""The most digits of a number that may be a version of the word before it: otp-25, nanoserver-1809."""


@lru_cache(maxsize=4096)
def parse_version(text: str) -> Version | None:
    """The version that `text` spells; None if it spells none or is longer than a tag may be."""
    # Measured before it is matched: a tag comes from a webhook, and may be of any length.
    if len(text) > _LONGEST:
        return None
    match = _VERSION.fullmatch(text)
    if match is None:
        return None
    # The suffix begins with a dash or an underscore, so the first piece is always empty.
    segments = re.split("[-_]", match["suffix"])[1:]
    pre_release, segments = _split_pre_release(match["attached"], segments)
    # The order matters: only what is left of the pre-release can be told from a revision.
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


def _split_pre_release(
    attached: str | None, segments: list[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Separate the pre-release from the rest: `rc`, `1` and `alpine` in 1.5.0-rc.1-alpine.

    A pre-release begins with one of the known words, wherever it is, and includes the numbers after it
    (`dev-20260101`).
    """
    # 1.5.0rc1 has it right behind the numbers, 1.5.0-rc.1 as a segment of its own.
    if attached:
        segments = [attached, *segments]
        start: int | None = 0
    else:
        start = _where_pre_release_starts(segments)
    if start is None:
        return (), segments
    end = start + 1
    while end < len(segments) and _NUMERIC.fullmatch(segments[end]):
        end += 1
    identifiers: list[str] = []
    for identifier in ".".join(segments[start:end]).split("."):
        # SemVer compares rc9 and rc10 as texts, and rc10 would come first. Nobody who writes it means that.
        numbered_word = _NUMBERED_WORD.fullmatch(identifier)
        identifiers += numbered_word.groups() if numbered_word else [identifier]
    return tuple(identifiers), [*segments[:start], *segments[end:]]


def _where_pre_release_starts(segments: list[str]) -> int | None:
    for index, segment in enumerate(segments):
        if _STARTS_PRE_RELEASE.fullmatch(segment):
            return index
    return None


def _split_revision(segments: list[str]) -> tuple[list[str], Numbers]:
    """Separate the variant from the revision, which comes last: `debian`, `9` and 24 in -debian-9-r24."""
    if not segments:
        return [], ()
    marked = _MARKED_REVISION.fullmatch(segments[-1])
    if marked:
        return segments[:-1], _numbers(marked[1])
    start = _where_revision_starts(segments)
    variant, revision = segments[:start], segments[start:]
    return variant, _numbers(".".join(revision)) if revision else ()


def _where_revision_starts(segments: Sequence[str]) -> int:
    """The index of the revision's first number; the count of the segments if there is none."""
    end = len(segments)
    first_number = end
    while first_number and _NUMERIC.fullmatch(segments[first_number - 1]):
        first_number -= 1
    # A date may contain dashes, and a time of day may follow it.
    for place in range(first_number, end):
        if _is_date(segments[place:]):
            return place
    ends_in_number = first_number < end
    is_of_variant = end > 1 and _belongs_to(segments[-2], segments[-1])
    # The last number alone: in debian-9-24 the 9 is the variant's.
    return end - 1 if ends_in_number and not is_of_variant else end


def _is_date(segments: Sequence[str]) -> bool:
    """Whether the segments begin with a date: 20230512, 202305121230, or 2023-05-12."""
    if _DAY.fullmatch(segments[0]):
        return True
    year, month_and_day = segments[0], segments[1:3]
    has_year = bool(_YEAR.fullmatch(year))
    has_day = len(month_and_day) == 2 and all(len(part) == 2 for part in month_and_day)
    return has_year and has_day


def _belongs_to(word: str, number: str) -> bool:
    """Whether the number is a version of the word before it, and so part of the variant: otp-25, scala_2.12, x86_64.

    Nobody can list all words that have versions. A revision taken for a part of the variant only misses a rebuild of
    one version; a part of the variant taken for a revision would bring in another base image.
    """
    # Behind a number of the variant, a number counts the builds: 24 in debian-9-24.
    if _NUMERIC.fullmatch(word):
        return False
    is_dotted = "." in number
    is_short = len(number) <= _LONGEST_OF_A_VERSION
    name = word.rstrip("0123456789.")
    # alpine3.19-1, where 1 counts the builds. A number without a dot may be a part of the name: x86_64, arm64v8.
    has_its_version = "." in word[len(name) :]
    has_none = any(_HAVE_NO_VERSIONS.fullmatch(each) for each in (word, name))
    may_have_version = not has_its_version and not has_none
    return is_dotted or (is_short and may_have_version)


def _numbers(text: str) -> Numbers:
    return tuple(int(number) for number in re.split("[-.]", text))
