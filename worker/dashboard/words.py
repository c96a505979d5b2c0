"""Texts of outside systems as the page shows them: printable, and cut where they are long. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.durations import how_long
from shared.printable import printable

SHORT_DIGEST = len("sha256:") + 12
_TAG = re.compile(r"(?P<name>.+?)(?P<rest>(?::[^/@]*)?(?:@.*)?)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Image:
    """An image in two parts, as its tag is what a person looks for; `digest` is short, `whole` is not."""

    name: str
    tag: str
    whole: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, for programs and for people, and how long ago it is."""

    iso: str
    clock: str
    ago: str


def shown(text: str, most: int | None = None) -> str:
    """What somebody else wrote, safe to look at, and cut after `most` characters."""
    cut = text if most is None or len(text) <= most else f"{text[: most - 1].rstrip()}…"
    return printable(cut)


def shown_if_any(text: str | None, most: int) -> str | None:
    """The same; None where there is nothing to show."""
    return shown(text, most) if text else None


def image_of(text: str) -> Image:
    """An image as it is written; a digest is shortened."""
    # Not ImageReference: a record or a dead letter may hold another text, which must be shown as well.
    match = _TAG.fullmatch(text)
    name, rest = (match["name"], match["rest"]) if match else (text, "")
    tag, at, digest = rest.partition("@")
    short = f"{tag}{at}{digest[:SHORT_DIGEST]}"
    return Image(shown(name, 160), shown(short, 160), shown(text, 500))


def moment_of(at: datetime, now: datetime) -> Moment:
    """A time as seen from `now`: today's without its date."""
    at = in_utc(at)
    is_today = at.date() == in_utc(now).date()
    clock = f"{at:%H:%M:%S}" if is_today else f"{at:%Y-%m-%d %H:%M}"
    return Moment(at.isoformat(timespec="seconds"), clock, ago(at, now))


def in_utc(at: datetime) -> datetime:
    """The same time in UTC; at the ends of Python's calendar, where that has no date, as it is written."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return at.replace(tzinfo=UTC)


def ago(at: datetime, now: datetime) -> str:
    """How long ago it is. The clock of whoever wrote it may be ahead of ours."""
    seconds = max(0.0, (now - at).total_seconds())
    return "now" if seconds < 1 else f"{how_long(seconds)} ago"


def count_of(number: int, noun: str) -> str:
    """`1 group`, `2 groups`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
