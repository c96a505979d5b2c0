"""The overview: what all records together say of the deployment, for its metrics. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.message import TargetId
from worker.record.record import Record


@dataclass(frozen=True, slots=True)
class Overview:
    """The deployment in a few numbers.

    `held_by_hand`: targets that an operator holds. `held_by_owner`: others that wait for their owner, who has set a
    resource tag or stopped the group. `pushes` are under way, and the first of them was received at `oldest`;
    `pushes_held` wait for a target that is held, or to be as old as its policy wants them. `changing`: targets with a
    change that is not proven yet.
    """

    targets: int = 0
    held_by_hand: int = 0
    held_by_owner: int = 0
    pushes: int = 0
    pushes_held: int = 0
    oldest: datetime | None = None
    changing: int = 0


def overview(
    targets: Collection[TargetId],
    records: Iterable[Record],
    held_by_tag: Collection[TargetId],
) -> Overview:
    """The overview of these targets, by the records that there are."""
    # A group that is no target any more keeps its record, which says nothing of today.
    known = {record.target: record for record in records if record.target in targets}
    by_hand = {target for target, record in known.items() if record.hold}
    waiting = {
        target: record.timer
        for target, record in known.items()
        if record.timer and record.timer.owner
    }
    # What waits for nothing but its min_age is kept back by the owner's rule, but nobody holds the group.
    too_young = {target for target, timer in waiting.items() if timer.wakes}
    by_timer = waiting.keys() - too_young
    by_tag = set(held_by_tag) & set(targets)
    # A target that both hold counts once, as held by hand.
    by_owner = (by_timer | by_tag) - by_hand
    under_way: dict[tuple[TargetId, str], datetime] = {}
    held = 0
    for target, record in known.items():
        pushes = _not_ended(record)
        if target in by_hand | by_owner | too_young:
            # These are not under way, so that an alert on the oldest push does not ring for what is kept back on
            # purpose.
            held += len(pushes)
        else:
            under_way |= {
                (target, name): received_at for name, received_at in pushes.items()
            }
    return Overview(
        targets=len(set(targets)),
        held_by_hand=len(by_hand),
        held_by_owner=len(by_owner),
        pushes=len(under_way),
        pushes_held=held,
        oldest=min(under_way.values(), default=None),
        changing=sum(1 for record in known.values() if record.change),
    )


def _not_ended(record: Record) -> dict[str, datetime]:
    """When each push was received that has not ended or whose end is not told yet, by its id."""
    pushes = {name: message.received_at for name, message in record.waiting().items()}
    pushes |= {
        undone.message.id: undone.message.received_at for undone in record.undone
    }
    return pushes | {
        ending.message.id: ending.message.received_at for ending in record.outbox
    }
