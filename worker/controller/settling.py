"""Settling: what has been decided of a leased message is done with it on the queue."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from shared.dead_letter import DeadLetter
from shared.leased_message import LeasedMessage, LeaseLost
from shared.metrics import SETTLED
from shared.queue import dead_letter
from worker.controller.settlement import (
    Complete,
    DeadLetterIt,
    Reschedule,
    Settlement,
)
from worker.failures.retrying import call_with_retries
from worker.ports import Ports

log = structlog.get_logger()


class Settling:
    """Settles messages, for many threads at once. `clock` is the clock that leases expire by."""

    def __init__(self, ports: Ports, clock: Callable[[], float]) -> None:
        self._ports = ports
        self._clock = clock
        self._to_be_mended: set[str] = set()

    @property
    def awaiting_repair(self) -> int:
        """How many messages this worker has left on the queue until somebody repairs a record that can't be read."""
        return len(self._to_be_mended)

    def settle(self, leased: LeasedMessage, settlement: Settlement) -> None:
        """Complete, reschedule or dead-letter a message. Raises RemoteError and LeaseLost."""
        self._note_whether_to_be_mended(leased, settlement)
        match settlement:
            case Complete():
                call_with_retries(lambda: self._ports.updates.complete(leased))
                SETTLED.labels("completed").inc()
            case Reschedule(message=message, delay=delay):
                # The message remembers its dequeue count, so that only later deliveries can count as crashes.
                text = message.model_copy(
                    update={"dequeued": leased.dequeue_count}
                ).encode()
                call_with_retries(
                    lambda: self._ports.updates.reschedule(leased, text, delay)
                )
                SETTLED.labels("rescheduled").inc()
            case DeadLetterIt(letter):  # pragma: no branch  (there is no fourth)
                self._dead_letter(leased, letter)

    def _note_whether_to_be_mended(
        self,
        leased: LeasedMessage,
        settlement: Settlement,
    ) -> None:
        # These messages wait for a person, so a worker that drains the queue must not wait for them.
        if isinstance(settlement, Reschedule) and settlement.awaiting_repair:
            self._to_be_mended.add(leased.id)
        else:
            self._to_be_mended.discard(leased.id)

    def _dead_letter(self, leased: LeasedMessage, letter: DeadLetter) -> None:
        # Without the lease, the worker that has the message now sends the letter, too.
        if not leased.lease_holds(self._clock):
            raise LeaseLost(leased.id)
        dead_letter(
            self._ports.updates, self._ports.poison, leased, letter, call_with_retries
        )
        SETTLED.labels("dead-lettered").inc()
        log.error(
            "dead letter",
            code=letter.code,
            detail=letter.detail,
            attempts=letter.attempts,
        )
