"""What has happened, as the page shows it: the ends of pushes by day, and the dead letters. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from shared.dead_letter import DeadLetter
from shared.durations import how_long
from shared.message import TargetId, UpdateMessage
from shared.printable import printable_json
from worker.dashboard.words import Image, Moment, image_of, in_utc, moment_of, shown
from worker.failures.advice import what_to_do
from worker.record.record import is_dead
from worker.record.trace import End
from worker.record.values import ADDRESS_CHANGED

NOWHERE = "(no target)"
UNDECODABLE = "Undecodable"


@dataclass(frozen=True, slots=True)
class EndRow:
    """How a push ended. `address_changed`: the group has got another address with it."""

    at: Moment
    name: str
    key: str | None
    result: str
    is_dead: bool
    address_changed: bool
    image: Image
    before: str
    detail: str
    took: str
    who: str
    count: int


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the time line."""

    date: str
    ends: tuple[EndRow, ...]


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A dead letter. `id` is what the commands take; None where there is no message in it."""

    key: str
    id: str | None
    code: str
    reason: str
    name: str
    group: str | None
    image: Image | None
    at: Moment | None
    detail: str
    advice: str
    log: str
    lines_left_out: int
    document: str


def days_of(
    ends: Iterable[End], now: datetime, name_of: Callable[[TargetId], str], most: int
) -> tuple[Day, ...]:
    """The ends by day, the newest first."""
    days = []
    # The ends are sorted by time already, which groupby relies on. A day is one of UTC, as all times on the page are.
    for day, of_day in itertools.groupby(ends, key=_date_of):
        rows = tuple(_end(end, now, name_of, most) for end in of_day)
        days.append(Day(f"{day:%A} {day.isoformat()}", rows))
    return tuple(days)


def _date_of(end: End) -> date:
    return in_utc(end.outcome.at).date()


def letter_row(
    letter: DeadLetter | str,
    now: datetime,
    name_of: Callable[[TargetId], str],
    most: int,
    lines: int,
) -> LetterRow:
    """A letter with the last `lines` of its log."""
    if isinstance(letter, str):
        return _undecodable(letter, most)
    message = letter.message if isinstance(letter.message, UpdateMessage) else None
    target = message.target if message else None
    log, left_out = _last_lines(getattr(letter, "log", None) or "", lines)
    return LetterRow(
        key=key_of(letter),
        id=shown(message.id) if message else None,
        code=shown(letter.code, 100),
        reason=shown(letter.reason, 100),
        name=shown(name_of(target)) if target else NOWHERE,
        group=target.key if target else None,
        image=image_of(str(message.push.image)) if message else None,
        at=moment_of(letter.dead_lettered_at, now),
        detail=shown(letter.detail, most),
        advice=what_to_do(letter.code),
        log=log,
        lines_left_out=left_out,
        document=printable_json(letter.model_dump_json(indent=2, exclude={"log"})),
    )


def _undecodable(text: str, most: int) -> LetterRow:
    """A message of the poison queue that is not one of our dead letters: only its own text can be shown."""
    said = shown(text, most)
    return LetterRow(
        key=key_of(text),
        id=None,
        code=UNDECODABLE,
        reason="undecodable",
        name=NOWHERE,
        group=None,
        image=None,
        at=None,
        detail=said,
        advice=what_to_do(UNDECODABLE),
        log="",
        lines_left_out=0,
        document=said,
    )


def key_of(letter: DeadLetter | str) -> str:
    """By which the page's links name it: two letters with the same content are one."""
    # Made of the content, as a peek gives the texts alone.
    content = letter if isinstance(letter, str) else letter.model_dump_json()
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:16]


def newest_first(letters: Iterable[DeadLetter | str]) -> Iterator[DeadLetter | str]:
    """The letters, what can't be decoded last, as a text alone does not tell when it came."""
    known = sorted(
        (letter for letter in letters if isinstance(letter, DeadLetter)),
        key=lambda letter: letter.dead_lettered_at,
        reverse=True,
    )
    yield from known
    yield from (letter for letter in letters if isinstance(letter, str))


def _end(
    end: End, now: datetime, name_of: Callable[[TargetId], str], most: int
) -> EndRow:
    outcome = end.outcome
    # Several containers may have run the same tag, which is shown once. An image without one is shown as it is.
    images = outcome.before.values()
    before = sorted(
        {image_of(image).tag.removeprefix(":") or image for image in images}
    )
    return EndRow(
        at=moment_of(outcome.at, now),
        name=shown(name_of(end.target)) if end.target else NOWHERE,
        key=end.target.key if end.target else None,
        result=outcome.result,
        is_dead=is_dead(outcome.result),
        address_changed=ADDRESS_CHANGED in outcome.detail,
        image=image_of(outcome.image),
        before=shown(", ".join(before), 160),
        detail=shown(outcome.detail, most),
        took="" if outcome.seconds is None else how_long(outcome.seconds),
        who=shown(outcome.by or outcome.pusher or "", 100),
        count=outcome.count,
    )


def _last_lines(log: str, lines: int) -> tuple[str, int]:
    """The last lines of a log, and how many are left out."""
    every = log.splitlines()
    last = "\n".join(shown(line, 400) for line in every[-lines:])
    return last, max(0, len(every) - lines)
