"""Steps: what to do next for a rollout, as values. worker.rollout decides, worker.step carries out.

Every step holds the record as it is to be written before anything is done: whoever wins that write acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from worker.record import FailedResult, Record, Result


@dataclass(frozen=True, slots=True)
class Apply:
    """Bring `record.rollout` onto the group: PUT its images, or restart the group if it says so."""

    record: Record


@dataclass(frozen=True, slots=True)
class RollBack:
    """The same for the last good images."""

    record: Record


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `delay`."""

    record: Record
    delay: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The push has ended well, or nothing is to be done. `moved`: the group's address before and after, if it moved."""

    record: Record
    result: Result
    detail: str
    moved: tuple[Mapping[str, str], Mapping[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The push has failed: dead-letter it with `code` and `detail`."""

    record: Record
    code: str
    detail: str
    result: FailedResult = "failed"


Step = Apply | RollBack | Wait | Finish | GiveUp
