"""Receiving: a push is sent on to each of its targets, and received into their records."""

from __future__ import annotations

import random
from collections.abc import Sequence

import structlog

from shared.message import TargetId, UpdateMessage
from worker.controller import spans
from worker.controller.settlement import Complete, Reschedule, Settlement
from worker.controller.telling import Telling
from worker.controller.timers import change
from worker.core.receive import receive
from worker.ports import Ports
from worker.record.record import Record

FULL = 30.0
"""Seconds, at most, until a push that a record had no room for is tried again. The first tries come sooner."""

log = structlog.get_logger()


class Receiving:
    """Carries out the messages of pushes, for many threads at once."""

    def __init__(self, ports: Ports, telling: Telling, chance: random.Random) -> None:
        self._ports = ports
        self._telling = telling
        self._chance = chance

    def fan_out(self, message: UpdateMessage) -> Settlement:
        """Send a push on to each of its targets."""
        # If the worker dies in between, some targets get the push twice. Their records know it by its id then.
        concerned = self._ports.targets.concerned(message.push.image)
        for target in concerned:
            rollout = message.for_target(target.id)
            with spans.send(rollout, self._ports.updates.name) as sending:
                traced = rollout.model_copy(
                    update={"traceparent": sending.traceparent or rollout.traceparent}
                )
                self._ports.updates.send(traced.encode())
        if concerned:
            log.info("targets found", targets=[str(target.id) for target in concerned])
        else:
            self._telling.ignored(message, f"no target runs {message.push.image.name}")
        return Complete()

    def receive(
        self,
        target: TargetId,
        messages: Sequence[UpdateMessage],
    ) -> dict[str, Settlement]:
        """Receive pushes into their target's record with one write. Returns what becomes of each message, by its id.

        Raises Conflict and RemoteError; then it is not certain that any of them was received.
        """
        no_room: frozenset[str] = frozenset()

        def decide(record: Record) -> Record | None:
            nonlocal no_room
            # This runs again after a conflict, so `no_room` must be that of the last try.
            received, no_room = receive(record, messages)
            return None if received == record else received

        # A group that waits for its owner keeps its slow timer: the push can't be deployed before that owner acts.
        change(self._ports, target, decide, wake=False)
        if no_room:
            log.warning(
                "too many pushes are waiting for this group, leaving some on the queue",
                count=len(no_room),
            )
        settlements: dict[str, Settlement] = {}
        for message in messages:
            settlements[message.id] = (
                self._later(message) if message.id in no_room else Complete()
            )
        return settlements

    def _later(self, message: UpdateMessage) -> Settlement:
        # Waiting for room is not a failure and does not count as an attempt. Jitter keeps the pushes of one burst from
        # coming back all at once.
        pause = min(FULL, 2.0 ** min(message.dequeued, 10))
        return Reschedule(
            message.model_copy(update={"attempts": 0}),
            pause * self._chance.uniform(0.5, 1.0),
        )
