"""The ports: what the controller needs from outside systems, as protocols and their values.

The adapters implement them, and worker.wiring plugs the adapters in. The controller imports no adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from shared.image import ImageReference
from shared.message import TargetId
from shared.push import Push
from shared.queue import Queue
from worker.failures.classify import Failure, classify
from worker.failures.retrying import call_with_retries
from worker.groups.group import ContainerGroup
from worker.groups.withheld import Secret
from worker.record.lookups import Absent, Found, Lookup, Unknown
from worker.record.overview import Overview
from worker.record.record import Record
from worker.record.trace import End
from worker.record.values import Result
from worker.targets.tags import BadTags
from worker.targets.target import Target

__all__ = [
    "UNREADABLE",
    "Absent",
    "Conflict",
    "Dated",
    "Found",
    "Gauges",
    "Glances",
    "Groups",
    "Images",
    "Listed",
    "Lister",
    "Lookup",
    "Notice",
    "Noticed",
    "Ports",
    "RecordStore",
    "TargetCatalogue",
    "Unknown",
]

UNREADABLE = "UnreadableRecord"
"""The code of the error for a record that is of another version, or of another group."""


class Conflict(Exception):
    """Somebody else wrote the record first. Read it again, and decide again."""


class Groups(Protocol):
    """Container groups in Azure; worker.adapters.arm.client.Arm. Every method raises RemoteError."""

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is now."""

    def put(
        self,
        target: TargetId,
        definition: bytes,
        check_lease: Callable[[], None],
    ) -> None:
        """PUT a definition. `check_lease` is called before every try, and raises if it must not be sent any more."""

    def restart(self, target: TargetId, check_lease: Callable[[], None]) -> None:
        """Restart the group. `check_lease` is as for `put`."""


class Lister(Protocol):
    """Lists container groups; worker.adapters.arm.client.Arm. Every method raises RemoteError."""

    def get(self, target: TargetId) -> ContainerGroup:
        """One group."""

    def list(
        self,
        subscription: str,
        resource_group: str | None = None,
    ) -> Iterable[ContainerGroup]:
        """Every group of a subscription or resource group, without instance views."""


class RecordStore(Protocol):
    """The records; worker.adapters.record_blobs.client.Records. Every method raises RemoteError."""

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag; an empty record and None if the group has no record."""

    def save(self, record: Record, etag: str | None) -> str:
        """Write the record if its ETag is still `etag`, and return the new ETag. Raises Conflict."""

    def versions(self) -> Iterable[tuple[TargetId, str]]:
        """Every group that has a record, with the record's ETag."""


class Glances(Protocol):
    """Saves reads while many groups are in transition; worker.adapters.transitions.Watch."""

    def glance(self, target: TargetId) -> ContainerGroup | None:
        """The group without instance views if it is certainly in transition; else None."""

    def waits(self, target: TargetId) -> None:
        """Note that the group is being waited for."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list of groups shows about one group."""

    # Without instance views: ARM's lists leave them out, so a list can't tell whether anything is healthy.
    # https://learn.microsoft.com/rest/api/container-instances/container-groups/list
    images: Mapping[str, str]
    held: bool = False
    in_transition: bool = False


class TargetCatalogue(Protocol):
    """The targets; worker.discovery.catalogue.Catalogue."""

    def concerned(self, image: ImageReference) -> tuple[Target, ...]:
        """The targets that a push may concern. Raises RemoteError if they can't be found out."""

    def target_of(self, group: ContainerGroup) -> Target | BadTags | None:
        """The target that the group is, by the targets file or else by its resource tags as they are now."""

    def all(self) -> tuple[Target, ...]:
        """Every known target."""

    def listed(self) -> Mapping[TargetId, Listed]:
        """The groups in the newest list."""

    def is_gone(self, target: TargetId) -> bool:
        """Whether the group is missing from a list that would show it."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A tag, and when it was pushed by its registry's account."""

    tag: str
    pushed_at: datetime


class Images(Protocol):
    """What registries know about images; worker.adapters.registry.client.Registry."""

    def lookup(
        self, image: ImageReference, running: frozenset[str] = frozenset()
    ) -> Lookup:
        """What the image's tag, or else its digest, points at.

        `running` are digests that are known to be images. If the tag points at one of them, the answer holds no more
        than that, because the caller only wants to know whether the tag has moved.
        """

    def tags(self, image: ImageReference) -> list[str]:
        """Every tag of the image's repository. Raises RemoteError."""

    def recent(self, image: ImageReference) -> list[Dated] | None:
        """The tags of its repository that were pushed last, newest first; None if its registry does not tell.

        Raises RemoteError.
        """

    def created(self, image: ImageReference) -> datetime | None:
        """When the image that its tag points at was made; None if nobody can tell. Raises RemoteError."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """What all workers share, at one moment. `messages`: on each queue, by its name. `unreadable`: records."""

    messages: dict[str, int]
    dead_letters: int
    overview: Overview
    unreadable: int = 0
    last_sweep: datetime | None = None


Noticed = Result | Literal["address changed"]


@dataclass(frozen=True, slots=True)
class Notice:
    """How a push ended for a target. `image` and `target` are written as people write them; `detail` is a sentence.

    `target` is empty, and `group` None, where no target runs what was pushed. `log` are the last lines of the container
    that crashed. `digest` is what the tag stood for, and `before` what the `containers` ran well before (container →
    image), each if known. `pusher` is whom the sender names, `by` who did it by hand.
    """

    outcome: Noticed
    image: str
    target: str
    detail: str
    log: str | None = None
    group: TargetId | None = None
    id: str = ""
    at: datetime | None = None
    code: str | None = None
    digest: str | None = None
    containers: tuple[str, ...] = ()
    before: Mapping[str, str] = field(default_factory=dict)
    pusher: str | None = None
    by: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside systems: ARM, the records, the targets, both queues, secrets and the registry.

    `resolve`: read secrets (path → source) into values.
    `digest`: what a pushed tag points at by its registry, or else the digest if its sender is believed, or None if
    neither is known. Raises RemoteError with the code ManifestUnknown if the registry has no such image.
    `new_id`: a new id of a message, or token of a timer.
    `redact`: hide secrets in what an outside system said.
    `tell`: notify people.
    `leave_trace`: remember how a push ended that no record tells of.
    `last_lines`: what a container of a group wrote last, read by a deadline (monotonic); None if nobody wants it.
    It raises RemoteError.
    """

    groups: Groups
    records: RecordStore
    targets: TargetCatalogue
    watch: Glances
    updates: Queue
    poison: Queue
    resolve: Callable[[dict[str, str]], dict[str, Secret]]
    digest: Callable[[Push], Found | str | None]
    new_id: Callable[[], str]
    redact: Callable[[str], str] = str
    tell: Callable[[Notice], None] = lambda _notice: None
    leave_trace: Callable[[End], None] = lambda _end: None
    last_lines: Callable[[TargetId, str, float], str] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag; an empty record and None if there is none. Raises RemoteError after a few tries."""
        return call_with_retries(lambda: self.records.load(target))

    def save(self, record: Record, etag: str | None) -> str:
        """Write the record if its ETag is still `etag`. Raises Conflict, and RemoteError after a few tries."""
        # A try whose answer was lost may have written the record. Then the next try raises Conflict, and the caller
        # decides again, on the record that it has itself written.
        return call_with_retries(lambda: self.records.save(record, etag))

    def classified(self, error: Exception) -> Failure:
        """What to make of an error, with secrets redacted in what an outside system said."""
        failure = classify(error)
        return replace(failure, detail=self.redact(failure.detail))
