"""The ports of a step: what it needs of the outside systems. worker.wiring plugs the adapters in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage
from worker.adapters.notifications import Notice
from worker.failures.retrying import briefly
from worker.groups.group import ContainerGroup
from worker.record import Record
from worker.targets.target import Target


class Groups(Protocol):
    """Container groups in Azure; worker.adapters.arm.Arm."""

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is."""

    def put(self, target: TargetId, definition: bytes, insist: Callable[[], None]) -> None:
        """Bring a definition onto it; `insist` raises if it must not be sent any more, at the last moment."""

    def restart(self, target: TargetId, insist: Callable[[], None]) -> None:
        """Restart it; `insist` as above."""


class RecordStore(Protocol):
    """The records; worker.adapters.record_blobs.Records."""

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag."""

    def save(self, record: Record, etag: str | None) -> str:
        """Compare and swap; raises Conflict."""


class Glances(Protocol):
    """What spares reads while many groups are waited for; worker.adapters.transitions.Watch."""

    def glance(self, target: TargetId) -> ContainerGroup | None:
        """The group without instance views if it is in transition for certain."""

    def waits(self, target: TargetId) -> None:
        """It is being waited for."""


class TargetCatalogue(Protocol):
    """The targets; worker.discovery.catalogue.Catalogue."""

    def concerned(self, image: ImageReference) -> tuple[Target, ...]:
        """The targets that a push may concern."""

    def get(self, target_id: TargetId) -> Target | None:
        """One target."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside systems of a step: ARM, the records, the targets, the queue's `send`, secrets and the registry.

    `resolve` reads secrets (path → source) into values; `digest` gives a pushed image's digest, None if not known;
    `redact` hides secrets in what an outside system said; `tell` notifies people; `fanned_out` remembers which
    targets a push was sent to.
    """

    groups: Groups
    records: RecordStore
    targets: TargetCatalogue
    watch: Glances
    send: Callable[[UpdateMessage], None]
    resolve: Callable[[dict[str, str]], dict[str, str]]
    digest: Callable[[UpdateMessage], str | None]
    redact: Callable[[str], str] = str
    tell: Callable[[Notice], None] = lambda _notice: None
    fanned_out: Callable[[UpdateMessage, Iterable[TargetId]], None] = lambda _message, _targets: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag. Raises RemoteError after a few tries."""
        return briefly(lambda: self.records.load(target))

    def save(self, before: Record, after: Record, etag: str | None) -> str | None:
        """Compare and swap, if there is anything to write; the ETag then. Raises Conflict, RemoteError."""
        return etag if after == before else briefly(lambda: self.records.save(after, etag))
