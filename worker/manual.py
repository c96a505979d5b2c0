"""What an operator changes in a record by hand: hold, release, go back to the image before. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shared.image import ImageReference, rewrite
from shared.message import UpdateMessage
from shared.push import Push
from worker.record import ContainerRecord, Good, Hold, Record, Wanted

UNKNOWN_TAG = "unknown"
"""Stands for the tag of an image that was deployed by its digest before anybody noted a tag."""


class NothingToRollBackTo(ValueError):
    """The record knows no good image before the ones that run."""


def hold(record: Record, reason: str, now: datetime) -> Record:
    """No update until it is released; pushes are admitted and wait."""
    return record.but(hold=Hold(reason=reason, since=now))


def release(record: Record, now: datetime) -> Record:
    """Updates go on: what is wanted by now, the newest push of each container, is to be applied."""
    released = record.but(hold=None)
    for name, wanted in record.open().items():
        released = released.admit(name, wanted.but(admitted_at=now))
    return released


def roll_back(record: Record, new_id: Callable[[], str], now: datetime) -> tuple[Record, UpdateMessage]:
    """Every container's good image before the one it runs is wanted, and the group is held until it is released.

    Returns the record and the message that carries it out. Raises NothingToRollBackTo.
    """
    found = {name: good for name, one in record.containers.items() if (good := _before(one))}
    if not found:
        raise NothingToRollBackTo(f"no good image before the ones that run is known for {record.target}")
    pushes = {name: _push(record.containers[name], good, now) for name, good in found.items()}
    first = next(iter(pushes.values()))
    message = UpdateMessage(id=new_id(), kind="rollout", push=first, received_at=now, target=record.target)
    for name, good in found.items():
        own = message.model_copy(update={"push": pushes[name]})
        image = _image(record.containers[name], good)
        record = record.admit(name, Wanted(message=own, image=image, digest=good.digest, admitted_at=now))
    held = Hold(reason="rolled back", since=now, allows=message.id)
    return record.but(hold=held), message


def _before(one: ContainerRecord) -> Good | None:
    if one.wanted is None or not one.goods:
        return None
    # An open or failed push runs in place of the last good image; a finished one is the last good image itself.
    return one.goods[0] if one.wanted.status != "done" else next(iter(one.goods[1:]), None)


def _image(one: ContainerRecord, good: Good) -> str:
    moved = one.wanted is not None and one.wanted.message.push.tag == good.tag
    return rewrite(good.image, digest=good.digest) if moved and good.digest else good.image


def _push(one: ContainerRecord, good: Good, now: datetime) -> Push:
    image = ImageReference.parse(f"{one.repository}:{good.tag or UNKNOWN_TAG}")
    return Push.of("rollback", image, pushed_at=now).model_copy(update={"digest": good.digest})
