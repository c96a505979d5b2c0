"""Pushes come into a record: idempotent, and the same set gives the same record in whatever order it comes. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from shared.message import UpdateMessage
from worker.record.record import MOST_WAITING, Record


def receive(record: Record, messages: Iterable[UpdateMessage]) -> tuple[Record, frozenset[str]]:
    """The record with these pushes received, and the ids of those that it has no room for.

    A push that was received before changes nothing, however it ended.
    """
    waiting = len(record.waiting())
    no_room = set()
    for message in messages:
        if record.knows(message.id):
            continue
        if waiting >= MOST_WAITING:
            no_room.add(message.id)
            continue
        record = record.but(inbox=tuple(sorted((*record.inbox, message), key=_place)))
        waiting += 1
    return record, frozenset(no_room)


def _place(message: UpdateMessage) -> tuple[object, ...]:
    return (*message.order, message.id)
