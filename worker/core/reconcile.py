"""Reconcile: compare what a group should run with what it runs, and say the one next thing to do. Pure and total.

Level-triggered, as Kubernetes' controllers are: nothing depends on what happened before, but for what the record says.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.core.beginning import began_unseen, begin
from worker.core.desired import Desired, desired, runs, to_put
from worker.core.failing import conclude, fail
from worker.core.rules import Action, Rest, RolloutRules, Wait
from worker.core.watch import watch
from worker.groups.group import ContainerGroup
from worker.record.record import Record
from worker.record.values import Patience
from worker.targets.tags import hold_reason

MOST_TURNS = 500
"""More than any record can need: each turn ends a candidate, or finds that a tag has moved."""


def reconcile(record: Record, group: ContainerGroup, rules: RolloutRules, now: datetime) -> tuple[Record, Action]:
    """The record as it is to be written, and what is to be done then. `now` is by Azure's clock.

    All workers look at one group by one clock, whatever their own ones say.
    """
    record = record.but(flights=tuple(one for one in record.flights if now < one.sent_at + rules.flight))
    if not group.in_transition:
        record = record.but(stuck=None)
    for _ in range(MOST_TURNS):
        record, action = _turn(record, group, rules, now)
        if action:
            return record, action
    raise AssertionError("a look that comes to no end")


def _turn(record: Record, group: ContainerGroup, rules: RolloutRules, now: datetime) -> tuple[Record, Action | None]:
    """One question after the other; None for the action means: something has ended, ask again."""
    images = group.images
    # Blocked or not, what is on the group is judged first: a hold that comes in the middle of a rollout keeps nobody
    # from seeing how it ends. Only a stopped group shows nothing that could be judged.
    wishes = desired(record, images, rollback=rules.rollback)
    all_there = all(runs(name, wish, images, record.change) for name, wish in wishes.items())
    unmet = not all_there or any(wish.id for wish in wishes.values())
    if group.stopped:
        return _wait_for_owner(record, rules, now, "stopped by its owner: an update would start it", unmet=unmet)
    if all_there:
        return _all_there(record, group, wishes, rules, now)
    # From here on the group would have to be changed.
    if reason := hold_reason(group.tags):
        return _wait_for_owner(record, rules, now, f"held by a resource tag: {reason}", unmet=unmet)
    if group.in_transition:
        return _wait_for_transition(record, wishes, rules, now)
    return begin(record, group, wishes, rules, now)


def _all_there(
    record: Record, group: ContainerGroup, wishes: Mapping[str, Desired], rules: RolloutRules, now: datetime
) -> tuple[Record, Action | None]:
    """Every container has the image that it should have: is that proven, or being watched?"""
    unproven = any(wish.id for wish in wishes.values())
    change = record.change
    if change and change.images.items() >= to_put(wishes, group.images, change).items():
        return watch(record, group, wishes, rules, now)
    if unproven or change:
        # Somebody else has brought it here, or a change before the last one, which Azure has refused: what runs is
        # watched all the same, as nobody has seen yet that everything is well.
        return began_unseen(record, group, wishes, now), None
    if record.inbox and group.in_transition:
        # A container that is not known yet is met only once the operation is over.
        return _wait_for_transition(record, wishes, rules, now)
    record = conclude(record.but(change=None), "not rolled back: nothing was left to be changed", now)
    return record, at_rest(record, rules, now)


def at_rest(record: Record, rules: RolloutRules, now: datetime) -> Action:
    """Rest, unless a change may still arrive or a push waits to be looked up."""
    if record.flights:
        left = max(one.sent_at for one in record.flights) + rules.flight - now
        return Wait(max(timedelta(seconds=1), min(left, rules.slow)), "a change may still be on its way")
    if not record.hold and any(one.candidates and not one.pin for one in record.containers.values()):
        return Wait(rules.check_interval, "pushes wait to be looked up in their registry")
    if record.inbox:
        # What was admitted has left the inbox. Nothing but time, which the owner's policy asks for, helps the rest.
        return Wait(rules.slow, "pushes wait until they are as old as the policy wants them (min_age)", owner=True)
    return Rest()


def _wait_for_owner(
    record: Record, rules: RolloutRules, now: datetime, why: str, *, unmet: bool
) -> tuple[Record, Action]:
    """The group's owner has the word. The timer goes on slowly, so that nothing needs to wake it."""
    record = conclude(record, f"not rolled back: {why}", now)
    if record.change:
        # What nobody could judge meanwhile counts neither for nor against the change.
        record = record.but(change=record.change.but(patience=record.change.patience.but(looked_at=now)))
    candidates = not record.hold and any(container.candidates for container in record.containers.values())
    if unmet or candidates or record.inbox or record.flights or record.change:
        return record, Wait(rules.slow, why, owner=True)
    return record, Rest()


def _wait_for_transition(
    record: Record, wishes: Mapping[str, Desired], rules: RolloutRules, now: datetime
) -> tuple[Record, Action | None]:
    """An operation is under way, and Azure would refuse another one."""
    stuck = rules.looked(record.stuck or Patience(looked_at=now), now)
    longest = 2 * rules.timeout
    record = record.but(stuck=stuck)
    if stuck.waited > longest.total_seconds():
        detail = f"the group has been in transition for more than {longest}"
        record = conclude(record, f"not rolled back: {detail}", now)
        # Whatever comes next may wait as long again: it has not been waited for yet.
        record = record.but(stuck=Patience(looked_at=now))
        waiting = {wish.id for wish in wishes.values() if wish.id}
        if waiting:
            return fail(record, waiting, "StuckInTransition", detail, now, circumstance=True), None
    return record, Wait(rules.pause(stuck.waited), "the group is in transition")
