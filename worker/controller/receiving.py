"""Receiving: a push is sent to each of its targets, and received into the record of each."""

from __future__ import annotations

import random
from collections.abc import Sequence

import structlog

from shared.message import TargetId, UpdateMessage
from worker.controller.settlement import Complete, Reschedule, Settlement
from worker.controller.telling import Telling
from worker.controller.timers import change
from worker.core.receive import receive
from worker.ports import Ports
from worker.record.record import Record

FULL = 30.0
"""Seconds, at most, after which a push comes again that a record had no room for; the first times it is sooner."""

log = structlog.get_logger()


class Receiving:
    """Carries out the messages of pushes, for many threads at once."""

    def __init__(self, ports: Ports, telling: Telling, chance: random.Random) -> None:
        self._ports = ports
        self._telling = telling
        self._chance = chance

    def fan_out(self, message: UpdateMessage) -> Settlement:
        """Send a push to each of its targets."""
        concerned = self._ports.targets.concerned(message.push.image)
        for target in concerned:
            self._ports.updates.send(message.for_target(target.id).encode())
        if concerned:
            log.info("targets found", targets=[str(target.id) for target in concerned])
        else:
            self._telling.ignored(message, f"no target runs {message.push.image.name}")
        return Complete()

    def receive(self, target: TargetId, messages: Sequence[UpdateMessage]) -> dict[str, Settlement]:
        """Receive pushes into their target's record, all with one write; what becomes of each message, by its id.

        Raises Conflict or RemoteError; then none of them was received for certain.
        """
        no_room: frozenset[str] = frozenset()

        def decide(record: Record) -> Record | None:
            nonlocal no_room
            received, no_room = receive(record, messages)
            return None if received == record else received

        change(self._ports, target, decide, wake=False)
        if no_room:
            log.warning("too many pushes wait for this group, leaving some on the queue", count=len(no_room))
        return {message.id: self._later(message) if message.id in no_room else Complete() for message in messages}

    def _later(self, message: UpdateMessage) -> Settlement:
        pause = min(FULL, 2.0 ** min(message.dequeued, 10))
        return Reschedule(message.model_copy(update={"attempts": 0}), pause * self._chance.uniform(0.5, 1.0))
