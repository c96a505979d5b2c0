"""next_step: what to do next for a rollout. Pure and total; worker.step carries the answer out.

Every step holds the record as it is to be written before anything is done: whoever wins that write acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from shared.image import rewrite
from shared.message import UpdateMessage
from worker.group import ContainerGroup, missing_secrets
from worker.health import Broken, Healthy, Pending
from worker.record import ContainerRecord, Record, Result, Rollout, Wanted
from worker.targets import hold_reason

LONGEST_WAIT = timedelta(seconds=60)
MOST_TRIES = 5
"""How often the same change is sent to a group that accepts it and never shows it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What governs a rollout: how long a group must stay healthy (`soak`) and may take (`timeout`), how often it is
    looked at, how long another worker's write may be on its way (`lease`), and the secrets that are configured."""

    soak: timedelta
    timeout: timedelta
    check_interval: timedelta
    lease: timedelta
    rollback: bool = True
    secrets: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Apply:
    """Bring `record.rollout` onto the group: PUT its images, or restart the group if it says so."""

    record: Record


@dataclass(frozen=True, slots=True)
class RollBack:
    """The same for the last good images."""

    record: Record


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `delay`."""

    record: Record
    delay: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The push has ended well, or nothing is to be done. `moved`: its address before and after, if that changed."""

    record: Record
    result: Result
    detail: str
    moved: tuple[Mapping[str, str], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The push has failed: dead-letter it with `code` and `detail`."""

    record: Record
    code: str
    detail: str
    result: Literal["rolled-back", "failed"] = "failed"


Step = Apply | RollBack | Wait | Finish | GiveUp


@dataclass(frozen=True, slots=True)
class _Missing:
    """The change is not on the group, and nothing is on its way."""


@dataclass(frozen=True, slots=True)
class _Steady:
    """Everything is healthy, and has to stay so for another `left`."""

    left: timedelta


_Sight = _Missing | Pending | _Steady | Broken


def next_step(record: Record, group: ContainerGroup, message: UpdateMessage, rules: Rules, now: datetime) -> Step:
    """The next step of a message's rollout, the push having been admitted to the record."""
    if record.failures_of(message.id):
        return _after_failure(record, group, message, rules, now)
    owned = {name: wanted for name, wanted in record.owned_by(message.id).items() if wanted.is_open}
    if not owned:
        return Finish(record, *past_result(record, message))
    if reason := _blocked(record, group, message):
        return Finish(record.ended(message, tuple(owned), "held", reason, now), "held", reason)
    if all(wanted.began_at for wanted in owned.values()):
        return _watch(record, group, message, owned, rules, now)
    return _start(record, group, message, owned, rules, now)


def past_result(record: Record, message: UpdateMessage) -> tuple[Result, str]:
    """How a push that owns nothing any more has ended, by the record."""
    if record.owned_by(message.id):
        known = next((one for one in record.outcomes if one.id == message.id), None)
        return (known.result, known.detail) if known else ("unchanged", "it runs already")
    return "superseded", "a newer push is wanted"


def refused(record: Record, message: UpdateMessage, code: str, detail: str, now: datetime) -> GiveUp:
    """Azure refused the change for good, or it was tried often enough: the push fails where it is still open."""
    if record.failures_of(message.id):
        detail = f"{_first_failure(record, message)[1]}; the rollback failed: {code}: {detail}"
        code = _first_failure(record, message)[0]
    owned = {name: (code, detail) for name, wanted in record.owned_by(message.id).items() if wanted.is_open}
    return _give_up(record.fail(message, owned, now), message, code, detail, "failed", now)


def _blocked(record: Record, group: ContainerGroup, message: UpdateMessage) -> str | None:
    if record.hold and record.hold.allows != message.id:
        return f"held: {record.hold.reason}"
    if reason := hold_reason(group.tags):
        return f"held by a resource tag: {reason}"
    return "stopped by its owner: an update would start it" if group.stopped else None


def _start(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    owned: Mapping[str, Wanted],
    rules: Rules,
    now: datetime,
) -> Step:
    admitted = max(wanted.admitted_at for wanted in owned.values())
    if group.in_transition:
        if now > admitted + 2 * rules.timeout:
            detail = f"the group has been in transition for more than {2 * rules.timeout}"
            return refused(record, message, "StuckInTransition", detail, now)
        return Wait(record, _interval(now - admitted, rules), "the group is in transition")
    if missing := missing_secrets(group.withheld(), rules.secrets):
        return refused(record, message, "MissingSecrets", _say_missing(missing), now)
    under_way = record.rollout
    if under_way and under_way.by != message.id and now < under_way.since + rules.check_interval:
        # Pushes that come together are applied together; and nobody's PUT is overtaken on its way.
        return Wait(record, under_way.since + rules.check_interval - now, "gathering pushes after the last change")
    return _apply(record, group, message, owned, now)


def _say_missing(missing: list[str]) -> str:
    return (
        "Azure does not give back these secrets, and an update must carry them; configure each under `secrets` in "
        f"the targets file: {', '.join(missing)}"
    )


def _apply(
    record: Record, group: ContainerGroup, message: UpdateMessage, owned: Mapping[str, Wanted], now: datetime
) -> Apply:
    # After a failed attempt, and on a held group, a push goes alone: it must not fail for another one's fault.
    wanted = owned if message.attempts or record.hold else record.open()
    images = {name: one.image for name, one in wanted.items()}
    restart = all(one.restart and group.images.get(name) == one.image for name, one in wanted.items())
    return Apply(record.begin(_rollout(record, group, message, images, now, restart=restart)))


def _rollout(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    images: dict[str, str],
    now: datetime,
    *,
    restart: bool = False,
    returning: Iterable[str] = (),
) -> Rollout:
    before = record.rollout
    repeated = before is not None and before.by == message.id and before.images == images
    return Rollout(
        by=message.id,
        since=now,
        images=images,
        restart=restart,
        returning=frozenset(returning),
        address=before.address if before and repeated else group.address,
        tries=before.tries + 1 if before and repeated else 1,
    )


def _watch(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    owned: Mapping[str, Wanted],
    rules: Rules,
    now: datetime,
) -> Step:
    since = max(wanted.began_at for wanted in owned.values() if wanted.began_at)
    sight = _observe(record, group, message, {name: one.image for name, one in owned.items()}, since, rules, now)
    match sight:
        case _Missing():
            return _start(record, group, message, owned, rules, now)
        case Pending(reason):
            return Wait(record, _interval(now - since, rules), reason)
        case _Steady(left) if left > timedelta(0):
            return Wait(record, min(left, _interval(now - since, rules)), "healthy, and watched for a while")
        case _Steady():
            return _finish(record, group, message, owned, since, now)
        case Broken(code, evidence):
            failed = record.fail(message, dict.fromkeys(owned, (code, evidence)), now)
            return _after_failure(failed, group, message, rules, now)


def _finish(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    owned: Mapping[str, Wanted],
    since: datetime,
    now: datetime,
) -> Finish:
    digests = {name: group.running_digest(name, since) for name in owned}
    detail = "; ".join(_say_running(name, wanted, digests[name]) for name, wanted in sorted(owned.items()))
    before = record.rollout.address if record.rollout else {}
    moved = (before, group.address) if before and before != group.address else None
    if moved:
        detail += f"; THE ADDRESS CHANGED from {_say(before)} to {_say(group.address)}"
    return Finish(record.succeed(message, digests, now, detail), "updated", detail, moved)


def _say_running(name: str, wanted: Wanted, digest: str | None) -> str:
    if not wanted.restart:
        return f"{name} runs {wanted.image}"
    if digest:
        return f"{name} was restarted and runs {wanted.image} at {digest}"
    return f"{name} was restarted with {wanted.image}; unverified: Azure does not say which image it pulled"


def _say(address: Mapping[str, str]) -> str:
    return ", ".join(address.values()) or "none"


def _observe(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    images: Mapping[str, str],
    since: datetime,
    rules: Rules,
    now: datetime,
) -> _Sight:
    """What the group shows of a change of these images (container → image) that began at `since`."""
    under_way = record.rollout
    health = {name: group.health(name, since) for name in images}
    there = all(group.images.get(name) == image for name, image in images.items())
    started = all(not isinstance(one, Pending) or one.started for one in health.values())
    if not group.in_transition and not (there and (started or now < since + rules.lease)):
        if group.failed and under_way and under_way.by == message.id:
            return Broken("ProvisioningFailed", _evidence(group, "the operation failed"))
        if under_way and now < under_way.since + _flight(under_way, message, rules):
            return Pending("a change may be on its way")
        if under_way and under_way.tries >= MOST_TRIES:
            return Broken("NoEffect", f"the change was sent {under_way.tries} times and never took effect")
        return _Missing()
    return _judge(group, health, since, rules, now)


def _flight(under_way: Rollout, message: UpdateMessage, rules: Rules) -> timedelta:
    """How long the change that was begun may still be on its way to Azure without showing there."""
    if under_way.by != message.id:
        return rules.lease
    # One's own: it failed (an attempt was counted), or this is a second delivery while the first is at work. A first
    # that died has held the lease for at least half of it since, as leases are renewed at half their time.
    return timedelta(0) if message.attempts else rules.lease / 2


def _judge(
    group: ContainerGroup,
    health: Mapping[str, Healthy | Pending | Broken],
    since: datetime,
    rules: Rules,
    now: datetime,
) -> _Sight:
    for name, one in health.items():
        if isinstance(one, Broken):
            return Broken(one.code, f"{name}: {one.evidence}")
    if group.failed:
        return Broken("ProvisioningFailed", _evidence(group, "the operation failed"))
    pending = [f"{name} {one.reason}" for name, one in health.items() if isinstance(one, Pending)]
    if group.in_transition:
        pending.insert(0, "the group is in transition")
    if pending and now > since + rules.timeout:
        return Broken("RolloutTimeout", _evidence(group, f"not healthy after {rules.timeout}: {'; '.join(pending)}"))
    if pending:
        return Pending("; ".join(pending))
    steady_since = max(one.since for one in health.values() if isinstance(one, Healthy))
    left = steady_since + rules.soak - now if steady_since > since - rules.soak else timedelta(0)
    if left > timedelta(0) and now > since + rules.timeout + rules.soak:
        return Broken("RolloutTimeout", _evidence(group, "it does not come to rest"))
    return _Steady(left)


def _evidence(group: ContainerGroup, what: str) -> str:
    warnings = group.warnings()
    return f"{what}; warnings: {' | '.join(warnings)}" if warnings else what


def _after_failure(record: Record, group: ContainerGroup, message: UpdateMessage, rules: Rules, now: datetime) -> Step:
    code, detail = _first_failure(record, message)
    settled = [failure.settled for failure in record.failures_of(message.id).values() if failure.settled]
    if settled:
        return GiveUp(record, code, detail, settled[0])
    mine = {name: record.containers[name] for name in record.owned_by(message.id)}
    images = {name: image for name, one in mine.items() if (image := restored(one))}
    if why := _no_rollback(record, group, message, rules, images, mine):
        return _give_up(record, message, code, f"{detail}; not rolled back: {why}", "failed", now)
    under_way = record.rollout
    if under_way is None or not images.keys() <= under_way.returning:
        return _roll_back(record, group, message, images, rules, now)
    sight = _observe(record, group, message, images, under_way.since, rules, now)
    match sight:
        case _Missing():
            return _roll_back(record, group, message, images, rules, now)
        case Pending(reason):
            return Wait(record, _interval(now - under_way.since, rules), f"rolling back: {reason}")
        case _Steady(left) if left > timedelta(0):
            return Wait(
                record, min(left, _interval(now - under_way.since, rules)), "rolled back, and watched for a while"
            )
        case Broken(_, evidence):
            return _give_up(record, message, code, f"{detail}; the rollback failed: {evidence}", "failed", now)
        case _Steady():
            return _rolled_back(record, group, message, code, detail, images, now)


def _rolled_back(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    code: str,
    detail: str,
    images: Mapping[str, str],
    now: datetime,
) -> GiveUp:
    detail += f"; rolled back to {', '.join(sorted(images.values()))}"
    before = record.rollout.address if record.rollout else {}
    if before != group.address:
        detail += f"; THE ADDRESS CHANGED from {_say(before)} to {_say(group.address)}"
    return _give_up(record, message, code, detail, "rolled-back", now)


def _no_rollback(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    rules: Rules,
    images: Mapping[str, str],
    mine: Mapping[str, ContainerRecord],
) -> str | None:
    if not mine:
        return "a newer push has taken over"
    if not rules.rollback:
        return "ACI_HOOKS_ROLLBACK is off"
    if len(images) < len(mine):
        return f"no good image is known for {', '.join(sorted(mine.keys() - images.keys()))}"
    return _blocked(record, group, message)


def restored(one: ContainerRecord) -> str | None:
    """The image that brings a container back to its last good one; None if that is not known.

    Where the failed push moved the tag that the good image stood for, only its digest brings it back.
    """
    wanted, good = one.wanted, one.good
    if good is None:
        return None
    if wanted is None or good.tag != wanted.message.push.tag or "@" in good.image:
        return good.image
    return rewrite(good.image, digest=good.digest) if good.digest else None


def _roll_back(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    images: dict[str, str],
    rules: Rules,
    now: datetime,
) -> Step:
    code, detail = _first_failure(record, message)
    if group.in_transition:
        failed_at = max(failure.at for failure in record.failures_of(message.id).values())
        if now > failed_at + 2 * rules.timeout:
            why = f"{detail}; not rolled back: the group is still in transition"
            return _give_up(record, message, code, why, "failed", now)
        return Wait(record, _interval(now - failed_at, rules), f"{code}: rolling back once the transition is over")
    if missing := missing_secrets(group.withheld(), rules.secrets):
        return _give_up(record, message, code, f"{detail}; not rolled back: {_say_missing(missing)}", "failed", now)
    others = {name: one.image for name, one in record.open().items() if one.began_at}
    rollout = _rollout(record, group, message, {**others, **images}, now, returning=images)
    return RollBack(record.begin(rollout))


def _give_up(
    record: Record,
    message: UpdateMessage,
    code: str,
    detail: str,
    result: Literal["rolled-back", "failed"],
    now: datetime,
) -> GiveUp:
    return GiveUp(record.resume(message, result, detail, now), code, detail, result)


def _first_failure(record: Record, message: UpdateMessage) -> tuple[str, str]:
    failure = next(iter(record.failures_of(message.id).values()))
    return failure.code, failure.detail


def _interval(elapsed: timedelta, rules: Rules) -> timedelta:
    """How long to wait between two looks: the longer it takes, the less often."""
    return max(rules.check_interval, min(elapsed / 2, LONGEST_WAIT))
