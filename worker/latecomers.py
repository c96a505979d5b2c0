"""Latecomers: targets of a push that the list of groups was too old to know when the push was fanned out.

A push costs no list call, so a group that got its resource tag a moment ago may miss it. Each push is remembered until
the next list is there, and is sent then to the targets that only that list knows. What waits for a hold by a resource
tag goes on in the same way, once a list shows that the tag is gone. The memory is this process's own: what a crash
takes from it is left to the sweep.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from shared.message import TargetId, UpdateMessage
from worker.discovery.catalogue import Catalogue

FORGOTTEN = 3600.0
"""Seconds after which a push is remembered no more, if no list has told all that long."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _FannedOut:
    at: float
    message: UpdateMessage
    targets: frozenset[TargetId]


class Latecomers:
    """Remembers the pushes that were fanned out, for many threads at once.

    `send` puts a message onto the queue, `wake` sends what a group has been waiting for since it was held.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        send: Callable[[UpdateMessage], None],
        wake: Callable[[TargetId], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._send = send
        self._wake = wake
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._recent: list[_FannedOut] = []
        self._held: frozenset[TargetId] = frozenset()

    def fanned_out(self, message: UpdateMessage, targets: Iterable[TargetId]) -> None:
        """A push has been sent to these targets."""
        if self._catalogue.lists:
            with self._lock:
                self._recent.append(_FannedOut(self._monotonic(), message, frozenset(targets)))

    @property
    def remembered(self) -> int:
        """Pushes that wait for a list newer than they are."""
        return len(self._recent)

    def look(self) -> None:
        """Renew the list if it is about to grow old, send to the latecomers, and wake. Raises RemoteError."""
        self._catalogue.renew()
        self._wake_released()
        for one in self._due():
            for target in self._catalogue.find(one.message.push.image):
                if target.id not in one.targets:
                    log.info("push sent to a target that was listed late", id=one.message.id, target=str(target.id))
                    self._send(one.message.for_target(target.id))
            with self._lock:
                self._recent.remove(one)

    def _wake_released(self) -> None:
        held = self._catalogue.held()
        for target in self._held - held:
            log.info("no resource tag holds the group any more", target=str(target))
            self._wake(target)
            self._held -= {target}
        for target in held - self._held:
            log.info("a resource tag holds the group", target=str(target))
        self._held |= held

    def _due(self) -> list[_FannedOut]:
        listed_at, forgotten = self._catalogue.listed_at, self._monotonic() - FORGOTTEN
        with self._lock:
            self._recent = [one for one in self._recent if one.at > forgotten]
            return [one for one in self._recent if one.at <= listed_at]
