"""The Azure Storage queues: send, receive, renew, reschedule, complete and dead-letter. Messages never expire."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from azure.storage.queue import QueueClient, QueueMessage

from shared import storage_actions
from shared.azure_errors import translated
from shared.credential import azure_credential
from shared.dead_letter import DeadLetter
from shared.errors import RemoteError
from shared.leased_message import LeasedMessage
from shared.queue_rights import missing_actions
from shared.settings import Settings

T = TypeVar("T")

MAX_BATCH = 32
"""Messages that one call can receive, or peek at."""
_NEVER = -1


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
            # Azure answers this only if the queue has metadata that somebody has given it; otherwise it answers 204.
            # https://learn.microsoft.com/rest/api/storageservices/create-queue4
            if error.code != "QueueAlreadyExists":
                raise

    def send(self, text: str, delay: float = 0) -> None:
        """Add a message, visible after `delay` seconds."""

        def send() -> object:
            return self._client.send_message(
                text, time_to_live=_NEVER, visibility_timeout=_seconds(delay)
            )

        self._call(send, storage_actions.ADD)

    def receive(self, limit: int) -> list[LeasedMessage]:
        """Lease up to `limit` messages (at most MAX_BATCH), usually oldest first."""
        limit = min(limit, MAX_BATCH)
        # Counted from before the request, so that nobody here believes in a lease for longer than storage does.
        expires = self._clock() + self._visibility_timeout
        options = {
            "messages_per_page": limit,
            "visibility_timeout": self._visibility_timeout,
        }

        def receive() -> list[QueueMessage]:
            # One page is one request: the SDK's iterator over messages would ask again to see that there are no more.
            pages = self._client.receive_messages(**options).by_page()
            return list(next(pages, ()))

        messages = self._call(receive, storage_actions.PROCESS)
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
        """What a worker's role must allow and this one does not. Raises RemoteError if the queue can't be asked."""
        return missing_actions(self._client, MAX_BATCH)

    def _update(
        self,
        message: LeasedMessage,
        text: str | None,
        visibility_timeout: int,
        *,
        settles: bool,
    ) -> None:
        def update(receipt: str | None) -> str | None:
            change = partial(
                self._client.update_message,
                message.id,
                receipt,
                visibility_timeout=visibility_timeout,
                content=text,
            )
            return self._call(change, storage_actions.WRITE).pop_receipt

        message.with_receipt(update, settles=settles)

    def _call(self, call: Callable[[], T], action: str) -> T:
        """`action` is what the role must allow."""
        try:
            with _translated(action):
                return call()
        except RemoteError as error:
            # The queue is made by whoever needs it first, and again after somebody has deleted it.
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
    # Azure takes whole seconds. They are rounded up, because a look before its time would find nothing to do.
    return max(0, math.ceil(delay))
