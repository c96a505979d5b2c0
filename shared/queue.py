"""The Azure Storage queues: send, receive, renew, reschedule, complete and dead-letter. The one importer of their SDK.

Messages never expire. A received message is leased: until its visibility timeout ends nobody else sees it, and every
change of it needs the newest pop receipt, which each renewal replaces
(learn.microsoft.com/rest/api/storageservices/update-message).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from azure.storage.queue import QueueClient, QueueMessage

from shared import storage_actions
from shared.azure_errors import translated
from shared.credential import azure_credential
from shared.dead_letter import DeadLetter
from shared.errors import RemoteError
from shared.settings import Settings

T = TypeVar("T")

MAX_BATCH = 32
"""Messages that one call can receive, or peek at."""
_NEVER = -1
_LOST = frozenset({"MessageNotFound", "PopReceiptMismatch"})


class LeaseLost(Exception):
    """The message's visibility timeout ran out and another worker may have it: it must not be settled any more."""


class LeasedMessage:
    """A received message and the lease on it. The lease may be renewed by another thread while it is worked on."""

    def __init__(self, message: QueueMessage, expires: float) -> None:
        self.id: str = message.id
        self.text: str = message.content
        self.dequeue_count: int = message.dequeue_count or 1
        inserted_at = message.inserted_on
        if inserted_at is None:
            raise ValueError("a received message carries its insertion time")
        self.inserted_at: datetime = inserted_at
        self.expires = expires
        self.settled = False
        self.lost = False
        self._receipt = message.pop_receipt
        self._lock = threading.Lock()

    def lease_holds(self, clock: Callable[[], float] = time.monotonic) -> bool:
        """Is the lease still ours beyond doubt? `clock` is the one that `expires` was measured by."""
        return not self.lost and clock() < self.expires

    def wants_renewal(
        self, margin: float, clock: Callable[[], float] = time.monotonic
    ) -> bool:
        """Is it unsettled, still ours, and due to run out within `margin` seconds?"""
        return not self.settled and not self.lost and clock() > self.expires - margin

    def with_receipt(
        self, change: Callable[[str | None], str | None], *, settles: bool
    ) -> None:
        """Run `change` with the newest pop receipt and keep the one that it returns; raises LeaseLost."""
        # One change at a time: each makes a new receipt, and the one before is void from then on.
        with self._lock:
            if self.lost or self.settled:
                raise LeaseLost(self.id)
            try:
                self._receipt = change(self._receipt)
            except RemoteError as error:
                if error.code not in _LOST:
                    raise
                self.lost = True
                raise LeaseLost(self.id) from error
            self.settled = settles


class Queue:
    """One queue of encoded messages. Every method raises RemoteError; those that take a leased message, LeaseLost."""

    def __init__(
        self,
        client: QueueClient,
        visibility_timeout: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = client.queue_name
        self._client = client
        self._visibility_timeout = visibility_timeout
        self._clock = clock

    def ensure(self) -> None:
        """Create the queue unless it exists."""
        try:
            with _translated(storage_actions.WRITE_QUEUE):
                self._client.create_queue()
        except RemoteError as error:
            if error.code != "QueueAlreadyExists":
                raise

    def send(self, text: str, delay: float = 0) -> None:
        """Add a message, visible after `delay` seconds."""
        self._call(
            lambda: self._client.send_message(
                text, time_to_live=_NEVER, visibility_timeout=_seconds(delay)
            ),
            storage_actions.ADD,
        )

    def receive(self, limit: int) -> list[LeasedMessage]:
        """Lease up to `limit` messages (at most MAX_BATCH), usually oldest first."""
        limit = min(limit, MAX_BATCH)
        # Counted from before the request, so that nobody here believes in a lease for longer than storage does.
        expires = self._clock() + self._visibility_timeout
        options = {
            "messages_per_page": limit,
            "visibility_timeout": self._visibility_timeout,
        }
        # One page is one request: the SDK's iterator over messages would ask again to see that there are no more.
        messages = self._call(
            lambda: list(next(self._client.receive_messages(**options).by_page(), ())),
            storage_actions.PROCESS,
        )
        return [LeasedMessage(message, expires) for message in messages]

    def peek(self) -> list[str]:
        """The contents of the oldest messages that anybody could receive now, up to MAX_BATCH; none is leased."""
        messages = self._call(
            lambda: self._client.peek_messages(max_messages=MAX_BATCH),
            storage_actions.READ,
        )
        return [message.content for message in messages]

    def renew(self, message: LeasedMessage) -> None:
        """Lease it for another visibility timeout."""
        expires = self._clock() + self._visibility_timeout
        self._update(message, None, self._visibility_timeout, settles=False)
        message.expires = expires

    def reschedule(self, message: LeasedMessage, text: str, delay: float) -> None:
        """Replace its content and give it up until it becomes visible again in `delay` seconds."""
        self._update(message, text, _seconds(delay), settles=True)

    def complete(self, message: LeasedMessage) -> None:
        """Delete it."""

        def delete(receipt: str | None) -> None:
            self._call(
                lambda: self._client.delete_message(message.id, receipt),
                storage_actions.PROCESS,
            )

        message.with_receipt(delete, settles=True)

    def exists(self) -> bool:
        """Is it there?"""
        try:
            with _translated(storage_actions.READ_QUEUE):
                self._client.get_queue_properties()
        except RemoteError as error:
            if error.code != "QueueNotFound":
                raise
            return False
        return True

    def count(self) -> int:
        """How many messages there are, including leased and delayed ones; 0 if the queue does not exist yet."""
        try:
            with _translated(storage_actions.READ_QUEUE):
                return (
                    self._client.get_queue_properties().approximate_message_count or 0
                )
        except RemoteError as error:
            if error.code != "QueueNotFound":
                raise
            return 0

    def missing_actions(self) -> list[str]:
        """What a worker's role must allow and this one does not, each tried by a request that changes nothing.

        A role is asked about first: only then is it found that the message does not exist, or that no queue takes so
        large a number. Raises RemoteError if the queue can't be asked.
        """
        client, nowhere = (
            self._client,
            ("00000000-0000-0000-0000-000000000000", "AgAAAAMAAAAAAAAAAAAAAAAAAAA="),
        )
        tries: dict[str, list[Callable[[], object]]] = {
            storage_actions.READ_QUEUE: [client.get_queue_properties],
            storage_actions.READ: [client.peek_messages],
            storage_actions.ADD: [
                lambda: client.send_message("", visibility_timeout=2, time_to_live=1)
            ],
            storage_actions.PROCESS: [
                lambda: client.delete_message(*nowhere),
                lambda: list(
                    next(
                        client.receive_messages(
                            messages_per_page=MAX_BATCH + 1
                        ).by_page(),
                        (),
                    )
                ),
            ],
            storage_actions.WRITE: [
                lambda: client.update_message(*nowhere, visibility_timeout=0)
            ],
        }
        return [
            action
            for action, requests in tries.items()
            if not all(map(_is_allowed, requests))
        ]

    def _update(
        self,
        message: LeasedMessage,
        text: str | None,
        visibility_timeout: int,
        *,
        settles: bool,
    ) -> None:
        def update(receipt: str | None) -> str | None:
            updated = self._call(
                lambda: self._client.update_message(
                    message.id,
                    receipt,
                    visibility_timeout=visibility_timeout,
                    content=text,
                ),
                storage_actions.WRITE,
            )
            return updated.pop_receipt

        message.with_receipt(update, settles=settles)

    def _call(self, call: Callable[[], T], action: str) -> T:
        """`action` is what the role must allow."""
        try:
            with _translated(action):
                return call()
        except RemoteError as error:
            if error.code != "QueueNotFound":
                raise
        self.ensure()
        with _translated(action):
            return call()


@contextmanager
def _translated(action: str) -> Iterator[None]:
    """The SDK's errors as RemoteError, which names the action if the role lacks it."""
    try:
        with translated("queue"):
            yield
    except RemoteError as error:
        raise storage_actions.told(error, action) from error


def _is_allowed(request: Callable[[], object]) -> bool:
    try:
        with translated("queue"):
            request()
    except RemoteError as error:
        # No answer, or one that says nothing of the role: an outage, a limit, a credential that is not accepted at all.
        if error.status is None or error.status >= 500 or error.status in {401, 429}:
            raise
        is_role_missing = storage_actions.lacks_role(error)
        # Some 403 are about a firewall or the account, which no role would mend.
        if error.status == 403 and not is_role_missing:
            raise
        return not is_role_missing
    return True


def dead_letter(
    queue: Queue,
    poison: Queue,
    message: LeasedMessage,
    letter: DeadLetter,
    retrying: Callable[[Callable[[], None]], None] = lambda call: call(),
) -> None:
    """Send the letter, then delete the message. A crash in between leads to a second letter, never to none.

    `retrying` wraps each of the two calls separately, so that a failing deletion does not send more letters.
    """
    retrying(lambda: poison.send(letter.encode()))
    retrying(lambda: queue.complete(message))


def open_queues(
    settings: Settings,
    *,
    visibility_timeout: int = 30,
    timeouts: tuple[float, float] = (5, 20),
) -> tuple[Queue, Queue]:
    """The updates queue and its poison queue. `timeouts` are for connecting and for reading, in seconds.

    The SDK's own retries are off: each caller has a retry policy of its own.
    """
    options: Mapping[str, Any] = {
        "retry_total": 0,
        "connection_timeout": timeouts[0],
        "read_timeout": timeouts[1],
    }
    names = (settings.queue, f"{settings.queue}-poison")
    if settings.connection_string:
        connection = settings.connection_string.get_secret_value()
        clients = [
            QueueClient.from_connection_string(connection, name, **options)
            for name in names
        ]
    else:
        url = (
            f"https://{settings.storage_account}.queue.{settings.cloud.storage_suffix}"
        )
        credential = azure_credential(settings)
        clients = [
            QueueClient(url, name, credential=credential, **options) for name in names
        ]
    updates, poison = (Queue(client, visibility_timeout) for client in clients)
    return updates, poison


def _seconds(delay: float) -> int:
    return max(0, math.ceil(delay))
