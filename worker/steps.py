"""Steps: what to do next for a rollout, as values. worker.rollout decides, worker.step carries out.

Every step holds the record as it is to be written before anything is done: whoever wins that write acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from worker.record import Record
from worker.record_parts import FailedResult, Result, Rollout


@dataclass(frozen=True, slots=True)
class Moved:
    """That a group's address is another one than before the change. As text, the end of a sentence of details."""

    before: Mapping[str, str]
    after: Mapping[str, str]

    def __str__(self) -> str:
        return f"; THE ADDRESS CHANGED from {dict(self.before)} to {dict(self.after)}"


@dataclass(frozen=True, slots=True)
class Change:
    """Bring the record's rollout onto the group: PUT its images, or restart the group if it says so.

    `unsent` is the record as it is to be again if Azure refuses the change and nothing was done.
    """

    record: Record
    unsent: Record

    @property
    def rollout(self) -> Rollout:
        """What is brought onto the group."""
        if self.record.rollout is None:
            raise ValueError("a change has its intent in the record")
        return self.record.rollout


@dataclass(frozen=True, slots=True)
class Apply(Change):
    """Bring what is wanted onto the group."""


@dataclass(frozen=True, slots=True)
class RollBack(Change):
    """Bring the last good images onto it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `delay`."""

    record: Record
    delay: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The push has ended well, or nothing is to be done. `moved`: the group's address changed on the way."""

    record: Record
    result: Result
    detail: str
    moved: Moved | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The push has failed: dead-letter it with `code` and `detail`."""

    record: Record
    code: str
    detail: str
    result: FailedResult = "failed"
    moved: Moved | None = None


Step = Apply | RollBack | Wait | Finish | GiveUp


def redacted(step: Step, redact: Callable[[str], str]) -> Step:
    """The step with everything that an outside system said redacted: it goes into records and dead letters."""
    record = step.record.redacted(redact)
    match step:
        case Apply() | RollBack():
            return replace(step, record=record, unsent=step.unsent.redacted(redact))
        case Finish() | GiveUp():
            return replace(step, record=record, detail=redact(step.detail))
        case Wait():
            return replace(step, record=record, reason=redact(step.reason))
