"""What the status page reads: groups, records, targets and the two queues. As protocols: the page knows no adapter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from shared.message import TargetId
from shared.queue import Queue
from worker.groups.group import ContainerGroup
from worker.record.record import Record
from worker.record.trace import Trace
from worker.targets.tags import BadTags
from worker.targets.target import Target


class Groups(Protocol):
    """Container groups in Azure; worker.adapters.arm.client.Arm."""

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is now. Raises RemoteError."""


class Records(Protocol):
    """The records; worker.adapters.record_blobs.client.Records. Every method raises RemoteError."""

    def versions(self) -> Iterable[tuple[TargetId, str]]:
        """Every group that has a record, with the record's ETag."""

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag."""

    def trace(self) -> Trace:
        """How pushes ended that no record tells of."""


class Targets(Protocol):
    """The targets; worker.discovery.catalogue.Catalogue."""

    def known(self) -> tuple[Target, ...]:
        """Every target. Raises RemoteError where they can't be listed."""

    def all(self) -> tuple[Target, ...]:
        """Every target that is known now."""

    def target_of(self, group: ContainerGroup) -> Target | BadTags | None:
        """The target that a group is, by its tags as they are now or by the targets file."""

    def problems(self) -> tuple[str, ...]:
        """Why groups are not targets, a sentence each."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read. `redact` hides secrets in what outside systems say; `rollback` is the setting."""

    groups: Groups
    records: Records
    targets: Targets
    updates: Queue
    poison: Queue
    redact: Callable[[str], str] = str
    rollback: bool = True
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
