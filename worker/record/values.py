"""The values in a record that concern the whole group: its change, timer, holds, and the ends of pushes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.dead_letter import Log
from shared.message import UpdateMessage

MANUAL, ROLLBACK, SWEEP = "manual", "rollback", "sweep"
"""The senders of what an operator does, a push by hand and a rollback, and of what the sweep has found."""

Result = Literal[
    "updated", "unchanged", "superseded", "ignored", "rolled-back", "failed"
]
"""How a push ended for a target. A push that was `rolled-back` or has `failed` is dead-lettered."""
ADDRESS_CHANGED = "THE ADDRESS CHANGED"
"""With which an address change begins, wherever it is told."""
_NO_ADDRESS = "0.0.0.0"  # noqa: S104
DEAD: frozenset[Result] = frozenset({"rolled-back", "failed"})


class Value(BaseModel):
    """An immutable part of a record."""

    # Fields of a later version are ignored. Forbidding them is tempting, but then a worker of this version could not
    # read a record that a newer worker has written, and workers could not be upgraded one by one.
    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, serialize_by_alias=True
    )

    def but(self, **changes: object) -> Self:
        """A copy of this value with some fields changed."""
        # Nothing is validated here. Validation would go through the whole record with each small change.
        return self.model_copy(update=changes)


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

    @property
    def parts(self) -> list[str]:
        """The names of the parts that changed, of those that are known before and after.

        In transition Azure may leave the IP address out, or give 0.0.0.0.
        """
        return [
            name
            for name in sorted(self.before.keys() & self.after.keys())
            if self.before[name] != self.after[name]
            and _NO_ADDRESS not in (self.before[name], self.after[name])
        ]

    def __str__(self) -> str:
        changed = (
            f"{name} from {self.before[name]} to {self.after[name]}"
            for name in self.parts
        )
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
        cls,
        message: UpdateMessage,
        result: Result,
        detail: str,
        containers: Iterable[str],
        now: datetime,
    ) -> Outcome:
        """The outcome of a push that has ended now."""
        # Such a push has no sender outside: its `pusher` is the operator.
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
