"""A leased message: until its visibility timeout ends nobody else sees it, and it is ours to change.

Every change needs the newest pop receipt, which each change replaces
(learn.microsoft.com/rest/api/storageservices/update-message).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from azure.storage.queue import QueueMessage

from shared.errors import RemoteError

_LOST = frozenset({"MessageNotFound", "PopReceiptMismatch"})
"""The codes of storage's answer when another receipt is the newest one, or the message is gone."""


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
                # A lost lease stays lost: another worker may have the message by now, and no renewal brings it back.
                self.lost = True
                raise LeaseLost(self.id) from error
            self.settled = settles
