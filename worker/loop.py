"""The worker's loop: receive, renew, dispatch, settle, drain. What a step does is worker.step's affair."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from shared.errors import RemoteError
from shared.message import Undecodable, UpdateMessage, decode
from shared.queue import MAX_BATCH, LeasedMessage, LeaseLost, Queue, dead_letter
from shared.telemetry import SETTLED, trace_id
from worker.failures.retrying import briefly
from worker.settlement import Complete, DeadLetterIt, Reschedule, Settlement, dead_lettered
from worker.step import Stepper

DRAIN_LOOKS = 2
"""Times in a row that the queue must be found empty: its count is only approximate."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How many steps at a time, how long to wait between empty receives (seconds), and how often to try a message."""

    concurrency: int
    poll_min: float
    poll_max: float
    visibility_timeout: float
    max_attempts: int


class Worker:
    """Works on the updates queue until `stop` is called, or with `drain` until the queue is empty."""

    def __init__(self, updates: Queue, poison: Queue, stepper: Stepper, pace: Pace) -> None:
        self._updates = updates
        self._poison = poison
        self._stepper = stepper
        self._pace = pace
        self.stopping = threading.Event()
        self._done = threading.Event()
        self._in_hand: set[LeasedMessage] = set()
        self._freed = threading.Condition()

    def stop(self) -> None:
        """Set `stopping`: receive nothing more, and let `run` return once the steps in hand are done.

        For signal handlers, too: one may have interrupted the main thread where it holds the event's lock.
        """
        threading.Thread(target=self.stopping.set, name="stop", daemon=True).start()

    def run(self, *, drain: bool = False) -> None:
        """Work. Returns when stopped or, with `drain`, when no message is left, be it visible or leased or delayed."""
        renewer = threading.Thread(target=self._renew_leases, name="renewer", daemon=True)
        renewer.start()
        with ThreadPoolExecutor(self._pace.concurrency, thread_name_prefix="step") as steps:
            self._receive(steps, drain=drain)
        self._done.set()
        renewer.join()

    def _receive(self, steps: ThreadPoolExecutor, *, drain: bool) -> None:
        pause = self._pace.poll_min
        empty_looks = 0
        while not self.stopping.is_set():
            free = self._wait_for_a_free_place()
            messages = self._receive_batch(free) if free else []
            for message, update in newest_first(messages):
                with self._freed:
                    self._in_hand.add(message)
                steps.submit(self._handle, message, update)
            if messages:
                pause, empty_looks = self._pace.poll_min, 0
                continue
            empty_looks = empty_looks + 1 if drain and self._is_empty() else 0
            if empty_looks >= DRAIN_LOOKS:
                return
            self.stopping.wait(random.uniform(pause / 2, pause))  # noqa: S311 - jitter
            pause = min(pause * 2, self._pace.poll_max)

    def _wait_for_a_free_place(self) -> int:
        with self._freed:
            while not self.stopping.is_set() and len(self._in_hand) >= self._pace.concurrency:
                self._freed.wait(self._pace.poll_min)
            return 0 if self.stopping.is_set() else self._pace.concurrency - len(self._in_hand)

    def _receive_batch(self, free: int) -> list[LeasedMessage]:
        try:
            return self._updates.receive(min(free, MAX_BATCH))
        except RemoteError as error:
            log.warning("queue not readable, trying again", error=str(error))
            return []

    def _is_empty(self) -> bool:
        if self._in_hand:
            return False
        try:
            return self._updates.count() == 0
        except RemoteError:
            return False

    def _handle(self, leased: LeasedMessage, update: UpdateMessage | Undecodable) -> None:
        with structlog.contextvars.bound_contextvars(**_context(leased, update)):
            try:
                self._settle(leased, self._decide(leased, update))
            except LeaseLost:
                log.warning("lease lost, leaving the message to whoever has it now")
            except RemoteError as error:
                log.warning("message not settled, it will be delivered again", error=str(error))
            except Exception:  # a thread that died silently would keep its place in the worker for ever
                log.exception("message not settled, it will be delivered again")
            finally:
                with self._freed:
                    self._in_hand.discard(leased)
                    self._freed.notify()

    def _decide(self, leased: LeasedMessage, update: UpdateMessage | Undecodable) -> Settlement:
        if isinstance(update, Undecodable):
            detail = str(update)
            log.error("undecodable message", detail=detail)
            return dead_lettered(
                leased.text, "Undecodable", detail, leased.dequeue_count, leased.inserted_at, datetime.now(UTC)
            )
        unsettled = leased.dequeue_count - 1 - update.dequeued
        # Beyond the limit it is in its extra tries, which no single crash ends.
        failed = update.attempts if update.attempts < self._pace.max_attempts else 0
        if unsettled > 0 and failed + unsettled >= self._pace.max_attempts:
            detail = f"received {unsettled} times in a row without being settled: its worker died or stalled each time"
            tried = update.model_copy(update={"attempts": update.attempts + unsettled})
            return self._stepper.give_up(tried, "WorkerCrash", detail)
        return self._stepper.run(update, leased.is_held)

    def _settle(self, leased: LeasedMessage, settlement: Settlement) -> None:
        match settlement:
            case Complete():
                briefly(lambda: self._updates.complete(leased))
                SETTLED.labels("completed").inc()
            case Reschedule(message, delay):
                text = message.model_copy(update={"dequeued": leased.dequeue_count}).encode()
                briefly(lambda: self._updates.reschedule(leased, text, delay))
                SETTLED.labels("rescheduled").inc()
            case DeadLetterIt(letter):
                if not leased.is_held():  # whoever has it now sends the letter
                    raise LeaseLost(leased.id)
                dead_letter(self._updates, self._poison, leased, letter, briefly)
                SETTLED.labels("dead-lettered").inc()

    def _renew_leases(self) -> None:
        while not self._done.wait(self._pace.visibility_timeout / 4):
            for leased in list(self._in_hand):
                if not leased.wants_renewal(self._pace.visibility_timeout / 2):
                    continue
                try:
                    self._updates.renew(leased)
                except LeaseLost:
                    log.warning("lease lost", message_id=leased.id)
                except RemoteError as error:
                    log.warning("lease not renewed, trying again", message_id=leased.id, error=str(error))


def newest_first(
    messages: list[LeasedMessage], decode: Callable[[str], UpdateMessage] = decode
) -> list[tuple[LeasedMessage, UpdateMessage | Undecodable]]:
    """Decode a batch; the newest push first, so that the older ones of a container find themselves superseded."""
    decoded: list[tuple[LeasedMessage, UpdateMessage]] = []
    undecodable: list[tuple[LeasedMessage, UpdateMessage | Undecodable]] = []
    for message in messages:
        try:
            decoded.append((message, decode(message.text)))
        except Undecodable as error:
            undecodable.append((message, error))
    decoded.sort(key=lambda pair: pair[1].order, reverse=True)
    return [*undecodable, *decoded]


def _context(leased: LeasedMessage, update: UpdateMessage | Undecodable) -> dict[str, str]:
    if isinstance(update, Undecodable):
        return {"message_id": leased.id}
    context = {"id": update.id, "image": str(update.push.image)}
    if update.target:
        context["target"] = str(update.target)
    if trace := trace_id(update.traceparent):
        context["trace_id"] = trace
    return context
