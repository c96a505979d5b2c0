"""The history of all groups: the ends of pushes in one list, the newest first. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shared.message import TargetId
from worker.record.record import Record, is_dead
from worker.record.trace import End, Trace
from worker.record.values import Outcome


def all_ends(records: Iterable[Record], trace: Trace) -> list[End]:
    """Every end in these records and in the trace, the newest first."""
    ends: list[End] = []
    for record in records:
        ends += [End(target=record.target, outcome=each) for each in record.outcomes]
    return sorted([*ends, *trace.ends], key=lambda end: end.outcome.at, reverse=True)


def chosen(
    ends: Iterable[End],
    *,
    failed: bool = False,
    since: datetime | None = None,
    limit: int | None = None,
) -> list[End]:
    """The ends that were asked for: only failures, nothing before `since`, at most `limit`."""
    found = list(ends)
    if failed:
        found = [end for end in found if is_dead(end.outcome.result)]
    if since is not None:
        found = [end for end in found if end.outcome.at >= since]
    return found[:limit]


def entry(target: TargetId | None, outcome: Outcome) -> dict[str, Any]:
    """An end as JSON; its target is None if no target runs what was pushed."""
    return {
        "at": outcome.at.isoformat(),
        "id": outcome.id,
        "target": target.model_dump() if target else None,
        "image": outcome.image,
        "from": dict(outcome.before),
        "containers": list(outcome.containers),
        "result": outcome.result,
        "detail": outcome.detail,
        "pusher": outcome.pusher,
        "by": outcome.by,
        "seconds": outcome.seconds,
        "count": outcome.count,
    }
