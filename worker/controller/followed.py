"""What a container follows, as the sweep needs it: tag, policy, what runs in it, and what failed on it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.image import ImageReference
from worker.core.following import parsed
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO
from worker.policies.policy import Policy, Update
from worker.record.container import ContainerRecord, FailedPush
from worker.record.record import FAILURES_KEPT

PULLED_ON_THE_GROUP = frozenset({"ImagePullFailed"})
"""The codes of circumstances that took the group down."""
LONGEST_PAUSE = timedelta(hours=1)
"""The longest pause after an image that could not be pulled on the group."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What a container follows, what it runs (every digest by which that is known), and what failed on it.

    `since` is the time of the push that it runs.
    """

    image: ImageReference
    tag: str | None
    policy: Policy
    failures: tuple[FailedPush, ...]
    running: frozenset[str]
    since: datetime

    def failed(self, tag: str, digest: str) -> bool:
        """Whether exactly this image failed."""
        # A failure without a digest never got that far, so any image of its tag may be the one that failed.
        return any(
            failure.tag == tag and failure.digest in {None, digest}
            for failure in self.failures
        )

    def may_be_tried(self, tag: str) -> bool:
        """Whether the policy admits another tag and none of its images is known to have failed."""
        return not self._may_have_failed(tag) and isinstance(
            self.policy.decide(self.tag, tag), Update
        )

    def _may_have_failed(self, tag: str) -> bool:
        failed = {failure.tag for failure in self.failures}
        if tag in failed:
            return True
        # A record remembers only the newest failures. Any tag lower than one of them may have failed earlier.
        forgets = len(self.failures) >= FAILURES_KEPT
        return forgets and any(self.policy.outranks(other, tag) for other in failed)


def followed(
    name: str,
    repository: str,
    policy: Policy,
    group: ContainerGroup,
    container: ContainerRecord | None,
    now: datetime,
    pause: timedelta,
) -> Followed:
    """What the container `name` follows. `pause` is the time between two sweeps. Raises InvalidImage."""
    return Followed(
        image=ImageReference.parse(repository),
        tag=_followed_tag(group.images[name], container),
        policy=policy,
        failures=_failures(container, now, pause),
        running=_running_digests(group, name, container),
        since=_since(container),
    )


def _since(container: ContainerRecord | None) -> datetime:
    """When what runs was pushed; LONG_AGO if nobody knows, so that anything in the registry is later."""
    if container is None or container.good.order is None:
        return LONG_AGO
    pushed_at, _ = container.good.order
    return pushed_at


def _failures(
    container: ContainerRecord | None, now: datetime, pause: timedelta
) -> tuple[FailedPush, ...]:
    """The failures that must not be tried again now. After a circumstance, a push may be tried again."""
    failures = container.failures if container else ()

    def counts(failure: FailedPush) -> bool:
        return not failure.circumstance or _is_tried_later(
            failure, failures, now, pause
        )

    return tuple(failure for failure in failures if counts(failure))


def _is_tried_later(
    failure: FailedPush,
    failures: tuple[FailedPush, ...],
    now: datetime,
    pause: timedelta,
) -> bool:
    """Whether its image was on the group and could not be pulled only recently.

    Each try takes the group down until the previous image is back. A registry's limit of six hours must not be tried
    with each sweep, so the pause doubles with every try.
    """
    if failure.code not in PULLED_ON_THE_GROUP:
        return False
    tries = [other.at for other in failures if _is_same_trouble(other, failure)]
    doubled: timedelta = pause * 2 ** (len(tries) - 1)
    return now < max(tries) + min(LONGEST_PAUSE, doubled)


def _is_same_trouble(other: FailedPush, failure: FailedPush) -> bool:
    """Whether another failure was a try of the same tag that met the same circumstance."""
    is_same = (other.code, other.tag) == (failure.code, failure.tag)
    return other.circumstance and is_same


def _followed_tag(running: str, container: ContainerRecord | None) -> str | None:
    """The tag of the running image, as written or as the record knows it."""
    reference = parsed(running)
    if reference and reference.followed_tag:
        return reference.followed_tag
    # A group that runs an image by its digest says nothing of the tag that it was pushed with. The record does.
    goods = container.goods if container else ()
    return next(
        (good.tag for good in goods if running in {good.image, good.by_digest}), None
    )


def _running_digests(
    group: ContainerGroup, name: str, container: ContainerRecord | None
) -> frozenset[str]:
    """Every digest of the running image: an index and the manifest that was pulled have different ones."""
    running = group.images[name]
    reference = parsed(running)
    # A digest in the group's own definition names the image for certain, and no other is needed.
    if reference and reference.digest:
        return frozenset({reference.digest})
    is_known_good = container is not None and running in container.good.spellings
    known = container.good.digest if container and is_known_good else None
    pulled = group.running_digest(name)
    return frozenset(digest for digest in (pulled, known) if digest)
