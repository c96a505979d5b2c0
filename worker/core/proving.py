"""Proving: what has run well for long enough is the last good image, and pushes have ended. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from worker.core.admit import leave
from worker.core.failing import brought_back
from worker.core.following import running_digest
from worker.groups.group import ContainerGroup
from worker.record.record import GOODS_KEPT, Record, displaced, remembered
from worker.record.values import AddressChange, Candidate, ContainerRecord, Good, Pin


def prove(record: Record, group: ContainerGroup, unproven: Mapping[str, str], now: datetime) -> Record:
    """What runs is proven. `unproven` names the message that asked for it (container → id), where one did."""
    change = record.change
    if change is None:
        raise ValueError("there is a change to prove")
    moved = _address_change(change.address, group.address)
    before = record.good_images()
    record = brought_back(record, group.images, now)
    messages, details = record.waiting(), dict[str, dict[str, str]]()
    for name, message_id in sorted(unproven.items()):
        container = record.containers[name]
        # What was pulled since the change; what was there all the time can only be asked for what it pulled last.
        digest = group.running_digest(name, change.began_at)
        if container.pin:
            messages[message_id] = container.pin.message
            record = record.with_container(name, **_gone_back(container, container.pin))
            if not container.pin.reverting:
                details.setdefault(message_id, {})[name] = f"{name} runs {group.images[name]}"
        elif candidate := container.candidate(message_id):
            record = _proven(record, group, name, candidate, digest, unproven.values(), now)
            details.setdefault(message_id, {})[name] = _say_running(name, candidate, digest)
    for message_id, told in details.items():
        detail = "; ".join([*told.values(), *([str(moved)] if moved else [])])
        record = record.end(messages[message_id], "updated", detail, told, now, before=before)
    if moved:
        teller = next((messages[message_id] for message_id in details), None)
        record = record.but(address_changes=(*record.address_changes, moved.but(message=teller)))
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
    """The candidate is the last good image; those that it is newer than have ended, better ones go on waiting."""
    container = record.containers[name]
    place = container.candidates.index(won)
    for older in container.candidates[place + 1 :]:
        record = leave(record, name, older, "superseded", f"{won.message.push.image} is newer, and runs", now, asking)
    container = record.containers[name]
    image = won.image or group.images[name]
    good = Good(
        image=image, tag=won.tag, digest=digest or won.digest or running_digest(group, name), order=won.message.order
    )
    before = displaced(container.goods, won.tag, good.digest)
    others = [other for other in before if other.image != image or other.moved]
    goods = (good, *others)
    return record.with_container(
        name,
        goods=goods[:GOODS_KEPT],
        candidates=tuple(other for other in container.candidates if other.id != won.id),
        past=remembered(container, [other.image for other in goods[GOODS_KEPT:]]),
    )


def _gone_back(container: ContainerRecord, pin: Pin) -> dict[str, object]:
    """An operator's way back has come to its end: what it went back over is none to go back to any more."""
    if pin.reverting:
        return {"pin": None}
    places = [number for number, good in enumerate(container.goods) if good.is_same(pin.good)]
    older = container.goods[places[0] + 1 :] if places else ()
    over = [good.image for good in container.goods if not good.is_same(pin.good) and good not in older]
    good = pin.good.but(order=pin.message.order)
    return {"pin": None, "goods": (good, *older), "past": remembered(container, over)}


def _say_running(name: str, candidate: Candidate, digest: str | None) -> str:
    if not candidate.restart:
        return f"{name} runs {candidate.image}"
    if digest:
        return f"{name} was restarted and runs {candidate.image} at {digest}"
    return f"{name} was restarted with {candidate.image}; unverified: Azure does not say which image it pulled"


def _address_change(before: Mapping[str, str], after: Mapping[str, str]) -> AddressChange | None:
    """Did the public address change? Only what both answers tell can be compared."""
    known = {part for part in before.keys() & after.keys() if "0.0.0.0" not in (before[part], after[part])}  # noqa: S104
    if all(before[part] == after[part] for part in known):
        return None
    return AddressChange(before=dict(before), after=dict(after))
