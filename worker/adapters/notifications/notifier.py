"""The notifier: takes every notice, and has it brought to those recipients who want it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from worker.adapters.notifications.content import Repeats, content_of
from worker.adapters.notifications.destination import Destination, destination_of
from worker.adapters.notifications.folding import Folding, Told
from worker.adapters.notifications.lane import CAPACITY, LIMIT, Delivery, Lane
from worker.ports import Notice
from worker.targets.recipients import TOLD, Recipient

MOST_WAITING = 1000
"""How many notices may wait to be handed on; that takes no time but for reading the targets file."""
DRAIN_SECONDS = 2.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a test: whom it went to (by its place in the file), what that is, and why it did not arrive."""

    place: str
    service: str | None
    problem: str | None


class Notifier:
    """Any number of threads may tell it, and none of them ever waits or fails.

    `recipients` is asked for each notice, in a thread of its own; `read` turns a recipient's source into the URL: it
    may read secrets, and they may change. The URLs are secrets: the log knows them by their place in the targets file.
    `hide` masks the known secrets in what is told.
    """

    def __init__(
        self,
        recipients: Callable[[], Sequence[Recipient]],
        *,
        read: Callable[[str], str] = str,
        hide: Callable[[str], str] = str,
        portal: str = "portal.azure.com",
        find: Callable[[str], Destination] = destination_of,
        folding: Folding | None = None,
        capacity: int = CAPACITY,
        limit: float = LIMIT,
    ) -> None:
        self._recipients = recipients
        self._read = read
        self._hide = hide
        self._portal = portal
        self._find = find
        self._folding = folding or Folding()
        self._capacity = capacity
        self._limit = limit
        self._lanes: dict[tuple[int, str], Lane] = {}
        self._waiting: deque[Notice] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._dropping = False
        self._thread: threading.Thread | None = None

    def tell(self, notice: Notice) -> None:
        """Have it told soon; dropped, with one warning, if too many wait. Returns at once and raises nothing."""
        # A burst of pushes that nobody runs, of which few want to know, must not crowd out what matters.
        is_minor = notice.outcome not in TOLD
        with self._changed:
            drop = self._closed or len(self._waiting) >= (
                MOST_WAITING // 2 if is_minor else MOST_WAITING
            )
            say_so = drop and not is_minor and not self._dropping
            if not is_minor:
                self._dropping = drop
            if not drop:
                self._waiting.append(notice)
                self._start()
                self._changed.notify()
        if say_so:
            log.warning(
                "notification dropped", outcome=notice.outcome, target=notice.target
            )

    def try_each(self, notice: Notice) -> list[Attempt]:
        """Tell each recipient now, for a person who waits, whichever outcomes they have asked for."""
        content = content_of(notice, self._hide, self._portal)
        results = []
        for number, recipient in enumerate(self._recipients()):
            delivery = self._delivery(recipient)
            problem = delivery.send(content)
            results.append(Attempt(f"notify[{number}]", delivery.service, problem))
        return results

    def close(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take no more, and give those that wait up to `seconds` to be delivered."""
        until = time.monotonic() + seconds
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread:
            self._thread.join(seconds)
        lanes = list(self._lanes.values())
        if left := len(self._waiting) + sum(
            lane.drained(max(0.0, until - time.monotonic())) for lane in lanes
        ):
            log.warning("notifications dropped at shutdown", count=left)

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="notify", daemon=True)
            # If the machine has no thread left, what waits is handed on with the next notice.
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        going_on = True
        while going_on:
            notices, going_on = self._next()
            now, at = time.monotonic(), datetime.now(UTC)
            to_tell: list[Told] = []
            for notice in notices:
                to_tell += self._folding.take(notice, now, at)
            # At the end, repeats that were only counted so far are told early: nobody would tell them later.
            to_tell += self._folding.due(now, at) if going_on else self._folding.all()
            if to_tell:
                self._hand_on(to_tell)

    def _next(self) -> tuple[list[Notice], bool]:
        """What has come, as soon as something has or is due; and whether more may come."""
        due = self._folding.next_due()
        timeout = None if due is None else max(0.0, due - time.monotonic())
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, timeout)
            notices = list(self._waiting)
            self._waiting.clear()
            return notices, not self._closed

    def _hand_on(self, told: list[Told]) -> None:
        try:
            recipients = _keys(self._recipients())
        except Exception as error:
            # The thread goes on, whatever is wrong with the file.
            log.warning(
                "notification not delivered", why=type(error).__name__, lost=len(told)
            )
            return
        self._lanes = {
            key: self._lanes.get(key) or self._lane(*key) for key in recipients
        }
        for notice, repeats in told:
            try:
                self._put(notice, repeats, recipients)
            except Exception as error:  # of ours: what cannot be rendered must not keep all others from being told
                log.warning(
                    "notification not delivered", why=type(error).__name__, lost=1
                )

    def _put(
        self,
        notice: Notice,
        repeats: Repeats | None,
        recipients: dict[tuple[int, str], Recipient],
    ) -> None:
        wanting = [
            key
            for key, recipient in recipients.items()
            if recipient.wants(notice.outcome, notice.target)
        ]
        if wanting:
            content = content_of(notice, self._hide, self._portal, repeats)
            for key in wanting:
                self._lanes[key].put(content)

    def _lane(self, number: int, source: str) -> Lane:
        return Lane(
            f"notify[{number}]", self._delivery(Recipient(source)), self._capacity
        )

    def _delivery(self, recipient: Recipient) -> Delivery:
        return Delivery(recipient.source, self._read, self._limit, self._find)


def _keys(recipients: Sequence[Recipient]) -> dict[tuple[int, str], Recipient]:
    """The recipients by what makes their lanes: the place in the file, and the source of the URL."""
    return {
        (number, recipient.source): recipient
        for number, recipient in enumerate(recipients)
    }
