"""The record of a container group: all that is known and wanted of it, one small JSON blob. Pure.

It is changed by compare-and-swap alone. A record that is not at rest names its timer, the one look message on the
queue that counts (docs/architecture.md, "One live timer a group"). Everything here is a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.message import TargetId, UpdateMessage
from worker.record.values import (
    DEAD,
    AddressChange,
    Candidate,
    Change,
    ContainerRecord,
    Deed,
    Ending,
    Failure,
    Flight,
    Good,
    Hold,
    Outcome,
    Patience,
    Result,
    Timer,
    Undone,
    Value,
)

OUTCOMES_KEPT = 50
ENDED_KEPT = 200
"""Ids of pushes that have ended: a message that is delivered again is known by them."""
GOODS_KEPT, FAILURES_KEPT, PAST_KEPT, DEEDS_KEPT = 5, 20, 30, 20
MOST_WAITING = 200
"""Pushes that may wait in a record; the messages of more wait on the queue."""
LONGEST_DETAIL = 2000
"""Characters of evidence that are kept of each failure and outcome: a record is read and written at every look."""


class Record(Value):
    """All that must survive a worker, for one container group."""

    schema_: Literal["aci-hooks/record/2"] = Field("aci-hooks/record/2", alias="schema")
    target: TargetId
    swept: bool = False
    containers: dict[str, ContainerRecord] = Field(default_factory=dict)
    inbox: tuple[UpdateMessage, ...] = ()
    hold: Hold | None = None
    change: Change | None = None
    flights: tuple[Flight, ...] = ()
    generation: int = 0
    apart: bool = False
    stuck: Patience | None = None
    undone: tuple[Undone, ...] = ()
    timer: Timer | None = None
    count: int = 0
    outbox: tuple[Ending, ...] = ()
    address_changes: tuple[AddressChange, ...] = ()
    ended: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    deeds: tuple[Deed, ...] = ()

    def waiting(self) -> dict[str, UpdateMessage]:
        """Every push that has not ended, by its id: received, or a candidate of some container."""
        candidates = (candidate for container in self.containers.values() for candidate in container.candidates)
        return {message.id: message for message in (*self.inbox, *(candidate.message for candidate in candidates))}

    def knows(self, message_id: str) -> bool:
        """Was this message received before? What failed by circumstance, and was told, may come again."""
        untold = {undone.message.id for undone in self.undone} | {ending.message.id for ending in self.outbox}
        if message_id in untold or message_id in self.waiting():
            return True
        failures = self.failures_of(message_id).values()
        return message_id in self.ended and not (failures and all(failure.circumstance for failure in failures))

    def good_images(self) -> dict[str, str]:
        """The last good image of each container."""
        return {name: container.good.image for name, container in self.containers.items()}

    def with_deed(self, what: str, by: str | None, now: datetime) -> Record:
        """The record remembers what somebody did by hand."""
        return self.but(deeds=(Deed(at=now, by=by, what=cut(what)), *self.deeds)[:DEEDS_KEPT])

    def with_container(self, name: str, **changes: object) -> Record:
        """One container changed."""
        return self.but(containers={**self.containers, name: self.containers[name].but(**changes)})

    def without_candidates(self, gone: Callable[[str, Candidate], bool]) -> Record:
        """The candidates (container, candidate) that are `gone` are wanted no more; their images belong to the past."""
        record = self
        for name, container in self.containers.items():
            going = [candidate for candidate in container.candidates if gone(name, candidate)]
            if going:
                staying = tuple(candidate for candidate in container.candidates if candidate not in going)
                images = (candidate.image for candidate in going if candidate.image)
                record = record.with_container(name, candidates=staying, past=remembered(container, images))
        return record

    def end(
        self,
        message: UpdateMessage,
        result: Result,
        detail: str,
        containers: Iterable[str],
        now: datetime,
        code: str | None = None,
        attempts: int = 1,
        before: Mapping[str, str] | None = None,
    ) -> Record:
        """A push has ended: that is in the history at once, and in the outbox until it has been told.

        `before` is what ran well before it (container → image); by default what is the last good image now.
        """
        detail = cut(detail)
        ending = Ending(message=message, result=result, detail=detail, code=code, attempts=attempts, at=now)
        goods = self.good_images() if before is None else before
        outcome = Outcome.of(message, result, detail, containers, now)
        outcome = outcome.but(before={name: goods[name] for name in outcome.containers if name in goods})
        return self.but(
            outbox=(*self.outbox, ending),
            outcomes=_folded(outcome, self.outcomes)[:OUTCOMES_KEPT],
            ended=(message.id, *(other for other in self.ended if other != message.id))[:ENDED_KEPT],
        )

    def anew(self) -> Record:
        """The record of a group that is gone: what ran there says nothing of a group of the same name.

        A hold by hand stays: an operator set it, and an operator ends it.
        """
        return self.but(swept=False, containers={}, change=None, flights=(), apart=False, stuck=None, undone=())

    def told(self, endings: tuple[Ending, ...], addresses: tuple[AddressChange, ...]) -> Record:
        """These have been told."""
        return self.but(
            outbox=tuple(ending for ending in self.outbox if ending not in endings),
            address_changes=tuple(address for address in self.address_changes if address not in addresses),
        )

    def forgive(self, message_id: str) -> Record:
        """Forget that a message's push failed and ended, so that it can be received again."""
        record = self.but(ended=tuple(ended for ended in self.ended if ended != message_id))
        for name, container in self.containers.items():
            kept = tuple(failure for failure in container.failures if failure.id != message_id)
            if kept != container.failures:
                record = record.with_container(name, failures=kept)
        return record

    def failures_of(self, message_id: str) -> dict[str, Failure]:
        """The containers on which this message's push failed, each with its failure."""
        return {
            name: failure
            for name, container in self.containers.items()
            for failure in container.failures
            if failure.id == message_id
        }

    def redacted(self, redact: Callable[[str], str]) -> Record:
        """The record with everything redacted that an outside system said of an end."""
        return self.but(
            outbox=tuple(ending.but(detail=redact(ending.detail)) for ending in self.outbox),
            outcomes=tuple(outcome.but(detail=redact(outcome.detail)) for outcome in self.outcomes),
            undone=tuple(undone.but(detail=redact(undone.detail)) for undone in self.undone),
            change=self.change.but(refused=redact(self.change.refused))
            if self.change and self.change.refused
            else self.change,
        )


def remembered(container: ContainerRecord, images: Iterable[str]) -> tuple[str, ...]:
    """What the container remembers of its past, with these images as its newest."""
    return tuple(dict.fromkeys((*images, *container.past)))[:PAST_KEPT]


def displaced(goods: tuple[Good, ...], tag: str, digest: str | None) -> tuple[Good, ...]:
    """The good images after another image of this tag was pulled: those of the same tag have moved."""
    return tuple(
        good.but(moved=True) if good.tag == tag and (digest is None or digest != good.digest) else good
        for good in goods
    )


def cut(detail: str) -> str:
    """The detail, no longer than a record keeps it."""
    return detail if len(detail) <= LONGEST_DETAIL else f"{detail[: LONGEST_DETAIL - 4]} […]"


def _folded(outcome: Outcome, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """The history with one more outcome; of several in a row that were superseded the newest stands for all.

    A burst of pushes would otherwise drive everything else out of the history.
    """
    if outcome.result == "superseded" and outcomes and outcomes[0].result == "superseded":
        same = outcomes[0].containers == outcome.containers
        if same:
            return (outcome.but(count=outcomes[0].count + outcome.count), *outcomes[1:])
    return (outcome, *outcomes)


def is_dead(result: Result) -> bool:
    """Is a push that ended so dead-lettered?"""
    return result in DEAD
