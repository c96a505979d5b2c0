"""What is known of one container, and what is wanted for it: candidates, good images, failures, a pin. Pure."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.image import rewrite
from shared.message import UpdateMessage
from worker.record.values import Value

TURN = 3
"""How many times Azure may fail to pull a candidate's image before the next best candidate is tried instead."""

Order = tuple[AwareDatetime, AwareDatetime]
"""When a push was pushed and when it was received. Where the policy has no order, this decides which is newer."""


class Candidate(Value):
    """A push for one container that has not ended.

    `image` is what the container would get, in the group's spelling; None until the registry was asked for the digest.
    `restart`: the container has that image already, and only a restart pulls what its tag points at now.
    `lookups` counts how many times the registry answered that the image does not exist, the last time at
    `looked_up_at`. `refusals` counts how many times Azure could not pull it.
    """

    message: UpdateMessage
    image: str | None = None
    digest: str | None = None
    restart: bool = False
    lookups: int = 0
    looked_up_at: AwareDatetime | None = None
    refusals: int = 0

    @property
    def id(self) -> str:
        """The id of its message."""
        return self.message.id

    @property
    def tag(self) -> str:
        """The pushed tag."""
        return self.message.push.tag


class Good(Value):
    """An image that ran well in a container.

    `image` is its spelling in the group. `tag` is the tag that it was pushed with, `digest` its digest, and `order` the
    order of its push, each if known. `pushed_again`: the registry's tag points at another image by now, so a container
    may go on running this one, but only its digest brings it back. `moved`: the group has pulled that other image, so
    a container that runs this tag does not run this image.
    """

    image: str
    tag: str | None = None
    digest: str | None = None
    order: Order | None = None
    pushed_again: bool = False
    moved: bool = False

    def is_same(self, other: Good) -> bool:
        """Whether it is the same image. A moved tag that was restarted several times stands for several good images."""
        return (self.image, self.digest) == (other.image, other.digest)

    @property
    def by_digest(self) -> str | None:
        """The image by its digest; None if the digest is not known."""
        return rewrite(self.image, digest=self.digest) if self.digest else None

    @property
    def restored(self) -> str | None:
        """The image to put in order to bring this one back; None if the tag has moved and the digest is not known."""
        if "@" in self.image:
            # An image that is written with its digest can't have moved.
            return self.image
        if self.moved:
            # Its own tag would bring in the other image.
            return self.by_digest
        if self.pushed_again:
            # Without a digest, only the tag is left to put, although it may bring in the newer image.
            return self.by_digest or self.image
        return self.image

    @property
    def spellings(self) -> frozenset[str]:
        """Every image reference that certainly stands for this image, as a group may spell it."""
        is_tag_of_another = self.moved and "@" not in self.image
        written = None if is_tag_of_another else self.image
        return frozenset(spelling for spelling in (written, self.by_digest) if spelling)


class Pin(Value):
    """The image that an operator rolled a container back to. It is desired whatever is pushed or held.

    `message` stands for the rollback when its end is told. `reverting`: the rollback failed, and `good` is what ran
    before it.
    """

    message: UpdateMessage
    good: Good
    reverting: bool = False


class FailedPush(Value):
    """A push that failed on a container. It is not tried again unless somebody asks for it.

    `circumstance`: the failure says nothing about the image, so the same push may be tried again.
    """

    id: str
    tag: str
    image: str | None = None
    digest: str | None = None
    pushed_at: AwareDatetime | None = None
    code: str
    at: AwareDatetime
    circumstance: bool = False


class ContainerRecord(Value):
    """What is known about one container, and what is wanted for it.

    `goods`, `failures` and `past` begin with the newest, `candidates` with the best. `past` are images that we once
    brought here and that are neither good nor wanted now. A container without a rule is not `followed`: it gets no
    candidates, and is in the record only so that it can be brought back to what it ran.
    """

    repository: str
    followed: bool = True
    goods: tuple[Good, ...]
    candidates: tuple[Candidate, ...] = ()
    pin: Pin | None = None
    failures: tuple[FailedPush, ...] = ()
    past: tuple[str, ...] = ()

    @property
    def good(self) -> Good:
        """The last good image."""
        return self.goods[0]

    @property
    def in_turn(self) -> tuple[Candidate, ...]:
        """The candidates, the best first, but those that Azure could not pull a few times behind the others.

        A registry that is down for hours must not keep an older image, of which Azure has the layers already, from
        running: after a few refusals the next best candidate has its turn, and then the best one again.
        """
        # The sort is stable, so that candidates with equally many refusals stay in the policy's order.
        return tuple(
            sorted(self.candidates, key=lambda candidate: candidate.refusals // TURN)
        )

    def runs_failed(self, running: str) -> bool:
        """Whether a container with the image `running` runs a push that failed.

        An image that failed once, because its registry was down perhaps, and ran well afterwards has not failed.
        """
        failed = {failure.image for failure in self.failures}
        return running in failed - self.good.spellings

    @property
    def images(self) -> frozenset[str]:
        """Every image that the container may run because of us, or ran before."""
        written = {good.image for good in self.goods if good.image}
        by_digest = {good.by_digest for good in self.goods if good.by_digest}
        return self._pushed | written | by_digest

    @property
    def brought(self) -> frozenset[str]:
        """The images that the container may run because of us and that are not good ones."""
        return self._pushed - {good.image for good in self.goods}

    @property
    def _pushed(self) -> frozenset[str]:
        """The images of all pushes: candidates, failures, and earlier ones."""
        candidates = {candidate.image for candidate in self.candidates}
        failures = {failure.image for failure in self.failures}
        return frozenset(
            image for image in (*candidates, *failures, *self.past) if image
        )

    def candidate(self, message_id: str | None) -> Candidate | None:
        """The candidate of this message; None if it has none here."""
        return next(
            (candidate for candidate in self.candidates if candidate.id == message_id),
            None,
        )
