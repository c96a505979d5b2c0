"""After a failure: put the last good images back, watch them, then give the push up with the evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.image import rewrite
from shared.message import UpdateMessage
from shared.push import Push
from worker.groups.health import Broken, Pending
from worker.observation import Missing, Steady, observe
from worker.record import Record
from worker.record_parts import ContainerRecord, FailedResult, Good
from worker.situation import Situation
from worker.steps import Finish, GiveUp, RollBack, Step, Wait


def after_failure(situation: Situation) -> Step:
    """The next step of a message whose push failed on at least one container."""
    record, message = situation.record, situation.message
    code, detail = _first_failure(record, message)
    settled = [one.settled for one in record.failures_of(message.id).values()]
    if settled[0] and all(settled):
        return GiveUp(record, code, detail, settled[0])
    # A push that failed on one container has failed on all of them.
    open_ = [name for name, wanted in record.owned_by(message.id).items() if wanted.is_open]
    record = record.fail(message, dict.fromkeys(open_, (code, detail)), situation.now)
    situation = situation.with_record(record)
    mine = {name: one for name, one in record.containers.items() if one.to_bring_back(message.id)}
    images = {name: image for name, one in mine.items() if (image := restored(one))}
    if why := _no_rollback(situation, mine, images):
        return _give_up(situation, f"{detail}; not rolled back: {why}")
    under_way = record.rollout
    if under_way is None or not images.keys() <= under_way.returning:
        return _roll_back(situation, images)
    failed_at = max(failure.at for failure in record.failures_of(message.id).values())
    match observe(situation, images, under_way.since, failed_at):
        case Missing():
            return _roll_back(situation, images)
        case Pending(reason):
            return situation.wait(under_way.since, f"rolling back: {reason}")
        case Steady(left) if left > timedelta(0):
            return situation.wait(under_way.since, "rolled back, and watched for a while", left)
        case Steady():
            detail += f"; rolled back to {', '.join(sorted(images.values()))}"
            if lost := sorted(mine.keys() - images.keys()):
                return _give_up(situation, f"{detail}; no good image is known for {', '.join(lost)}")
            return _give_up(situation, detail, "rolled-back")
        case Broken(_, evidence):
            return _give_up(situation, f"{detail}; the rollback failed: {evidence}")


def refused(record: Record, message: UpdateMessage, code: str, detail: str, now: datetime) -> GiveUp:
    """A change was refused for good, or tried often enough: the push fails wherever it is still open."""
    if record.failures_of(message.id):
        first_code, first_detail = _first_failure(record, message)
        code, detail = first_code, f"{first_detail}; the rollback failed: {code}: {detail}"
    open_ = [name for name, wanted in record.owned_by(message.id).items() if wanted.is_open]
    failed = record.fail(message, dict.fromkeys(open_, (code, detail)), now)
    return GiveUp(failed.resume(message, "failed", detail, now), code, detail)


def given_up(record: Record, message: UpdateMessage, code: str, detail: str, now: datetime) -> GiveUp | Wait:
    """A message that was tried often enough. A change that it has begun may be on the group: that is undone first."""
    open_ = {name: wanted for name, wanted in record.owned_by(message.id).items() if wanted.is_open}
    if record.failures_of(message.id) or not any(wanted.began_at for wanted in open_.values()):
        return refused(record, message, code, detail, now)
    failed = record.fail(message, dict.fromkeys(open_, (code, detail)), now)
    return Wait(failed, timedelta(0), f"{code}: to be rolled back")


def seen_broken(record: Record, message: UpdateMessage) -> bool:
    """Is the message on its way back from what was seen to be broken on the group?"""
    codes = {failure.code for failure in record.failures_of(message.id).values() if not failure.settled}
    return bool(codes & {"CrashLoop", "ContainerFailed", "ImagePullFailed", "ProvisioningFailed", "RolloutTimeout"})


def restored(one: ContainerRecord) -> str | None:
    """The image that brings a container back to its last good one; None if that is not known."""
    return brought_back(one, one.good) if one.good else None


def brought_back(one: ContainerRecord, good: Good) -> str | None:
    """The image that brings a container back to this good one; None if that is not known.

    Where a push that is wanted, was, or failed moved the tag that the good image stood for, its digest brings it back.
    """
    now_wanted = one.wanted is not None and one.wanted.message.push.tag == good.tag
    others = [other.message.push for other in one.runners_up] + [other.message.push for other in one.failures]
    moved = now_wanted or any(_moved(push, good) for push in others)
    if "@" in good.image or not moved:
        return good.image
    if good.digest:
        return rewrite(good.image, digest=good.digest)
    return None if now_wanted else good.image


def _moved(push: Push, good: Good) -> bool:
    """Did another push than its own move the tag of a good image?"""
    if push.digest and good.digest:
        return push.tag == good.tag and push.digest != good.digest
    return push.tag == good.tag and (good.order is None or push.pushed_at != good.order[0])


def _no_rollback(situation: Situation, mine: Mapping[str, ContainerRecord], images: Mapping[str, str]) -> str | None:
    if not mine:
        return "a newer push has taken over"
    if not situation.rules.rollback:
        return "ACI_HOOKS_ROLLBACK is off"
    if not images:
        return f"no good image is known for {', '.join(sorted(mine))}"
    return None


def _roll_back(situation: Situation, images: dict[str, str]) -> Step:
    record, rules = situation.record, situation.rules
    code, detail = _first_failure(record, situation.message)
    if why := situation.blocked():
        # As with what is not proven yet, the release goes on with it: nothing broken may be left behind a hold.
        why = f"{why}; to be rolled back then: {detail}"
        held = record.ended(situation.message, tuple(images), "held", why, situation.now)
        return Finish(held, "held", why)
    if situation.group.in_transition:
        failed_at = max(failure.at for failure in record.failures_of(situation.message.id).values())
        if situation.now > failed_at + 2 * rules.timeout:
            return _give_up(situation, f"{detail}; not rolled back: the group is still in transition")
        return situation.wait(failed_at, f"{code}: to be rolled back once the transition is over")
    if missing := situation.missing_secrets():
        return _give_up(situation, f"{detail}; not rolled back: {missing}")
    staying = _images_of_others(situation)
    going_back = situation.going_back(images)
    intent = situation.intent({**staying, **going_back, **images}, returning=[*going_back, *images])
    return RollBack(record.begin(intent), unsent=record)


def _images_of_others(situation: Situation) -> dict[str, str]:
    """The open pushes of other containers that are on the group: the change starts them anew, too."""
    running = situation.group.images
    begun = {name: one.image for name, one in situation.record.open().items() if one.began_at}
    return {name: image for name, image in begun.items() if running.get(name) == image}


def _give_up(situation: Situation, detail: str, result: FailedResult = "failed") -> GiveUp:
    code, _ = _first_failure(situation.record, situation.message)
    moved = situation.moved()
    detail += str(moved or "")
    record = situation.record.resume(situation.message, result, detail, situation.now)
    return GiveUp(record, code, detail, result, moved)


def _first_failure(record: Record, message: UpdateMessage) -> tuple[str, str]:
    failure = next(iter(record.failures_of(message.id).values()))
    return failure.code, failure.detail
