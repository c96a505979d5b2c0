"""Notices: what people are told of an end, gathered from the record that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from shared.message import TargetId, UpdateMessage
from worker.ports import Notice
from worker.record.record import Record
from worker.record.values import AddressChange, Ending, Outcome, Result

_RUNS: frozenset[Result] = frozenset({"updated", "unchanged"})
"""The results after which a container runs what was pushed."""


def notice_of(record: Record, ending: Ending) -> Notice:
    """What people are told of the end of a push."""
    message = ending.message
    digest = _digest(record, ending)
    outcome = _outcome(record, ending)
    notice = replace(
        notice_without_record(message, outcome, record.target),
        digest=digest,
        before=_before(record, outcome.before, digest),
    )
    return replace(notice, code=ending.code, log=ending.log)


def notice_without_record(
    message: UpdateMessage, outcome: Outcome, target: TargetId | None
) -> Notice:
    """What people are told of the end of a push that no record tells of."""
    return Notice(
        outcome=outcome.result,
        image=outcome.image,
        target=str(target) if target else "",
        detail=outcome.detail,
        group=target,
        id=outcome.id,
        at=outcome.at,
        digest=message.push.digest,
        containers=outcome.containers,
        pusher=outcome.pusher,
        by=outcome.by,
        seconds=outcome.seconds,
    )


def notice_of_address(
    target: TargetId, message: UpdateMessage, address: AddressChange, at: datetime
) -> Notice:
    """What people are told of another address, which was seen `at` this time."""
    image = str(message.push.image)
    return Notice(
        "address changed",
        image,
        str(target),
        str(address),
        group=target,
        id=message.id,
        at=at,
    )


def _outcome(record: Record, ending: Ending) -> Outcome:
    """The end as the history has it; what has fallen out of the history is gathered from the message."""
    message, result = ending.message, ending.result
    kept = (
        outcome
        for outcome in record.outcomes
        if (outcome.id, outcome.result) == (message.id, result)
    )
    # The history keeps 50 outcomes, and folds superseded ones. After a long outage more than that may wait to be told.
    outcome = next(kept, None) or Outcome.of(
        message, result, ending.detail, (), ending.at
    )
    # People are told the ending's own detail, however the history keeps it.
    return outcome.but(detail=ending.detail)


def _digest(record: Record, ending: Ending) -> str | None:
    """What the pushed tag stood for: by what failed or runs now, or else by the webhook."""
    push = ending.message.push
    found = [
        failure.digest for failure in record.failures_of(ending.message.id).values()
    ]
    if ending.result in _RUNS:
        for container in record.containers.values():
            found += [good.digest for good in container.goods if good.tag == push.tag]
    return next((digest for digest in found if digest), push.digest)


def _before(
    record: Record, before: Mapping[str, str], digest: str | None
) -> dict[str, str]:
    """What ran before, each image with its digest if it is known."""
    return {
        name: _with_digest(record, name, image, digest)
        for name, image in before.items()
    }


def _with_digest(record: Record, name: str, image: str, pushed: str | None) -> str:
    container = record.containers.get(name)
    goods = container.goods if container else ()
    # A tag that moved is the same image text before and after, so the pushed digest can't be the one before.
    of_image = (good.digest for good in goods if good.image == image)
    digest = next((digest for digest in of_image if digest not in (None, pushed)), None)
    return f"{image}@{digest}" if digest and "@" not in image else image
