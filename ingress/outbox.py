"""The outbox: puts update messages onto the queue while the sender waits, or raises in time to answer 503."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from shared.errors import RemoteError
from shared.message import UpdateMessage
from shared.readiness import Readiness
from shared.time_limit import TimeLimit

TIME_LIMIT = 4.0
"""Seconds from a connection's acceptance until a request's answer is decided (see front.py). Senders wait for five or
more, except for Distribution, which gives up after one and tries again."""
CLIENT_TIMEOUTS = (1.0, 1.6)
"""Seconds for the queue's client to connect and to read: two attempts fit into the time limit."""

_SLOTS = 10  # the size of the client's connection pool: more calls would only wait for a connection
_PROBES = 2
_PAUSE = 0.1
_FORBIDDEN_TO_READ = "AuthorizationPermissionMismatch"


class SendingQueue(Protocol):
    """What the outbox needs of shared.queue.Queue; both raise RemoteError."""

    def send(self, text: str) -> None: ...

    def count(self) -> int: ...


class Outbox:
    """Sends to one queue. Safe to share between threads."""

    def __init__(
        self, queue: SendingQueue, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._queue = queue
        self._clock = clock
        self._sends = TimeLimit("queue", _SLOTS, clock)
        self._probes = TimeLimit("queue", _PROBES, clock)
        self.readiness = Readiness(self.check, clock)

    def send(self, messages: Sequence[UpdateMessage], arrived: float) -> None:
        """Put every message onto the queue; raises RemoteError if that is not certain TIME_LIMIT after `arrived`.

        Some of the messages may be on the queue then. The sender's next try repeats them, which workers tolerate.
        """
        deadline = arrived + TIME_LIMIT
        texts = [message.encode() for message in messages]
        try:
            # In a thread that can be left behind. The client's own timeouts bound each read, not the whole call: an
            # answer that comes a byte at a time could outlast the sender.
            self._sends.run(lambda: self._send_all(texts, deadline), deadline)
        except RemoteError:
            # /readyz must not call a queue ready that has just refused a push.
            self.readiness.used(works=False)
            raise
        self.readiness.used(works=True)

    def check(self) -> None:
        """Raises RemoteError unless the queue can be reached. The credentials may allow only sending."""
        try:
            # With slots of their own, so that probes of a queue that hangs take none from deliveries.
            self._probes.run(self._queue.count, self._clock() + TIME_LIMIT)
        except RemoteError as error:
            # The recommended role, Storage Queue Data Message Sender, may add messages and nothing else. A queue that
            # refuses by that code has been reached, and has accepted the credentials.
            if error.code != _FORBIDDEN_TO_READ:
                raise

    def _send_all(self, texts: list[str], deadline: float) -> None:
        # There is time for only one retry. After a longer outage the sender tries again, or the sweep finds the push.
        attempts = Retrying(
            stop=stop_after_attempt(2),
            wait=wait_fixed(_PAUSE),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        for text in texts:
            # The sender has its 503 already, and will repeat all of them: the rest would be there twice.
            if self._clock() > deadline:
                raise RemoteError(
                    "queue",
                    None,
                    "Timeout",
                    "no time left to send the rest of the delivery",
                )
            attempts(self._queue.send, text)


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, RemoteError):
        return False
    return error.status is None or error.status >= 500 or error.status in {408, 429}
