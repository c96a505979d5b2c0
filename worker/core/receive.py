"""Receiving pushes into a record. Pure, idempotent, and independent of the order in which the messages arrive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from shared.message import UpdateMessage
from worker.record.record import MOST_OF_ALL, MOST_WAITING, Record


def receive(
    record: Record, messages: Iterable[UpdateMessage]
) -> tuple[Record, frozenset[str]]:
    """The record with these pushes received, and the ids of those that it has no room for.

    A push that was received before changes nothing, however it ended.
    """
    waiting = Counter(message.push.image.name for message in record.waiting().values())
    no_room = set()
    for message in messages:
        # The queue delivers at least once, and a message whose deletion failed comes again.
        if record.knows(message.id):
            continue
        # A share for each repository: pushes that wait for their min_age must not hold up the group's other containers.
        if (
            waiting[message.push.image.name] >= MOST_WAITING
            or waiting.total() >= MOST_OF_ALL
        ):
            no_room.add(message.id)
            continue
        # Sorted, so that the same set of pushes gives the same record whatever the order of their messages.
        inbox = sorted((*record.inbox, message), key=_place)
        record = record.but(inbox=tuple(inbox))
        waiting[message.push.image.name] += 1
    return record, frozenset(no_room)


def _place(message: UpdateMessage) -> tuple[datetime, datetime, str]:
    pushed_at, received_at = message.order
    return pushed_at, received_at, message.id
