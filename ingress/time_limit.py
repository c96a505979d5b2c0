"""TimeLimit: wait for a call that may hang, such as a name lookup, no longer than its answer is of use."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

from shared.errors import RemoteError

Result = TypeVar("Result")

_STUCK = 1.0
"""Seconds in which no slot changed hands after which waiting for one is pointless."""
_GLANCE = 0.05


class TimeLimit:
    """Runs calls to one service in threads, at most `slots` at once, and abandons those that are late.

    No timeout of a client covers everything: `getaddrinfo` has none at all. An abandoned call keeps its slot until it
    ends, so a service that hangs holds at most `slots` threads; while all of them hang, a new call fails at once. The
    threads are daemons: none of them can hold up the end of the process.
    """

    def __init__(self, service: str, slots: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._free = threading.BoundedSemaphore(slots)
        self._last_moved = clock()

    def run(self, call: Callable[[], Result], deadline: float) -> Result:
        """What `call` returns or raises; raises RemoteError if there is neither by `deadline`, a time of the clock."""
        self._take_slot(deadline)
        future: Future[Result] = Future()
        try:
            threading.Thread(target=self._carry_out, args=(call, future), daemon=True).start()
        except RuntimeError:  # the machine has no thread left
            self._free.release()
            raise
        wait([future], max(0.0, deadline - self._clock()))
        if not future.done():
            raise RemoteError(self._service, None, "Timeout", "no answer in time")
        return future.result()

    def _take_slot(self, deadline: float) -> None:
        is_mine = self._free.acquire(blocking=False)
        while not is_mine:
            now = self._clock()
            if now > deadline or now - self._last_moved > _STUCK:
                raise RemoteError(self._service, None, "Busy", "earlier calls are still waiting for their answers")
            is_mine = self._free.acquire(timeout=_GLANCE)
        self._last_moved = self._clock()

    def _carry_out(self, call: Callable[[], Result], future: Future[Result]) -> None:
        try:
            result = call()
        except BaseException as error:  # it is raised by the one who waits
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            self._last_moved = self._clock()
            self._free.release()
