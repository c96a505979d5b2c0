"""What an operator changes in a record by hand: hold, release, roll back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.image import ImageReference
from shared.message import UpdateMessage
from shared.push import Push
from worker.record.container import Candidate, ContainerRecord, FailedPush, Good, Pin
from worker.record.record import FAILURES_KEPT, Record
from worker.record.values import ROLLBACK, Hold
from worker.record.ways_back import asked_for, goods_before, place_of

UNKNOWN_TAG = "unknown"
"""Stands for the tag of an image that was deployed by its digest and whose tag is not known."""
ROLLED_BACK = "RolledBack"
"""The code of the failure that a rollback by hand notes for the images that it goes back from."""


class NothingToRollBackTo(ValueError):
    """The record knows no good image older than the ones that run."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator asks of a rollback: `to` which image, if not the one before; the reason; and who asks."""

    to: ImageReference | None = None
    reason: str | None = None
    by: str | None = None


def hold(
    record: Record,
    reason: str,
    now: datetime,
    by: str | None = None,
    until: datetime | None = None,
) -> Record:
    """Hold a group: pushes are received, and wait until it is released. A rollback by hand goes on."""
    return record.but(hold=Hold(reason=reason, since=now, by=by, until=until))


def release(record: Record) -> Record:
    """Release a group: the best candidate of each container is desired again, and nothing is pinned any more."""
    for name, container in record.containers.items():
        if container.pin:
            record = record.with_container(name, pin=None)
    return record.but(hold=None)


def end_hold(record: Record, now: datetime) -> Record | None:
    """The record without a hold whose time is over; None if it has no such hold."""
    if record.hold is None or not record.hold.is_over(now):
        return None
    # A rollback that is still under way goes on: `release` would put the image back that an operator went back from.
    return record.but(hold=None).with_deed(
        "the hold ended, as its time was over", None, now
    )


def roll_back(
    record: Record,
    message_id: str,
    now: datetime,
    running: Mapping[str, str] | None = None,
    wish: Wish = Wish(),
) -> Record:
    """Pin each container to the good image before the one that it runs, and hold the group.

    `running` is what the group runs (container → image), if that is known: where a failed push was left on the group,
    the last good image is the one to go back to. `message_id` stands for the rollback when its end is told. Pushes that
    wait end here, and the images that the rollback goes back from count as failed.

    Where a rollback is under way already, it goes on; where its image is on the group, this one goes one image further
    back. With a `wish.to`, the containers of that repository go to that image instead, whatever they run. Raises
    NothingToRollBackTo.
    """
    before = record
    goods = (
        asked_for(record, wish.to) if wish.to else goods_before(record, running or {})
    )
    if not goods:
        if wish.to:
            raise NothingToRollBackTo(
                f"no container that is kept up to date follows {wish.to.name}"
            )
        if any(container.pin for container in record.containers.values()):
            return record  # a rollback is under way and can't go any further back
        raise NothingToRollBackTo("no good image older than the running one is known")
    for name, good in goods.items():
        record = _pinned(record, name, good, message_id, now, wish.by)
    record = _end_replaced_rollbacks(before, record, now)
    record = _end_waiting_pushes(record, list(goods), now)
    # Without a hold, the next sweep or push would bring a newer image again at once.
    reason = f"rolled back: {wish.reason}" if wish.reason else "rolled back"
    return record.but(hold=Hold(reason=reason, since=now, by=wish.by), apart=False)


def _pinned(
    record: Record,
    name: str,
    good: Good,
    message_id: str,
    now: datetime,
    by: str | None,
) -> Record:
    """Pin a container to a good image, and count what it goes back from as failed."""
    container = record.containers[name]
    if container.pin and container.pin.good == good:
        # An earlier rollback goes back to the same image. It goes on, and its end is told under its own id.
        return record
    pin = Pin(message=_message(record, container, good, message_id, now, by), good=good)
    return record.with_container(
        name, pin=pin, failures=_set_aside(record, name, good, now)
    )


def _end_replaced_rollbacks(before: Record, record: Record, now: datetime) -> Record:
    """End the earlier rollbacks that no container is pinned for any more."""
    for message, names in _further_back(before, record):
        record = record.end(
            message, "superseded", "an operator rolled back further", names, now
        )
    return record


def _end_waiting_pushes(record: Record, names: list[str], now: datetime) -> Record:
    # A push that went on waiting would be deployed on release, which is what the operator has just decided against.
    waiting = record.waiting()
    record = record.without_candidates(lambda _name, _candidate: True).but(inbox=())
    for message in waiting.values():
        record = record.end(
            message,
            "superseded",
            "an operator rolled back to an earlier image",
            names,
            now,
        )
    return record


def _further_back(
    before: Record, after: Record
) -> list[tuple[UpdateMessage, list[str]]]:
    """The rollbacks that containers were pinned for before and none is now, each with these containers."""
    still = {
        container.pin.message.id
        for container in after.containers.values()
        if container.pin
    }
    gone: dict[str, tuple[UpdateMessage, list[str]]] = {}
    for name, container in before.containers.items():
        if container.pin and container.pin.message.id not in still:
            _, names = gone.setdefault(
                container.pin.message.id, (container.pin.message, [])
            )
            names.append(name)
    return list(gone.values())


def _set_aside(
    record: Record,
    name: str,
    good: Good,
    now: datetime,
) -> tuple[FailedPush, ...]:
    """The container's failures, together with everything that the rollback goes back from."""
    container = record.containers[name]
    place = place_of(container, good)
    # An image that an operator named and that never ran well here is reached from the last good one.
    newer_ones = container.goods[: 1 if place is None else place]
    # Without these, the next sweep would find the newer image in the registry and take it for a push that was missed.
    passed_over = [_failure_of_good(newer, now) for newer in newer_ones]
    asked = (
        container.candidate(record.change.asked.get(name)) if record.change else None
    )
    if asked:
        passed_over.insert(0, _failure_of_candidate(asked, now))
    return (*passed_over, *container.failures)[:FAILURES_KEPT]


def _failure_of_good(good: Good, now: datetime) -> FailedPush:
    return FailedPush(
        id=ROLLED_BACK,
        tag=good.tag or UNKNOWN_TAG,
        image=good.image,
        digest=good.digest,
        pushed_at=good.order[0] if good.order else None,
        code=ROLLED_BACK,
        at=now,
    )


def _failure_of_candidate(candidate: Candidate, now: datetime) -> FailedPush:
    push = candidate.message.push
    return FailedPush(
        id=candidate.id,
        tag=candidate.tag,
        image=candidate.image,
        digest=candidate.digest or push.digest,
        pushed_at=push.pushed_at,
        code=ROLLED_BACK,
        at=now,
    )


def _message(
    record: Record,
    container: ContainerRecord,
    good: Good,
    message_id: str,
    now: datetime,
    by: str | None,
) -> UpdateMessage:
    """A message that stands for the rollback, so that its end is told like that of any push."""
    image = ImageReference.parse(f"{container.repository}:{good.tag or UNKNOWN_TAG}")
    push = Push.of(ROLLBACK, image, pushed_at=now).model_copy(
        update={"digest": good.digest, "pusher": by}
    )
    return UpdateMessage(
        id=message_id, kind="rollout", push=push, received_at=now, target=record.target
    )


def what_comes_back(record: Record) -> list[str]:
    """The images that a rollback by hand is bringing back to the group."""
    goods = (
        container.pin.good for container in record.containers.values() if container.pin
    )
    return sorted(good.restored or good.image for good in goods)
