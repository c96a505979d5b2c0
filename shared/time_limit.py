"""Time limits for calls that may hang: `within` for a single call, TimeLimit for a busy service.

No timeout of a client covers everything: `getaddrinfo` has none at all, and a server that sends one byte a second
never lets a socket's timeout run out. So the call runs in a thread of its own, which is left behind when it is late:
Python can't end a thread from outside. It is a daemon, so it can't hold up the end of the process either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from typing import TypeVar

from shared.errors import RemoteError

Returned = TypeVar("Returned")

_STUCK = 1.0
"""Seconds without any slot changing hands after which waiting for one is pointless."""
_GLANCE = 0.05
"""Seconds between two looks at whether it has come to that."""


class OutOfTime(TimeoutError):
    """The call did not end in time. A TimeoutError that the call itself raises is not one of these."""


class NoThread(RuntimeError):
    """The call did not begin, as the machine has no thread or no memory left for it."""


def within(seconds: float, call: Callable[[], Returned], name: str) -> Returned:
    """Run `call` in a thread called `name` and pass its result on; raises OutOfTime if it takes longer than `seconds`.

    Raises NoThread if the call could not even begin. An abandoned call goes on until it ends by itself. Use TimeLimit
    where many calls may be abandoned.
    """
    return _result(_start(call, name), seconds)


class TimeLimit:
    """Runs calls to one service, at most `slots` at once, and abandons those that are late. For many threads.

    An abandoned call keeps its slot until it ends, so a service that hangs holds at most `slots` threads; while all of
    them hang, a new call fails at once.
    """

    def __init__(
        self, service: str, slots: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._service = service
        self._clock = clock
        self._free = threading.BoundedSemaphore(slots)
        self._last_moved = clock()

    def run(self, call: Callable[[], Returned], deadline: float) -> Returned:
        """Run `call` and pass its result on; raises RemoteError if it has not ended by `deadline` (monotonic)."""
        self._take_slot(deadline)
        try:
            running = _start(lambda: self._in_slot(call), self._service)
        except NoThread:
            # The call never began, so nothing else gives the slot back.
            self._free.release()
            raise
        try:
            return _result(running, max(0.0, deadline - self._clock()))
        except OutOfTime as late:
            raise RemoteError(
                self._service, None, "Timeout", "no answer in time"
            ) from late

    def _take_slot(self, deadline: float) -> None:
        is_mine = self._free.acquire(blocking=False)
        while not is_mine:
            now = self._clock()
            all_hang = now - self._last_moved > _STUCK
            # Waiting for a service whose every call hangs would block one step of the worker after the other.
            if now > deadline or all_hang:
                raise RemoteError(
                    self._service,
                    None,
                    "Busy",
                    "earlier calls are still waiting for their answers",
                )
            is_mine = self._free.acquire(timeout=_GLANCE)
        self._last_moved = self._clock()

    def _in_slot(self, call: Callable[[], Returned]) -> Returned:
        try:
            return call()
        finally:
            self._last_moved = self._clock()
            self._free.release()


def _start(call: Callable[[], Returned], name: str) -> Future[Returned]:
    """Run `call` in a thread; raises NoThread if the machine has none left."""
    future: Future[Returned] = Future()

    def carry_out() -> None:
        try:
            result = call()
        except BaseException as error:  # whoever waits raises it
            future.set_exception(error)
        else:
            future.set_result(result)

    # With the caller's context, so that what the call logs and traces belongs to the same step.
    try:
        threading.Thread(
            target=copy_context().run, args=(carry_out,), name=name, daemon=True
        ).start()
    except (RuntimeError, MemoryError) as error:
        raise NoThread(str(error) or "no memory left for a thread") from error
    return future


def _result(future: Future[Returned], seconds: float) -> Returned:
    # Not future.result(seconds): its TimeoutError could not be told from one that the call raised.
    wait([future], seconds)
    if not future.done():
        raise OutOfTime
    return future.result()
