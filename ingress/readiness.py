"""Whether the queue can be reached: asked once a second at the most, however often others ask."""

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

    def __init__(self, check: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._check = check
        self._clock = clock
        self._lock = threading.Lock()
        self._trouble: str | None = None
        self._good_until = clock()

    def trouble(self) -> str | None:
        """The code of what is wrong, None if nothing is. Where the queue is, and what it said, is for the log alone."""
        with self._lock:
            if self._clock() >= self._good_until:
                self._trouble = self._look()
                self._good_until = self._clock() + _LIFESPAN
            return self._trouble

    def used(self, *, works: bool) -> None:
        """It was used just now: what was found before is outdated. Waits for nobody who looks."""
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
