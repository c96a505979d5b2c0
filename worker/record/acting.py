"""For which pushes a look acts, and which rollouts it has seen end: what a trace tells of a record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.message import UpdateMessage
from worker.record.record import Record
from worker.record.values import Change, Ending, Result


def acts_for(record: Record) -> list[UpdateMessage]:
    """The pushes that a look at this record acts for, the one that it acts for most first."""
    messages: dict[str, UpdateMessage] = {}
    for message in _in_order(record):
        messages.setdefault(message.id, message)
    return list(messages.values())


def _in_order(record: Record) -> Iterator[UpdateMessage]:
    # What has ended is told before anything else is done.
    yield from (ending.message for ending in record.outbox)
    if record.change:
        yield from _newest_first(_asked(record, record.change))
    yield from (undone.message for undone in record.undone)
    containers = record.containers.values()
    yield from (container.pin.message for container in containers if container.pin)
    yield from _newest_first(
        container.in_turn[0].message for container in containers if container.candidates
    )
    yield from _newest_first(record.waiting().values())


def _asked(record: Record, change: Change) -> Iterator[UpdateMessage]:
    """The messages that asked for this change: pushes that wait for its end, and an operator's rollbacks."""
    asked = set(change.asked.values())
    for container in record.containers.values():
        if container.pin and container.pin.message.id in asked:
            yield container.pin.message
        yield from (
            candidate.message
            for candidate in container.candidates
            if candidate.id in asked
        )


def _newest_first(messages: Iterable[UpdateMessage]) -> list[UpdateMessage]:
    return sorted(messages, key=lambda message: message.order, reverse=True)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time that a change of the group took: a rollout, from its PUT to its end, or the rollback after it."""

    name: Literal["rollout", "rollback"]
    message: UpdateMessage
    started: datetime
    ended: datetime
    result: Result
    detail: str
    code: str | None


def stretches(before: Record, after: Record, now: datetime) -> list[Stretch]:
    """The rollouts and rollbacks that a look has found to end. `before` and `after` are the record around it."""
    change = before.change
    if change is None:
        return []
    asked = set(change.asked.values())
    # What failed before this look is being rolled back by the change, so its end is that of the rollback.
    undone = {undone_push.message.id for undone_push in before.undone}
    found = []
    for ending in after.outbox:
        if ending in before.outbox:
            continue
        if ending.message.id in asked:
            found.append(_until(ending, "rollout", change, ending.code))
        elif ending.message.id in undone:
            # The code is that of the failure, which the span of the rollout before has told.
            found.append(_until(ending, "rollback", change, None))
    failed = [
        undone_push for undone_push in after.undone if undone_push not in before.undone
    ]
    return found + [
        _stretch(
            "rollout",
            change,
            undone_push.message,
            now,
            "failed",
            undone_push.detail,
            undone_push.code,
        )
        for undone_push in failed
    ]


def _until(
    ending: Ending,
    name: Literal["rollout", "rollback"],
    change: Change,
    code: str | None,
) -> Stretch:
    """The stretch of a change that a push's end has ended."""
    message, at = ending.message, ending.at
    return _stretch(name, change, message, at, ending.result, ending.detail, code)


def _stretch(
    name: Literal["rollout", "rollback"],
    change: Change,
    message: UpdateMessage,
    ended: datetime,
    result: Result,
    detail: str,
    code: str | None,
) -> Stretch:
    # A change that came about without us has no beginning that anybody knows.
    started = max(change.began_at, message.received_at)
    return Stretch(name, message, started, ended, result, detail, code)
