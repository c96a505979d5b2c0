"""The groups as the page shows them, a row each, trouble first. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.message import TargetId
from worker.core.names import names_of
from worker.core.status import ContainerStatus, Status
from worker.dashboard.state import OLD, Seen, State
from worker.dashboard.words import (
    Image,
    Moment,
    count_of,
    image_of,
    moment_of,
    shown,
    shown_if_any,
)
from worker.record.record import is_dead

LABELS = {
    "TROUBLE": "Trouble",
    "failed": "Failed",
    "rolling out": "Rolling out",
    "held": "Held",
    "waits": "Waiting",
    "reading": "Reading",
    "ok": "OK",
}
"""The words of a status as the page has them, in the order of the page."""
_MOST_WAITING = 3


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """What a container runs, what it should run if that is another image, and how it fares."""

    name: str
    image: Image
    digest: str | None
    health: str
    restarts: str
    wanted: Image | None
    policy: str | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group in a row."""

    target: TargetId
    name: str
    key: str
    word: str
    label: str
    containers: tuple[ContainerRow, ...]
    address: str | None
    problem: str | None
    rollout: str | None
    phase: str | None
    since: Moment | None
    held: str | None
    waiting: str | None
    last: str | None
    last_image: Image | None
    last_at: Moment | None
    last_detail: str | None
    as_of: Moment | None


def group_rows(
    state: State, now: datetime, *, rollback: bool, most: int
) -> list[GroupRow]:
    """Every group, trouble first. Of long texts `most` characters are shown."""
    name_of = names_of(state.seen)
    rows = [
        _row(seen, name_of, now, rollback=rollback, most=most)
        for seen in state.seen.values()
    ]
    order = list(LABELS)
    return sorted(rows, key=lambda row: (order.index(row.word), row.target.key))


def counts_of(rows: Iterable[GroupRow]) -> dict[str, int]:
    """How many groups there are of each word, those of none left out."""
    counts = dict.fromkeys(LABELS, 0)
    for row in rows:
        counts[row.word] += 1
    return {word: count for word, count in counts.items() if count}


def sentence_of(counts: dict[str, int]) -> str:
    """The same in a sentence."""
    labels = {word: label.lower() for word, label in LABELS.items()} | {
        "ok": LABELS["ok"]
    }
    return ", ".join(f"{count} {labels[word]}" for word, count in counts.items())


def matches(row: GroupRow, query: str) -> bool:
    """Does the row have this text in its names, images or words?"""
    texts = [row.key, row.label, row.address or ""]
    for container in row.containers:
        texts += (container.name, container.image.whole)
    wanted = query.lower()
    return any(wanted in text.lower() for text in texts)


def _row(
    seen: Seen,
    name_of: Callable[[TargetId], str],
    now: datetime,
    *,
    rollback: bool,
    most: int,
) -> GroupRow:
    status = seen.status
    wanted = seen.wanted(rollback=rollback)
    # Nothing is called well before Azure has answered once: the record alone knows nothing of the group's health.
    word = "reading" if status.word == "ok" and not seen.is_read else status.word
    rollout, last = status.rollout, status.last
    # Whoever asks why it failed reads the detail. Of a push that went well nobody does, and the page stays small.
    has_failed = last is not None and is_dead(last.result)
    last_detail = last.detail if last and has_failed else None
    return GroupRow(
        target=seen.target,
        name=shown(name_of(seen.target)),
        key=shown(seen.target.key),
        word=word,
        label=LABELS[word],
        containers=tuple(
            _container(one, seen, wanted.get(one.name)) for one in status.containers
        ),
        address=shown_if_any(status.address, 200),
        problem=shown_if_any(status.problem, most),
        rollout=shown(rollout.image, most) if rollout else None,
        phase=shown(rollout.phase, most) if rollout else None,
        since=moment_of(rollout.since, now) if rollout else None,
        held=shown_if_any(status.held, most),
        waiting="; ".join(_waiting(status)) or None,
        last=shown(last.result) if last else None,
        last_image=image_of(last.image) if last else None,
        last_at=moment_of(last.at, now) if last else None,
        last_detail=shown_if_any(last_detail, most),
        as_of=_as_of(seen, now),
    )


def _container(one: ContainerStatus, seen: Seen, wanted: str | None) -> ContainerRow:
    return ContainerRow(
        name=shown(one.name, 100),
        image=image_of(one.image),
        digest=shown_if_any(one.digest, 100),
        health=one.health,
        restarts=count_of(one.restarts, "restart") if one.restarts else "",
        wanted=image_of(wanted) if wanted else None,
        policy=shown_if_any(seen.policy(one.name), 100),
    )


def _waiting(status: Status) -> Iterator[str]:
    yield from (shown(image, 200) for image in status.waiting[:_MOST_WAITING])
    more = len(status.waiting) - _MOST_WAITING
    if more > 0:
        yield f"{more} more"


def _as_of(seen: Seen, now: datetime) -> Moment | None:
    """When the group was last read, where that is long ago or it can't be read now."""
    at = seen.of_group.at
    if at is None:
        return None
    is_current = seen.of_group.error is None and now - at < OLD
    return None if is_current else moment_of(at, now)
