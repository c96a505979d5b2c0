"""Outside systems in memory: a clock that only tests move, queues, records, and container groups.

Each does what the real adapter does, exceptions included; tests/contract/test_fakes.py holds them to that. `probe` is
told of every call before and after its effect, so that a test can interrupt a step at any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, cast

from azure.storage.queue import QueueMessage

from shared.errors import RemoteError, retry_after
from shared.image import ImageReference
from shared.leased_message import LeasedMessage
from shared.message import TargetId
from shared.queue import MAX_BATCH, Queue
from tests.arm_simulator.messages import Answer, Request
from tests.arm_simulator.reports import GroupTruth, Stats
from tests.arm_simulator.simulator import Simulator
from worker.adapters.record_blobs.client import Records
from worker.adapters.record_blobs.texts import read_record
from worker.groups.group import ContainerGroup
from worker.ports import Conflict, Dated, Listed
from worker.record.record import Record
from worker.targets.tags import BadTags
from worker.targets.target import Target

Probe = Callable[[str], None]
EPOCH = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """The time, which passes only when it is told to."""

    def __init__(self, at: datetime = EPOCH) -> None:
        self._at = at

    def now(self) -> datetime:
        """The time of day."""
        return self._at

    def seconds(self) -> float:
        """The same in seconds since 1970."""
        return self._at.timestamp()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._at += timedelta(seconds=seconds)


def _unobserved(_call: str) -> None:
    pass


@dataclass
class _Entry:
    id: str
    text: str
    inserted_at: datetime
    visible_at: float
    dequeue_count: int = 0
    receipt: str | None = None


class MemoryQueue(Queue):
    """A queue without a server. Leases run by the clock: hold a message to `lease_holds(clock.seconds)`."""

    def __init__(self, clock: Clock, visibility_timeout: int = 30, name: str = "updates") -> None:
        self.name = name
        self.probe: Probe = _unobserved
        self._now = clock
        self._timeout = visibility_timeout
        self._entries: list[_Entry] = []
        self._numbers = 0

    def with_leases_of(self, seconds: int) -> MemoryQueue:
        """The same queue, as a client with other leases has it."""
        client = MemoryQueue(self._now, seconds, self.name)
        client._entries = self._entries
        return client

    def ensure(self) -> None:
        """It exists."""

    def send(self, text: str, delay: float = 0) -> None:
        """Add a message."""
        self.probe("before send")
        entry = _Entry(self._number("message"), text, self._now.now(), self._now.seconds() + ceil(delay))
        self._entries.append(entry)
        self.probe("after send")

    def receive(self, limit: int) -> list[LeasedMessage]:
        """Lease up to `limit` messages."""
        visible = [entry for entry in self._entries if entry.visible_at <= self._now.seconds()]
        return [self._lease(entry) for entry in visible[: min(limit, MAX_BATCH)]]

    def peek(self) -> list[str]:
        """What anybody could receive now."""
        return [entry.text for entry in self._entries if entry.visible_at <= self._now.seconds()][:MAX_BATCH]

    def renew(self, message: LeasedMessage) -> None:
        """Lease it for another visibility timeout."""
        self._update(message, None, self._timeout, settles=False)
        message.expires = self._now.seconds() + self._timeout

    def reschedule(self, message: LeasedMessage, text: str, delay: float) -> None:
        """Replace its content and give it up for a while."""
        self.probe("before reschedule")
        self._update(message, text, ceil(delay), settles=True)
        self.probe("after reschedule")

    def complete(self, message: LeasedMessage) -> None:
        """Delete it."""
        self.probe("before complete")
        message.with_receipt(lambda receipt: self._entries.remove(self._found(message.id, receipt)), settles=True)
        self.probe("after complete")

    def count(self) -> int:
        """All messages, leased and delayed ones included."""
        return len(self._entries)

    def lose(self, which: Callable[[str], bool]) -> None:
        """Forget messages by their content, as no queue should; those that are leased can't be settled any more."""
        self._entries = [entry for entry in self._entries if not which(entry.text)]

    @property
    def texts(self) -> list[str]:
        """Every message's content."""
        return [entry.text for entry in self._entries]

    @property
    def next_visible_in(self) -> float:
        """Seconds until some message can be received; 0 if one can be, or if there is none."""
        soonest = min((entry.visible_at for entry in self._entries), default=0.0)
        return max(0.0, soonest - self._now.seconds())

    def _lease(self, entry: _Entry) -> LeasedMessage:
        expires = self._now.seconds() + self._timeout
        entry.visible_at, entry.receipt = expires, self._number("receipt")
        entry.dequeue_count += 1
        message = QueueMessage(
            entry.text,
            id=entry.id,
            inserted_on=entry.inserted_at,
            dequeue_count=entry.dequeue_count,
            pop_receipt=entry.receipt,
        )
        return LeasedMessage(message, expires)

    def _update(self, message: LeasedMessage, text: str | None, visibility_timeout: int, *, settles: bool) -> None:
        def update(receipt: str | None) -> str | None:
            entry = self._found(message.id, receipt)
            entry.visible_at, entry.receipt = self._now.seconds() + visibility_timeout, self._number("receipt")
            entry.text = entry.text if text is None else text
            return entry.receipt

        message.with_receipt(update, settles=settles)

    def _found(self, message_id: str, receipt: str | None) -> _Entry:
        entry = next((entry for entry in self._entries if entry.id == message_id), None)
        if entry is None:
            raise RemoteError("queue", 404, "MessageNotFound", "The specified message does not exist.")
        if entry.receipt != receipt:
            raise RemoteError("queue", 400, "PopReceiptMismatch", "The pop receipt did not match.")
        return entry

    def _number(self, what: str) -> str:
        self._numbers += 1
        return f"{what}-{self._numbers}"


class MemoryRecords(Records):
    """The records without a server, kept as the JSON that a blob would hold."""

    def __init__(self) -> None:
        self.probe: Probe = _unobserved
        self._blobs: dict[TargetId, tuple[str, str]] = {}
        self._writes = 0

    def ensure(self) -> None:
        """There is a place for them."""

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A group's record and its ETag."""
        self.probe("before load")
        text, etag = self._blobs.get(target, (None, None))
        self.probe("after load")
        return (Record(target=target) if text is None else read_record(text, target)), etag

    def save(self, record: Record, etag: str | None) -> str:
        """Compare and swap."""
        self.probe("before save")
        if self._blobs.get(record.target, ("", None))[1] != etag:
            raise Conflict(str(record.target))
        self._writes += 1
        new = f'"{self._writes}"'
        self._blobs[record.target] = (record.model_dump_json(exclude_none=True), new)
        self.probe("after save")
        return new

    def versions(self) -> Iterator[tuple[TargetId, str]]:
        """Every group that has a record, with its ETag."""
        yield from [(target, etag) for target, (_, etag) in self._blobs.items()]


class FixedTargets:
    """A catalogue whose every target concerns every push: their rollouts will see."""

    def __init__(self, *targets: Target) -> None:
        self._targets = {target.id: target for target in targets}

    def concerned(self, image: ImageReference) -> tuple[Target, ...]:
        """All of them."""
        return tuple(self._targets.values())

    def target_of(self, group: ContainerGroup) -> Target | BadTags | None:
        """One of them."""
        return self._targets.get(group.id)

    def all(self) -> tuple[Target, ...]:
        """All of them."""
        return tuple(self._targets.values())

    def listed(self) -> dict[TargetId, Listed]:
        """Nothing is listed: each group is read on its own."""
        return {}

    def is_gone(self, target: TargetId) -> bool:
        """No list tells."""
        return False


class NoTimes:
    """A registry that does not tell when tags were pushed; what fakes of registries build on."""

    def recent(self, image: ImageReference) -> list[Dated] | None:
        """It does not tell."""
        return None

    def created(self, image: ImageReference) -> datetime | None:
        """Nor does any config."""
        return None


class NoGlances:
    """No list calls: every group is read on its own."""

    def glance(self, target: TargetId) -> ContainerGroup | None:
        """Never."""
        return None

    def waits(self, target: TargetId) -> None:
        """So be it."""


class SimulatedGroups:
    """Container groups of the ARM simulator, without a server; and what its control surface can do."""

    def __init__(self, clock: Clock) -> None:
        self.probe: Probe = _unobserved
        self._simulator = Simulator(clock=clock.seconds)

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is."""
        self.probe("before get")
        body = self._arm("GET", target)
        self.probe("after get")
        return ContainerGroup(body)

    def put(self, target: TargetId, definition: bytes, check_lease: Callable[[], None]) -> None:
        """Bring a definition onto the group."""
        check_lease()
        self.probe("before put")
        self._arm("PUT", target, body=definition)
        self.probe("after put")

    def restart(self, target: TargetId, check_lease: Callable[[], None]) -> None:
        """Restart the group."""
        check_lease()
        self.probe("before restart")
        self._arm("POST", target, "/restart")
        self.probe("after restart")

    def last_lines(self, target: TargetId, container: str, lines: int) -> str:
        """What a container printed last."""
        self.probe("before logs")
        content = self._arm("GET", target, f"/containers/{container}/logs", query=f"&tail={lines}")["content"]
        self.probe("after logs")
        return str(content)

    def place(self, target: TargetId, definition: dict[str, Any], state: str = "Running") -> None:
        """Have a group that was started an hour ago."""
        self._control("PUT", _path(target), definition, f"state={state}")

    def image(
        self,
        image: str,
        behaviour: str = "good",
        *,
        digest: str | None = None,
        index: str | None = None,
        after: float | None = None,
        output: str | None = None,
    ) -> None:
        """Say how an image, or all that a glob means, goes from its next launch on."""
        rule = {"image": image, "behaviour": behaviour, "digest": digest, "index": index, "after": after}
        rule["output"] = output
        self._control("PUT", "/images", {name: value for name, value in rule.items() if value is not None})

    def repair(self, target: TargetId) -> None:
        """Its node goes down, and the platform moves it."""
        self._control("POST", f"{_path(target)}/repair")

    def fault(self, fault: str, **details: str | float | None) -> None:
        """Have requests meet a fault; see tests.arm_simulator.faults."""
        self._control("POST", "/faults", {"fault": fault, **details})

    def clear_faults(self) -> None:
        """No more faults."""
        self._control("DELETE", "/faults")

    def options(self, **values: float | str) -> None:
        """Change options; see tests.arm_simulator.options."""
        self._control("PUT", "/options", values)

    def truth(self, target: TargetId) -> GroupTruth:
        """The group as it really is."""
        return cast(GroupTruth, self._control("GET", _path(target)))

    def stats(self) -> Stats:
        """What was asked for, in numbers."""
        return cast(Stats, self._control("GET", "/stats"))

    def _arm(
        self, method: str, target: TargetId, action: str = "", body: bytes = b"", query: str = ""
    ) -> dict[str, Any]:
        path = (
            f"/subscriptions/{target.subscription}/resourceGroups/{target.resource_group}"
            f"/providers/Microsoft.ContainerInstance/containerGroups/{target.container_group}{action}"
        )
        headers = {"authorization": "Bearer placeholder", "content-type": "application/json"}
        answer = self._simulator.answer(Request(method, path, f"api-version=2025-09-01{query}", headers, body))
        if answer is None:
            raise RemoteError("arm", None, "Unreachable", "the connection was closed without an answer")
        if answer.status >= 400:
            raise _refusal(answer)
        return answer.body or {}

    def _control(self, method: str, path: str, body: object = None, query: str = "") -> dict[str, Any]:
        text = b"" if body is None else json.dumps(body).encode()
        answer = self._simulator.answer(Request(method, f"/_simulator{path}", query, {}, text))
        assert answer is not None
        assert answer.status == 200, answer.body
        return answer.body or {}


def _path(target: TargetId) -> str:
    return f"/groups/{target.subscription}/{target.resource_group}/{target.container_group}"


def _refusal(answer: Answer) -> RemoteError:
    error = (answer.body or {})["error"]
    inner = tuple(code for detail in error.get("details", ()) for code in _innermost(detail))
    return RemoteError("arm", answer.status, error["code"], error["message"], retry_after(answer.headers), inner)


def _innermost(detail: dict[str, Any]) -> list[str]:
    """The codes of the innermost errors that an error wraps, each behind those around it, as shared.azure_errors."""
    inner = [code for wrapped in detail.get("details", ()) for code in _innermost(wrapped)]
    return [f"{detail['code']}/{code}" for code in inner] or [detail["code"]]
