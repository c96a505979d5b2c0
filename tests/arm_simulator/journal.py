"""What was asked of the ARM surface: a bounded log, and counts since the last reset."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from .messages import Answer, GroupKey, Request
from .reports import Counts, LogEntry, Stats
from .view import timestamp

_ENTRIES_KEPT = 200_000
_BODIES_KEPT = 20_000


def _no_counts() -> Counts:
    return {"reads": 0, "writes": 0, "lists": 0, "effective_puts": 0, "restarts": 0, "faults": 0}


class Journal:
    """Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=_ENTRIES_KEPT)
        self._bodies: dict[int, str] = {}
        self._number = 0
        self._total = _no_counts()
        self._by_group: dict[tuple[str, str, str], tuple[GroupKey, Counts]] = {}

    def record(
        self,
        request: Request,
        key: GroupKey | None,
        *,
        now: float,
        served: Answer | None,
        status: int | None,
        fault: str | None,
        listing: bool,
    ) -> None:
        """`served` is how the request was carried out, None if it wasn't; `status` is what the client was told."""
        self._number += 1
        if request.body:
            self._keep_body(request.body.decode(errors="replace"))
        effective = served is not None and served.effective
        entry = LogEntry(
            n=self._number,
            time=timestamp(now),
            method=request.method,
            path=request.path,
            group=str(key) if key else None,
            status=status,
            fault=fault,
            effective=effective,
            read_only_sent=list(served.read_only_sent) if served else [],
            client_request_id=request.headers.get("x-ms-client-request-id"),
        )
        self._entries.append(entry)
        for counts in self._counts_of(key):
            _count(counts, entry, listing=listing)

    def _keep_body(self, body: str) -> None:
        self._bodies[self._number] = body
        if len(self._bodies) > _BODIES_KEPT:
            del self._bodies[next(iter(self._bodies))]

    def _counts_of(self, key: GroupKey | None) -> Iterator[Counts]:
        yield self._total
        if key is not None:
            yield self._by_group.setdefault(key.folded, (key, _no_counts()))[1]

    def since(self, number: int, *, bodies: bool) -> list[LogEntry]:
        """The entries kept whose `n` is above `number`; with their bodies, as far as those are kept."""
        first = self._number - len(self._entries) + 1
        entries = list(islice(self._entries, max(0, number + 1 - first), None))
        if bodies:
            return [{**e, "body": self._bodies[e["n"]]} if e["n"] in self._bodies else e for e in entries]
        return entries

    def stats(self) -> Stats:
        by_group = {str(key): counts.copy() for key, counts in self._by_group.values()}
        return {**self._total, "by_group": by_group}


def _count(counts: Counts, entry: LogEntry, *, listing: bool) -> None:
    if listing:
        counts["lists"] += 1
    elif entry["method"] == "GET":
        counts["reads"] += 1
    else:
        counts["writes"] += 1
    counts["faults"] += entry["fault"] is not None
    counts["effective_puts"] += entry["effective"] and entry["method"] == "PUT"
    counts["restarts"] += entry["effective"] and entry["path"].lower().endswith("/restart")
