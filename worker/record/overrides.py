"""What an operator changes in a record by hand: hold, release, go back to the image before. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.image import ImageReference, InvalidImage, rewrite
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


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator says of a way back: `to` which image, if not simply to the one before, why, and who it is."""

    to: ImageReference | None = None
    reason: str | None = None
    by: str | None = None


def hold(record: Record, reason: str, now: datetime, by: str | None = None, until: datetime | None = None) -> Record:
    """No update until it is released: pushes are received and wait. An operator's way back goes on."""
    return record.but(hold=Hold(reason=reason, since=now, by=by, until=until))


def release(record: Record) -> Record:
    """Updates go on: the newest push of each container is desired again, and no way back is any more."""
    for name, container in record.containers.items():
        if container.pin:
            record = record.with_container(name, pin=None)
    return record.but(hold=None)


def end_hold(record: Record, now: datetime) -> Record | None:
    """The record without a hold whose time is over; None if it has no such hold."""
    if record.hold is None or not record.hold.is_over(now):
        return None
    return release(record).with_deed("the hold ended, as its time was over", None, now)


def roll_back(
    record: Record,
    message_id: str,
    now: datetime,
    running: Mapping[str, str] | None = None,
    wish: Wish = Wish(),
) -> Record:
    """Every container's good image before the one that it runs is pinned, and the group is held until it is released.

    `running` is what the group runs (container → image), if that can be told: a push that failed and was left there is
    gone back from to the last good image. `message_id` is what the end is told by. Pushes that wait have ended, and
    those that it goes back from count as failed, so that no sweep brings them again. Where the group is on its way
    back already it goes on, or, if that is on the group, one image further back. With a `wish.to` the containers of
    that repository go to that image instead, whatever they run. Raises NothingToRollBackTo.
    """
    found = _asked_for(record, wish.to) if wish.to else _all_before(record, running or {})
    if not found:
        if wish.to:
            raise NothingToRollBackTo(f"no container that is kept up to date follows {wish.to.name}")
        if any(container.pin for container in record.containers.values()):
            return record  # on its way back, as far as it can go
        raise NothingToRollBackTo("no earlier good image is known than those that run now")
    before = record
    for name, good in found.items():
        container = record.containers[name]
        if container.pin and container.pin.good == good:
            continue
        pin = Pin(message=_message(record, container, good, message_id, now, wish.by), good=good)
        record = record.with_container(name, pin=pin, failures=_set_aside(record, name, good, now))
    for message, names in _further_back(before, record):
        record = record.end(message, "superseded", "an operator rolled back further", names, now)
    waiting = record.waiting()
    record = record.without_candidates(lambda _name, _candidate: True).but(inbox=())
    for passed_over in waiting.values():
        record = record.end(passed_over, "superseded", "an operator rolled back to an earlier image", found, now)
    reason = f"rolled back: {wish.reason}" if wish.reason else "rolled back"
    return record.but(hold=Hold(reason=reason, since=now, by=wish.by), apart=False)


def _all_before(record: Record, running: Mapping[str, str]) -> dict[str, Good]:
    """The image that each container goes back to, where there is one that can be brought back."""
    found = {}
    for name, container in record.containers.items():
        good = _before(record, name, container, running.get(name)) if container.followed else None
        if good and good.restored:
            found[name] = good
    return found


def _asked_for(record: Record, to: ImageReference) -> dict[str, Good]:
    """The image that an operator names, for each container that follows its repository.

    One that ran well before comes back as it was then. Any other is taken by its name: if it does not run, what ran
    before is brought back.
    """
    return {
        name: next((good for good in container.goods if good.restored and _is(good, to)), _by_name(container, to))
        for name, container in record.containers.items()
        if container.followed and container.repository == to.name
    }


def _is(good: Good, to: ImageReference) -> bool:
    return good.digest == to.digest if to.digest else good.tag is not None and good.tag == to.tag


def _name(image: str) -> str | None:
    try:
        return ImageReference.parse(image).name
    except InvalidImage:
        return None


def _by_name(container: ContainerRecord, to: ImageReference) -> Good:
    # A rule may name another repository than the one that the container ran until now.
    written = container.good.image if _name(container.good.image) == container.repository else container.repository
    image = rewrite(written, digest=to.digest) if to.digest else rewrite(written, tag=to.tag)
    return Good(image=image, tag=to.tag, digest=to.digest)


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
    place = _place(container, good)
    # What an operator named and nobody has run yet is reached from the last good image.
    newer_ones = container.goods[: 1 if place is None else place]
    over = [_failure_of_good(newer, now) for newer in newer_ones]
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


def _message(
    record: Record, container: ContainerRecord, good: Good, message_id: str, now: datetime, by: str | None
) -> UpdateMessage:
    image = ImageReference.parse(f"{container.repository}:{good.tag or UNKNOWN_TAG}")
    push = Push.of(ROLLBACK, image, pushed_at=now).model_copy(update={"digest": good.digest, "pusher": by})
    return UpdateMessage(id=message_id, kind="rollout", push=push, received_at=now, target=record.target)


def what_comes_back(record: Record) -> list[str]:
    """The images that the group is on its way back to."""
    goods = (container.pin.good for container in record.containers.values() if container.pin)
    return sorted(good.restored or good.image for good in goods)
