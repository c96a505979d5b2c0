"""Which versions of the records the status page has read, and when it tries again one that it could not read. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.message import TargetId
from worker.dashboard.pace import TICK

SHORTEST_PAUSE, LONGEST_PAUSE = TICK, 60.0
"""Seconds before a record that could not be read is read again; twice as many after each time, as it may stay so."""


@dataclass(frozen=True, slots=True)
class _Unread:
    """A version of a record that could not be read, and when it is read again if it stays the same."""

    etag: str
    pause: float
    again_at: float


class Versions:
    """The records' ETags. `now` is in seconds, by a clock that never goes back."""

    def __init__(self) -> None:
        self._read: dict[TargetId, str] = {}
        self._unread: dict[TargetId, _Unread] = {}

    @property
    def known(self) -> frozenset[TargetId]:
        """The groups whose record was read."""
        return frozenset(self._read)

    def is_due(self, target: TargetId, etag: str, now: float) -> bool:
        """Is there anything to be read that was not read yet, or not just tried in vain?"""
        unread = self._unread.get(target)
        if unread and unread.etag == etag:
            return now >= unread.again_at
        return self._read.get(target) != etag

    def read(self, target: TargetId, etag: str) -> None:
        """This version was read."""
        self._unread.pop(target, None)
        self._read[target] = etag

    def failed(self, target: TargetId, etag: str, now: float) -> None:
        """This version could not be read, and is read again only after a while."""
        unread = self._unread.get(target)
        pause = SHORTEST_PAUSE
        # The same version again: it will most likely stay unreadable until somebody deletes it.
        if unread and unread.etag == etag:
            pause = min(2 * unread.pause, LONGEST_PAUSE)
        self._unread[target] = _Unread(etag, pause, now + pause)

    def forget(self, target: TargetId) -> None:
        """The record is gone."""
        self._read.pop(target, None)
        self._unread.pop(target, None)
