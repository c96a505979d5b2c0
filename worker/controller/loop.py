"""The loop: receive messages, renew their leases, hand them out, drain. worker.controller.handler carries them out."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from shared.errors import RemoteError
from shared.leased_message import LeasedMessage, LeaseLost
from shared.message import TargetId
from shared.queue import MAX_BATCH, Queue
from worker.controller.handler import Handler
from worker.controller.opened import Opened

DRAIN_LOOKS = 2
"""How many times in a row the queue must look drained, because its count of messages is approximate."""
SHUTDOWN = 7.0
"""Seconds that running steps get to finish. The messages of the others are delivered again when their leases end."""
MOST_IN_HAND = 256
"""How many messages one worker may have leased: more than steps, as pushes to one target wait here for one write."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How many steps run at a time; how long to wait between empty receives, and how long a lease is (seconds)."""

    concurrency: int
    poll_min: float
    poll_max: float
    visibility_timeout: float


@dataclass
class _Mailboxes:
    """The pushes to each target that wait for the next write of its record."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: dict[TargetId, list[Opened]] = field(default_factory=dict)

    def put(self, target: TargetId, opened: Opened) -> bool:
        """Add a push. True if it is the first, so that a step has to be started that takes it."""
        with self.lock:
            first = target not in self.waiting
            self.waiting.setdefault(target, []).append(opened)
            return first

    def take(self, target: TargetId) -> list[Opened]:
        """Take all pushes that wait. If there are none, the step ends, and the next push needs another step."""
        with self.lock:
            # The entry goes under the same lock that `put` takes, so no push can be left without a step.
            together = self.waiting[target]
            if together:
                self.waiting[target] = []
            else:
                del self.waiting[target]
            return together


class Worker:
    """Works on the updates queue until `stop` is called; with `drain`, only until nothing is left to do.

    `waiting_for_owners` counts the messages that wait for nothing but a group's owner; None if others wait as well.
    """

    def __init__(
        self,
        updates: Queue,
        handler: Handler,
        pace: Pace,
        waiting_for_owners: Callable[[], int | None],
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
        """Receive nothing more, and let `run` return once the running steps have finished. For signal handlers, too."""
        # Setting the event here is tempting, but a signal may interrupt the main thread while it holds the event's own
        # lock, and the handler, which runs in that thread, would wait for the lock forever.
        threading.Thread(target=self.stopping.set, name="stop", daemon=True).start()

    def run(self, *, drain: bool = False) -> bool:
        """Work until stopped or drained. False if some steps could not finish in time."""
        renewer = threading.Thread(
            target=self._renew_leases, name="renewer", daemon=True
        )
        renewer.start()
        steps = ThreadPoolExecutor(self._pace.concurrency, thread_name_prefix="step")
        self._receive(steps, drain=drain)
        # Waiting for the pool without a limit is tempting, but a step may hang in a call to a storage that is down.
        steps.shutdown(wait=False)
        with self._freed:
            finished = self._freed.wait_for(lambda: not self._busy, SHUTDOWN)
        self._done.set()
        renewer.join(1.0)
        if not finished:
            log.warning(
                "steps did not finish in time, their messages will be delivered again",
                messages=len(self._in_hand),
            )
        return finished

    def _receive(self, steps: ThreadPoolExecutor, *, drain: bool) -> None:
        pause = self._pace.poll_min
        times_drained = 0
        in_burst = False
        while not self.stopping.is_set():
            opened = self._receive_opened(in_burst=in_burst)
            for received in opened:
                self._hand_out(steps, received)
            in_burst = _is_burst_of_pushes(opened)
            if opened:
                pause, times_drained = self._pace.poll_min, 0
                continue
            times_drained = times_drained + 1 if drain and self._is_drained() else 0
            if times_drained >= DRAIN_LOOKS:
                return
            # Jitter keeps several workers from polling in step.
            self.stopping.wait(random.uniform(pause / 2, pause))  # noqa: S311 - jitter
            pause = min(pause * 2, self._pace.poll_max)

    def _receive_opened(self, *, in_burst: bool) -> list[Opened]:
        """Lease and decode messages as soon as a step is free; none when stopping."""
        free = self._wait_for_free_steps()
        if not free:
            return []
        # Leasing always as many as the queue gives is tempting, but a look would then wait here for a free step, its
        # lease running, while another worker could carry it out. Pushes share steps, so many are welcome.
        messages = self._receive_batch(MAX_BATCH if in_burst else free)
        return [self._handler.open(message) for message in messages]

    def _wait_for_free_steps(self) -> int:
        """How many more steps may start now; 0 when stopping."""
        with self._freed:
            while not self.stopping.is_set() and not self._free():
                self._freed.wait(self._pace.poll_min)
            return 0 if self.stopping.is_set() else self._free()

    def _free(self) -> int:
        if len(self._in_hand) >= MOST_IN_HAND:
            return 0
        return max(0, self._pace.concurrency - self._busy)

    def _receive_batch(self, limit: int) -> list[LeasedMessage]:
        try:
            return self._updates.receive(min(limit, MAX_BATCH))
        except RemoteError as error:
            log.warning("can't read the queue, retrying", error=str(error))
            return []

    def _hand_out(self, steps: ThreadPoolExecutor, opened: Opened) -> None:
        """Start a step for the message, or let it join the step that receives pushes to the same target."""
        with self._freed:
            # From here on its lease is renewed, also while it waits for a free step.
            self._in_hand.add(opened.leased)
        target = opened.rollout_of
        # A push that may have crashed its worker goes alone, so that it can't take others with it.
        if target is None or opened.crashes:
            self._start(steps, lambda: self._carry_out(opened))
        elif self._mailboxes.put(target, opened):
            self._start(steps, lambda: self._empty_mailbox(target))

    def _start(self, steps: ThreadPoolExecutor, step: Callable[[], None]) -> None:
        with self._freed:
            self._busy += 1
        steps.submit(self._run_step, step)

    def _run_step(self, step: Callable[[], None]) -> None:
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
        """Receive all pushes to a target, until none waits. Those that arrive during one write are in the next."""
        while together := self._mailboxes.take(target):
            try:
                self._handler.receive(target, together)
            finally:
                self._let_go(together)

    def _let_go(self, opened: list[Opened]) -> None:
        with self._freed:
            self._in_hand.difference_update(done.leased for done in opened)
            self._freed.notify_all()

    def _is_drained(self) -> bool:
        """Whether the only messages left are timers of groups that wait for their owner."""
        # What is in hand may lead to more messages, as a push leads to its rollouts.
        if self._in_hand:
            return False
        try:
            waiting = self._waiting_for_owners()
            return waiting is not None and self._updates.count() <= waiting
        except RemoteError:
            return False

    def _renew_leases(self) -> None:
        """Renew each lease when half of it is over, in a thread of its own, until all steps are done."""
        # Checked four times within a lease, so that a renewal that fails is tried again before the lease ends.
        while not self._done.wait(self._pace.visibility_timeout / 4):
            with self._freed:
                in_hand = list(self._in_hand)
            for leased in in_hand:
                if not leased.wants_renewal(self._pace.visibility_timeout / 2):
                    continue
                try:
                    self._updates.renew(leased)
                except LeaseLost:
                    # The step finds that out by itself, before it changes anything outside.
                    log.warning("lease lost", message_id=leased.id)
                except RemoteError as error:
                    log.warning(
                        "lease not renewed, retrying",
                        message_id=leased.id,
                        error=str(error),
                    )


def _is_burst_of_pushes(opened: list[Opened]) -> bool:
    return bool(opened) and all(received.rollout_of for received in opened)
