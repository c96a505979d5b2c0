"""The values that a record is made of: candidates, good images, failures, the change under way, endings. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.image import rewrite
from shared.message import UpdateMessage

MANUAL, ROLLBACK, SWEEP = "manual", "rollback", "sweep"
"""The senders of what an operator pushes, of what an operator goes back to, and of what the sweep has found."""

Result = Literal["updated", "unchanged", "superseded", "ignored", "rolled-back", "failed"]
"""How a push ended for a target. `rolled-back` and `failed` are dead-lettered."""
TURN = 3
"""How often Azure may fail to pull a candidate's image before the next best candidate is tried instead."""
DEAD: frozenset[Result] = frozenset({"rolled-back", "failed"})

Order = tuple[AwareDatetime, AwareDatetime]
"""When a push was pushed and when it was received: what decides which of two is newer where the policy can't."""


class Value(BaseModel):
    """A frozen part of a record. Fields of a later version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    def but(self, **changes: object) -> Self:
        """This value with some fields changed."""
        return self.model_copy(update=changes)


class Candidate(Value):
    """A push for one container that has not ended.

    `image` is what the group would get, as written there; None until the registry has been asked for the digest.
    `restart`: the group has that image already, and only a restart can bring in what its tag stands for now.
    `lookups` counts how often the registry said that there is no such image, `refusals` how often Azure could not pull
    it.
    """

    message: UpdateMessage
    image: str | None = None
    digest: str | None = None
    restart: bool = False
    lookups: int = 0
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
    """An image that ran well: as written, the tag that it stood for, its digest and its push's order, if known.

    `pushed_again`: the tag stands for another image in its registry by now. A container that runs it under this tag
    may go on, but only the digest brings it back. `moved`: that other image has been pulled onto the group, so that
    what runs under this tag is no longer this one.
    """

    image: str
    tag: str | None = None
    digest: str | None = None
    order: Order | None = None
    pushed_again: bool = False
    moved: bool = False

    def is_same(self, other: Good) -> bool:
        """Is it the same image? One tag that is restarted again and again stands for several."""
        return (self.image, self.digest) == (other.image, other.digest)

    @property
    def by_digest(self) -> str | None:
        """The image by its digest, None if that is not known."""
        return rewrite(self.image, digest=self.digest) if self.digest else None

    @property
    def restored(self) -> str | None:
        """The image that brings it back; None if its tag has moved and its digest is not known."""
        if "@" in self.image:
            return self.image
        if self.moved:
            return self.by_digest
        return (self.by_digest or self.image) if self.pushed_again else self.image

    @property
    def spellings(self) -> frozenset[str]:
        """Every image, as a group may have it, that is this one for certain."""
        written = frozenset() if self.moved and "@" not in self.image else frozenset({self.image})
        return written | ({self.by_digest} if self.by_digest else frozenset())


class Pin(Value):
    """What an operator went back to: it is run whatever is pushed or held. `message` is what tells of its end.

    `reverting`: going back did not work out, and this is what ran before.
    """

    message: UpdateMessage
    good: Good
    reverting: bool = False


class Failure(Value):
    """A push that failed on a container, so that it is not tried again unasked.

    `circumstance`: what failed says nothing of the image, so that the same push may be tried again.
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
    """What is known and wanted of one container.

    `goods`, `failures` and `past` have the newest first, `candidates` the best one. `past` are the images that we
    brought here and that are neither good nor wanted any more. A container without a rule is not `followed`: it has
    no candidates, and is known so that it can be brought back to what it ran.
    """

    repository: str
    followed: bool = True
    goods: tuple[Good, ...]
    candidates: tuple[Candidate, ...] = ()
    pin: Pin | None = None
    failures: tuple[Failure, ...] = ()
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

    @property
    def images(self) -> frozenset[str]:
        """Every image that may be here by our doing, or was here before."""
        goods = {spelling for good in self.goods for spelling in (good.image, good.by_digest)}
        pushed = {candidate.image for candidate in self.candidates} | {failure.image for failure in self.failures}
        return frozenset(image for image in (goods | pushed | set(self.past)) if image)

    @property
    def brought(self) -> frozenset[str]:
        """The images of pushes that may be here by our doing and are not good: candidates, failures, older ones."""
        pushed = {candidate.image for candidate in self.candidates} | {failure.image for failure in self.failures}
        ours = frozenset(image for image in pushed | set(self.past) if image)
        return ours - {good.image for good in self.goods}

    def candidate(self, message_id: str | None) -> Candidate | None:
        """The candidate of this message, None if it has none here."""
        return next((candidate for candidate in self.candidates if candidate.id == message_id), None)


class Patience(Value):
    """How long (seconds) something has been looked at. Time in which nobody looked does not count."""

    waited: float = 0.0
    looked_at: AwareDatetime

    def looked(self, now: datetime, longest: timedelta) -> Self:
        """The same after one more look; no pause between two looks counts for more than `longest`."""
        passed = max(timedelta(0), min(now - self.looked_at, longest))
        return self.but(waited=self.waited + passed.total_seconds(), looked_at=now)


class Change(Value):
    """A change of the group that is under way or watched: these images (container → image) since `began_at`.

    `asked` names, for each container that is not proven, the message that asked for its image; `touched` are the
    containers that got another image, or the same one pulled again. `began_at` is by Azure's clock. `well` are the
    containers that ran well before it (container → digest, if known) and `address` is the group's from before; both
    are those from before the first of several changes that follow each other unproven. `tries` counts how often it
    was sent; `failed_before`: the group's last operation had failed already, which says nothing of this one;
    `refused` says why Azure refuses it for good.
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


class Flight(Value):
    """A change that was sent and whose answer is not known: it may still take effect for a while."""

    generation: int
    sent_at: AwareDatetime


class Timer(Value):
    """The one look message of this group that counts, and when it is due.

    `owner`: what is waited for is its owner. `throttled`: Azure has named the time, and nothing that comes in before
    could be sent.
    """

    token: str
    due: AwareDatetime
    owner: bool = False
    throttled: bool = False


class Hold(Value):
    """No update until it is released by hand, or, if it has an `until`, until then. `by` is who set it."""

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
    """A push that failed on the group and is to be told once it is seen what becomes of the group."""

    message: UpdateMessage
    code: str
    detail: str
    containers: tuple[str, ...]
    attempts: int = 1


class Ending(Value):
    """The end of a push that is still to be told: to people, to the log, and to the dead letters if it failed."""

    message: UpdateMessage
    result: Result
    detail: str
    code: str | None = None
    attempts: int = 1
    at: AwareDatetime


class AddressChange(Value):
    """That a group's address is another one than before a change, which is still to be told."""

    message: UpdateMessage | None = None
    before: dict[str, str]
    after: dict[str, str]

    def __str__(self) -> str:
        return f"THE ADDRESS CHANGED from {self.before} to {self.after}"


class Outcome(Value):
    """How a push ended on this group, or `count` of them that were superseded in a row.

    `before` is what the containers ran well before it (container → image), `seconds` how long it took from when it was
    received. `pusher` is whom the sender names, `by` who pushed or went back by hand.
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
