"""The record of a container group: what is wanted, the rollout under way, the last good images, a hold, the outcomes.

One small JSON blob for each group, changed by compare-and-swap alone: whoever wins the write of an intent carries it
out. Everything here is a value; the transitions return a new record.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.message import TargetId, UpdateMessage
from worker.record_parts import (
    GOODS_KEPT,
    ContainerRecord,
    FailedResult,
    Failure,
    Good,
    Hold,
    Outcome,
    Result,
    Rollout,
    Value,
    Wanted,
)

OUTCOMES_KEPT = 50
FAILURES_KEPT = 10
RUNNERS_UP_KEPT = 5
LONGEST_DETAIL = 2000
"""Characters of evidence that are kept of each failure and outcome: a record is read and written at every step."""


class Record(Value):
    """All that must survive a worker, for one container group."""

    schema_: Literal["aci-hooks/record/1"] = Field("aci-hooks/record/1", alias="schema")
    target: TargetId
    containers: dict[str, ContainerRecord] = Field(default_factory=dict)
    rollout: Rollout | None = None
    hold: Hold | None = None
    outcomes: tuple[Outcome, ...] = ()

    def owned_by(self, message_id: str) -> dict[str, Wanted]:
        """The containers whose wanted push is this message's, whatever its status."""
        return {
            name: one.wanted
            for name, one in self.containers.items()
            if one.wanted is not None and one.wanted.message.id == message_id
        }

    def failures_of(self, message_id: str) -> dict[str, Failure]:
        """The containers on which this message's push failed, each with its failure."""
        found = {name: one.failure_of(message_id) for name, one in self.containers.items()}
        return {name: failure for name, failure in found.items() if failure is not None}

    @property
    def rolling_back(self) -> bool:
        """Is the group on its way back by hand? Until it is there, nothing else is admitted."""
        allowed = self.hold and self.hold.allows
        return allowed is not None and any(wanted.message.id == allowed for wanted in self.open().values())

    def open(self) -> dict[str, Wanted]:
        """Every container's wanted push that has not ended yet."""
        return {name: one.wanted for name, one in self.containers.items() if one.wanted and one.wanted.is_open}

    def unfinished(self) -> tuple[UpdateMessage, ...]:
        """The messages of what is to be brought onto the group, or taken back from it, once each."""
        found = {message.id: message for one in self.containers.values() for message, _ in one.unfinished()}
        return tuple(found.values())

    def admit(self, container: str, wanted: Wanted) -> Record:
        """`wanted` is what the container is to run from now on; an open push before it becomes the first runner-up."""
        one = self.containers[container]
        overtaken = one.wanted
        if overtaken is None or not overtaken.is_open or not wanted.is_open:
            return self._with(container, wanted=wanted, runners_up=one.runners_up if wanted.is_open else ())
        if (overtaken.image, overtaken.digest) == (wanted.image, wanted.digest):
            return self._with(container, wanted=wanted)
        runners_up = (overtaken.but(began_at=None), *one.runners_up)[:RUNNERS_UP_KEPT]
        record = self._with(container, wanted=wanted, runners_up=runners_up)
        why = f"overtaken by {wanted.message.push.image}"
        return record.ended(overtaken.message, (container,), "superseded", why, wanted.admitted_at)

    def consider(self, container: str, wanted: Wanted, beats: Callable[[Wanted], bool]) -> Record:
        """Keep a push that lost against the open one as a runner-up, before the first of those that it `beats`."""
        kept = self.containers[container].runners_up
        if any(one.message.id == wanted.message.id for one in kept):
            return self
        place = next((n for n, one in enumerate(kept) if beats(one)), len(kept))
        if place >= RUNNERS_UP_KEPT:
            return self
        return self._with(container, runners_up=(*kept[:place], wanted, *kept[place:])[:RUNNERS_UP_KEPT])

    def begin(self, rollout: Rollout) -> Record:
        """Write down the intent of a change; every open push in it begins anew."""
        record = self.but(rollout=rollout)
        for name, wanted in self.open().items():
            if rollout.images.get(name) == wanted.image:
                record = record._with(name, wanted=wanted.but(began_at=rollout.since))
        return record

    def succeed(self, message: UpdateMessage, digests: Mapping[str, str | None], now: datetime, detail: str) -> Record:
        """The message's push runs well on its containers: it is their last good image. `digests` is what they run."""
        record = self
        owned = {name: wanted for name, wanted in self.owned_by(message.id).items() if wanted.is_open}
        for name, wanted in owned.items():
            digest = digests.get(name) or wanted.digest
            push, order = wanted.message.push, wanted.message.order
            good = Good(image=wanted.image, tag=push.tag, digest=digest, order=order)
            done = wanted.but(status="done", digest=wanted.digest or digest)
            record = record._with(name, wanted=done, goods=self.containers[name].proven(good, wanted), runners_up=())
        return record._closed().ended(message, tuple(owned), "updated", detail, now)

    def fail(self, message: UpdateMessage, reasons: Mapping[str, tuple[str, str]], now: datetime) -> Record:
        """The message's push failed on these containers: container → (code, detail)."""
        record = self
        for name, (code, detail) in reasons.items():
            one = self.containers[name]
            if one.wanted is None or one.wanted.message.id != message.id:
                continue
            failed = one.wanted
            failure = Failure(message=failed.message, digest=failed.digest, code=code, detail=_cut(detail), at=now)
            failures = (failure, *one.failures)[:FAILURES_KEPT]
            record = record._with(name, wanted=failed.but(status="failed"), failures=failures)
        return record

    def resume(self, message: UpdateMessage, result: FailedResult, detail: str, now: datetime) -> Record:
        """The failed push of `message` is dealt with: its containers' first runners-up are wanted next."""
        record = self
        failures = self.failures_of(message.id)
        for name in failures:
            one = record.containers[name]
            changes: dict[str, object] = {
                "failures": tuple(
                    failure.but(settled=result, detail=_cut(detail)) if failure.message.id == message.id else failure
                    for failure in one.failures
                )
            }
            # One that failed on another container has ended: nobody would carry it out here.
            waiting = [wanted for wanted in one.runners_up if not self.failures_of(wanted.message.id)]
            if one.wanted and one.wanted.message.id == message.id and waiting:
                changes |= {"wanted": waiting[0].revived(now), "runners_up": tuple(waiting[1:])}
            record = record._with(name, **changes)
        if record.rollout:
            returning = frozenset(record.rollout.returning - failures.keys())
            record = record.but(rollout=record.rollout.but(returning=returning))
        return record._closed().ended(message, tuple(failures), result, detail, now)

    def reopen(self, images: Mapping[str, str], names: Collection[str], now: datetime) -> Record:
        """What a late change has overwritten in these containers of a group that has these images by now.

        What was brought there and is not there any more is wanted again, and what was taken back and is there again is
        to be taken back once more.
        """
        record = self
        for name in self.containers.keys() & set(names):
            one = self.containers[name]
            if one.wanted is None or one.wanted.began_at is None:
                continue
            wanted, failure = one.wanted, one.failure_of(one.wanted.message.id)
            if wanted.status == "done" and images.get(name) != wanted.image:
                record = record._with(name, wanted=wanted.but(status="open", began_at=None, admitted_at=now))
            elif failure and failure.settled == "rolled-back" and images.get(name, wanted.image) == wanted.image:
                again = tuple(other.but(settled=None) if other is failure else other for other in one.failures)
                record = record._with(name, failures=again)
        return record

    def ended(
        self, message: UpdateMessage, containers: tuple[str, ...], result: Result, detail: str, now: datetime
    ) -> Record:
        """Note how a push ended; the last OUTCOMES_KEPT are kept, newest first, one a push and result."""
        outcome = Outcome(
            at=now,
            id=message.id,
            image=str(message.push.image),
            containers=containers,
            result=result,
            detail=_cut(detail),
        )
        others = (one for one in self.outcomes if (one.id, one.result) != (outcome.id, outcome.result))
        return self.but(outcomes=(outcome, *others)[:OUTCOMES_KEPT])

    def redacted(self, redact: Callable[[str], str]) -> Record:
        """The same with every detail redacted: it may hold what an outside system said."""
        containers = {
            name: one.but(failures=tuple(failure.but(detail=redact(failure.detail)) for failure in one.failures))
            for name, one in self.containers.items()
        }
        outcomes = tuple(one.but(detail=redact(one.detail)) for one in self.outcomes)
        return self.but(containers=containers, outcomes=outcomes)

    def known(self, container: str, repository: str, good: Good) -> Record:
        """Know this container; what it runs when it is first seen is its first good image."""
        one = self.containers.get(container)
        if one is None or one.repository != repository:
            one = ContainerRecord(repository=repository, goods=(good,))
        return self.but(containers={**self.containers, container: one})

    def redeployed(self, container: str, good: Good) -> Record:
        """Its owner has brought another image here: that is its last good image now."""
        others = (one for one in self.containers[container].goods if one.image != good.image)
        return self._with(container, goods=(good, *others)[:GOODS_KEPT])

    def without(self, containers: Iterable[str]) -> Record:
        """Forget these containers, whatever was wanted of them."""
        gone = set(containers)
        return self.but(containers={name: one for name, one in self.containers.items() if name not in gone})._closed()

    def refresh(self, ids: Collection[str], now: datetime) -> Record:
        """What these messages have not finished has all its time again, as if it had been admitted, or failed, now."""
        record = self
        for name, one in self.containers.items():
            unfinished = {message.id for message, _ in one.unfinished()} & set(ids)
            failures = tuple(each.but(at=now) if each.message.id in unfinished else each for each in one.failures)
            changes: dict[str, object] = {"failures": failures}
            if one.wanted and one.wanted.is_open and one.wanted.message.id in unfinished:
                changes["wanted"] = one.wanted.but(admitted_at=now)
            record = record._with(name, **changes)
        return record

    def forgive(self, message_id: str, now: datetime) -> Record:
        """Forget that a message's push failed, so that it can be tried again."""
        record = self
        for name in self.failures_of(message_id):
            kept = tuple(one for one in self.containers[name].failures if one.message.id != message_id)
            record = record._with(name, failures=kept)
        for name, wanted in self.owned_by(message_id).items():
            if wanted.status == "failed":
                record = record._with(name, wanted=wanted.but(status="open", began_at=None, admitted_at=now))
        return record

    def _with(self, container: str, **changes: object) -> Record:
        return self.but(containers={**self.containers, container: self.containers[container].but(**changes)})

    def _closed(self) -> Record:
        watched = self.rollout and (self.rollout.returning or any(one.began_at for one in self.open().values()))
        return self if watched else self.but(rollout=None)


def _cut(detail: str) -> str:
    return detail if len(detail) <= LONGEST_DETAIL else f"{detail[: LONGEST_DETAIL - 4]} […]"
