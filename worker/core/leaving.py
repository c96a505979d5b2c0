"""Pushes that a container stops waiting for although they neither failed nor ran there. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from worker.core.failing import conclude, fail
from worker.record.container import Candidate
from worker.record.record import Record
from worker.record.values import Result


def leave(
    record: Record,
    name: str,
    candidate: Candidate,
    result: Result,
    why: str,
    now: datetime,
    proven: Collection[str] = (),
) -> Record:
    """Remove a candidate from one container. Its push ends with `result`, unless another container waits for it.

    `proven` are the ids of pushes that are being proven on other containers: each ends with that proof.
    """
    message_id = candidate.id
    record = record.without_candidates(
        lambda other, each: (other, each.id) == (name, message_id)
    )
    # A push for two containers ends once, with the last of them.
    still_wanted = message_id in record.waiting() or message_id in proven
    if still_wanted:
        return record
    return record.end(candidate.message, result, why, (name,), now)


def drop_everything(record: Record, name: str, why: str, now: datetime) -> Record:
    """Stop waiting for anything on a container: its unproven image, its candidates and its pin."""
    if name not in record.containers:
        return record
    # First, while the record still shows which push the container's image belongs to.
    record = _abandon_unproven(record, name, why, now)
    for candidate in record.containers[name].candidates:
        record = leave(record, name, candidate, "ignored", why, now)
    return _drop_pin(record, name, why, now)


def _abandon_unproven(record: Record, name: str, why: str, now: datetime) -> Record:
    """Fail the push whose unproven image this container runs, if no other container is left to prove it."""
    asked = record.change.asked.get(name) if record.change else None
    if asked is None:
        return record
    pin = record.containers[name].pin
    is_rollback = pin is not None and pin.message.id == asked
    others = [
        container for other, container in record.containers.items() if other != name
    ]
    is_wanted_elsewhere = any(container.candidate(asked) for container in others)
    if is_rollback or is_wanted_elsewhere:
        return record
    # Ending the push as "ignored" is tempting, but its image stays on the group, and somebody should look at it.
    return abandon(record, {asked}, why, now)


def _drop_pin(record: Record, name: str, why: str, now: datetime) -> Record:
    """Remove a container's pin. The rollback ends with the last container that is pinned for it."""
    pin = record.containers[name].pin
    record = record.with_container(name, pin=None)
    if pin is None:
        return record
    pins = (container.pin for container in record.containers.values())
    if any(other is not None and other.message.id == pin.message.id for other in pins):
        return record
    return record.end(pin.message, "ignored", why, (name,), now)


def abandon(record: Record, ids: Collection[str], why: str, now: datetime) -> Record:
    """Fail pushes whose images are on the group and that nobody will watch from now on."""
    record = fail(
        record,
        ids,
        "TargetRemoved",
        "left on the group unproven",
        now,
        circumstance=True,
    )
    return conclude(record, why, now, lambda undone: undone.message.id in ids)
