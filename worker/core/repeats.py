"""Repeats: whether a message delivers a push again that failed before, or that is a candidate already. Pure.

Senders deliver one push several times, and a sweep finds it once more. A tag alone does not tell two deliveries of one
push from two pushes of one tag: the digest does, or the time of the push.
"""

from __future__ import annotations

from datetime import datetime

from shared.message import UpdateMessage
from worker.record.container import ContainerRecord, FailedPush
from worker.record.values import MANUAL


def repeated(
    container: ContainerRecord,
    message: UpdateMessage,
    digest: str | None,
) -> FailedPush | None:
    """The failure of this same push on an earlier delivery, or None.

    An operator who pushes by hand wants another try, so nothing counts as repeated then.
    """
    if message.push.sender == MANUAL:
        return None
    return next(
        (
            failure
            for failure in container.failures
            if _repeats(message, digest, failure)
        ),
        None,
    )


def _repeats(message: UpdateMessage, digest: str | None, failure: FailedPush) -> bool:
    # A circumstance says nothing about the image, so the push may be tried again.
    if failure.circumstance or message.push.tag != failure.tag:
        return False
    if digest and failure.digest:
        return digest == failure.digest
    # Without both digests, only the time of the push identifies it. Senders repeat that time on every delivery.
    return (
        message.push.pushed_at is not None
        and message.push.pushed_at == failure.pushed_at
    )


def is_same_push(
    message: UpdateMessage,
    tag: str | None,
    pushed_at: datetime | None,
    digest: str | None,
) -> bool:
    """Whether the message delivers the push of this tag, time and digest again.

    Without a time, two pushes of one tag can't be told from two deliveries of one push, so they count as different.
    A digest that only the message gives is new information, so that push counts as different, too.
    """
    push = message.push
    if pushed_at is None or (push.tag, push.pushed_at) != (tag, pushed_at):
        return False
    return push.digest in {None, digest}


def failed_before(failure: FailedPush) -> str:
    """The reason to give for a push that is not tried again."""
    return f"this push failed before, at {failure.at:%Y-%m-%d %H:%M:%S} UTC ({failure.code})"
