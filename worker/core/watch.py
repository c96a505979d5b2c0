"""Watching a change that is on the group: is it proven, is it broken, or is it too early to tell? Pure.

Every container that ran well before the change is judged, not only the changed ones: a PUT restarts all containers of
a group, so a neighbour that it broke is our fault. Patience counts the time between looks that took place, so an outage
of Azure, of our storage or of every worker proves nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from shared.durations import how_long_exactly
from worker.core.beginning import begin, evidence
from worker.core.desired import Desired
from worker.core.failing import conclude, fail
from worker.core.proving import prove
from worker.core.rules import Action, RolloutRules, Wait
from worker.core.sight import Sight, healths
from worker.groups.group import ContainerGroup
from worker.groups.health import Broken, Healthy
from worker.record.record import Record, remembered
from worker.targets.tags import hold_reason

_Turn = tuple[Record, Action | None]


def watch(
    record: Record,
    group: ContainerGroup,
    wishes: Mapping[str, Desired],
    rules: RolloutRules,
    now: datetime,
) -> _Turn:
    """The next step of a change that is on the group. Without an action something has changed, so decide again."""
    if record.change is None:
        raise ValueError("the record has no change to watch")
    patience = record.change.patience
    # While Azure moves a group off a node that is down, nobody can judge the change, so that time does not count.
    patience = (
        patience.but(looked_at=now)
        if group.under_repair
        else rules.looked(patience, now)
    )
    # A try without an answer may take effect after Azure has refused another one. So the change was made after all.
    change = record.change.but(patience=patience, refused=None)
    record = record.but(change=change)
    unproven = {name: wish.id for name, wish in wishes.items() if wish.id}
    sight = Sight(
        change, group, healths(record, change, group, wishes), unproven, rules, now
    )
    if trouble := _trouble(record, sight):
        return trouble
    if sight.pending or group.in_transition:
        return _not_yet(record, sight, wishes)
    return _steady(record, sight)


def _trouble(record: Record, sight: Sight) -> _Turn | None:
    """What to do about broken containers or a failed operation; None if nothing is certain to be broken."""
    broken, suspects = sight.broken, sight.unproven
    # While Azure can't pull a pushed image, the operation goes on for as long as Azure tries, and there is no need to
    # wait for its end. A neighbour that looks broken during an operation may only be between two states.
    if sight.group.in_transition and not suspects.keys() & broken.keys():
        return None
    # This comes before the blame: a neighbour whose own tag somebody moved breaks at any restart. Failing the push
    # would be unjust, and it would not repair the neighbour, which would pull the same wrong image again.
    if moved := _moved_by_others(record, sight):
        return _pinned_back(record, moved, sight.group), None
    if broken:
        # Of several pushes, those whose containers broke are to blame; if only neighbours broke, all of them are.
        blamed = suspects.keys() & broken.keys() or suspects.keys()
        name, first = min(broken.items())
        ids = [suspects[container] for container in blamed]
        what = f"{name}: {first.evidence}"
        return _failed(
            record, sight, ids, first.code, what, circumstance=first.circumstance
        )
    # Some trouble shows on no container. A file share that can't be mounted, for instance, is an event of the group.
    if sight.operation_failed:
        what = evidence(sight.group, "the operation failed")
        return _failed(record, sight, suspects.values(), "ProvisioningFailed", what)
    return None


def _failed(
    record: Record,
    sight: Sight,
    ids: Collection[str],
    code: str,
    detail: str,
    *,
    circumstance: bool = False,
) -> _Turn:
    """Fail the pushes that are to blame.

    The group is brought back after a `circumstance`, too, because nothing runs on it. But the push may come again.
    """
    if not ids:
        # No push is left to blame: a rollback has not helped. What ran well before no longer does, and nothing better
        # is known.
        record = conclude(record, f"the rollback failed: {code}: {detail}", sight.now)
        return _over(record), None
    record = fail(record, set(ids), code, detail, sight.now, circumstance=circumstance)
    # Its end is told at once, because nothing will be brought back that it would have to wait for.
    if not sight.rules.rollback:
        record = conclude(
            record, "not rolled back: ACI_HOOKS_ROLLBACK is off", sight.now
        )
    return record, None


def _moved_by_others(record: Record, sight: Sight) -> dict[str, str]:
    """The broken neighbours whose own tag was moved by somebody else, with the digest that each ran before."""
    found = {}
    for name, broken in sight.broken.items():
        before = sight.change.well.get(name)
        if before is not None and _was_moved_by_others(
            record, sight, name, before, broken
        ):
            found[name] = before
    return found


def _was_moved_by_others(
    record: Record,
    sight: Sight,
    name: str,
    before: str,
    broken: Broken,
) -> bool:
    """Whether a broken container was restarted by our change and pulled, or could not pull, another image."""
    container = record.containers.get(name)
    if name in sight.unproven or container is None or container.good.moved:
        return False
    if "@" in sight.group.images[name]:
        return False  # an image by its digest does not move
    pulled = sight.group.running_digest(name, sight.change.began_at)
    if pulled is not None and pulled != before:
        return True
    # What keeps it from starting may be an init container whose image can't be pulled. Its own has not moved then.
    culprit = sight.group.culprit(name, sight.change.began_at)
    return broken.code == "ImagePullFailed" and culprit == name


def _pinned_back(
    record: Record,
    moved: Mapping[str, str],
    group: ContainerGroup,
) -> Record:
    """Let only the digest of a neighbour's last good image bring that image back.

    The container then runs another image than the desired one, and the next turn puts the digest.
    """
    for name, digest in moved.items():
        container = record.containers[name]
        good = container.good.but(digest=container.good.digest or digest, moved=True)
        past = remembered(container, [group.images[name]])
        record = record.with_container(
            name, goods=(good, *container.goods[1:]), past=past
        )
    return record


def _not_yet(record: Record, sight: Sight, wishes: Mapping[str, Desired]) -> _Turn:
    """Wait, unless the change was lost or has been watched for too long."""
    group, pending, rules = sight.group, sight.pending, sight.rules
    # This comes before the patience: a change that never arrived says nothing about its images.
    if _is_lost(sight):
        return begin(record, group, wishes, rules, sight.now)
    reasons = ["the group is in transition"] if group.in_transition else []
    reasons += [f"{name} {health.reason}" for name, health in sorted(pending.items())]
    waited = sight.change.patience.waited
    if waited > rules.timeout.total_seconds():
        # If only neighbours are not up yet, the change as a whole is to blame, and so are all of its pushes.
        blamed = sight.unproven.keys() & pending.keys() or sight.unproven.keys()
        ids = [sight.unproven[name] for name in blamed]
        longest = how_long_exactly(rules.timeout.total_seconds())
        what = evidence(group, f"not healthy after {longest}: {'; '.join(reasons)}")
        return _failed(record, sight, ids, "RolloutTimeout", what)
    return record, Wait(rules.pause(waited), "; ".join(reasons))


def _is_lost(sight: Sight) -> bool:
    """Whether the PUT or the restart got lost, so that it has to be sent again.

    The group then shows the new image, yet a container was never restarted, and the change has been on its way for
    longer than a change can be. What a hold keeps back is not sent.
    """
    has_unrestarted = any(not health.started for health in sight.pending.values())
    may_still_arrive = sight.now <= sight.change.began_at + sight.rules.flight
    if not has_unrestarted or may_still_arrive:
        return False
    return not sight.group.in_transition and not hold_reason(sight.group.tags)


def _steady(record: Record, sight: Sight) -> _Turn:
    """Everything is healthy. Prove the change if that has been so for long enough, else go on watching."""
    left = _soak_left(sight)
    if left <= timedelta(0):
        return _over(prove(record, sight.group, sight.unproven, sight.now)), None
    longest = sight.rules.timeout + sight.rules.soak
    if sight.change.patience.waited > longest.total_seconds():
        what = evidence(sight.group, "the containers keep restarting or warning")
        return _failed(record, sight, sight.unproven.values(), "RolloutTimeout", what)
    delay = max(timedelta(seconds=1), min(left, sight.rules.slow))
    return record, Wait(delay, "healthy, waiting for the end of the soak")


def _soak_left(sight: Sight) -> timedelta:
    """For how long the containers must still stay healthy.

    Each counts from its last start or warning, so a container that crashes slowly, again and again, never gets through.
    One that has ended as it should needs no soak.
    """
    since = [
        health.since
        for health in sight.health.values()
        if isinstance(health, Healthy) and not health.ended
    ]
    return max(
        (at + sight.rules.soak - sight.now for at in since), default=timedelta(0)
    )


def _over(record: Record) -> Record:
    """The change is over, and pushes are no longer tried apart. The next turn sees whatever else is desired."""
    return record.but(change=None, apart=False)
