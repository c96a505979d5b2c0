"""The record of a container group: everything that is known about it and wanted for it, as one small JSON blob. Pure.

A record is only ever written by compare-and-swap. A record that is not at rest names its timer, the one look message
on the queue that counts (docs/architecture.md, "One live timer"). Everything here is an immutable value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import Field

from shared.message import TargetId, UpdateMessage
from worker.record.container import Candidate, ContainerRecord, FailedPush, Good
from worker.record.folding import folded, shortened
from worker.record.values import (
    DEAD,
    AddressChange,
    Change,
    Deed,
    Ending,
    Flight,
    Hold,
    Outcome,
    Patience,
    Result,
    Timer,
    Undone,
    Value,
)

ENDED_KEPT = 200
"""The ids of pushes that have ended, by which a message that is delivered again is recognised."""
GOODS_KEPT, FAILURES_KEPT, PAST_KEPT, DEEDS_KEPT = 5, 20, 30, 20
MOST_WAITING, MOST_OF_ALL = 200, 250
"""How many pushes of one repository, and of all together, may wait in a record. Further messages wait on the queue."""
_CUT = " […]"
LONGEST_DETAIL = 2000
"""Characters of evidence kept for each failure and outcome. Every look reads and writes the whole record."""


class Record(Value):
    """Everything about one container group that must survive a worker.

    `inbox`: pushes that were received and not admitted yet. `generation` numbers the changes, and `count` the looks.
    `apart`: pushes are tried one after the other (worker.core.landing says why). `stuck`: for how long the group has
    been in transition. `undone`: failed pushes whose end is not known yet. `outbox` and `address_changes`: what is
    still to be told. `ended` and `outcomes`: the memory of pushes that have ended. `swept`: the target was compared
    with its registry when it was first seen. `ran`: the repositories that it ran then, or before it was deleted.
    """

    # A record of another schema can't be read, and is never overwritten: somebody has to decide what becomes of it.
    schema_: Literal["aci-hooks/record/2"] = Field("aci-hooks/record/2", alias="schema")
    target: TargetId
    swept: bool = False
    ran: tuple[str, ...] = ()
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
        """Every push that has not ended, by its id: in the inbox, or a candidate of some container."""
        waiting = {message.id: message for message in self.inbox}
        for container in self.containers.values():
            waiting |= {
                candidate.id: candidate.message for candidate in container.candidates
            }
        return waiting

    def knows(self, message_id: str) -> bool:
        """Whether this message was received before. What failed by circumstance, and was told, may come again."""
        # A push that failed on the group neither waits nor has ended as long as its end is not known.
        untold = {undone.message.id for undone in self.undone} | {
            ending.message.id for ending in self.outbox
        }
        # This is asked before `ended`: what failed by circumstance and has come again is in both.
        if message_id in untold or message_id in self.waiting():
            return True
        failures = self.failures_of(message_id).values()
        may_come_again = bool(failures) and all(
            failure.circumstance for failure in failures
        )
        return message_id in self.ended and not may_come_again

    def repositories(self) -> tuple[str, ...]:
        """The repositories of the group's containers; while it has none, those that it ran before. None if unknown."""
        now = {container.repository for container in self.containers.values()}
        return tuple(sorted(now)) or self.ran

    def good_images(self) -> dict[str, str]:
        """The last good image of each container."""
        return {
            name: container.good.image for name, container in self.containers.items()
        }

    def with_deed(self, what: str, by: str | None, now: datetime) -> Record:
        """The record remembers what somebody did by hand."""
        return self.but(
            deeds=(Deed(at=now, by=by, what=cut(what)), *self.deeds)[:DEEDS_KEPT]
        )

    def with_container(self, name: str, **changes: object) -> Record:
        """The record with some fields of one container changed."""
        return self.but(
            containers={**self.containers, name: self.containers[name].but(**changes)}
        )

    def without_candidates(self, gone: Callable[[str, Candidate], bool]) -> Record:
        """The record without the candidates that are `gone` (by container and candidate)."""
        record = self
        for name, container in self.containers.items():
            going = [
                candidate for candidate in container.candidates if gone(name, candidate)
            ]
            if going:
                staying = tuple(
                    candidate
                    for candidate in container.candidates
                    if candidate not in going
                )
                # A late PUT may still bring these images in. They must be recognised as ours then, not as the owner's.
                images = (candidate.image for candidate in going if candidate.image)
                record = record.with_container(
                    name, candidates=staying, past=remembered(container, images)
                )
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
        log: str | None = None,
    ) -> Record:
        """End a push: it enters the history at once, and the outbox, where it stays until it has been told.

        `before` is what ran well before it (container → image); by default the last good images as they are now. `log`
        are the last lines of the containers that were at fault.
        """
        detail = cut(detail)
        ending = Ending(
            message=message,
            result=result,
            detail=detail,
            code=code,
            attempts=attempts,
            at=now,
            log=log,
        )
        goods = self.good_images() if before is None else before
        outcome = Outcome.of(message, result, detail, containers, now)
        outcome = outcome.but(
            before={name: goods[name] for name in outcome.containers if name in goods}
        )
        return self.but(
            outbox=(*self.outbox, ending),
            outcomes=shortened(folded(outcome, self.outcomes)),
            # A push that was redriven may end a second time. Its id moves to the front then.
            ended=(message.id, *(other for other in self.ended if other != message.id))[
                :ENDED_KEPT
            ],
        )

    def without_group(self) -> Record:
        """The record after its group was deleted: what ran there says nothing about a later group of the same name."""
        # A hold by hand stays. An operator set it, and only an operator releases it.
        forgotten = self.but(
            containers={}, change=None, flights=(), apart=False, stuck=None, undone=()
        )
        # A group that is created under this name one day is met as a new one.
        return forgotten.but(swept=False, ran=self.repositories())

    def told(
        self,
        endings: tuple[Ending, ...],
        addresses: tuple[AddressChange, ...],
    ) -> Record:
        """The record after these have been told."""
        # Clearing the outbox is tempting, but another worker may have added to it meanwhile.
        return self.but(
            outbox=tuple(ending for ending in self.outbox if ending not in endings),
            address_changes=tuple(
                address for address in self.address_changes if address not in addresses
            ),
        )

    def forgive(self, message_id: str) -> Record:
        """Forget that a push has failed and ended, so that it can be received again."""
        record = self.but(
            ended=tuple(ended for ended in self.ended if ended != message_id)
        )
        # With its failures: as long as one is known, the same push counts as repeated and is ignored
        # (worker.core.repeats).
        for name, container in self.containers.items():
            kept = tuple(
                failure for failure in container.failures if failure.id != message_id
            )
            if kept != container.failures:
                record = record.with_container(name, failures=kept)
        return record

    def failures_of(self, message_id: str) -> dict[str, FailedPush]:
        """The containers on which this push failed, each with its failure."""
        found = {}
        for name, container in self.containers.items():
            for failure in container.failures:
                if failure.id == message_id:
                    found[name] = failure
        return found

    def redacted(self, redact: Callable[[str], str]) -> Record:
        """The record with secrets redacted from everything that an outside system has said about an end."""
        change = self.change
        if change and change.refused:
            change = change.but(refused=redact(change.refused))
        return self.but(
            outbox=tuple(_redacted(ending, redact) for ending in self.outbox),
            outcomes=tuple(
                outcome.but(detail=redact(outcome.detail)) for outcome in self.outcomes
            ),
            undone=tuple(_redacted(undone, redact) for undone in self.undone),
            change=change,
        )


_Failure = TypeVar("_Failure", Ending, Undone)


def _redacted(failure: _Failure, redact: Callable[[str], str]) -> _Failure:
    log = failure.log and redact(failure.log)
    return failure.but(detail=redact(failure.detail), log=log)


def remembered(container: ContainerRecord, images: Iterable[str]) -> tuple[str, ...]:
    """The container's past images, with these as the newest."""
    return tuple(dict.fromkeys((*images, *container.past)))[:PAST_KEPT]


def displaced(
    goods: tuple[Good, ...],
    tag: str,
    digest: str | None,
) -> tuple[Good, ...]:
    """The good images after this tag was pulled: any other image of the same tag counts as moved."""
    return tuple(_displaced(good, tag, digest) for good in goods)


def _displaced(good: Good, tag: str, digest: str | None) -> Good:
    # Without a digest nobody knows what was pulled. Then the tag counts as moved, so that only a digest is trusted.
    is_same_image = digest is not None and digest == good.digest
    return good.but(moved=True) if good.tag == tag and not is_same_image else good


def cut(detail: str) -> str:
    """The detail, cut to the length that a record keeps."""
    if len(detail) <= LONGEST_DETAIL:
        return detail
    return f"{detail[: LONGEST_DETAIL - len(_CUT)]}{_CUT}"


def is_dead(result: Result) -> bool:
    """Whether a push with this result is dead-lettered."""
    return result in DEAD
