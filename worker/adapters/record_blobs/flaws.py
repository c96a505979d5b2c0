"""Flaws: what a record of the right form holds although no worker writes it. Pure.

Others may be able to write to the storage account of the records. What a look would stumble over must be told as a
record that somebody has to repair, and must not end the pushes of its group as an error of ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from shared.image import ImageReference, InvalidImage
from worker.record.container import ContainerRecord
from worker.record.record import Record
from worker.record.values import Change, Patience

_EARLIEST, _LATEST = 1970, 9000
"""Years. Delays are added to these times and taken from them, which fails at the ends of Python's calendar."""


def flaw_of(record: Record) -> str | None:
    """The first flaw, with its place; None if there is none."""
    return next(_flaws(record), None)


def _flaws(record: Record) -> Iterator[str]:
    for name, container in record.containers.items():
        if not container.goods:
            yield f"containers.{name}.goods: there is no good image"
        if container.followed and not _is_repository(container):
            yield f"containers.{name}.repository: not a repository"
    for where, at in _times(record):
        if not _EARLIEST <= at.year <= _LATEST:
            yield f"{where}: {at} is not a time that a worker writes"
    for where, patience in _patiences(record):
        if not math.isfinite(patience.waited):
            yield f"{where}.waited: {patience.waited} is not a number of seconds"
    for outcome in record.outcomes:
        if not math.isfinite(outcome.seconds or 0.0):
            yield f"outcomes.seconds: {outcome.seconds} is not a number of seconds"


def _is_repository(container: ContainerRecord) -> bool:
    try:
        return ImageReference.parse(container.repository).name == container.repository
    except InvalidImage:
        return False


def _times(record: Record) -> Iterator[tuple[str, datetime]]:
    if record.timer:
        yield "timer.due", record.timer.due
    for flight in record.flights:
        yield "flights.sent_at", flight.sent_at
    for change in _changes(record):
        yield "change.began_at", change.began_at
    for where, patience in _patiences(record):
        yield f"{where}.looked_at", patience.looked_at
    for name, container in record.containers.items():
        for candidate in container.candidates:
            if candidate.looked_up_at:
                yield f"containers.{name}.looked_up_at", candidate.looked_up_at


def _patiences(record: Record) -> Iterator[tuple[str, Patience]]:
    if record.stuck:
        yield "stuck", record.stuck
    for change in _changes(record):
        yield "change.patience", change.patience


def _changes(record: Record) -> Iterator[Change]:
    change = record.change
    while change:
        yield change
        change = change.before
