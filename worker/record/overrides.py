"""What an operator changes in a record by hand: hold, release, go back to the image before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from shared.image import ImageReference
from shared.message import UpdateMessage
from shared.push import Push
from worker.record.record import FAILURES_KEPT, Record, displaced
from worker.record.values import ROLLBACK, Candidate, ContainerRecord, Failure, Good, Hold, Pin

UNKNOWN_TAG = "unknown"
"""Stands for the tag of an image that was deployed by its digest before anybody noted a tag."""
ROLLED_BACK = "RolledBack"
"""The code of the failure of what an operator went back from."""


class NothingToRollBackTo(ValueError):
    """The record knows no good image before the ones that run."""


def hold(record: Record, reason: str, now: datetime) -> Record:
    """No update until it is released: pushes are received and wait. An operator's way back goes on."""
    return record.but(hold=Hold(reason=reason, since=now))


def release(record: Record) -> Record:
    """Updates go on: the newest push of each container is desired again, and no way back is any more."""
    for name, container in record.containers.items():
        if container.pin:
            record = record.with_container(name, pin=None)
    return record.but(hold=None)


def roll_back(record: Record, message_id: str, now: datetime, running: Mapping[str, str] | None = None) -> Record:
    """Every container's good image before the one that it runs is pinned, and the group is held until it is released.

    `running` is what the group runs (container → image), if that can be told: a push that failed and was left there is
    gone back from to the last good image. `message_id` is what the end is told by. Pushes that wait have ended, and
    those that it goes back from count as failed, so that no sweep brings them again. Where the group is on its way
    back already it goes on, or, if that is on the group, one image further back. Raises NothingToRollBackTo.
    """
    followed = {name: one for name, one in record.containers.items() if one.followed}
    found = {
        name: good
        for name, one in followed.items()
        if (good := _before(record, name, one, (running or {}).get(name))) and good.restored
    }
    if not found:
        if any(container.pin for container in record.containers.values()):
            return record  # on its way back, as far as it can go
        raise NothingToRollBackTo("no earlier good image is known than those that run now")
    before = record
    for name, good in found.items():
        container = record.containers[name]
        if container.pin and container.pin.good == good:
            continue
        pin = Pin(message=_message(record, container, good, message_id, now), good=good)
        record = record.with_container(name, pin=pin, failures=_set_aside(record, name, good, now))
    for message, names in _further_back(before, record):
        record = record.end(message, "superseded", "an operator rolled back further", names, now)
    waiting = record.waiting()
    record = record.without_candidates(lambda _name, _candidate: True).but(inbox=())
    for passed_over in waiting.values():
        record = record.end(passed_over, "superseded", "an operator rolled back to an earlier image", found, now)
    return record.but(hold=Hold(reason="rolled back", since=now), apart=False)


def _further_back(before: Record, after: Record) -> list[tuple[UpdateMessage, list[str]]]:
    """The ways back that no container is on any more, each with the containers that were."""
    still = {container.pin.message.id for container in after.containers.values() if container.pin}
    gone: dict[str, tuple[UpdateMessage, list[str]]] = {}
    for name, container in before.containers.items():
        if container.pin and container.pin.message.id not in still:
            gone.setdefault(container.pin.message.id, (container.pin.message, []))[1].append(name)
    return list(gone.values())


def _before(record: Record, name: str, container: ContainerRecord, running: str | None) -> Good | None:
    """The good image to go back to: the last one if something unproven runs in its place, else the one before."""
    asked = record.change.asked.get(name) if record.change else None
    if container.pin:
        on_group = asked == container.pin.message.id
        if not on_group:
            return container.pin.good  # the same again: its timer may have been lost
        place = _place(container, container.pin.good)
        return None if place is None else next(iter(container.goods[place + 1 :]), None)
    if candidate := container.candidate(asked):
        return displaced(container.goods, candidate.tag, candidate.digest)[0]
    failing = any(name in undone.containers for undone in record.undone)
    left = running is not None and running not in container.good.spellings and running in container.brought
    return container.good if failing or left else next(iter(container.goods[1:]), None)


def _set_aside(record: Record, name: str, good: Good, now: datetime) -> tuple[Failure, ...]:
    """The container's failures, with everything that is gone back from: no sweep is to bring it again."""
    container = record.containers[name]
    place = _place(container, good) or 0
    over = [_failure_of_good(newer, now) for newer in container.goods[:place]]
    asked = container.candidate(record.change.asked.get(name)) if record.change else None
    if asked:
        over.insert(0, _failure_of_candidate(asked, now))
    return (*over, *container.failures)[:FAILURES_KEPT]


def _failure_of_good(good: Good, now: datetime) -> Failure:
    return Failure(
        id=ROLLED_BACK,
        tag=good.tag or UNKNOWN_TAG,
        image=good.image,
        digest=good.digest,
        pushed_at=good.order[0] if good.order else None,
        code=ROLLED_BACK,
        at=now,
    )


def _failure_of_candidate(candidate: Candidate, now: datetime) -> Failure:
    push = candidate.message.push
    return Failure(
        id=candidate.id,
        tag=candidate.tag,
        image=candidate.image,
        digest=candidate.digest or push.digest,
        pushed_at=push.pushed_at,
        code=ROLLED_BACK,
        at=now,
    )


def _place(container: ContainerRecord, good: Good) -> int | None:
    """Which of the container's good images it is, counted from the newest; None if it is none of them."""
    return next((number for number, other in enumerate(container.goods) if other.is_same(good)), None)


def _message(record: Record, container: ContainerRecord, good: Good, message_id: str, now: datetime) -> UpdateMessage:
    image = ImageReference.parse(f"{container.repository}:{good.tag or UNKNOWN_TAG}")
    push = Push.of(ROLLBACK, image, pushed_at=now).model_copy(update={"digest": good.digest})
    return UpdateMessage(id=message_id, kind="rollout", push=push, received_at=now, target=record.target)


def what_comes_back(record: Record) -> list[str]:
    """The images that the group is on its way back to."""
    goods = (container.pin.good for container in record.containers.values() if container.pin)
    return sorted(good.restored or good.image for good in goods)
