"""What a group shows of a change: not there, on its way, steady, or broken. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.groups.group import ContainerGroup
from worker.groups.health import Broken, Health, Healthy, Pending
from worker.situation import Situation

MOST_TRIES = 5
"""How often the same change is sent to a group that accepts it and never shows it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The change is not on the group, and nothing is on its way."""


@dataclass(frozen=True, slots=True)
class Steady:
    """Every container is healthy, and has to stay so for another `left`."""

    left: timedelta


Sight = Missing | Pending | Steady | Broken


def observe(
    situation: Situation, images: Mapping[str, str], since: datetime, released: datetime | None = None
) -> Sight:
    """What is to be seen of a change to these images (container → image) that began at `since`.

    Its time to become healthy counts from then; anew from when it was `released` after a hold, and from any change of
    the group that came after it, which starts all containers once more.
    """
    group, rules = situation.group, situation.rules
    health = {name: group.health(name, since) for name in images}
    there = all(group.images.get(name) == image for name, image in images.items())
    started = all(not isinstance(one, Pending) or one.started for one in health.values())
    under_way = situation.record.rollout
    # An operation that had failed before this change says nothing of it until the change shows.
    failed = group.failed and ((there and started) or not (under_way and under_way.failed_before))
    # What this message sent and got an error for need not be waited for: it would be in transition by now.
    may_start = not situation.message.attempts and situation.now < since + rules.lease
    if group.in_transition or (there and (started or may_start)):
        # What still runs, or runs again, in place of these images says nothing of them.
        counted_from = max(since, released or since, under_way.since if under_way else since)
        return _judge(situation, health if there else {}, counted_from, failed=failed)
    if failed and under_way and under_way.by == situation.message.id:
        return Broken("ProvisioningFailed", _evidence(group, "the operation failed"))
    if situation.change_in_flight():
        return Pending("a change may be on its way")
    if under_way and under_way.tries >= MOST_TRIES:
        what = f"the change was sent {under_way.tries} times and never took effect"
        return Broken("NoEffect", _evidence(group, what))
    return Missing()


def _judge(situation: Situation, health: Mapping[str, Health], since: datetime, *, failed: bool) -> Sight:
    group, rules, now = situation.group, situation.rules, situation.now
    for name, one in health.items():
        if isinstance(one, Broken):
            return Broken(one.code, f"{name}: {one.evidence}")
    if failed:
        return Broken("ProvisioningFailed", _evidence(group, "the operation failed"))
    pending = [f"{name} {one.reason}" for name, one in health.items() if isinstance(one, Pending)]
    if group.in_transition:
        pending.insert(0, "the group is in transition")
    if pending and now > since + rules.timeout:
        return Broken("RolloutTimeout", _evidence(group, f"not healthy after {rules.timeout}: {'; '.join(pending)}"))
    if pending:
        return Pending("; ".join(pending))
    left = _left(health, rules.soak, now)
    if left and now > since + rules.timeout + rules.soak:
        return Broken("RolloutTimeout", _evidence(group, "it does not come to rest"))
    return Steady(max(left, situation.others_in_flight()))


def _left(health: Mapping[str, Health], soak: timedelta, now: datetime) -> timedelta:
    """How much of the soak is left; a container that has done its work and ended well has none."""
    steady = [one.since for one in health.values() if isinstance(one, Healthy) and not one.ended]
    return max(timedelta(0), *(one + soak - now for one in steady)) if steady else timedelta(0)


def _evidence(group: ContainerGroup, what: str) -> str:
    warnings = group.warnings()
    return f"{what}; warnings: {' | '.join(warnings)}" if warnings else what
