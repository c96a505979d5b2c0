"""What has been read for the status page, how old it is, and what could not be read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared.dead_letter import DeadLetter
from shared.message import TargetId
from worker.core.desired import desired
from worker.core.status import Status, status_of
from worker.groups.group import ContainerGroup
from worker.record.history import all_ends
from worker.record.record import Record
from worker.record.trace import End, Trace
from worker.targets.target import Target

TARGETS, RECORDS, QUEUE, LETTERS = (
    "the list of groups",
    "the records",
    "the queue",
    "the dead letters",
)
"""What is read as a whole, by the names that people see."""
OLD = timedelta(seconds=90)
"""What was read longer ago than this is shown with its age."""


@dataclass(frozen=True, slots=True)
class Reading:
    """When something was last read (`at`), and, where it can't be read now, why (`error`) and since when (`since`)."""

    at: datetime | None = None
    error: str | None = None
    since: datetime | None = None

    def done(self, now: datetime) -> Reading:
        """It was read."""
        return Reading(at=now)

    def failed(self, error: str, now: datetime) -> Reading:
        """It could not be read. What was read before is still shown, with its age."""
        return Reading(self.at, error, self.since or now)


@dataclass(frozen=True, slots=True)
class Seen:
    """A group, as it was last read. The record and the group come from different systems: each has its own reading."""

    target: TargetId
    record: Record | None = None
    group: ContainerGroup | None = None
    rules: Target | None = None
    of_record: Reading = field(default_factory=Reading)
    of_group: Reading = field(default_factory=Reading)

    @property
    def errors(self) -> tuple[str, ...]:
        """Why it can't be read now."""
        return tuple(
            error for error in (self.of_record.error, self.of_group.error) if error
        )

    @property
    def status(self) -> Status:
        """Its status, by what was read last."""
        return status_of(self.target, self.record, self.group, self.errors)

    @property
    def is_read(self) -> bool:
        """Has Azure answered yet, whatever it was? An error is an answer: nobody should wait for a better one."""
        return self.of_group.at is not None or self.of_group.error is not None

    @property
    def is_lively(self) -> bool:
        """Is anything under way that may look different in a few seconds?"""
        in_transition = self.group is not None and self.group.in_transition
        has_change = self.record is not None and self.record.change is not None
        return in_transition or has_change

    def wanted(self, *, rollback: bool) -> dict[str, str]:
        """What should run and does not yet, by container."""
        if self.record is None or self.group is None:
            return {}
        images = self.group.images
        wishes = desired(self.record, images, rollback=rollback)
        wanted = {}
        for name, wish in wishes.items():
            # A restart brings in what a tag points at now. Only its digest differs, so no name tells it from what runs.
            if wish.restart or images[name] not in wish.spellings:
                wanted[name] = wish.image
        return wanted

    def policy(self, container: str) -> str | None:
        """How a container is kept up to date; None if it is left alone, or if nobody knows yet."""
        rule = self.rules.rule_for(container) if self.rules else None
        return str(rule.policy) if rule else None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the page shows. `records` are those of all groups, also of former targets."""

    seen: Mapping[TargetId, Seen] = field(default_factory=dict)
    records: Mapping[TargetId, Record] = field(default_factory=dict)
    trace: Trace = field(default_factory=Trace)
    letters: tuple[DeadLetter | str, ...] = ()
    dead: int | None = None
    messages: int | None = None
    unlisted: tuple[str, ...] = ()
    readings: Mapping[str, Reading] = field(default_factory=dict)

    @property
    def ends(self) -> list[End]:
        """How the last pushes ended, newest first."""
        return all_ends(self.records.values(), self.trace)

    @property
    def statuses(self) -> list[Status]:
        """The status of every group, trouble first."""
        return sorted(
            (seen.status for seen in self.seen.values()),
            key=lambda one: (one.rank, one.target.key),
        )

    @property
    def is_read(self) -> bool:
        """Is it known which groups there are, and has each of them been asked for?"""
        # An empty Reading is one that has never been tried. One that has failed says so.
        return self.reading(TARGETS) != Reading() and all(
            seen.is_read for seen in self.seen.values()
        )

    def reading(self, what: str) -> Reading:
        """How the reading of this goes."""
        return self.readings.get(what, Reading())

    def noted(self, what: str, reading: Reading, **changes: Any) -> State:
        """The state after one more reading, with what it brought."""
        return replace(self, readings={**self.readings, what: reading}, **changes)

    def fingerprint(self, *, rollback: bool) -> tuple[object, ...]:
        """Equal for two states in which a viewer would see the same, but for the times of reading."""
        # With the times of reading, which change with every round, each viewer would get a new page each time. Ages are
        # left out for the same reason: the page's own script counts them on.
        return (
            tuple(
                self._of_group(seen, rollback=rollback) for seen in self.seen.values()
            ),
            tuple((end.target, end.outcome.id, end.outcome.at) for end in self.ends),
            self.letters,
            (self.dead, self.messages, self.unlisted),
            tuple((what, reading.error) for what, reading in self.readings.items()),
        )

    def last_read(self) -> datetime | None:
        """When anything was last read."""
        return max(self._times(), default=None)

    def is_old(self, now: datetime) -> bool:
        """Has Azure shown no group for long, although nothing says why? Its reader hangs, or breaks each time."""
        # Where a reading has failed, its error is shown, and that says enough.
        times = [seen.of_group.at for seen in self.seen.values() if seen.of_group.at]
        has_failed = any(seen.of_group.error for seen in self.seen.values())
        return bool(times) and not has_failed and now - max(times) > OLD

    def _of_group(self, seen: Seen, *, rollback: bool) -> tuple[object, ...]:
        containers = seen.group.images if seen.group else ()
        policies = tuple((name, seen.policy(name)) for name in containers)
        return (
            seen.status,
            tuple(seen.wanted(rollback=rollback).items()),
            policies,
            seen.is_read,
        )

    def _times(self) -> Iterator[datetime]:
        readings = [
            *self.readings.values(),
            *(seen.of_group for seen in self.seen.values()),
        ]
        yield from (reading.at for reading in readings if reading.at)
