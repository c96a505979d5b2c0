"""A lane: what brings notifications to one recipient, in their order and in threads of its own.

A recipient that is slow, hangs or fails holds up no other recipient, no rollout and no shutdown.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog

from shared.errors import RemoteError
from worker.adapters.notifications.content import Content
from worker.adapters.notifications.destination import Destination, destination_of
from worker.adapters.notifications.services import Unfit

LIMIT = 60.0
"""Seconds that one delivery may take, pauses between a service's several requests included.

Python can't end a thread, so one that takes longer is left behind.
"""
CAPACITY = 100
_LEFT_BEHIND = 3
"""How many such threads there may be before nothing more is sent."""

log = structlog.get_logger()


class Delivery:
    """Brings contents to one recipient. `read` turns the source into the URL, and may raise RemoteError."""

    def __init__(
        self,
        source: str,
        read: Callable[[str], str],
        limit: float = LIMIT,
        find: Callable[[str], Destination] = destination_of,
    ) -> None:
        self._source = source
        self._read = read
        self._limit = limit
        self._find = find
        self._found: tuple[str, Destination] | None = None
        self._left_behind: list[threading.Thread] = []

    def send(self, content: Content) -> str | None:
        """Why the content did not arrive, or None. Takes no longer than the limit, and raises nothing."""
        self._left_behind = [
            thread for thread in self._left_behind if thread.is_alive()
        ]
        # Without a limit, a recipient that never answers would cost a thread for each notification.
        if len(self._left_behind) >= _LEFT_BEHIND:
            return f"{len(self._left_behind)} deliveries before it still wait for an answer"
        troubles: list[str | None] = []
        thread = threading.Thread(
            target=lambda: troubles.append(self._try(content)),
            name="deliver",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:
            return "the machine has no thread left"
        thread.join(self._limit)
        if troubles:
            return troubles[0]
        self._left_behind.append(thread)
        # The thread left behind still uses this destination, which may not serve two threads: the next delivery makes
        # another one.
        self._found = None
        return f"no answer within {self._limit:g} s"

    @property
    def service(self) -> str | None:
        """What people call it, once it is known."""
        return self._found[1].name if self._found else None

    def destination(self) -> Destination:
        """Where the URL leads by now. Raises RemoteError if it can't be read, and Unfit if it leads nowhere."""
        url = self._read(self._source)
        # The same one again, as it remembers how often it may be told something.
        if self._found is None or self._found[0] != url:
            self._found = (url, self._find(url))
        return self._found[1]

    def _try(self, content: Content) -> str | None:
        try:
            return self.destination().send(content)
        except RemoteError as error:
            return error.message
        except Unfit as error:
            return str(error)
        except Exception as error:
            # The text of any other error may hold the URL.
            return type(error).__name__


class Lane:
    """What waits for one recipient. `place` is how the log calls it: the URL is a secret."""

    def __init__(
        self, place: str, delivery: Delivery, capacity: int = CAPACITY
    ) -> None:
        self._place = place
        self._delivery = delivery
        self._capacity = capacity
        self._waiting: deque[Content] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._trouble: str | None = None
        self._lost = 0

    def put(self, content: Content) -> None:
        """Have it delivered soon; dropped if too many wait. Returns at once."""
        with self._changed:
            if len(self._waiting) >= self._capacity:
                self._failed("too many wait")
                return
            self._waiting.append(content)
            if not self._busy:
                # If the machine has no thread left, what waits is delivered with the next one.
                with suppress(RuntimeError):
                    threading.Thread(
                        target=self._run, name=f"notify {self._place}", daemon=True
                    ).start()
                    self._busy = True

    def drained(self, seconds: float) -> int:
        """Wait until nothing waits, but no longer than that; how many still wait."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, seconds)
            return len(self._waiting)

    def _run(self) -> None:
        # The thread lives as long as something waits, so that a recipient who was taken out of the file leaves none.
        while content := self._next():
            trouble = self._delivery.send(content)
            with self._changed:
                if trouble:
                    self._failed(trouble)
                else:
                    self._succeeded()

    def _next(self) -> Content | None:
        with self._changed:
            if self._waiting:
                return self._waiting.popleft()
            self._busy = False
            self._changed.notify_all()
            return None

    def _failed(self, why: str) -> None:
        """Say so once, and not again for each notification as long as it stays the same."""
        self._lost += 1
        if why != self._trouble:
            log.warning("notification not delivered", source=self._place, why=why)
        self._trouble = why

    def _succeeded(self) -> None:
        if self._trouble:
            log.info(
                "notifications are delivered again", source=self._place, lost=self._lost
            )
        self._trouble, self._lost = None, 0
