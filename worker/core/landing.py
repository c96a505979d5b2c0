"""What became of a change that was sent: it has landed, or Azure refused it, or nobody knows. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from worker.core.failing import fail
from worker.failures.classify import ABOUT_ONE_IMAGE, Failure, is_circumstance
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
        return _in_turn(record.but(change=change), sent, failure)
    if not asked:
        return record.but(change=change.but(refused=f"{failure.code}: {failure.detail}"))
    named = _named(sent, failure)
    # It is nowhere on the group, so that the pushes that fail now have ended with that.
    record = record.but(change=change.but(asked={}, touched=frozenset()))
    circumstance = is_circumstance(failure)
    if len(asked) > 1 and not (named or circumstance or record.apart):
        return record.but(apart=True)
    failing = named or asked
    if circumstance:
        # It would keep the older pushes from being made just as long, one after the other. But those whose images Azure
        # may be able to pull are yet to have their turn.
        concerned = [name for name, message_id in sent.asked.items() if message_id in failing]
        waiting = (candidate for name in concerned for candidate in record.containers[name].candidates)
        # Those of images that Azure can pull, as far as anybody knows, have not had their turn.
        about_one_image = failure.code in ABOUT_ONE_IMAGE
        failing |= {candidate.id for candidate in waiting if candidate.refusals or not about_one_image}
    return fail(record, failing, failure.code, failure.detail, now, circumstance=circumstance, attempts=attempts)


def _in_turn(record: Record, sent: Change, failure: Failure) -> Record:
    """Where Azure can't pull one image for now, the other containers' pushes need not wait for it, for hours perhaps.

    From now on each push is tried apart, and the one that was refused comes last.
    """
    if failure.code not in ABOUT_ONE_IMAGE or not sent.asked:
        return record
    refused = _named(sent, failure) or set(sent.asked.values())
    for name, container in record.containers.items():
        candidates = tuple(
            candidate.but(refusals=candidate.refusals + 1) if candidate.id in refused else candidate
            for candidate in container.candidates
        )
        record = record.with_container(name, candidates=candidates)
    waiting = [name for name, container in record.containers.items() if container.candidates]
    return record.but(apart=len(waiting) > 1)


def _named(sent: Change, failure: Failure) -> set[str]:
    """The messages that asked for the images that Azure names in its refusal."""
    return {
        message_id
        for name, message_id in sent.asked.items()
        if name in sent.images and _names(failure.detail, sent.images[name])
    }


def _names(detail: str, image: str) -> bool:
    """Does Azure's answer name this image, and not one whose name only begins or ends like it?"""
    return re.search(rf"(?<![\w./:@-]){re.escape(image)}(?![\w-]|\.\w)", detail) is not None
