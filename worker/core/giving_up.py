"""Giving up on a group: it is no longer a target, or nobody can look at it. Pure."""

from __future__ import annotations

from datetime import datetime

from worker.core.failing import conclude, fail
from worker.core.leaving import abandon
from worker.failures.classify import GONE, Failure, is_circumstance
from worker.record.record import Record


def no_longer_a_target(record: Record, now: datetime) -> Record:
    """End everything that waits for a group that is no longer a target."""
    why = "the group is no longer a target"
    record = conclude(record, why, now)
    # A push that only waits is ignored. One whose unproven image is on the group fails: nobody will watch it any more.
    record = abandon(record, _asked(record), why, now)
    for message in record.waiting().values():
        record = record.end(message, "ignored", why, (), now)
    record = record.without_candidates(lambda _name, _candidate: True)
    return record.but(inbox=(), change=None)


def given_up(record: Record, failure: Failure, attempts: int, now: datetime) -> Record:
    """Fail everything that waits for a group at which nobody could look for too long."""
    is_gone = failure.code in GONE
    if is_gone:
        record = _without_others_pushes(record, failure, now)
    failing = record.waiting().keys() - _still_to_be_watched(record, failure)
    # A rollback by hand is no candidate and so is not among what waits. Nothing will ever show how it ended.
    if is_gone:
        failing |= _rollbacks(record)
    # A circumstance whatever its code: the failure says nothing about an image that nobody has seen.
    record = fail(
        record,
        failing,
        failure.code,
        failure.detail,
        now,
        circumstance=True,
        attempts=attempts,
    )
    record = conclude(record, f"not rolled back: {failure.detail}", now)
    # A group that is created under this name one day is another group, and starts without a history of images.
    return record.without_group() if is_gone else record


def _without_others_pushes(record: Record, failure: Failure, now: datetime) -> Record:
    """The record of a group that is gone, without the pushes of repositories that it did not run.

    While a group is gone, no list shows what it runs, so every push is sent to it.
    """
    ran = record.repositories()
    for message in record.inbox if ran else ():
        name = message.push.image.name
        if name not in ran:
            record = record.end(
                message,
                "ignored",
                f"{failure.detail}; it did not run {name} before",
                (),
                now,
            )
    return record.but(
        inbox=tuple(
            message
            for message in record.inbox
            if not ran or message.push.image.name in ran
        )
    )


def _still_to_be_watched(record: Record, failure: Failure) -> set[str]:
    """The pushes that are on the group already and that the failure proves nothing about.

    They are watched again once the trouble is over.
    """
    if failure.code in GONE or not is_circumstance(failure):
        return set()
    return _asked(record)


def _asked(record: Record) -> set[str]:
    """The pushes that have asked for the change under way."""
    return set(record.change.asked.values()) if record.change else set()


def _rollbacks(record: Record) -> set[str]:
    """The rollbacks by hand that are under way."""
    pins = (container.pin for container in record.containers.values())
    return {pin.message.id for pin in pins if pin}
