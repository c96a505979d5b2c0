"""The parts of a record, as values: what is wanted, what ran well, what failed, the change under way. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import dropwhile
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.image import rewrite
from shared.message import UpdateMessage

GOODS_KEPT = 5
MANUAL, ROLLBACK = "manual", "rollback"
"""The senders of what an operator pushes, and goes back to."""

Result = Literal["updated", "unchanged", "superseded", "ignored", "held", "rolled-back", "failed"]
"""How a push ended for a target. `rolled-back` and `failed` are dead-lettered."""
FailedResult = Literal["rolled-back", "failed"]


class Value(BaseModel):
    """A frozen part of a record. Fields of a later version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True)

    def but(self, **changes: object) -> Self:
        """This value with some fields changed."""
        return self.model_copy(update=changes)


class Wanted(Value):
    """The push that a container is to run. Its message owns the container's rollout until it ends.

    `image` is what the group gets, as written there; `restart`: that is what it has already, and only a restart can
    bring in the tag's new image. `began_at` is when the newest change that carries it was begun.
    """

    message: UpdateMessage
    image: str
    restart: bool = False
    digest: str | None = None
    status: Literal["open", "done", "failed"] = "open"
    admitted_at: AwareDatetime
    began_at: AwareDatetime | None = None

    @property
    def is_open(self) -> bool:
        """Is it still to be brought onto the group, or being watched there?"""
        return self.status == "open"

    def revived(self, now: datetime) -> Self:
        """Itself as wanted again: by its digest if that is known, as its tag may have moved to what has just failed."""
        by_digest = {"image": rewrite(self.image, digest=self.digest), "restart": False} if self.digest else {}
        return self.but(admitted_at=now, **by_digest)


class Good(Value):
    """An image that ran well: as written, the tag that it stood for, its digest and its push's order, if known."""

    image: str
    tag: str | None = None
    digest: str | None = None
    order: tuple[AwareDatetime, AwareDatetime] | None = None


class Failure(Value):
    """A push that failed on a container, with the evidence, so that it is not tried again unasked.

    `settled` says how that ended for the container: None as long as the rollback is not over.
    """

    message: UpdateMessage
    digest: str | None = None
    code: str
    detail: str
    at: AwareDatetime
    settled: FailedResult | None = None


class ContainerRecord(Value):
    """What is known of one container. `goods`, `failures` and `runners_up` have the newest first.

    `runners_up` are the pushes that the wanted one overtook before it was proven: if it fails, the first of them is
    wanted next.
    """

    repository: str
    wanted: Wanted | None = None
    runners_up: tuple[Wanted, ...] = ()
    goods: tuple[Good, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def good(self) -> Good | None:
        """The last good image."""
        return self.goods[0] if self.goods else None

    def tag_of(self, image: str) -> str | None:
        """The tag that `image`, as written in the group, stands for, if this record brought it there by digest."""
        if self.wanted and _is(image, self.wanted.image, self.wanted.digest):
            return self.wanted.message.push.tag
        return next((good.tag for good in self.goods if _is(image, good.image, good.digest)), None)

    def proven(self, good: Good, wanted: Wanted) -> tuple[Good, ...]:
        """Its good images with one more. What an operator went back over is none to go back to any more."""
        before: Iterable[Good] = self.goods
        if wanted.message.push.sender == ROLLBACK:
            before = dropwhile(lambda one: not _is(good.image, one.image, one.digest), self.goods)
        return (good, *(one for one in before if one.image != good.image or wanted.restart))[:GOODS_KEPT]

    def to_bring_back(self, message_id: str) -> bool:
        """Did a message's push fail here, with nothing newer that was begun, or that runs, in its place?"""
        failure, wanted = self.failure_of(message_id), self.wanted
        if failure is None or failure.settled or wanted is None:
            return False
        return wanted.message.id == message_id or not (wanted.began_at or wanted.status == "done")

    def unfinished(self) -> tuple[tuple[UpdateMessage, datetime], ...]:
        """The messages of what is to be brought here or taken back, each with when it was last heard of."""
        failed = [(one.message, one.at) for one in self.failures if self.to_bring_back(one.message.id)]
        if self.wanted is None or not self.wanted.is_open:
            return tuple(failed)
        heard_of = max(self.wanted.admitted_at, self.wanted.began_at or self.wanted.admitted_at)
        return (*failed, (self.wanted.message, heard_of))

    @property
    def goes_back(self) -> bool:
        """Did some push fail here that is to be undone, or was?"""
        if self.wanted and self.wanted.status == "failed":
            return True
        return any(self.to_bring_back(failure.message.id) for failure in self.failures)

    def failure_of(self, message_id: str) -> Failure | None:
        """The failure of a message's push, if it failed here."""
        return next((failure for failure in self.failures if failure.message.id == message_id), None)


class Rollout(Value):
    """A change of the group under way: begun `since` by message `by`, with these images (container → image).

    `returning` are the containers that it brings back to their last good image. `address` is the group's before the
    first of the changes that have not ended yet; `tries` counts how often the same change was sent; `failed_before`:
    the group's operation before it had failed already, which says nothing of this one. `after` is when another change
    was begun last whose PUT had not been seen on the group, and may arrive after this one's.
    """

    by: str
    since: AwareDatetime
    images: dict[str, str]
    restart: bool = False
    returning: frozenset[str] = frozenset()
    address: dict[str, str] = Field(default_factory=dict)
    tries: int = 1
    failed_before: bool = False
    after: AwareDatetime | None = None


class Hold(Value):
    """No update until released, but for the one push `allows`."""

    reason: str
    since: AwareDatetime
    allows: str | None = None


class Outcome(Value):
    """How one push ended on this group."""

    at: AwareDatetime
    id: str
    image: str
    containers: tuple[str, ...]
    result: Result
    detail: str = ""


def _is(image: str, written: str, digest: str | None) -> bool:
    """Is `image` the one that was `written` so, or the same by its digest?"""
    return image == written or (digest is not None and image.endswith(f"@{digest}"))
