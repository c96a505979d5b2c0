"""Reconcile: compare what a group should run with what it runs, and decide on the one next step. Pure and total.

The design is level-triggered, like a controller of Kubernetes: a decision depends on the record and on the group as it
is now, never on the events that led there.
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
"""More turns than any record can need: each one ends a candidate, or finds that a tag has moved."""


def reconcile(
    record: Record,
    group: ContainerGroup,
    rules: RolloutRules,
    now: datetime,
) -> tuple[Record, Action]:
    """The record to be written, and the action to take after that.

    `now` is by Azure's clock, so all workers judge one group by one clock, however wrong their own clocks are.
    """
    in_flight = tuple(
        flight for flight in record.flights if now < flight.sent_at + rules.flight
    )
    record = record.but(flights=in_flight)
    if not group.in_transition:
        record = record.but(stuck=None)
    for _ in range(MOST_TURNS):
        record, action = _turn(record, group, rules, now)
        if action:
            return record, action
    raise AssertionError(f"reconcile found no action within {MOST_TURNS} turns")


def _turn(
    record: Record,
    group: ContainerGroup,
    rules: RolloutRules,
    now: datetime,
) -> tuple[Record, Action | None]:
    """Answer one question after the other. No action means that something has ended, so ask again."""
    images = group.images
    wishes = desired(record, images, rollback=rules.rollback)
    all_there = all(
        runs(name, wish, images, record.change) for name, wish in wishes.items()
    )
    # `unmet` says whether a wait for the owner needs a timer: a stopped group that lacks nothing can rest.
    unmet = not all_there or any(wish.id for wish in wishes.values())
    if group.stopped:
        return _wait_for_owner(
            record,
            rules,
            now,
            "stopped by its owner: an update would start it",
            unmet=unmet,
        )
    # What is on the group is judged before any hold is looked at: the rollout goes on although a hold arrived in the
    # middle of it, and somebody must see how it ends. Only a stopped group shows nothing to be judged.
    if all_there:
        return _all_there(record, group, wishes, rules, now)
    # From here on, the group would have to be changed.
    if reason := hold_reason(group.tags):
        return _wait_for_owner(
            record, rules, now, f"held by a resource tag: {reason}", unmet=unmet
        )
    if group.in_transition:
        return _wait_for_transition(record, wishes, rules, now)
    return begin(record, group, wishes, rules, now)


def _all_there(
    record: Record,
    group: ContainerGroup,
    wishes: Mapping[str, Desired],
    rules: RolloutRules,
    now: datetime,
) -> tuple[Record, Action | None]:
    """Every container has its desired image. Watch what is not proven yet; rest if nothing is left."""
    change = record.change
    is_unproven = any(wish.id for wish in wishes.values())
    # The change may hold more images than are wanted by now, for containers that no push asks for any more.
    is_by_this_change = (
        change is not None
        and change.images.items() >= to_put(wishes, group.images, change).items()
    )
    if is_by_this_change:
        return watch(record, group, wishes, rules, now)
    if is_unproven or change:
        # Somebody else has brought the image here, or an earlier change has, as when Azure refused the change after it.
        # Taking the image for proven would be tempting and wrong: nobody has seen yet that it runs well.
        return began_unseen(record, group, wishes, now), None
    if record.inbox and group.in_transition:
        # A container that is new to the record waits for the end of the operation (worker.core.look).
        return _wait_for_transition(record, wishes, rules, now)
    record = conclude(
        record.but(change=None), "not rolled back: nothing was left to change", now
    )
    return record, at_rest(record, rules, now)


def at_rest(record: Record, rules: RolloutRules, now: datetime) -> Action:
    """Rest, unless a change may still take effect, or a push waits for the registry's answer or to be old enough."""
    if record.flights:
        sent_last = max(flight.sent_at for flight in record.flights)
        left = sent_last + rules.flight - now
        return Wait(
            max(timedelta(seconds=1), min(left, rules.slow)),
            "an earlier change may still take effect",
        )
    if _has_candidates_to_resolve(record):
        return Wait(rules.check_interval, "pushes wait for their registry lookup")
    if record.inbox:
        # What was admitted has left the inbox. Nothing but time, which the owner's policy asks for, helps the rest.
        why = "pushes wait until they are as old as the policy wants them (min_age)"
        return Wait(rules.slow, why, owner=True, wakes=True)
    return Rest()


def _has_candidates_to_resolve(record: Record) -> bool:
    """Whether some container has candidates that neither a hold nor its pin keeps waiting."""
    if record.hold:
        return False
    return any(
        container.candidates and not container.pin
        for container in record.containers.values()
    )


def _wait_for_owner(
    record: Record,
    rules: RolloutRules,
    now: datetime,
    why: str,
    *,
    unmet: bool,
) -> tuple[Record, Action]:
    """Wait for something that only the group's owner can do; rest if nothing is waiting for it."""
    # The failed pushes are told now and not once the owner has acted, which may be in weeks.
    record = conclude(record, f"not rolled back: {why}", now)
    if record.change:
        # Nobody can judge the change meanwhile, so this time counts neither for it nor against it.
        patience = record.change.patience.but(looked_at=now)
        record = record.but(change=record.change.but(patience=patience))
    if unmet or _has_work(record):
        # The timer goes on, slowly. Stopping it until an event restarts it is tempting, but there is no such event:
        # nobody announces that a group was started again, or that its tag is gone.
        return record, Wait(rules.slow, why, owner=True)
    return record, Rest()


def _has_work(record: Record) -> bool:
    """Whether anything in the record is left to be done once the owner lets it go on."""
    candidates = not record.hold and any(
        container.candidates for container in record.containers.values()
    )
    return bool(candidates or record.inbox or record.flights or record.change)


def _wait_for_transition(
    record: Record,
    wishes: Mapping[str, Desired],
    rules: RolloutRules,
    now: datetime,
) -> tuple[Record, Action | None]:
    """Wait for the end of the operation that is under way: until then, Azure would refuse another one (409)."""
    stuck = rules.looked(record.stuck or Patience(looked_at=now), now)
    longest = 2 * rules.timeout
    if stuck.waited <= longest.total_seconds():
        return record.but(stuck=stuck), Wait(
            rules.pause(stuck.waited), "the group is in transition"
        )
    detail = f"the group has been in transition for more than {longest}"
    record = conclude(record, f"not rolled back: {detail}", now)
    # What is desired next has not waited yet, so it may wait as long again.
    record = record.but(stuck=Patience(looked_at=now))
    waiting = {wish.id for wish in wishes.values() if wish.id}
    if waiting:
        return fail(
            record, waiting, "StuckInTransition", detail, now, circumstance=True
        ), None
    return record, Wait(rules.pause(stuck.waited), "the group is in transition")
