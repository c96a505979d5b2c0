"""What Azure answered to a change: it has landed, or it was refused and nothing was done. Pure."""

from __future__ import annotations

from datetime import datetime

from worker.core.failing import fail
from worker.failures.classify import Failure, is_circumstance
from worker.record.record import Record
from worker.record.values import Change


def landed(record: Record, sent: Change) -> Record:
    """Azure has taken the change: it is not in flight any more."""
    return record.but(flights=tuple(flight for flight in record.flights if flight.generation != sent.generation))


def refused(record: Record, sent: Change, failure: Failure, now: datetime, *, over: bool) -> Record:
    """Azure has refused it. `over`: it is not to be tried again, so that the pushes that asked for it fail.

    If several asked and Azure does not say which of them it means, each is tried apart. A way back that is refused for
    good is not tried again until something else is desired.
    """
    record = landed(record, sent)
    if record.change is None or record.change.generation != sent.generation:
        return record
    nowhere = record.change.but(asked={}, touched=frozenset(), tries=max(0, record.change.tries - 1))
    if not over:
        return record.but(change=record.change.but(tries=nowhere.tries))
    asked = set(sent.asked.values())
    if not asked:
        return record.but(change=record.change.but(refused=f"{failure.code}: {failure.detail}"))
    named = {message_id for name, message_id in sent.asked.items() if sent.images.get(name, "\0") in failure.detail}
    record = record.but(change=nowhere)
    if len(asked) > 1 and not named and not record.apart:
        return record.but(apart=True)
    return fail(record, named or asked, failure.code, failure.detail, now, circumstance=is_circumstance(failure))
