"""Folding: the same notice again and again is told once, and then as "n more". Pure.

The same is: the same group, outcome and code; or the same image, where an outcome has no code, because each new image
that runs is news. The first one is told at once. Those that follow are counted, and told with the last of them after a
while; as long as it goes on, the while becomes longer. This is the memory of one worker: it ends with the worker, so
each worker tells the first one that it sees. A memory in storage would need a write for each notice, and could fail;
what is told once too often does less harm than what is not told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from worker.adapters.notifications.content import Repeats
from worker.ports import Notice

FIRST, LONGEST = 600.0, 21600.0
"""Seconds for which repetitions are folded, at first and at most."""
MOST = 1000
"""How many different ones are remembered."""

Key = tuple[str, str, str]
Told = tuple[Notice, Repeats | None]


@dataclass(slots=True)
class _Series:
    """Those of one kind that have come since `since`, when the last one was told."""

    last: Notice
    since: datetime
    until: float
    pause: float
    count: int = 0


class Folding:
    """Which notices to tell now. Times are seconds of any clock that does not go back; not for several threads."""

    def __init__(
        self, first: float = FIRST, longest: float = LONGEST, most: int = MOST
    ) -> None:
        self._first = first
        self._longest = longest
        self._most = most
        self._series: dict[Key, _Series] = {}

    def take(self, notice: Notice, now: float, at: datetime) -> list[Told]:
        """What to tell after this notice has come: itself, or nothing yet."""
        if notice.outcome == "address changed":
            return [(notice, None)]  # which is rare, and each address counts
        # Two subscriptions may have groups that are called the same.
        group = notice.group.key if notice.group else notice.target.lower()
        key = (group, notice.outcome, notice.code or notice.image)
        if series := self._series.get(key):
            if not _is_told_again(notice, series.last):
                series.count += 1
                series.last = notice
            return []
        evicted = self._make_room()
        self._series[key] = _Series(notice, at, now + self._first, self._first)
        return [*evicted, (notice, None)]

    def due(self, now: float, at: datetime) -> list[Told]:
        """The folded notices that are due by now."""
        told: list[Told] = []
        for key, series in list(self._series.items()):
            if series.until > now:
                continue
            # Nothing came for a whole pause, so the trouble counts as over, and the next notice is told at once again.
            if not series.count:
                del self._series[key]
                continue
            told += _rest(series)
            pause = min(self._longest, 2 * series.pause)
            self._series[key] = _Series(series.last, at, now + pause, pause)
        return told

    def next_due(self) -> float | None:
        """When to ask again; None if nothing is folded."""
        return min((series.until for series in self._series.values()), default=None)

    def all(self) -> list[Told]:
        """All folded notices; afterwards none is remembered."""
        series = list(self._series.values())
        self._series.clear()
        told: list[Told] = []
        for folded in series:
            told += _rest(folded)
        return told

    def _make_room(self) -> list[Told]:
        if len(self._series) < self._most:
            return []
        soonest = min(self._series, key=lambda key: self._series[key].until)
        return _rest(self._series.pop(soonest))


def _is_told_again(notice: Notice, last: Notice) -> bool:
    """Whether this is the end that was told last, and no repetition of it: an end is told at least once."""
    return bool(notice.id) and (notice.id, notice.at) == (last.id, last.at)


def _rest(series: _Series) -> list[Told]:
    return [(series.last, Repeats(series.count, series.since))] if series.count else []
