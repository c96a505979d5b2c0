"""Timers: a record that is not at rest names the one look message on the queue that counts.

Send, then write: a new look goes onto the queue first, then the record names it. Whatever kills a worker in between
leaves at worst a look that no record names, which is void after one read. The other way round, a record could wait for
a message that was never sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.errors import RemoteError
from shared.message import Look, TargetId
from worker.ports import UNREADABLE, Conflict, Ports
from worker.record.record import Record
from worker.record.values import Timer

CONFLICTS = 5
"""How often something is decided again because somebody else wrote the record first, before it is left to later."""
SOON = timedelta(seconds=1)
GATHER = timedelta(seconds=2)
"""How long pushes are gathered while a change is under way: each PUT restarts the group, so a burst should cost few."""
OVERDUE = timedelta(minutes=2)
"""How long after its time a look counts as lost: more than a lease, in which whoever died had it, and a slow step."""


def is_overdue(timer: Timer, now: datetime) -> bool:
    """Has the look not come for so long that the queue must have lost it?"""
    return now > timer.due + OVERDUE


def change(
    ports: Ports, target: TargetId, decide: Callable[[Record], Record | None], *, wake: bool = True
) -> tuple[Record, Record]:
    """Change a group's record and have the group looked at now; the record before and after.

    `decide` gives the changed record, None if there is nothing to change. Without `wake` a group that waits for its
    owner is left to its own timer: nothing could be done for it now. Raises Conflict if others write the record all
    the time, and RemoteError.
    """
    sent: Look | None = None
    for _ in range(CONFLICTS):
        record, etag = ports.load(target)
        changed = decide(record)
        if changed is None:
            return record, record
        if wake or not _must_wait(changed, ports.now()):
            changed, sent = with_timer(ports, changed, sent)
        try:
            ports.save(changed, etag)
        except Conflict:
            continue
        return record, changed
    raise Conflict(f"the record of {target} was written by others {CONFLICTS} times in a row")


def _must_wait(record: Record, now: datetime) -> bool:
    timer = record.timer
    return timer is not None and (timer.owner or timer.throttled) and not is_overdue(timer, now)


def with_timer(ports: Ports, record: Record, sent: Look | None = None) -> tuple[Record, Look | None]:
    """The record with a timer that is due soon, its look being on the queue already; and that look.

    It is due now, or after GATHER. A timer that is due in a moment anyway stays: pushes that come together are looked
    at together. `sent` is a look that was sent for this record before and is named by no record, so that it still
    serves.
    """
    now = ports.now()
    delay = GATHER if record.change else timedelta(0)
    if record.timer and now - OVERDUE <= record.timer.due <= now + delay + SOON:
        return record, sent
    if sent is None or sent.count <= record.count:
        sent = Look(target=record.target, token=ports.new_id(), count=record.count + 1)
        ports.updates.send(sent.encode(), delay.total_seconds())
    return record.but(timer=Timer(token=sent.token, due=now + delay), count=sent.count), sent


def waiting_for_owners(ports: Ports, to_be_mended: int = 0) -> int | None:
    """How many messages wait for nothing but a group's owner, each its timer; None if others are not at rest.

    A group that is held by hand is at rest, as `release` starts its timer. Of a record that can't be read there may be
    several messages: `to_be_mended` are those that this worker has seen. Raises RemoteError.
    """
    waiting = unreadable = 0
    for target, _ in ports.records.versions():
        try:
            record, _ = ports.load(target)
        except RemoteError as error:
            if error.code != UNREADABLE:
                raise
            unreadable += 1  # it waits for somebody to mend it, and so does its look
            continue
        if record.timer and not record.timer.owner:
            return None
        waiting += record.timer is not None
    return waiting + (max(unreadable, to_be_mended) if unreadable else 0)
