"""What the status page reads, in memory: groups of the simulator, records and queues that can be told to fail."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.errors import RemoteError
from shared.message import TargetId
from tests.fakes import Clock, FixedTargets, MemoryQueue, MemoryRecords, SimulatedGroups
from tests.site import definition
from tests.unit.builders import API, SHOP
from worker.dashboard.reader import Reader
from worker.dashboard.sources import Sources
from worker.groups.group import ContainerGroup
from worker.record.trace import Trace
from worker.targets.target import Target, single_target

IMAGES = {"web": "acme/shop:1", "proxy": "nginx:1"}


class Listed(FixedTargets):
    """Targets that can be listed, or not."""

    def __init__(self, *targets: Target) -> None:
        super().__init__(*targets)
        self.error: RemoteError | None = None
        self.unlisted: tuple[str, ...] = ()

    def known(self) -> tuple[Target, ...]:
        """All of them."""
        if self.error:
            raise self.error
        return self.all()

    def problems(self) -> tuple[str, ...]:
        """Why others are none."""
        return self.unlisted

    def forget(self, target: TargetId) -> None:
        """It is no target any more."""
        del self._targets[target]


class Traced(MemoryRecords):
    """Records with an empty trace."""

    def trace(self) -> Trace:
        """Nothing."""
        return Trace()


class Counted(SimulatedGroups):
    """Groups whose reads are counted, and that may answer anything."""

    reads = 0
    odd: ContainerGroup | None = None

    def get(self, target: TargetId) -> ContainerGroup:
        """One of them."""
        self.reads += 1
        return self.odd or super().get(target)


@dataclass
class Outside:
    """Two groups, `shop` and `api`, and everything beside them."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.groups, self.records = Counted(self.clock), Traced()
        self.updates, self.poison = MemoryQueue(self.clock), MemoryQueue(self.clock, name="poison")
        self.targets = Listed(single_target(SHOP), single_target(API))
        for target in (SHOP, API):
            self.groups.place(target, definition(IMAGES))
        self.reader = Reader(
            Sources(
                groups=self.groups,
                records=self.records,
                targets=self.targets,
                updates=self.updates,
                poison=self.poison,
                redact=lambda text: text.replace("s3cret", "***"),
                now=self.clock.now,
                monotonic=self.clock.seconds,
            )
        )

    def look(self) -> None:
        """A round of each thread."""
        self.reader.round("storage", self.reader.look_at_storage)
        self.reader.round("groups", self.reader.look_at_groups)
