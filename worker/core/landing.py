"""What became of a change that was sent: it has landed, or Azure refused it, or nobody knows. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from worker.core.failing import fail
from worker.failures.classify import Failure, is_circumstance
from worker.record.record import Record
from worker.record.values import Change


def landed(record: Record, sent: Change) -> Record:
    """Azure has answered: the change is not in flight any more."""
    return record.but(flights=tuple(flight for flight in record.flights if flight.generation != sent.generation))


def not_made(record: Record, sent: Change, failure: Failure, now: datetime, attempts: int, *, over: bool) -> Record:
    """The change failed, for now or, if it is `over`, for good: then the pushes that asked for it fail.

    What fails in this way was no try: `tries` counts what Azure took and never showed. If several pushes asked and
    Azure does not say which of them it means, each is tried apart. A way back that is refused for good is not tried
    again until something else is desired.
    """
    change = record.change
    if change is None or change.generation != sent.generation:
        return record
    change = change.but(tries=max(0, change.tries - 1))
    asked = set(sent.asked.values())
    if not over:
        return record.but(change=change)
    if not asked:
        return record.but(change=change.but(refused=f"{failure.code}: {failure.detail}"))
    named = {
        message_id
        for name, message_id in sent.asked.items()
        if name in sent.images and _names(failure.detail, sent.images[name])
    }
    # It is nowhere on the group, so that the pushes that fail now have ended with that.
    record = record.but(change=change.but(asked={}, touched=frozenset()))
    circumstance = is_circumstance(failure)
    if len(asked) > 1 and not (named or circumstance or record.apart):
        return record.but(apart=True)
    failing = named or asked
    if circumstance:
        # It would keep the older pushes from being made just as long, one after the other.
        waiting = (candidate for name in sent.asked for candidate in record.containers[name].candidates)
        failing |= {candidate.id for candidate in waiting}
    return fail(record, failing, failure.code, failure.detail, now, circumstance=circumstance, attempts=attempts)


def _names(detail: str, image: str) -> bool:
    """Does Azure's answer name this image, and not one whose name only begins or ends like it?"""
    return re.search(rf"(?<![\w./:@-]){re.escape(image)}(?![\w-]|\.\w)", detail) is not None
