"""What each container of a group should run now, and whether it does. Pure.

What an operator went back to; else, unless the group is held by hand, the best candidate; else the last good image.
Nothing is remembered of how it came about: a look compares this with what runs, and does the one next thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.record.overrides import ROLLED_BACK
from worker.record.record import Record
from worker.record.values import Change, ContainerRecord


@dataclass(frozen=True, slots=True)
class Desired:
    """What one container should run: `image`, in any of `spellings`.

    `id` names the message that asked for it, as long as it is not proven; None for what ran well before. `restart`:
    the same image is to be pulled again.
    """

    image: str
    spellings: frozenset[str]
    id: str | None = None
    restart: bool = False


def desired(record: Record, images: Mapping[str, str], *, rollback: bool) -> dict[str, Desired]:
    """What should run, for each container of which anything is wanted. `images` is what runs (container → image)."""
    found = {}
    later = _tried_later(record)
    for name, container in record.containers.items():
        if name not in images:
            continue
        if name in later:
            # An older push that came here before goes on being watched: it, too, may be what breaks the group.
            here = tuple(each for each in container.candidates if each.image == images[name] and not each.restart)
            if not here:
                continue
            container = container.but(candidates=here)
        if wish := _desired(record, name, container, images[name], rollback=rollback):
            found[name] = wish
    return found


def _tried_later(record: Record) -> list[str]:
    """The containers that get no new push for now, where each push is to be tried apart: all that wait but the first.

    Azure refused several images at once, for good or for now. The one that was refused least often comes first.
    """
    if not record.apart:
        return []
    refusals = {name: one.in_turn[0].refusals for name, one in record.containers.items() if one.candidates}
    return sorted(refusals, key=lambda name: (refusals[name], name))[1:]


def _desired(record: Record, name: str, container: ContainerRecord, running: str, *, rollback: bool) -> Desired | None:
    if container.pin:
        image = container.pin.good.restored
        return Desired(image, container.pin.good.spellings, container.pin.message.id) if image else None
    if record.hold:
        # What was begun before the hold is watched to its end, but nothing new is begun.
        begun = container.candidate(record.change.asked.get(name)) if record.change else None
        if begun and begun.image:
            return _of_candidate(begun.image, begun.id, restart=begun.restart)
        # What an operator went back from does not stay, though a late change brings it in once more.
        gone_back_from = {failure.image for failure in container.failures if failure.code == ROLLED_BACK}
        good = container.good
        here = running in gone_back_from - good.spellings
        return Desired(good.restored, good.spellings) if good.restored and here else None
    # A better one whose registry has not answered yet, or lets Azure pull nothing for hours, does not keep the next
    # best from running meanwhile.
    best = next((candidate for candidate in container.in_turn if candidate.image), None)
    if best and best.image:
        return _of_candidate(best.image, best.id, restart=best.restart)
    good = container.good
    # A container without a rule is its owner's, but for one case: our restart pulled another image of its tag.
    if not container.followed and not good.moved:
        return None
    left_as_it_is = not rollback and running in {failure.image for failure in container.failures}
    if good.restored is None or left_as_it_is:
        return None
    return Desired(good.restored, good.spellings)


def _of_candidate(image: str, message_id: str, *, restart: bool) -> Desired:
    return Desired(image, frozenset({image}), message_id, restart)


def runs(name: str, wish: Desired, images: Mapping[str, str], change: Change | None) -> bool:
    """Does the container run what it should, as far as its image tells?

    What only a restart brings in is there once a change was made for it.
    """
    if wish.restart and not (change and change.asked.get(name) == wish.id):
        return False
    return images[name] in wish.spellings


def to_put(wishes: Mapping[str, Desired], images: Mapping[str, str], change: Change | None) -> dict[str, str]:
    """The image that each container is to have: the one that it has, in its own spelling, where that is right."""
    return {name: images[name] if runs(name, wish, images, change) else wish.image for name, wish in wishes.items()}


def drifted(record: Record, images: Mapping[str, str], *, rollback: bool) -> bool:
    """Does a group that is at rest run anything else than it should? `images` as for `desired`.

    A late change may have come in, or the owner has deployed something: a look will tell which.
    """
    if record.change and record.change.refused:
        return False  # it was tried, and Azure does not take it
    wishes = desired(record, images, rollback=rollback)
    if any(not runs(name, wish, images, record.change) for name, wish in wishes.items()):
        return True
    known = {name for name, container in record.containers.items() if container.followed}
    return bool(known - images.keys())
