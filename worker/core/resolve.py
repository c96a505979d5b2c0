"""The best candidate of a container gets its image, by the digest that its registry tells. Pure.

Only the best one is asked for: a burst of pushes costs one look at the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.image import rewrite
from shared.message import UpdateMessage
from worker.core.admit import failed_before, is_same_push, repeated
from worker.core.failing import fail
from worker.core.following import Following, running_digest
from worker.core.leaving import leave
from worker.groups.group import ContainerGroup
from worker.record.lookups import Found
from worker.record.record import Record, remembered
from worker.record.values import Candidate, ContainerRecord

MOST_LOOKUPS = 3
"""How often a registry is asked for an image that it does not have: one that was pushed a moment ago may show yet."""
LOOKUP_INTERVAL = timedelta(seconds=5)
"""How far apart two of these lookups are, at least."""


def unresolved(record: Record, followed: Mapping[str, Following]) -> UpdateMessage | None:
    """A push whose digest is to be asked for now, as it is the best candidate of some container; None if there is none.

    While the group is held by hand nothing is asked: what the registry says by then counts. Nor is any registry asked
    but those that the group runs images from: a record is outside, too, and must not decide where we connect to.
    """
    if record.hold:
        return None
    for name, container in record.containers.items():
        best = container.in_turn[0] if container.candidates else None
        follows = followed.get(name)
        if best and best.image is None and follows and follows.name == best.message.push.image.name:
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
    """It is known what a push points at, or nobody can tell (None): what it would bring onto each container."""
    digest = found.digest if found else None
    for name, following in followed.items():
        container = record.containers.get(name)
        candidate = container.candidate(message.id) if container else None
        if container is None or candidate is None or candidate.image is not None:
            # One with an image was resolved earlier, and may be on the group by now. It must not change under a watch.
            continue
        if why := _not_built_for(following, found):
            record = leave(record, name, candidate, "ignored", f"{message.push.image} is {why}", now)
        elif failure := repeated(container, message, digest):
            record = leave(record, name, candidate, "ignored", failed_before(failure), now)
        elif _runs_already(record, group, name, candidate, found):
            record = _unchanged(record, name, candidate, digest, now)
        else:
            resolved = _resolved(container, candidate, group.images[name], following.written, digest)
            candidates = tuple(
                resolved if other.id == message.id else _displaced(other, resolved) for other in container.candidates
            )
            # What was sent by its tag may still arrive so: it stays known as ours.
            sent = [other.image for other in container.candidates if other.image and other not in candidates]
            record = record.with_container(name, candidates=candidates, past=remembered(container, sent))
    return record


def _not_built_for(following: Following, found: Found | None) -> str | None:
    """Why the policy's platform keeps an image away; None if it doesn't, or if nobody can tell what it is built for."""
    if found is None or found.built_for is None:
        return None
    return following.policy.conditions.not_built_for(found.built_for)


def not_there(record: Record, message: UpdateMessage, code: str, detail: str, now: datetime) -> Record:
    """The registry says that there is no such image: after a few times the push has failed."""
    tried = record
    lookups = 0
    for name, container in record.containers.items():
        candidates = tuple(
            _missing_once_more(candidate, now) if candidate.id == message.id else candidate
            for candidate in container.candidates
        )
        tried = tried.with_container(name, candidates=candidates)
        # Each container counts for itself: added up, two of them would use up the tries of one.
        lookups = max([lookups, *(candidate.lookups for candidate in candidates if candidate.id == message.id)])
    if lookups < MOST_LOOKUPS:
        return tried
    return fail(tried, {message.id}, code, detail, now, circumstance=True, attempts=lookups)


def _missing_once_more(candidate: Candidate, now: datetime) -> Candidate:
    # Other pushes may have the group looked at several times within a second. The image needs its time all the same.
    if candidate.looked_up_at and now < candidate.looked_up_at + LOOKUP_INTERVAL:
        return candidate
    return candidate.but(lookups=candidate.lookups + 1, looked_up_at=now)


def no_image(record: Record, message: UpdateMessage, what: str, now: datetime) -> Record:
    """What was pushed is no image, as its registry's manifest tells: a cache, a chart, a signature. It is ignored."""
    for name, container in record.containers.items():
        if candidate := container.candidate(message.id):
            why = f"{message.push.image} is no image that a container can run: {what}"
            record = leave(record, name, candidate, "ignored", why, now)
    return record


def _resolved(
    container: ContainerRecord, candidate: Candidate, running: str, written: str, digest: str | None
) -> Candidate:
    """A new tag is written by its name; one that moved by its digest, or else brought in by a restart."""
    others = (other.tag for other in container.candidates if other.id != candidate.id and other.image)
    # By its tag alone the new image could not be told from the one that ran under that tag before.
    moves = candidate.tag in {*others, *(good.tag for good in container.goods)} or _has_failed(container, candidate)
    image = rewrite(written, digest=digest) if moves and digest else rewrite(written, tag=candidate.tag)
    return candidate.but(image=image, digest=digest, restart=image == running and not digest)


def _displaced(other: Candidate, newer: Candidate) -> Candidate:
    """A push whose tag another one has moved since: from now on only its digest means it."""
    moved = other.tag == newer.tag and other.image is not None and other.digest not in {None, newer.digest}
    if not moved or other.image is None or other.digest is None:
        return other
    return other.but(image=rewrite(other.image, digest=other.digest), restart=False)


def _has_failed(container: ContainerRecord, candidate: Candidate) -> bool:
    return candidate.tag in {failure.tag for failure in container.failures}


def _runs_already(record: Record, group: ContainerGroup, name: str, candidate: Candidate, found: Found | None) -> bool:
    """Does the container run this very image, and well?

    Without a digest only the very push that brought it here is known to be the same, delivered once more. What runs
    without having been watched, because another container's change pulled it, may be anything. Of an index Azure names
    the platform's manifest as what it pulled, and the registry the index: both are one image.
    """
    good, change = record.containers[name].good, record.change
    if change and (name in change.asked or not _is_spelling_of(good.spellings, change.images.get(name))):
        return False
    if good.tag != candidate.tag or group.images[name] not in good.spellings:
        return False
    if found is None:
        pushed_at = good.order[0] if good.order else None
        return is_same_push(candidate.message, good.tag, pushed_at, good.digest)
    is_good = good.digest is None or good.digest in found.digests
    return is_good and running_digest(group, name) in found.digests


def _is_spelling_of(spellings: frozenset[str], image: str | None) -> bool:
    return image is None or image in spellings


def _unchanged(record: Record, name: str, candidate: Candidate, digest: str | None, now: datetime) -> Record:
    """The push has ended, and so have those that it is newer than."""
    good = record.containers[name].good
    # A delivery that comes late must not make the image seem older than a newer one has shown it to be.
    order = max(good.order, candidate.message.order) if good.order else candidate.message.order
    goods = (
        # Its tag points at this very image, so the tag may bring it back again.
        good.but(digest=digest or good.digest, order=order, pushed_again=False),
        *record.containers[name].goods[1:],
    )
    candidates = record.containers[name].candidates
    older = candidates[candidates.index(candidate) + 1 :]
    record = leave(record, name, candidate, "unchanged", f"{name} runs {candidate.message.push.image} already", now)
    record = record.with_container(name, goods=goods)
    for other in older:
        record = leave(record, name, other, "superseded", f"{candidate.message.push.image} is newer, and runs", now)
    return record
