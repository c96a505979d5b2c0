"""The ports: what the controller needs of the outside systems, as protocols and their values.

The adapters implement them and worker.wiring plugs them in; the controller knows no adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from shared.image import ImageReference
from shared.message import TargetId
from shared.push import Push
from shared.queue import Queue
from worker.failures.retrying import briefly
from worker.groups.group import ContainerGroup
from worker.groups.withheld import Secret
from worker.record.lookups import Absent, Found, Lookup, Unknown
from worker.record.record import Record
from worker.record.trace import End
from worker.targets.tags import BadTags
from worker.targets.target import Target

__all__ = [
    "UNREADABLE",
    "Absent",
    "Conflict",
    "Dated",
    "Found",
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
"""The code of the error that a record is none of this version, or another group's."""


class Conflict(Exception):
    """Somebody else wrote the record first: read it again and decide again."""


class Groups(Protocol):
    """Container groups in Azure; worker.adapters.arm.Arm. Every method raises RemoteError."""

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is."""

    def put(self, target: TargetId, definition: bytes, insist: Callable[[], None]) -> None:
        """Bring a definition onto it; `insist` raises if it must not be sent any more, at the last moment."""

    def restart(self, target: TargetId, insist: Callable[[], None]) -> None:
        """Restart it; `insist` as above."""


class Lister(Protocol):
    """What lists container groups; worker.adapters.arm.Arm."""

    def list(self, subscription: str, resource_group: str | None = None) -> Iterable[ContainerGroup]:
        """Every group of a subscription or resource group, without instance views. Raises RemoteError."""


class RecordStore(Protocol):
    """The records; worker.adapters.record_blobs.Records. Every method raises RemoteError."""

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag; an empty one and None where there is none."""

    def save(self, record: Record, etag: str | None) -> str:
        """Compare and swap; the new ETag. Raises Conflict."""

    def versions(self) -> Iterable[tuple[TargetId, str]]:
        """Every group that has a record, with the record's ETag."""


class Glances(Protocol):
    """What spares reads while many groups are waited for; worker.adapters.transitions.Watch."""

    def glance(self, target: TargetId) -> ContainerGroup | None:
        """The group without instance views if it is in transition for certain."""

    def waits(self, target: TargetId) -> None:
        """It is being waited for."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list of groups shows of one group."""

    images: Mapping[str, str]
    held: bool = False
    in_transition: bool = False


class TargetCatalogue(Protocol):
    """The targets; worker.discovery.catalogue.Catalogue."""

    def concerned(self, image: ImageReference) -> tuple[Target, ...]:
        """The targets that a push may concern. Raises RemoteError if none can be known."""

    def target_of(self, group: ContainerGroup) -> Target | BadTags | None:
        """The target that this group is by the targets file, or by the resource tags that it has now."""

    def all(self) -> tuple[Target, ...]:
        """Every target that is known now."""

    def listed(self) -> Mapping[TargetId, Listed]:
        """The groups of the last list."""

    def is_gone(self, target: TargetId) -> bool:
        """Does a list that would show this group not show it?"""


@dataclass(frozen=True, slots=True)
class Dated:
    """A tag, and when it was pushed by its registry's account."""

    tag: str
    pushed_at: datetime


class Images(Protocol):
    """What a registry tells of its images; worker.adapters.registry.client.Registry."""

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Lookup:
        """What does this image's tag point at, or else its digest?

        `running` are digests that are known to be images: where the tag points at one of them, the answer holds no
        more than that, as whoever asks wants to know whether it has moved.
        """

    def tags(self, image: ImageReference) -> list[str]:
        """Every tag of its repository. Raises RemoteError."""

    def recent(self, image: ImageReference) -> list[Dated] | None:
        """The tags of its repository that were pushed last, newest first; None if its registry does not tell.

        Raises RemoteError.
        """

    def created(self, image: ImageReference) -> datetime | None:
        """When the image that its tag points at was made; None if nobody can tell. Raises RemoteError."""


Noticed = Literal["updated", "rolled-back", "failed", "address changed"]


@dataclass(frozen=True, slots=True)
class Notice:
    """How a push ended for a target: `image` and `target` as people write them, `detail` a sentence."""

    outcome: Noticed
    image: str
    target: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside systems: ARM, the records, the targets, both queues, secrets and the registry.

    `resolve` reads secrets (path → source) into values; `digest` tells what a pushed tag points at by its registry, or
    the digest that its sender is believed, None if neither is known, and raises RemoteError with the code
    ManifestUnknown where the registry has no such image; `redact` hides secrets in what an outside system said; `tell`
    notifies people; `leave_trace` remembers how a push ended that no record tells of; `new_id` makes ids of messages
    and tokens of timers.
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
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag. Raises RemoteError after a few tries."""
        return briefly(lambda: self.records.load(target))

    def save(self, record: Record, etag: str | None) -> str:
        """Compare and swap; the new ETag. Raises Conflict, RemoteError after a few tries."""
        return briefly(lambda: self.records.save(record, etag))
