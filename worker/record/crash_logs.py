"""The last lines of crashed containers, which a record keeps within bounds until the pushes' ends are told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from shared.dead_letter import last_lines
from worker.record.record import Record, is_dead
from worker.record.values import Ending, Undone

_Failure = TypeVar("_Failure", Ending, Undone)

LONGEST_LOG = 8 * 1024
"""Bytes kept for a push. With its message and the evidence they have to fit into a dead letter."""
MOST_LOGS = 64 * 1024
"""Bytes kept in a record: every look reads and writes all of it, and pushes that fail one after the other add up."""


def with_logs(record: Record, logs: Mapping[str, str]) -> Record:
    """The record with the last lines (message id → text) for the failed pushes that are not told yet and have none."""
    undone = [_with_log(failure, logs) for failure in record.undone]
    outbox = [
        _with_log(ending, logs) if is_dead(ending.result) else ending
        for ending in record.outbox
    ]
    return _within_bounds(record.but(undone=tuple(undone), outbox=tuple(outbox)))


def _with_log(failure: _Failure, logs: Mapping[str, str]) -> _Failure:
    if failure.log is not None:
        return failure
    return failure.but(log=_kept(logs, failure.message.id))


def _kept(logs: Mapping[str, str], message_id: str) -> str | None:
    return last_lines(logs.get(message_id, ""), LONGEST_LOG) or None


def _within_bounds(record: Record) -> Record:
    """The record without the oldest logs, if all of them are too much."""
    room = MOST_LOGS
    outbox = []
    # The newest come first, so that the room goes to them.
    for ending in reversed(record.outbox):
        room -= _size(ending.log)
        outbox.append(ending if room >= 0 else ending.but(log=None))
    undone = []
    for failure in reversed(record.undone):
        room -= _size(failure.log)
        undone.append(failure if room >= 0 else failure.but(log=None))
    return record.but(outbox=tuple(reversed(outbox)), undone=tuple(reversed(undone)))


def _size(log: str | None) -> int:
    return len((log or "").encode())
