"""Proving: what has run well for long enough becomes the last good image, and its pushes end. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from worker.core.failing import brought_back
from worker.core.following import running_digest
from worker.core.leaving import leave
from worker.groups.group import ContainerGroup
from worker.record.container import Candidate, ContainerRecord, Good, Pin
from worker.record.record import GOODS_KEPT, Record, displaced, remembered
from worker.record.values import AddressChange


def prove(
    record: Record,
    group: ContainerGroup,
    unproven: Mapping[str, str],
    now: datetime,
) -> Record:
    """Take what runs for proven. `unproven` maps each container to the message that asked for its image, if any."""
    change = record.change
    if change is None:
        raise ValueError("the record has no change to prove")
    address_change = _address_change(change.address, group.address)
    # This is read before anything is proven. Afterwards the record knows only the new images as the good ones, and
    # nobody could say what ran before.
    before = record.good_images()
    record = brought_back(record, group.images, now)
    messages = record.waiting()
    details: dict[str, dict[str, str]] = {}
    for name, message_id in sorted(unproven.items()):
        container = record.containers[name]
        if container.pin:
            # A rollback by hand is no candidate, so it is not among the pushes that wait.
            messages[message_id] = container.pin.message
            record = record.with_container(
                name, **_after_rollback(container, container.pin)
            )
            # One that was reverted is told by its own failure (worker.core.failing).
            if not container.pin.reverting:
                details.setdefault(message_id, {})[name] = (
                    f"{name} runs {group.images[name]}"
                )
        elif candidate := container.candidate(message_id):
            # The digest of what was pulled since the change began. An earlier pull says nothing about this change.
            digest = group.running_digest(name, change.began_at)
            record = _proven(
                record, group, name, candidate, digest, unproven.values(), now
            )
            details.setdefault(message_id, {})[name] = _say_running(
                name, candidate, digest
            )
    for message_id, per_container in details.items():
        sentences = [
            *per_container.values(),
            *([str(address_change)] if address_change else []),
        ]
        record = record.end(
            messages[message_id],
            "updated",
            "; ".join(sentences),
            per_container,
            now,
            before=before,
        )
    if address_change:
        about = next((messages[message_id] for message_id in details), None)
        record = record.but(
            address_changes=(*record.address_changes, address_change.but(message=about))
        )
    return record


def _proven(
    record: Record,
    group: ContainerGroup,
    name: str,
    won: Candidate,
    digest: str | None,
    asking: Collection[str],
    now: datetime,
) -> Record:
    """The candidate becomes the last good image. Older candidates end; better ones go on waiting."""
    container = record.containers[name]
    place = container.candidates.index(won)
    # Those in front of it are better. They had to let it pass, because Azure could not pull them or a registry had yet
    # to answer, and have their turn again.
    for older in container.candidates[place + 1 :]:
        record = leave(
            record,
            name,
            older,
            "superseded",
            f"{won.message.push.image} is newer, and runs",
            now,
            asking,
        )
    container = record.containers[name]
    good = Good(
        image=won.image or group.images[name],
        tag=won.tag,
        digest=digest or won.digest or running_digest(group, name),
        order=won.message.order,
    )
    goods = (good, *_earlier_goods(container, won, good))
    return record.with_container(
        name,
        goods=goods[:GOODS_KEPT],
        candidates=tuple(other for other in container.candidates if other.id != won.id),
        past=remembered(container, [other.image for other in goods[GOODS_KEPT:]]),
    )


def _earlier_goods(
    container: ContainerRecord,
    won: Candidate,
    good: Good,
) -> list[Good]:
    """The good images from before, without the one that has become the last good image again."""
    # One whose tag has moved stays, although it is written in the same way: its digest still brings it back.
    before = displaced(container.goods, won.tag, good.digest)
    return [other for other in before if other.image != good.image or other.moved]


def _after_rollback(container: ContainerRecord, pin: Pin) -> dict[str, object]:
    """The changes of a container whose rollback by hand has ended.

    The good images that are newer than the pinned one are not good to go back to any more.
    """
    if pin.reverting:
        return {"pin": None}
    places = [
        number for number, good in enumerate(container.goods) if good.is_same(pin.good)
    ]
    older = container.goods[places[0] + 1 :] if places else ()
    passed_over = [
        good.image
        for good in container.goods
        if not good.is_same(pin.good) and good not in older
    ]
    # The pinned image counts as pushed at the time of the rollback, so that no earlier push is newer.
    good = pin.good.but(order=pin.message.order)
    return {
        "pin": None,
        "goods": (good, *older),
        "past": remembered(container, passed_over),
    }


def _say_running(name: str, candidate: Candidate, digest: str | None) -> str:
    if not candidate.restart:
        return f"{name} runs {candidate.image}"
    if digest:
        return f"{name} was restarted and runs {candidate.image} at {digest}"
    # Whether a restart pulls a tag again is not certain: Azure documents it, and users have seen it keep the old image.
    # https://learn.microsoft.com/rest/api/container-instances/container-groups/restart
    return f"{name} was restarted with {candidate.image}; unverified: Azure does not say which image it pulled"


def _address_change(
    before: Mapping[str, str], after: Mapping[str, str]
) -> AddressChange | None:
    """The change of the public address, if it changed."""
    moved = AddressChange(before=dict(before), after=dict(after))
    return moved if moved.parts else None
