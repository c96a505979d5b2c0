"""Whether the queue can be reached: checked at most once a second, however often clients ask.

/readyz needs no secret. Without a memory, anybody could have a program ask the storage account as often as they like.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from shared.errors import RemoteError

_LIFESPAN = 1.0

_log = structlog.get_logger()


class Readiness:
    """What `check` found, remembered for a second. Safe to share between threads; one of them checks."""

    def __init__(
        self, check: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._check = check
        self._clock = clock
        self._lock = threading.Lock()
        self._trouble: str | None = None
        self._good_until = clock()

    def trouble(self) -> str | None:
        """The code of the problem, None if there is none. The queue's address and answer appear only in the log."""
        # Held during the check: whoever asks meanwhile waits for its result instead of starting another one.
        with self._lock:
            if self._clock() >= self._good_until:
                self._trouble = self._look()
                self._good_until = self._clock() + _LIFESPAN
            return self._trouble

    def used(self, *, works: bool) -> None:
        """The queue was just used, so the last result is outdated. Does not wait for a running check."""
        # Without the lock, which a check that hangs may hold: no delivery should wait for it. A failure only ends the
        # last result's time, as one delivery may fail for a reason of its own; the next question has the queue checked.
        if works:
            self._trouble = None
        self._good_until = self._clock() + (_LIFESPAN if works else 0.0)

    def _look(self) -> str | None:
        try:
            self._check()
        except RemoteError as error:
            _log.warning("not ready", error=str(error))
            return error.code
        return None
