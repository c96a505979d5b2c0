"""The loop: receive, renew leases, hand out, drain. What becomes of a message is worker.controller.handler's affair."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from shared.errors import RemoteError
from shared.message import TargetId
from shared.queue import MAX_BATCH, LeasedMessage, LeaseLost, Queue
from worker.controller.handler import Handler, Opened

DRAIN_LOOKS = 2
"""Times in a row that nothing must be left to do: the queue's count is only approximate."""
SHUTDOWN = 8.0
"""Seconds that steps in hand get to finish in; what is left comes back when its lease ends."""
MOST_IN_HAND = 256
"""Messages that are leased at a time: pushes to one target wait here for one write."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How many steps at a time, and how long (seconds) to wait between empty receives; how long a lease is."""

    concurrency: int
    poll_min: float
    poll_max: float
    visibility_timeout: float


@dataclass
class _Mailboxes:
    """Pushes to each target that wait for the next write of its record."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: dict[TargetId, list[Opened]] = field(default_factory=dict)

    def put(self, target: TargetId, opened: Opened) -> bool:
        """Add a push; is it the first one, so that somebody must be told to take them?"""
        with self.lock:
            first = target not in self.waiting
            self.waiting.setdefault(target, []).append(opened)
            return first

    def take(self, target: TargetId) -> list[Opened]:
        """All that wait; when there are none, the next one is the first again."""
        with self.lock:
            together = self.waiting[target]
            if together:
                self.waiting[target] = []
            else:
                del self.waiting[target]
            return together


class Worker:
    """Works on the updates queue until `stop` is called, or with `drain` until nothing is left to be done.

    `waiting_for_owners` says how many messages are timers of groups that wait for their owner; None: others wait, too.
    """

    def __init__(
        self, updates: Queue, handler: Handler, pace: Pace, waiting_for_owners: Callable[[], int | None]
    ) -> None:
        self._updates = updates
        self._handler = handler
        self._pace = pace
        self._waiting_for_owners = waiting_for_owners
        self.stopping = threading.Event()
        self._done = threading.Event()
        self._in_hand: set[LeasedMessage] = set()
        self._busy = 0
        self._mailboxes = _Mailboxes()
        self._freed = threading.Condition()

    def stop(self) -> None:
        """Set `stopping`: receive nothing more, and let `run` return once the steps in hand are done.

        For signal handlers, too: one may have interrupted the main thread where it holds the event's lock.
        """
        threading.Thread(target=self.stopping.set, name="stop", daemon=True).start()

    def run(self, *, drain: bool = False) -> bool:
        """Work. Returns when stopped or drained; False if steps in hand could not be finished in time."""
        renewer = threading.Thread(target=self._renew_leases, name="renewer", daemon=True)
        renewer.start()
        steps = ThreadPoolExecutor(self._pace.concurrency, thread_name_prefix="step")
        self._receive(steps, drain=drain)
        steps.shutdown(wait=False)
        with self._freed:
            finished = self._freed.wait_for(lambda: not self._busy, SHUTDOWN)
        self._done.set()
        renewer.join(1.0)
        if not finished:
            log.warning(
                "steps did not finish in time, their messages will be delivered again", messages=len(self._in_hand)
            )
        return finished

    def _receive(self, steps: ThreadPoolExecutor, *, drain: bool) -> None:
        pause = self._pace.poll_min
        empty_looks = 0
        many = False
        while not self.stopping.is_set():
            free = self._wait_for_a_free_place()
            messages = self._receive_batch(MAX_BATCH if many else free) if free else []
            opened = [self._handler.open(message) for message in messages]
            for one in opened:
                self._hand_out(steps, one)
            # Pushes are written together, so that many at a time are welcome; steps would only wait for a place.
            many = bool(opened) and all(one.rollout_of for one in opened)
            if messages:
                pause, empty_looks = self._pace.poll_min, 0
                continue
            empty_looks = empty_looks + 1 if drain and self._is_drained() else 0
            if empty_looks >= DRAIN_LOOKS:
                return
            self.stopping.wait(random.uniform(pause / 2, pause))  # noqa: S311 - jitter
            pause = min(pause * 2, self._pace.poll_max)

    def _wait_for_a_free_place(self) -> int:
        with self._freed:
            while not self.stopping.is_set() and not self._free():
                self._freed.wait(self._pace.poll_min)
            return 0 if self.stopping.is_set() else self._free()

    def _free(self) -> int:
        return 0 if len(self._in_hand) >= MOST_IN_HAND else max(0, self._pace.concurrency - self._busy)

    def _receive_batch(self, limit: int) -> list[LeasedMessage]:
        try:
            return self._updates.receive(min(limit, MAX_BATCH))
        except RemoteError as error:
            log.warning("the queue can't be read, retrying", error=str(error))
            return []

    def _hand_out(self, steps: ThreadPoolExecutor, opened: Opened) -> None:
        """A place for each step; pushes to one target share one. A push that crashed a worker before goes alone."""
        with self._freed:
            self._in_hand.add(opened.leased)
        target = opened.rollout_of
        if target is None or opened.crashes:
            self._start(steps, lambda: self._carry_out(opened))
        elif self._mailboxes.put(target, opened):
            self._start(steps, lambda: self._empty_mailbox(target))

    def _start(self, steps: ThreadPoolExecutor, step: Callable[[], None]) -> None:
        with self._freed:
            self._busy += 1
        steps.submit(self._in_a_place, step)

    def _in_a_place(self, step: Callable[[], None]) -> None:
        try:
            step()
        finally:
            with self._freed:
                self._busy -= 1
                self._freed.notify_all()

    def _carry_out(self, opened: Opened) -> None:
        try:
            self._handler.carry_out(opened)
        finally:
            self._let_go([opened])

    def _empty_mailbox(self, target: TargetId) -> None:
        """Receive what waits for a target until nothing does: what comes in during one write is in the next one."""
        while together := self._mailboxes.take(target):
            try:
                self._handler.receive(target, together)
            finally:
                self._let_go(together)

    def _let_go(self, opened: list[Opened]) -> None:
        with self._freed:
            self._in_hand.difference_update(one.leased for one in opened)
            self._freed.notify_all()

    def _is_drained(self) -> bool:
        """Is no message left but the timers of groups that wait for their owner?"""
        if self._in_hand:
            return False
        try:
            waiting = self._waiting_for_owners()
            return waiting is not None and self._updates.count() <= waiting
        except RemoteError:
            return False

    def _renew_leases(self) -> None:
        while not self._done.wait(self._pace.visibility_timeout / 4):
            with self._freed:
                in_hand = list(self._in_hand)
            for leased in in_hand:
                if not leased.wants_renewal(self._pace.visibility_timeout / 2):
                    continue
                try:
                    self._updates.renew(leased)
                except LeaseLost:
                    log.warning("lease lost", message_id=leased.id)
                except RemoteError as error:
                    log.warning("lease not renewed, retrying", message_id=leased.id, error=str(error))
