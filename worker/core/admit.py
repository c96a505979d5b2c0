"""Admission: the pushes that were received become candidates of containers, or end. Pure.

It needs the group at hand: which containers run the pushed repository, and what the policy makes of their tags. The
registry's word on a candidate's digest is asked for only when it is the best one (worker.core.resolve).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.message import UpdateMessage
from worker.core.failing import conclude, fail
from worker.core.following import Following, followings, good_image, repository_of
from worker.groups.group import ContainerGroup
from worker.policies.policy import Policy, Skip
from worker.record.record import GOODS_KEPT, Record, remembered
from worker.record.values import MANUAL, SWEEP, Candidate, ContainerRecord, Failure, Good, Result
from worker.targets.target import Target

Verdict = Literal["wanted", "superseded", "ignored"]
_STRONGEST: tuple[Verdict, ...] = ("wanted", "superseded", "ignored")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of a push for one container, and why, as a sentence for people."""

    container: str
    verdict: Verdict
    reason: str


def admit(record: Record, group: ContainerGroup, target: Target, now: datetime) -> Record:
    """The record with everything in its inbox considered, for every container that follows the pushed repository."""
    record = acquaint(record, group, target, now)
    followed = followings(group.images, target)
    for message in sorted(record.inbox, key=lambda message: message.order):
        considered, rulings = consider(record, followed, message)
        is_wanted = any(ruling.verdict == "wanted" for ruling in rulings)
        if is_wanted and too_young(followed, message, now):
            continue
        record = considered.but(inbox=tuple(other for other in record.inbox if other.id != message.id))
        ruling = min(rulings, key=lambda ruling: _STRONGEST.index(ruling.verdict), default=None)
        if ruling is None:
            record = record.end(message, "ignored", f"no container runs {message.push.image.name}", (), now)
        elif ruling.verdict != "wanted":
            record = record.end(message, ruling.verdict, ruling.reason, (ruling.container,), now)
    return record


def consider(
    record: Record, followed: dict[str, Following], message: UpdateMessage
) -> tuple[Record, tuple[Ruling, ...]]:
    """One push, for each container that follows its repository: the record, and a ruling for each of them."""
    rulings = []
    for name, following in followed.items():
        if following.name == message.push.image.name:
            container, ruling = _consider(name, record.containers[name], following.policy, message)
            record = record.but(containers={**record.containers, name: container})
            rulings.append(ruling)
    return record, tuple(rulings)


def _consider(
    name: str, container: ContainerRecord, policy: Policy, message: UpdateMessage
) -> tuple[ContainerRecord, Ruling]:
    if failure := repeated(container, message, message.push.digest):
        return container, Ruling(name, "ignored", failed_before(failure))
    if any(_is_candidate(message, other) for other in container.candidates):
        return container, Ruling(name, "superseded", "the same push was delivered before, and is under way")
    good, tag = container.good, message.push.tag
    decision = policy.decide(good.tag, tag)
    # Of two tags that the policy can't compare neither is newer: the policy's own reason is the one to tell.
    skipped = isinstance(decision, Skip)
    comparable = not skipped or (good.tag is not None and policy.outranks(good.tag, tag) is True)
    if good.order and good.tag and comparable and not newer(policy, message, good.tag, good.order):
        return container, Ruling(name, "superseded", f"{good.image} is newer")
    if skipped:
        return container, Ruling(name, "ignored", decision.reason)
    place = next(
        (number for number, other in enumerate(container.candidates) if better(policy, good.tag, message, other)),
        len(container.candidates),
    )
    candidate = Candidate(message=message)
    candidates = (*container.candidates[:place], candidate, *container.candidates[place:])
    goods = tuple(_pushed_again(good, message) for good in container.goods)
    return container.but(candidates=candidates, goods=goods), Ruling(name, "wanted", decision.reason)


def _pushed_again(good: Good, message: UpdateMessage) -> Good:
    """A good image whose tag was pushed once more: whatever becomes of that push, its tag is no way back to it."""
    same_image = good.digest is not None and good.digest == message.push.digest
    return good if good.tag != message.push.tag or same_image else good.but(pushed_again=True)


def newer(policy: Policy, message: UpdateMessage, tag: str, order: tuple[datetime, datetime]) -> bool:
    """Is a push newer than another one with this tag and order: by the policy's order of tags, else by time?"""
    ranked = policy.outranks(message.push.tag, tag) if message.push.tag != tag else None
    return message.order > order if ranked is None else ranked


def better(policy: Policy, running: str | None, message: UpdateMessage, other: Candidate) -> bool:
    """Is a push better than another one that may follow `running`, too: by the policy, else by time?"""
    preferred = policy.prefers(running, message.push.tag, other.tag) if message.push.tag != other.tag else None
    return message.order > other.message.order if preferred is None else preferred


def too_young(followed: dict[str, Following], message: UpdateMessage, now: datetime) -> str | None:
    """Why a push has to wait in the inbox still (the condition min_age), for all containers; None if it need not.

    The sweep does not know when its finds were pushed: for them it counts how long ago they were found.
    """
    pushed_at = message.received_at if message.push.sender == SWEEP else message.order[0]
    conditions = (each.policy.conditions for each in followed.values() if each.name == message.push.image.name)
    return next((why for each in conditions if (why := each.too_young(pushed_at, now))), None)


def repeated(container: ContainerRecord, message: UpdateMessage, digest: str | None) -> Failure | None:
    """The failure of the very push that this is once more; None if there is none, or an operator insists.

    What failed by circumstance says nothing of the image and may come again.
    """
    if message.push.sender == MANUAL:
        return None
    return next((failure for failure in container.failures if _repeats(message, digest, failure)), None)


def _repeats(message: UpdateMessage, digest: str | None, failure: Failure) -> bool:
    if failure.circumstance or message.push.tag != failure.tag:
        return False
    if digest and failure.digest:
        return digest == failure.digest
    return message.push.pushed_at is not None and message.push.pushed_at == failure.pushed_at


def _is_candidate(message: UpdateMessage, other: Candidate) -> bool:
    push = other.message.push
    return is_same_push(message, push.tag, push.pushed_at, other.digest or push.digest)


def is_same_push(message: UpdateMessage, tag: str | None, pushed_at: datetime | None, digest: str | None) -> bool:
    """Is it the push of this tag, time and digest, delivered once more? A digest that it alone tells is news.

    Without a time or a digest nothing tells two pushes of one tag apart from two deliveries of one push.
    """
    push = message.push
    return pushed_at is not None and (push.tag, push.pushed_at) == (tag, pushed_at) and push.digest in {None, digest}


def failed_before(failure: Failure) -> str:
    """The reason to tell for a push that is not tried again."""
    return f"this push failed before, at {failure.at:%Y-%m-%d %H:%M:%S} UTC ({failure.code})"


def acquaint(record: Record, group: ContainerGroup, target: Target, now: datetime) -> Record:
    """Know every container of the group, forget those that are gone, and go on from what their owner has deployed."""
    images, followed = group.images, followings(group.images, target)
    record = _forget(record, frozenset(images), now)
    for name, running in images.items():
        follows = followed.get(name)
        repository = follows.name if follows else (repository_of(running) or running)
        container = record.containers.get(name)
        good = good_image(group, name)
        good = good if repository_of(running) == repository else good.but(tag=None)
        if container is None or container.repository != repository:
            record = _drop_candidates(record, name, "the container follows another repository now", now)
            container = ContainerRecord(repository=repository, followed=follows is not None, goods=(good,))
        if container.followed != (follows is not None):
            why = "the container is no longer kept up to date"
            record = _drop_candidates(record, name, why, now)
            container = record.containers.get(name, container).but(followed=follows is not None)
        record = record.but(containers={**record.containers, name: container})
        if is_redeployed(record, group, name):
            goods = (good, *(other for other in container.goods if other.image != good.image))[:GOODS_KEPT]
            record = record.with_container(name, goods=goods, past=remembered(container, ()))
            record = _go_on_from(record, name, follows, now) if follows else record
    return record


def is_redeployed(record: Record, group: ContainerGroup, name: str) -> bool:
    """Has the group's owner brought an image here that nobody of ours knows? Only a group at rest can tell.

    Of a container that is not followed every other image is its owner's, but for pushes of when it was.
    """
    container = record.containers[name]
    running, change = group.images[name], record.change
    if group.in_transition or container.pin:
        return False
    if container.followed:
        brings = change.images.get(name) if change else None
        return running not in container.images | {brings}
    if change or record.flights:
        return False
    return running not in container.good.spellings | container.brought


def _go_on_from(record: Record, name: str, follows: Following, now: datetime) -> Record:
    """Candidates that may not follow what the owner has deployed end."""
    good = record.containers[name].good
    for candidate in record.containers[name].candidates:
        decision = follows.policy.decide(good.tag, candidate.tag)
        if isinstance(decision, Skip):
            record = leave(record, name, candidate, "superseded", f"{good.image} was deployed by hand", now)
    return record


def leave(
    record: Record,
    name: str,
    candidate: Candidate,
    result: Result,
    why: str,
    now: datetime,
    proven: Collection[str] = (),
) -> Record:
    """A candidate is none of this container any more; its push ends if it waits for no other one.

    `proven` are the pushes that other containers run, which is their end.
    """
    message_id = candidate.id
    record = record.without_candidates(lambda other, each: (other, each.id) == (name, message_id))
    still_wanted = message_id in record.waiting() or message_id in proven
    return record if still_wanted else record.end(candidate.message, result, why, (name,), now)


def _drop_candidates(record: Record, name: str, why: str, now: datetime) -> Record:
    """Nothing is wanted of a container any more. What is on the group unproven has failed: somebody should look."""
    if name not in record.containers:
        return record
    pin = record.containers[name].pin
    asked = record.change.asked.get(name) if record.change else None
    elsewhere = any(one.candidate(asked) for other, one in record.containers.items() if other != name)
    is_way_back = pin is not None and pin.message.id == asked
    if asked and not elsewhere and not is_way_back:
        record = abandon(record, {asked}, why, now)
    for candidate in record.containers[name].candidates:
        record = leave(record, name, candidate, "ignored", why, now)
    record = record.with_container(name, pin=None)
    still = {one.pin.message.id for one in record.containers.values() if one.pin}
    if pin and pin.message.id not in still:
        record = record.end(pin.message, "ignored", why, (name,), now)
    return record


def abandon(record: Record, ids: Collection[str], why: str, now: datetime) -> Record:
    """Pushes that are on the group, and that nobody will watch any more."""
    record = fail(record, ids, "TargetRemoved", "left on the group unproven", now, circumstance=True)
    return conclude(record, why, now, lambda undone: undone.message.id in ids)


def _forget(record: Record, images: frozenset[str], now: datetime) -> Record:
    for name in [name for name in record.containers if name not in images]:
        record = _drop_candidates(record, name, f"the group has no container {name} any more", now)
        record = record.but(containers={other: one for other, one in record.containers.items() if other != name})
    return record
