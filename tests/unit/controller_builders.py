"""A bench for the controller: every outside system in memory, one clock, and a journal of what was called when.

What happens at a call is scripted: `bench.on("put", DOWN)` has the next PUT fail before it takes effect, and
`bench.on("after put", DOWN)` loses its answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import REGISTRY

from shared.dead_letter import DeadLetter, decode_letter
from shared.errors import RemoteError
from shared.leased_message import LeasedMessage
from shared.message import Look, TargetId, UpdateMessage, decode
from shared.push import Push
from tests.arm_simulator.reports import GroupTruth
from tests.fakes import Clock, FixedTargets, MemoryQueue, MemoryRecords, NoGlances, SimulatedGroups
from tests.unit.builders import SHOP, Json
from worker.failures.classify import Retry
from worker.groups.group import ContainerGroup
from worker.ports import Conflict, Notice, Ports
from worker.record.record import Record
from worker.targets.target import Target, single_target

LEASE = 30
"""Seconds."""
RETRY = Retry(max_attempts=8, base=5, longest=600)
TARGET = single_target(SHOP)
Step = Callable[[], object] | Exception

# A server that says "at once" keeps the retries inside a step from sleeping.
DOWN = RemoteError("arm", 503, "ServiceUnavailable", "later", 0)
THROTTLED = RemoteError("arm", 429, "TooManyRequests", "slower", 17)
BUSY = RemoteError("arm", 409, "ContainerGroupTransitioning", "later")
REFUSED = RemoteError("arm", 400, "InvalidRequestContent", "no")
NO_ANSWER = RemoteError("arm", 500, "InternalServerError", "who knows")
RECORDS_DOWN = RemoteError("records", 503, "ServerBusy", "later", 0)
QUEUE_DOWN = RemoteError("queue", 503, "ServerBusy", "later", 0)


class Died(BaseException):
    """The worker was killed."""


class Bench:
    """A group, its record, the queues, and the ports to all of them."""

    def __init__(
        self,
        record: Record | None = None,
        images: Mapping[str, str] | None = None,
        *,
        target: Target = TARGET,
        definition: Json | None = None,
        state: str = "Running",
    ) -> None:
        self.clock = Clock()
        self.azure = SimulatedGroups(self.clock)
        self.records = MemoryRecords()
        self.updates = MemoryQueue(self.clock, LEASE)
        self.poison = MemoryQueue(self.clock, LEASE, "updates-poison")
        self.told: list[Notice] = []
        self.calls: list[str] = []
        self.resolved: list[dict[str, str]] = []
        self._steps: dict[str, list[Step]] = {}
        self._ids = 0
        self.targets: Any = FixedTargets(target)
        self.watch = Glances()
        if images is not None or definition is not None:
            self.azure.place(SHOP, definition or group_of(images or {}), state)
            # The group was started an hour ago, and a change takes ten seconds.
            self.azure.options(transition_seconds=10, pull_seconds=1)
        if record:
            self.records.save(record, None)
        for name, system in (("", self.azure), ("", self.records), ("", self.updates), ("poison ", self.poison)):
            system.probe = self._probe(name)

    def ports(self, **others: Any) -> Ports:
        """The ports, with some replaced."""
        plain: Json = {
            "groups": self.azure,
            "records": self.records,
            "targets": self.targets,
            "watch": self.watch,
            "updates": self.updates,
            "poison": self.poison,
            "resolve": self._resolve,
            "digest": self.digest,
            "new_id": self._new_id,
            "redact": lambda text: text.replace("hunter2", "***"),
            "tell": self.told.append,
            "now": self.clock.now,
        }
        return Ports(**(plain | others))

    def on(self, call: str, *steps: Step) -> None:
        """Script the next calls, one step for each: an error to raise, or something to do."""
        self._steps.setdefault(call if call.startswith("after ") else f"before {call}", []).extend(steps)

    def digest(self, push: Push) -> str | None:
        """A registry's answer about a pushed image: the scripted one, or what the sender says."""
        self._called("before digest")
        return push.digest

    @property
    def record(self) -> Record:
        """The group's record, read without an entry in the journal."""
        self.records.probe = lambda _call: None
        found = self.records.load(SHOP)[0]
        self.records.probe = self._probe("")
        return found

    def rewrite(self, decide: Callable[[Record], Record]) -> None:
        """Let somebody else write the record, without an entry in the journal."""
        self.records.probe = lambda _call: None
        before, etag = self.records.load(SHOP)
        self.records.save(decide(before), etag)
        self.records.probe = self._probe("")

    @property
    def truth(self) -> GroupTruth:
        """The group as it really is."""
        return self.azure.truth(SHOP)

    @property
    def images(self) -> dict[str, str]:
        """The images of the group's definition."""
        containers = self.truth["definition"]["properties"]["containers"]
        return {container["name"]: container["properties"]["image"] for container in containers}

    @property
    def sent(self) -> list[UpdateMessage | Look]:
        """The messages on the updates queue."""
        return [decode(text) for text in self.updates.texts]

    @property
    def letters(self) -> list[DeadLetter]:
        """The dead letters."""
        return [decode_letter(text) for text in self.poison.texts]

    def lease(self, message: UpdateMessage | Look | str, crashes: int = 0) -> LeasedMessage:
        """A message received after `crashes` deliveries that were never settled, without entries in the journal."""
        self.updates.probe = lambda _call: None
        self.updates.send(message if isinstance(message, str) else message.encode())
        for _ in range(crashes):
            self.updates.receive(32)
            self.clock.advance(LEASE)
        *_, leased = self.updates.receive(32)
        self.updates.probe = self._probe("")
        return leased

    def saves(self) -> int:
        """How often the record was written."""
        return self.calls.count("after save")

    def _resolve(self, sources: dict[str, str]) -> dict[str, str]:
        self._called("before resolve")
        self.resolved.append(sources)
        return {path: f"the value of {source}" for path, source in sources.items()}

    def _probe(self, name: str) -> Callable[[str], None]:
        def probe(call: str) -> None:
            when, _, what = call.partition(" ")
            self._called(f"{when} {name}{what}")

        return probe

    def _called(self, call: str) -> None:
        self.calls.append(call)
        steps = self._steps.get(call)
        if steps:
            step = steps.pop(0)
            if isinstance(step, Exception):
                raise step
            step()

    def _new_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"


class Glances(NoGlances):
    """Remembers which groups are waited for, and shows a group if it has one to show."""

    def __init__(self) -> None:
        self.waited: list[TargetId] = []
        self.shown: ContainerGroup | None = None

    def glance(self, target: TargetId) -> ContainerGroup | None:
        """The group to show, if any."""
        return self.shown

    def waits(self, target: TargetId) -> None:
        """Remember it."""
        self.waited.append(target)


def chance() -> random.Random:
    """Random numbers that are always the same."""
    return random.Random(0)


def group_of(images: Mapping[str, str], **rest: Any) -> Json:
    """The definition of a group that runs these images."""
    resources = {"requests": {"cpu": 1, "memoryInGB": 1}}
    containers = [
        {"name": name, "properties": {"image": image, "resources": resources}} for name, image in images.items()
    ]
    tags = rest.pop("tags", {})
    properties = {"osType": "Linux", "containers": containers, **rest}
    return {"location": "westeurope", "tags": tags, "properties": properties}


def conflict() -> Conflict:
    """Somebody else wrote the record first."""
    return Conflict("somebody was faster")


def counted(name: str, **labels: str) -> float:
    """The value of a counter of the metrics."""
    return REGISTRY.get_sample_value(name, labels) or 0.0
