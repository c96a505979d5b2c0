"""The values in a record: candidates, good images, failures, the change under way, endings. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.image import rewrite
from shared.message import Log, UpdateMessage

MANUAL, ROLLBACK, SWEEP = "manual", "rollback", "sweep"
"""The senders of what an operator does, a push by hand and a rollback, and of what the sweep has found."""

Result = Literal["updated", "unchanged", "superseded", "ignored", "rolled-back", "failed"]
"""How a push ended for a target. A push that was `rolled-back` or has `failed` is dead-lettered."""
TURN = 3
"""How many times Azure may fail to pull a candidate's image before the next best candidate is tried instead."""
ADDRESS_CHANGED = "THE ADDRESS CHANGED"
"""With which an address change begins, wherever it is told."""
DEAD: frozenset[Result] = frozenset({"rolled-back", "failed"})

Order = tuple[AwareDatetime, AwareDatetime]
"""When a push was pushed and when it was received. Where the policy has no order, this decides which is newer."""


class Value(BaseModel):
    """An immutable part of a record."""

    # Fields of a later version are ignored. Forbidding them is tempting, but then a worker of this version could not
    # read a record that a newer worker has written, and workers could not be upgraded one by one.
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    def but(self, **changes: object) -> Self:
        """A copy of this value with some fields changed."""
        return self.model_copy(update=changes)


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
        return tuple(sorted(self.candidates, key=lambda candidate: candidate.refusals // TURN))

    def runs_failed(self, running: str) -> bool:
        """Whether a container with the image `running` runs a push that failed.

        An image that failed once, because its registry was down perhaps, and ran well afterwards has not failed.
        """
        return running in {failure.image for failure in self.failures} - self.good.spellings

    @property
    def images(self) -> frozenset[str]:
        """Every image that the container may run because of us, or ran before."""
        goods = {spelling for good in self.goods for spelling in (good.image, good.by_digest) if spelling}
        return self._pushed | goods

    @property
    def brought(self) -> frozenset[str]:
        """The images that the container may run because of us and that are not good ones."""
        return self._pushed - {good.image for good in self.goods}

    @property
    def _pushed(self) -> frozenset[str]:
        """The images of all pushes: candidates, failures, and earlier ones."""
        candidates = {candidate.image for candidate in self.candidates}
        failures = {failure.image for failure in self.failures}
        return frozenset(image for image in (*candidates, *failures, *self.past) if image)

    def candidate(self, message_id: str | None) -> Candidate | None:
        """The candidate of this message; None if it has none here."""
        return next((candidate for candidate in self.candidates if candidate.id == message_id), None)


class Patience(Value):
    """For how many seconds something has been watched. Time in which nobody looked does not count."""

    waited: float = 0.0
    looked_at: AwareDatetime

    def looked(self, now: datetime, longest: timedelta) -> Self:
        """The patience after one more look. The time since the last look counts, up to `longest`."""
        # Azure's clock is estimated from each of its answers, so it may seem to go back a little between two looks.
        passed = max(timedelta(0), min(now - self.looked_at, longest))
        return self.but(waited=self.waited + passed.total_seconds(), looked_at=now)


class Change(Value):
    """A change of the group that is under way or being watched: a PUT of these `images` (container → image).

    `asked`: for each container that is not proven, the message that asked for its image.
    `touched`: the containers that get another image, or the same image pulled again.
    `restart`: the change is a restart instead of a PUT.
    `began_at`: when it began, by Azure's clock.
    `before`: the change that is on the group as long as Azure has not taken this one.
    `tries`: how many times it was sent.
    `well`: the containers that ran well before, with the digest that each ran, if known.
    `address`: the group's address before. Of several unproven changes in a row, these two are from before the first.
    `failed_before`: the group's previous operation had failed already, which says nothing about this one.
    `refused`: why Azure refuses the change for good.
    """

    generation: int
    images: dict[str, str]
    asked: dict[str, str] = Field(default_factory=dict)
    touched: frozenset[str] = frozenset()
    restart: bool = False
    began_at: AwareDatetime
    patience: Patience
    tries: int = 1
    well: dict[str, str | None] = Field(default_factory=dict)
    address: dict[str, str] = Field(default_factory=dict)
    failed_before: bool = False
    refused: str | None = None
    before: Change | None = None


class Flight(Value):
    """A change that was sent and has no answer yet. It may still take effect for a while."""

    generation: int
    sent_at: AwareDatetime


class Timer(Value):
    """The one look message of the group that counts, by its token, and when it is due.

    `owner`: the group waits for its owner. `throttled`: Azure has named the time of the next look, and could not be
    sent anything earlier, so a new push does not start another timer. `trouble`: what the group waits for to be over,
    where the last look failed and is tried again.
    """

    token: str
    due: AwareDatetime
    owner: bool = False
    wakes: bool = False
    throttled: bool = False
    trouble: str | None = None


class Hold(Value):
    """A hold by hand: no update until an operator releases the group, or until `until`. `by` is who set it."""

    reason: str
    since: AwareDatetime
    by: str | None = None
    until: AwareDatetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Has its time come? One without an end is only released by hand."""
        return self.until is not None and now >= self.until


class Deed(Value):
    """What an operator did to a group by hand, and who it was; `what` is a short sentence."""

    at: AwareDatetime
    by: str | None = None
    what: str


class Undone(Value):
    """A push that failed on the group. Its end is told once it is known what became of the group.

    `log` are the last lines of the containers that were at fault.
    """

    message: UpdateMessage
    code: str
    detail: str
    containers: tuple[str, ...]
    attempts: int = 1
    log: Log = None


class Ending(Value):
    """The end of a push that is still to be told: to the log, to people, and as a dead letter if the push failed.

    `log` are the last lines of the containers that were at fault.
    """

    message: UpdateMessage
    result: Result
    detail: str
    code: str | None = None
    attempts: int = 1
    at: AwareDatetime
    log: Log = None


class AddressChange(Value):
    """A change of the group's public address that is still to be told."""

    message: UpdateMessage | None = None
    before: dict[str, str]
    after: dict[str, str]

    def __str__(self) -> str:
        parts = ((name, self.before.get(name), self.after.get(name)) for name in sorted({*self.before, *self.after}))
        changed = [f"{name} from {old or 'none'} to {new or 'none'}" for name, old, new in parts if old != new]
        return f"{ADDRESS_CHANGED}: {', '.join(changed)}"


class Outcome(Value):
    """How a push ended on this group; or how `count` pushes in a row did, which were all superseded.

    `before` is what the containers ran well before it (container → image), `seconds` how long it took from when it was
    received. `pusher` is whom the sender names, `by` who pushed or rolled back by hand.
    """

    at: AwareDatetime
    id: str
    image: str
    containers: tuple[str, ...]
    result: Result
    detail: str = ""
    count: int = 1
    before: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None
    pusher: str | None = None
    by: str | None = None

    @classmethod
    def of(
        cls, message: UpdateMessage, result: Result, detail: str, containers: Iterable[str], now: datetime
    ) -> Outcome:
        """The outcome of a push that has ended now."""
        by_hand = message.push.sender in {MANUAL, ROLLBACK}
        return cls(
            at=now,
            id=message.id,
            image=str(message.push.image),
            containers=tuple(containers),
            result=result,
            detail=detail,
            # Two clocks may have written the two times.
            seconds=max(0.0, round((now - message.received_at).total_seconds(), 1)),
            pusher=None if by_hand else message.push.pusher,
            by=message.push.pusher if by_hand else None,
        )
