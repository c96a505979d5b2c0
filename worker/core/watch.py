"""Watching a change that is on the group: proven, broken, or not yet to be told. Pure.

Every container that ran well before is judged, not the changed ones alone: a neighbour that our PUT broke is our fault.
Patience counts what was looked at: an outage of Azure, of our storage or of every worker proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.core.beginning import begin, evidence
from worker.core.desired import Desired
from worker.core.failing import conclude, fail
from worker.core.proving import prove
from worker.core.rules import Action, RolloutRules, Wait
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO, Broken, Health, Healthy, Pending
from worker.record.record import Record, remembered
from worker.record.values import Change
from worker.targets.tags import hold_reason

_Turn = tuple[Record, Action | None]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a group shows of a change: each watched container's health, and which pushes are still to be proven.

    `unproven` is container → message id. Any other watched container is a neighbour: it ran well before, or is being
    brought back to what it ran.
    """

    change: Change
    group: ContainerGroup
    health: Mapping[str, Health]
    unproven: Mapping[str, str]

    @property
    def broken(self) -> dict[str, Broken]:
        """The containers that will not come up."""
        return {name: health for name, health in self.health.items() if isinstance(health, Broken)}

    @property
    def pending(self) -> dict[str, Pending]:
        """The containers that are on their way."""
        return {name: health for name, health in self.health.items() if isinstance(health, Pending)}

    @property
    def operation_failed(self) -> bool:
        """Did this change's operation fail? One that had failed before says nothing until this change shows."""
        started = all(health.started for health in self.pending.values())
        return self.group.failed and (started or not self.change.failed_before)


def watch(
    record: Record, group: ContainerGroup, wishes: Mapping[str, Desired], rules: RolloutRules, now: datetime
) -> _Turn:
    """The next step of a change that is on the group; no action: something has failed or moved, so decide again."""
    if record.change is None:
        raise ValueError("there is a change to watch")
    # While Azure moves a group off a node that is down, nobody can judge the change: that time does not count.
    patience = record.change.patience
    patience = patience.but(looked_at=now) if group.under_repair else rules.looked(patience, now)
    change = record.change.but(patience=patience)
    record = record.but(change=change)
    unproven = {name: wish.id for name, wish in wishes.items() if wish.id}
    sight = Sight(change, group, _healths(record, change, group, wishes), unproven)
    if trouble := _trouble(record, sight, rules, now):
        return trouble
    if sight.pending or group.in_transition:
        return _not_yet(record, sight, wishes, rules, now)
    return _steady(record, sight, rules, now)


def _healths(record: Record, change: Change, group: ContainerGroup, wishes: Mapping[str, Desired]) -> dict[str, Health]:
    """The health of what the change brought, and of what ran well before it.

    A container that did not run well before is no evidence, nor is one that waits to be brought back, which a hold
    may keep it from.
    """
    brought = {name for name, wish in wishes.items() if wish.id or name in change.touched}
    watched = {
        name
        for name, running in group.images.items()
        if name in brought or (name in change.well and not _waits_to_be_brought_back(record, name, running))
    }
    found: dict[str, Health] = {}
    for name in sorted(watched):
        health = group.health(name, change.began_at)
        # A PUT restarts every container as far as anybody has seen, but nothing promises that. A neighbour that goes on
        # running is judged by how it runs; to wait for its restart would fail a good push after the timeout.
        goes_on = isinstance(health, Pending) and not health.started and name not in change.touched
        found[name] = group.health(name, LONG_AGO) if goes_on else health
    return found


def _waits_to_be_brought_back(record: Record, name: str, running: str) -> bool:
    """Is it known already that the container runs what it should not: a failed push, or a tag that moved unasked?"""
    container = record.containers.get(name)
    if container is None:
        return False
    failed = running in {failure.image for failure in container.failures}
    return failed or (container.good.moved and running not in container.good.spellings)


def _trouble(record: Record, sight: Sight, rules: RolloutRules, now: datetime) -> _Turn | None:
    """What is broken, if that is certain: in transition a neighbour may still come up."""
    broken, suspects = sight.broken, sight.unproven
    # A pushed image that can't be pulled keeps the operation going for as long as Azure tries: it need not be waited
    # for. A neighbour that shows broken in the middle of an operation may just be between two states.
    if sight.group.in_transition and not suspects.keys() & broken.keys():
        return None
    # Asked before the blame: a neighbour whose own tag was moved by somebody else breaks with any restart, so that
    # failing the push would neither be just nor bring the neighbour back.
    if moved := _moved_unasked(record, sight):
        return _pinned_back(record, moved, sight.group), None
    if broken:
        # Of several pushes those are to blame whose containers broke; if only neighbours did, all of them.
        blamed = suspects.keys() & broken.keys() or suspects.keys()
        name, first = next(iter(sorted(broken.items())))
        return _failed(
            record,
            [suspects[each] for each in blamed],
            first.code,
            f"{name}: {first.evidence}",
            rules,
            now,
            circumstance=first.circumstance,
        )
    if sight.operation_failed:
        what = evidence(sight.group, "the operation failed")
        return _failed(record, list(suspects.values()), "ProvisioningFailed", what, rules, now)
    return None


def _failed(
    record: Record,
    ids: Collection[str],
    code: str,
    detail: str,
    rules: RolloutRules,
    now: datetime,
    *,
    circumstance: bool = False,
) -> _Turn:
    """The pushes to blame fail. Without any, what ran well before does not any more, and there is nothing better.

    The group is brought back after a `circumstance`, too: nothing runs on it. But the push may come again.
    """
    if ids:
        record = fail(record, ids, code, detail, now, circumstance=circumstance)
        if not rules.rollback:
            record = conclude(record, "not rolled back: ACI_HOOKS_ROLLBACK is off", now)
        return record, None
    record = conclude(record, f"the rollback failed: {code}: {detail}", now)
    return _over(record), None


def _moved_unasked(record: Record, sight: Sight) -> dict[str, str]:
    """The broken neighbours whose own tag has moved, so that the restart pulled another image: name → digest before."""
    found = {}
    for name, broken in sight.broken.items():
        before, container = sight.change.well.get(name), record.containers.get(name)
        if name in sight.unproven or before is None or container is None or container.good.moved:
            continue
        now_runs = sight.group.running_digest(name, sight.change.began_at)
        pulled_another = now_runs is not None and now_runs != before
        if "@" not in sight.group.images[name] and (pulled_another or broken.code == "ImagePullFailed"):
            found[name] = before
    return found


def _pinned_back(record: Record, moved: Mapping[str, str], group: ContainerGroup) -> Record:
    """What a neighbour ran is its last good image, by its digest alone: so it is desired, and is not there."""
    for name, digest in moved.items():
        container = record.containers[name]
        good = container.good.but(digest=container.good.digest or digest, moved=True)
        past = remembered(container, [group.images[name]])
        record = record.with_container(name, goods=(good, *container.goods[1:]), past=past)
    return record


def _not_yet(record: Record, sight: Sight, wishes: Mapping[str, Desired], rules: RolloutRules, now: datetime) -> _Turn:
    """Wait, unless the change has been lost, or has been looked at for too long."""
    change, group, pending = sight.change, sight.group, sight.pending
    # The image is there and its container was never restarted, though no change can still be under way: the PUT or the
    # restart was lost on its way, and is sent again.
    lost = any(not health.started for health in pending.values()) and now > change.began_at + rules.flight
    if lost and not group.in_transition and not hold_reason(group.tags):
        return begin(record, group, wishes, rules, now)
    reasons = [f"{name} {health.reason}" for name, health in sorted(pending.items())]
    reasons = ["the group is in transition", *reasons] if group.in_transition else reasons
    if change.patience.waited > rules.timeout.total_seconds():
        blamed = sight.unproven.keys() & pending.keys() or sight.unproven.keys()
        what = evidence(group, f"not healthy after {rules.timeout}: {'; '.join(reasons)}")
        return _failed(record, [sight.unproven[name] for name in blamed], "RolloutTimeout", what, rules, now)
    return record, Wait(rules.pause(change.patience.waited), "; ".join(reasons))


def _steady(record: Record, sight: Sight, rules: RolloutRules, now: datetime) -> _Turn:
    """Everything is healthy: long enough?"""
    change = sight.change
    # What has ended as it should needs no soak. What is restarted in the meantime counts from its last start, so a
    # container that keeps crashing slowly never gets through.
    since = [health.since for health in sight.health.values() if isinstance(health, Healthy) and not health.ended]
    left = max([timedelta(0), *(at + rules.soak - now for at in since)])
    if left > timedelta(0):
        longest = (rules.timeout + rules.soak).total_seconds()
        if change.patience.waited > longest:
            what = evidence(sight.group, "it does not come to rest")
            return _failed(record, list(sight.unproven.values()), "RolloutTimeout", what, rules, now)
        return record, Wait(max(timedelta(seconds=1), min(left, rules.slow)), "healthy, and watched for a while")
    return _over(prove(record, sight.group, sight.unproven, now)), None


def _over(record: Record) -> Record:
    """The change is over: nothing is watched any more, and what else is desired shows at once."""
    return record.but(change=None, apart=False)
