"""What each container of a group should run now, and whether it runs that. Pure.

The desired image is the pinned one, if an operator rolled back; else, unless the group is held by hand, the image of
the best candidate; else the last good one. How the record came to hold them does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.record.container import Candidate, ContainerRecord
from worker.record.overrides import ROLLED_BACK
from worker.record.record import Record
from worker.record.values import Change


@dataclass(frozen=True, slots=True)
class Desired:
    """What one container should run: `image`, which a group may also have in any of the `spellings`.

    `id` names the message that asked for the image, for as long as the image is unproven; it is None for an image that
    ran well before. `restart`: the group has the image already, and only a restart pulls what its tag points at now.
    """

    image: str
    spellings: frozenset[str]
    id: str | None = None
    restart: bool = False


def desired(
    record: Record,
    images: Mapping[str, str],
    *,
    rollback: bool,
) -> dict[str, Desired]:
    """What should run, for each container for which that is known. `images` is what runs (container → image)."""
    found = {}
    later = _containers_whose_turn_comes_later(record)
    is_broken = rollback and _must_be_brought_back(record, images)
    for name, container in record.containers.items():
        # A look drops what is gone from the group, but the patrol asks before that, with the images of a list.
        if name not in images:
            continue
        considered = (
            _only_what_runs(container, images[name]) if name in later else container
        )
        # Without a wish a container keeps the image that it has, because a PUT changes those of the wishes alone.
        if considered is None:
            continue
        if is_broken:
            # Azure takes or refuses a group as a whole. What it could not pull must not hold up the way back, for hours
            # perhaps.
            considered = _without_refused(considered, images[name])
        if wish := _desired(record, name, considered, images[name], rollback=rollback):
            found[name] = wish
    return found


def _containers_whose_turn_comes_later(record: Record) -> list[str]:
    """Where pushes are tried apart: every container with candidates except the first. Else none."""
    # Azure refused several new images in one PUT, for good or for now, so they are put one after the other. The one
    # that was refused least often comes first.
    if not record.apart:
        return []
    refusals = {
        name: container.in_turn[0].refusals
        for name, container in record.containers.items()
        if container.candidates
    }
    return sorted(refusals, key=lambda name: (refusals[name], name))[1:]


def _only_what_runs(container: ContainerRecord, running: str) -> ContainerRecord | None:
    """The container with no candidates but those whose image it runs; None without any.

    A push that reached the container earlier must go on being watched, because it, too, may break the group.
    """
    here = tuple(
        candidate
        for candidate in container.candidates
        if candidate.image == running and not candidate.restart
    )
    return container.but(candidates=here) if here else None


def _desired(
    record: Record,
    name: str,
    container: ContainerRecord,
    running: str,
    *,
    rollback: bool,
) -> Desired | None:
    # The pin comes before the hold: a rollback by hand sets both, and the hold must not keep the pinned image away.
    if container.pin:
        image = container.pin.good.restored
        return (
            Desired(image, container.pin.good.spellings, container.pin.message.id)
            if image
            else None
        )
    if record.hold:
        return _desired_while_held(record, name, container, running)
    candidate = _next_in_turn(container)
    return (
        _of_candidate(candidate)
        if candidate
        else _last_good(container, running, rollback=rollback)
    )


def _next_in_turn(container: ContainerRecord) -> Candidate | None:
    """The candidate to bring in now; None without any."""
    # The best candidate may still wait for its registry's answer. Meanwhile the next best one runs.
    return next((candidate for candidate in container.in_turn if candidate.image), None)


def _without_refused(container: ContainerRecord, running: str) -> ContainerRecord:
    """The container without the candidates that Azure could not pull. One that runs by now was pulled after all."""
    pulled = (
        candidate
        for candidate in container.candidates
        if not candidate.refusals or candidate.image == running
    )
    return container.but(candidates=tuple(pulled))


def _must_be_brought_back(record: Record, images: Mapping[str, str]) -> bool:
    """Whether some container is known to be broken, and can be brought back to its last good image."""
    if record.change and record.change.refused:
        return False  # Azure refuses the way back for good, so only a new push can repair the group.
    runs_failed = any(
        container.good.restored and container.runs_failed(images[name])
        for name, container in record.containers.items()
        if name in images
    )
    return runs_failed or bool(record.undone)


def _desired_while_held(
    record: Record,
    name: str,
    container: ContainerRecord,
    running: str,
) -> Desired | None:
    """While a group is held by hand: what was begun before the hold, or else what an operator's rollback left."""
    # A change that was begun goes on being watched: dropping it would leave an unproven image on the group.
    begun = (
        container.candidate(record.change.asked.get(name)) if record.change else None
    )
    if begun and begun.image:
        return _of_candidate(begun)
    # A late change may bring back the image that an operator rolled back from. That image does not stay.
    rolled_back_from = {
        failure.image for failure in container.failures if failure.code == ROLLED_BACK
    }
    good = container.good
    if good.restored and running in rolled_back_from - good.spellings:
        return Desired(good.restored, good.spellings)
    return None


def _last_good(
    container: ContainerRecord,
    running: str,
    *,
    rollback: bool,
) -> Desired | None:
    """The last good image, where it is ours to put back."""
    good = container.good
    # A container without a rule is its owner's business, with one exception: our restart may have pulled another image
    # under its tag.
    if not container.followed and not good.moved:
        return None
    # With ACI_HOOKS_ROLLBACK off, what failed stays on the group until something newer replaces it.
    failed_stays = not rollback and container.runs_failed(running)
    if good.restored is None or failed_stays:
        return None
    return Desired(good.restored, good.spellings)


def _of_candidate(candidate: Candidate) -> Desired | None:
    """A candidate as the desired image; None while its image is not known."""
    image = candidate.image
    return (
        Desired(image, frozenset({image}), candidate.id, candidate.restart)
        if image
        else None
    )


def runs(
    name: str,
    wish: Desired,
    images: Mapping[str, str],
    change: Change | None,
) -> bool:
    """Whether the container runs the desired image, as far as the image's name can tell.

    A restart leaves the name as it is. It counts as done once the record holds a change that was made for it.
    """
    is_restarted = change is not None and change.asked.get(name) == wish.id
    if wish.restart and not is_restarted:
        return False
    return images[name] in wish.spellings


def to_put(
    wishes: Mapping[str, Desired],
    images: Mapping[str, str],
    change: Change | None,
) -> dict[str, str]:
    """The image that a PUT gives each container. One that is right already keeps the spelling that it has."""
    return {
        name: images[name] if runs(name, wish, images, change) else wish.image
        for name, wish in wishes.items()
    }


def drifted(record: Record, images: Mapping[str, str], *, rollback: bool) -> bool:
    """Whether a group at rest runs anything but its desired images. `images` is as for `desired`.

    A late change may have taken effect, or the owner may have deployed something; a look tells which.
    """
    if record.change and record.change.refused:
        return False  # putting the image back was tried, and Azure refuses it for good
    wishes = desired(record, images, rollback=rollback)
    if any(
        not runs(name, wish, images, record.change) for name, wish in wishes.items()
    ):
        return True
    # A look ends what waits for a container that is gone.
    followed = {
        name for name, container in record.containers.items() if container.followed
    }
    return bool(followed - images.keys())
