"""The good images that a rollback by hand can bring back: the one before, or the one that an operator names. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from shared.image import ImageReference, InvalidImage, rewrite
from worker.record.container import ContainerRecord, Good
from worker.record.record import Record, displaced


def asked_for(record: Record, to: ImageReference) -> dict[str, Good]:
    """The image that an operator names, for each container that follows its repository.

    One that ran well before comes back as it was then. Any other is taken by its name: if it does not run, what ran
    before is brought back.
    """
    found = {}
    for name, container in record.containers.items():
        if not container.followed or container.repository != to.name:
            continue
        known = (good for good in container.goods if good.restored and _is(good, to))
        found[name] = next(known, None) or _by_name(container, to)
    return found


def goods_before(record: Record, running: Mapping[str, str]) -> dict[str, Good]:
    """The good image that each container can go back to. Containers without a rule are left alone."""
    found = {}
    for name, container in record.containers.items():
        # Such a container is the owner's: what runs there was never ours to choose.
        if not container.followed:
            continue
        good = _before(record, name, container, running.get(name))
        # An image whose tag has moved and whose digest is not known can't be brought back.
        if good and good.restored:
            found[name] = good
    return found


def place_of(container: ContainerRecord, good: Good) -> int | None:
    """The place of an image among the container's good ones, the newest being 0; None if it is not among them."""
    return next(
        (number for number, other in enumerate(container.goods) if other.is_same(good)),
        None,
    )


def _is(good: Good, to: ImageReference) -> bool:
    # A digest names one image, whatever its tag. A tag alone means the newest good image that was pushed with it.
    if to.digest:
        return good.digest == to.digest
    return good.tag is not None and good.tag == to.tag


def _name(image: str) -> str | None:
    try:
        return ImageReference.parse(image).name
    except InvalidImage:
        return None


def _by_name(container: ContainerRecord, to: ImageReference) -> Good:
    written = container.good.image
    # A rule may name another repository than the one that the container ran until now.
    if _name(written) != container.repository:
        written = container.repository
    # A digest stands alone, and a tag beside it would say nothing more.
    tag = None if to.digest else to.tag
    image = rewrite(written, tag=tag, digest=to.digest)
    return Good(image=image, tag=to.tag, digest=to.digest)


def _before(
    record: Record,
    name: str,
    container: ContainerRecord,
    running: str | None,
) -> Good | None:
    """The good image before the one that a container runs; None if there is none."""
    asked = record.change.asked.get(name) if record.change else None
    if container.pin:
        is_on_group = asked == container.pin.message.id
        if not is_on_group:
            # The same image again, so that a timer that was lost is started again.
            return container.pin.good
        return _next_older(container, container.pin.good)
    if candidate := container.candidate(asked):
        # The push may have moved the last good image's own tag. Then only the digest leads back to it.
        return displaced(container.goods, candidate.tag, candidate.digest)[0]
    if _runs_something_unproven(record, name, container, running):
        return container.good
    return next(iter(container.goods[1:]), None)


def _runs_something_unproven(
    record: Record,
    name: str,
    container: ContainerRecord,
    running: str | None,
) -> bool:
    """Whether the container runs a failed push instead of its last good image."""
    is_being_rolled_back = any(name in undone.containers for undone in record.undone)
    was_left_there = (
        running is not None
        and running not in container.good.spellings
        and running in container.brought
    )
    return is_being_rolled_back or was_left_there


def _next_older(container: ContainerRecord, good: Good) -> Good | None:
    place = place_of(container, good)
    if place is None:
        return None
    return next(iter(container.goods[place + 1 :]), None)
