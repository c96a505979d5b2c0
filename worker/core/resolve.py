"""The best candidate of a container gets its image, by the digest that its registry reports. Pure.

Only the best one is looked up: a burst of pushes costs one lookup in the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.image import rewrite
from shared.message import UpdateMessage
from worker.core.failing import fail
from worker.core.following import Following, running_digest
from worker.core.leaving import leave
from worker.core.repeats import failed_before, is_same_push, repeated
from worker.groups.group import ContainerGroup
from worker.record.container import Candidate, ContainerRecord
from worker.record.lookups import Found
from worker.record.record import Record, remembered

MOST_LOOKUPS = 3
"""How often a missing image is looked up in its registry: one that was pushed a moment ago may still appear."""
LOOKUP_INTERVAL = timedelta(seconds=5)
"""The least time between two of these lookups."""


def unresolved(
    record: Record, followed: Mapping[str, Following]
) -> UpdateMessage | None:
    """A push to look up now because it is the best candidate of some container; None if there is none.

    While the group is held by hand nothing is looked up: what the registry says at its release counts. Only registries
    from which the group runs images are asked: a record comes from outside and must not decide where we connect to.
    """
    if record.hold:
        return None
    for name, container in record.containers.items():
        best = container.in_turn[0] if container.candidates else None
        follows = followed.get(name)
        if (
            best
            and best.image is None
            and follows
            and follows.name == best.message.push.image.name
        ):
            return best.message
    return None


def resolve(
    record: Record,
    group: ContainerGroup,
    followed: dict[str, Following],
    message: UpdateMessage,
    found: Found | None,
    now: datetime,
) -> Record:
    """Record what a push points at (None: unknown), and so the image that each container would get."""
    digest = found.digest if found else None
    for name, following in followed.items():
        container = record.containers.get(name)
        candidate = container.candidate(message.id) if container else None
        if container is None or candidate is None or candidate.image is not None:
            # One with an image was resolved earlier, and may be on the group by now. It must not change under a watch.
            continue
        if why := _not_built_for(following, found):
            record = leave(
                record,
                name,
                candidate,
                "ignored",
                f"{message.push.image} is {why}",
                now,
            )
        elif failure := repeated(container, message, digest):
            record = leave(
                record, name, candidate, "ignored", failed_before(failure), now
            )
        elif _runs_already(record, group, name, candidate, found):
            record = _unchanged(record, name, candidate, digest, now)
        else:
            resolved = _resolved(
                container, candidate, group.images[name], following.written, digest
            )
            candidates = tuple(
                resolved if other.id == message.id else _displaced(other, resolved)
                for other in container.candidates
            )
            # A PUT that was sent with the tag may still take effect. The record must recognise its image as ours.
            sent = [
                other.image
                for other in container.candidates
                if other.image and other not in candidates
            ]
            record = record.with_container(
                name, candidates=candidates, past=remembered(container, sent)
            )
    return record


def _not_built_for(following: Following, found: Found | None) -> str | None:
    """Why the policy's platform excludes an image; None if it doesn't, or if the image's platforms are unknown."""
    if found is None or found.built_for is None:
        return None
    return following.policy.conditions.not_built_for(found.built_for)


def not_there(
    record: Record, message: UpdateMessage, code: str, detail: str, now: datetime
) -> Record:
    """Count that the registry has no such image: after a few lookups the push has failed."""
    tried = record
    lookups = 0
    for name, container in record.containers.items():
        candidates = tuple(
            _missing_once_more(candidate, now)
            if candidate.id == message.id
            else candidate
            for candidate in container.candidates
        )
        tried = tried.with_container(name, candidates=candidates)
        # Each container counts for itself: added up, two of them would use up the tries of one.
        lookups = max(
            [
                lookups,
                *(
                    candidate.lookups
                    for candidate in candidates
                    if candidate.id == message.id
                ),
            ]
        )
    if lookups < MOST_LOOKUPS:
        return tried
    return fail(
        tried, {message.id}, code, detail, now, circumstance=True, attempts=lookups
    )


def was_missing(record: Record, message: UpdateMessage) -> bool:
    """Whether the registry has answered before that it has no such image."""
    candidates = (
        container.candidate(message.id) for container in record.containers.values()
    )
    return any(candidate and candidate.lookups for candidate in candidates)


def _missing_once_more(candidate: Candidate, now: datetime) -> Candidate:
    # Other pushes may cause several looks within a second, but a registry may need seconds to show a new image.
    if candidate.looked_up_at and now < candidate.looked_up_at + LOOKUP_INTERVAL:
        return candidate
    return candidate.but(lookups=candidate.lookups + 1, looked_up_at=now)


def no_image(
    record: Record, message: UpdateMessage, what: str, now: datetime
) -> Record:
    """Ignore a push that is not an image by its manifest: a build cache, a chart, a signature."""
    for name, container in record.containers.items():
        if candidate := container.candidate(message.id):
            why = (
                f"{message.push.image} is not an image that a container can run: {what}"
            )
            record = leave(record, name, candidate, "ignored", why, now)
    return record


def _resolved(
    container: ContainerRecord,
    candidate: Candidate,
    running: str,
    written: str,
    digest: str | None,
) -> Candidate:
    """The candidate with its image: a new tag by its name, a moved tag by its digest, or else by a restart."""
    others = (
        other.tag
        for other in container.candidates
        if other.id != candidate.id and other.image
    )
    # By its tag alone the new image could not be told from the one that ran under that tag before.
    moves = candidate.tag in {
        *others,
        *(good.tag for good in container.goods),
    } or _has_failed(container, candidate)
    image = (
        rewrite(written, digest=digest)
        if moves and digest
        else rewrite(written, tag=candidate.tag)
    )
    # A PUT by digest is certain to bring the image in. Whether a restart pulls a tag again is not
    # (worker.core.proving), so it is left to pushes without any digest.
    return candidate.but(
        image=image, digest=digest, restart=image == running and not digest
    )


def _displaced(other: Candidate, newer: Candidate) -> Candidate:
    """A push whose tag a newer push has moved: from now on only its digest identifies it."""
    moved = (
        other.tag == newer.tag
        and other.image is not None
        and other.digest not in {None, newer.digest}
    )
    if not moved or other.image is None or other.digest is None:
        return other
    return other.but(image=rewrite(other.image, digest=other.digest), restart=False)


def _has_failed(container: ContainerRecord, candidate: Candidate) -> bool:
    return candidate.tag in {failure.tag for failure in container.failures}


def _runs_already(
    record: Record,
    group: ContainerGroup,
    name: str,
    candidate: Candidate,
    found: Found | None,
) -> bool:
    """Whether the container runs exactly this image, and well.

    Without a digest only a second delivery of the same push is known to be the same image. An image that runs
    unwatched, because another container's change pulled it, may be anything. For an index, Azure reports the digest
    of the platform's manifest and the registry that of the index: both are one image.
    """
    good, change = record.containers[name].good, record.change
    # A change that concerns this container is under way. What the container shows now may not be what it keeps.
    if change and (
        name in change.asked
        or not _is_spelling_of(good.spellings, change.images.get(name))
    ):
        return False
    # The same image under another tag is an update all the same: the container is to follow the pushed tag.
    if good.tag != candidate.tag or group.images[name] not in good.spellings:
        return False
    if found is None:
        pushed_at = good.order[0] if good.order else None
        return is_same_push(candidate.message, good.tag, pushed_at, good.digest)
    is_good = good.digest is None or good.digest in found.digests
    return is_good and running_digest(group, name) in found.digests


def _is_spelling_of(spellings: frozenset[str], image: str | None) -> bool:
    return image is None or image in spellings


def _unchanged(
    record: Record, name: str, candidate: Candidate, digest: str | None, now: datetime
) -> Record:
    """End the push as unchanged, and the older ones as superseded."""
    good = record.containers[name].good
    # A delivery that comes late must not make the image seem older than a newer one has shown it to be.
    order = (
        max(good.order, candidate.message.order)
        if good.order
        else candidate.message.order
    )
    goods = (
        # Its tag points at this very image, so the tag may bring it back again.
        good.but(digest=digest or good.digest, order=order, pushed_again=False),
        *record.containers[name].goods[1:],
    )
    candidates = record.containers[name].candidates
    older = candidates[candidates.index(candidate) + 1 :]
    record = leave(
        record,
        name,
        candidate,
        "unchanged",
        f"{name} runs {candidate.message.push.image} already",
        now,
    )
    record = record.with_container(name, goods=goods)
    for other in older:
        record = leave(
            record,
            name,
            other,
            "superseded",
            f"{candidate.message.push.image} is newer, and runs",
            now,
        )
    return record
