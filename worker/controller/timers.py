"""Timers: a record that is not at rest names the one look message on the queue that counts.

Send, then write: a new look goes onto the queue first, then the record names it. If the worker is killed in between, a
look is left that no record names, and it is void after one read. The other order could leave a record that waits for a
message that was never sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from shared.errors import RemoteError
from shared.message import Look, TargetId
from worker.core.rules import Action, Put, Rest, Wait
from worker.ports import UNREADABLE, Conflict, Ports
from worker.record.record import Record
from worker.record.values import Timer

CONFLICTS = 5
"""How many times something is decided again because somebody else wrote the record first; then it is left for later."""
SOON = timedelta(seconds=1)
"""A timer that is due this soon needs no other one."""
GATHER = timedelta(seconds=2)
"""How long pushes are gathered while a change is under way: each PUT restarts the group, so a burst should cost few."""
OVERDUE = timedelta(minutes=2)
"""How long after its time a look counts as lost: longer than a dead worker's lease and a slow step together."""


def is_named(record: Record, look: Look) -> bool:
    """Whether the record names this look as its timer."""
    return record.timer is not None and record.timer.token == look.token


def is_overdue(timer: Timer, now: datetime) -> bool:
    """Whether the look is so late that the queue must have lost it."""
    return now > timer.due + OVERDUE


def timed(record: Record, action: Action, now: datetime) -> Record:
    """The record with its timer as the action leaves it."""
    # What is still to be told keeps a group from resting: without a timer, nobody would come back to tell it.
    is_all_told = not record.outbox and not record.address_changes
    is_at_rest = isinstance(action, Rest) and is_all_told
    if record.timer is None or is_at_rest:
        return record.but(timer=None)
    delay = action.delay if isinstance(action, Wait) else timedelta(0)
    owner = isinstance(action, Wait) and action.owner
    wakes = isinstance(action, Wait) and action.wakes
    # What keeps a change from being made is not over while the change is sent once more.
    trouble = record.timer.trouble if isinstance(action, Put) else None
    timer = record.timer.but(
        due=now + delay, owner=owner, wakes=wakes, throttled=False, trouble=trouble
    )
    return record.but(timer=timer)


def change(
    ports: Ports,
    target: TargetId,
    decide: Callable[[Record], Record | None],
    *,
    wake: bool = True,
) -> tuple[Record, Record]:
    """Change a group's record and start its timer. Returns the record before and after.

    `decide` returns the changed record, or None if there is nothing to change. Without `wake`, a group that waits for
    its owner, or for a time that Azure has named, keeps its timer, because nothing could be done for it now. Raises
    Conflict if others write the record all the time, and RemoteError.
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
            # The look that was sent is kept for the next try, so that a busy record does not fill the queue with looks.
            continue
        return record, changed
    raise Conflict(
        f"others wrote the record of {target} first, {CONFLICTS} times in a row"
    )


def _must_wait(record: Record, now: datetime) -> bool:
    timer = record.timer
    if timer is None or is_overdue(timer, now):
        return False
    # A timer that `wakes` waits for a push to be old enough, and another push may be that already.
    return (timer.owner and not timer.wakes) or timer.throttled


def with_timer(
    ports: Ports,
    record: Record,
    sent: Look | None = None,
) -> tuple[Record, Look | None]:
    """Make sure that a record has a timer that is due at once; while a change is under way, after GATHER.

    A timer that is due by then anyway stays, so that pushes that come together are looked at together. A new timer's
    look is sent here, and the caller writes the record that names it. `sent` is a look that an earlier try has sent and
    that no record names; it is used if no newer look exists. Returns the record, and the look that was sent last.
    """
    now = ports.now()
    delay = GATHER if record.change else timedelta(0)
    # A timer that is late but not overdue is about to be received. One that is due later gives way to one that is due
    # now, and its look is void from then on.
    if record.timer and now - OVERDUE <= record.timer.due <= now + delay + SOON:
        return record, sent
    # A look whose count is not higher than the record's would be void at once: others have sent newer ones.
    if sent is None or sent.count <= record.count:
        sent = Look(target=record.target, token=ports.new_id(), count=record.count + 1)
        ports.updates.send(sent.encode(), delay.total_seconds())
    return record.but(
        timer=Timer(token=sent.token, due=now + delay), count=sent.count
    ), sent


def waiting_for_owners(ports: Ports, awaiting_repair: int = 0) -> int | None:
    """How many messages wait for nothing but a group's owner; None if any message waits for something else.

    Each is the timer of a group. A group that is held by hand needs none, because `release` starts it. A record that
    can't be read may have several messages; `awaiting_repair` is how many such messages this worker has seen. Raises
    RemoteError.
    """
    waiting = unreadable = 0
    for target, _ in ports.records.versions():
        try:
            record, _ = ports.load(target)
        except RemoteError as error:
            if error.code != UNREADABLE:
                raise
            # Like an owner's group, it waits for a person, who has to repair the record.
            unreadable += 1
            continue
        if record.timer and not record.timer.owner:
            return None
        waiting += record.timer is not None
    return waiting + (max(unreadable, awaiting_repair) if unreadable else 0)
