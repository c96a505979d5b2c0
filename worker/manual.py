"""What an operator changes in a record by hand: hold, release, go back to the image before. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import dropwhile, islice

from shared.image import ImageReference
from shared.message import UpdateMessage
from shared.push import Push
from worker.record import Record
from worker.record_parts import ROLLBACK, ContainerRecord, Good, Hold, Wanted
from worker.rollback import brought_back

UNKNOWN_TAG = "unknown"
"""Stands for the tag of an image that was deployed by its digest before anybody noted a tag."""


class NothingToRollBackTo(ValueError):
    """The record knows no good image before the ones that run, or the group is on its way back already."""


def hold(record: Record, reason: str, now: datetime) -> Record:
    """No update until it is released; pushes are admitted and wait. A rollback under way goes on."""
    return record.but(hold=Hold(reason=reason, since=now, allows=record.hold.allows if record.hold else None))


def release(record: Record, now: datetime) -> Record:
    """Updates go on: what is wanted by now, the newest push of each container, is to be applied."""
    return record.but(hold=None).refresh([message.id for message in record.unfinished()], now)


def roll_back(record: Record, new_id: Callable[[], str], now: datetime) -> tuple[Record, UpdateMessage]:
    """Every container's good image before the one it runs is wanted, and the group is held until it is released.

    Returns the record and the message that carries it out: the same ones again where the group is on its way back
    already, as its message may have been lost. Raises NothingToRollBackTo.
    """
    if record.hold and record.hold.allows and record.rolling_back:
        under_way = record.owned_by(record.hold.allows)
        return record, next(iter(under_way.values())).message
    found = {
        name: (good, image)
        for name, one in record.containers.items()
        if (good := _before(one)) and (image := brought_back(one, good))
    }
    if not found:
        raise NothingToRollBackTo(f"no good image before the ones that run is known for {record.target}")
    pushes = {name: _push(record.containers[name], good, now) for name, (good, _) in found.items()}
    first = next(iter(pushes.values()))
    message = UpdateMessage(id=new_id(), kind="rollout", push=first, received_at=now, target=record.target)
    for name, (good, image) in found.items():
        own = message.model_copy(update={"push": pushes[name]})
        record = record.admit(name, Wanted(message=own, image=image, digest=good.digest, admitted_at=now))
    held = Hold(reason="rolled back", since=now, allows=message.id)
    return record.but(hold=held), message


def _before(one: ContainerRecord) -> Good | None:
    wanted = one.wanted
    if wanted is None:
        return None
    failure = one.failure_of(wanted.message.id)
    taken_back = failure is not None and failure.settled == "rolled-back"
    on_the_group = wanted.status != "done" and wanted.began_at and not taken_back
    if on_the_group and wanted.is_open and wanted.message.push.sender == ROLLBACK:
        further = dropwhile(lambda good: wanted.image not in {good.image, brought_back(one, good)}, one.goods)
        return next(islice(further, 1, None), None)
    # What was begun and is not proven runs in place of the last good image; otherwise that one runs itself.
    return next(iter(one.goods if on_the_group else one.goods[1:]), None)


def _push(one: ContainerRecord, good: Good, now: datetime) -> Push:
    image = ImageReference.parse(f"{one.repository}:{good.tag or UNKNOWN_TAG}")
    return Push.of(ROLLBACK, image, pushed_at=now).model_copy(update={"digest": good.digest})
