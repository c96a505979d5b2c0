"""The page as values: what the template shows, with every text printable. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.dead_letter import DeadLetter
from shared.message import TargetId, UpdateMessage
from worker.core.names import names_of
from worker.dashboard.groups_view import (
    GroupRow,
    counts_of,
    group_rows,
    matches,
    sentence_of,
)
from worker.dashboard.state import LETTERS, QUEUE, RECORDS, TARGETS, Reading, State
from worker.dashboard.telling_view import (
    Day,
    LetterRow,
    days_of,
    key_of,
    letter_row,
    newest_first,
)
from worker.dashboard.words import Moment, count_of, moment_of, shown

GROUPS, ENDS, LETTERS_SHOWN, LINES, MOST = 25, 25, 8, 4, 240
"""On the overview: groups a page, ends, letters, lines of a log, characters of a detail. The page stays small."""
ALL_ENDS, ALL_LETTERS, ALL_LINES, ALL_MOST = 60, 32, 1000, 4000
"""On the page of one group or one letter."""
LONGEST_QUERY = 100


@dataclass(frozen=True, slots=True)
class _Room:
    """How much of everything a page shows at most."""

    ends: int
    letters: int
    lines: int
    characters: int


_ROOM = _Room(ENDS, LETTERS_SHOWN, LINES, MOST)
_ROOM_OF_ONE = _Room(ALL_ENDS, ALL_LETTERS, ALL_LINES, ALL_MOST)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a viewer asks for: a page of the groups with some text in them, or one group by its key."""

    query: str = ""
    number: int = 1
    group: TargetId | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What the template shows."""

    title: str
    heading: str
    sentence: str
    counts: dict[str, int]
    needs_somebody: bool
    read_at: Moment | None
    alerts: tuple[str, ...]
    notes: tuple[str, ...]
    queue: str
    rows: tuple[GroupRow, ...]
    rollouts: tuple[GroupRow, ...]
    total: int
    found: int
    number: int
    pages: int
    query: str
    group: GroupRow | None
    days: tuple[Day, ...]
    letters: tuple[LetterRow, ...]
    letters_left_out: int


def page_of(state: State, now: datetime, wish: Wish, *, rollback: bool) -> Page:
    """The overview, or the page of one group, which is a target."""
    of_one = wish.group is not None
    room = _ROOM_OF_ONE if of_one else _ROOM
    every = group_rows(state, now, rollback=rollback, most=room.characters)
    query = wish.query.strip()[:LONGEST_QUERY]
    if of_one:
        found = [row for row in every if row.target == wish.group]
    else:
        found = [row for row in every if matches(row, query)]
    group = found[0] if of_one and found else None
    pages = max(1, math.ceil(len(found) / GROUPS))
    # Whoever asks for a page that is not there, or is not there any more, gets the nearest one.
    number = min(max(1, wish.number), pages)
    counts = counts_of(every)
    alerts = tuple(_alerts(state, now))
    heading = _headline(state, counts, is_complete=not alerts)
    read_at = state.last_read()
    letters, letters_left_out = _letters(state, now, wish.group, room)
    return Page(
        title=f"{group.name if group else heading} · aci-hooks",
        heading=heading,
        sentence=sentence_of(counts),
        counts=counts,
        needs_somebody=_needs_somebody(state, counts, alerts),
        read_at=moment_of(read_at, now) if read_at else None,
        alerts=alerts,
        notes=tuple(shown(problem, MOST) for problem in state.unlisted),
        queue=_queue(state),
        rows=tuple(found[(number - 1) * GROUPS : number * GROUPS]),
        rollouts=tuple(row for row in every if row.rollout and not of_one)[:GROUPS],
        total=len(every),
        found=len(found),
        number=number,
        pages=pages,
        query=shown(query),
        group=group,
        days=_days(state, now, wish.group, room),
        letters=letters,
        letters_left_out=letters_left_out,
    )


def _days(
    state: State, now: datetime, group: TargetId | None, room: _Room
) -> tuple[Day, ...]:
    """The last ends: those of one group, or of all of them."""
    is_meant = group is None
    ends = [end for end in state.ends if is_meant or end.target == group]
    return days_of(ends[: room.ends], now, _name_of(state), room.characters)


def _letters(
    state: State, now: datetime, group: TargetId | None, room: _Room
) -> tuple[tuple[LetterRow, ...], int]:
    """The newest dead letters, of one group or of all; and how many more there are."""
    letters = list(newest_first(state.letters))
    # Of all dead letters only those that a peek shows have been read, but the queue has told how many there are.
    total = state.dead or 0
    if group is not None:
        letters = [letter for letter in letters if _target_of(letter) == group]
        total = len(letters)
    name_of = _name_of(state)
    rows = tuple(
        letter_row(letter, now, name_of, room.characters, room.lines)
        for letter in letters[: room.letters]
    )
    return rows, max(0, total - room.letters)


def _name_of(state: State) -> Callable[[TargetId], str]:
    # Former targets have records and ends as well, and two groups of one name must not be shown as one.
    return names_of({*state.seen, *state.records})


def _needs_somebody(
    state: State, counts: dict[str, int], alerts: tuple[str, ...]
) -> bool:
    has_trouble = "TROUBLE" in counts or "failed" in counts
    return has_trouble or bool(state.dead or alerts)


def letter_of(state: State, now: datetime, key: str) -> LetterRow | None:
    """One letter with everything in it; None if it is not there any more."""
    found = [letter for letter in state.letters if key_of(letter) == key]
    if not found:
        return None
    return letter_row(found[0], now, _name_of(state), ALL_MOST, ALL_LINES)


def _headline(state: State, counts: dict[str, int], *, is_complete: bool) -> str:
    """The first thing that somebody reads: nothing is called well that was not read."""
    troubled, failed = counts.get("TROUBLE", 0), counts.get("failed", 0)
    texts = (
        f"{troubled} in trouble" if troubled else "",
        f"{failed} failed" if failed else "",
    )
    # What is known to be bad comes first. That something was not read only keeps the rest from being called well.
    if any(texts):
        return ", ".join(filter(None, texts))
    if not is_complete:
        return "Not everything could be read"
    if state.dead:
        return f"{count_of(state.dead, 'dead letter')} to look at"
    is_listed = state.reading(TARGETS) != Reading()
    if "reading" in counts or not is_listed:
        return "The groups are being read"
    return "Nothing needs attention" if counts else "No groups yet"


def _alerts(state: State, now: datetime) -> Iterator[str]:
    """What could not be read, and how old what is shown of it is."""
    for what in (TARGETS, RECORDS, QUEUE, LETTERS):
        reading = state.reading(what)
        if reading.error:
            yield _alert(what, reading, now)
    # One alert for all groups: when Azure is down, each of them would have one.
    unread = [seen.of_group for seen in state.seen.values() if seen.of_group.error]
    if unread:
        newest = max((reading.at for reading in unread if reading.at), default=None)
        shown_from = "They were never read."
        if newest:
            shown_from = f"What is shown of them is from {_when(newest, now)}."
        yield f"Azure does not show {len(unread)} of {count_of(len(state.seen), 'group')}. {shown_from}"
    times = [seen.of_group.at for seen in state.seen.values() if seen.of_group.at]
    if state.is_old(now):
        yield f"Azure has not answered since {_when(max(times), now)}."


def _alert(what: str, reading: Reading, now: datetime) -> str:
    shown_from = "it was never read"
    if reading.at:
        shown_from = f"what is shown is from {_when(reading.at, now)}"
    since = f" since {moment_of(reading.since, now).clock} UTC" if reading.since else ""
    return f"{what.capitalize()} can't be read{since}; {shown_from}: {shown(reading.error or '', MOST)}"


def _when(at: datetime, now: datetime) -> str:
    moment = moment_of(at, now)
    return f"{moment.clock} UTC, {moment.ago}"


def _queue(state: State) -> str:
    """The queue and the dead letters in a line."""
    messages, dead = "queue not read yet", "dead letters not read yet"
    if state.messages is not None:
        messages = f"{count_of(state.messages, 'message')} on the queue"
    if state.dead is not None:
        dead = count_of(state.dead, "dead letter")
    return f"{messages}, {dead}"


def _target_of(letter: DeadLetter | str) -> TargetId | None:
    message = letter.message if isinstance(letter, DeadLetter) else None
    return message.target if isinstance(message, UpdateMessage) else None
