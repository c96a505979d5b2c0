"""Telling how pushes ended: to the dead letters, the log, the metrics and people. At least once, and usually once.

What is to be told is in the record's outbox, and leaves it only after it has been told.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from shared.errors import RemoteError
from shared.message import TargetId, UpdateMessage
from shared.metrics import ADDRESS_CHANGES, ended
from shared.telemetry import trace_id
from worker.controller.notices import (
    notice_of,
    notice_of_address,
    notice_without_record,
)
from worker.controller.settlement import dead_letter_of
from worker.failures.retrying import call_with_retries
from worker.ports import Ports
from worker.record.record import Record, is_dead
from worker.record.trace import End
from worker.record.values import AddressChange, Ending, Outcome, Result

log = structlog.get_logger()


class Telling:
    """Tells the content of outboxes, for many threads at once."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def tell(self, record: Record) -> None:
        """Tell everything in the record's outbox. Raises RemoteError if a dead letter could not be sent."""
        for ending in record.outbox:
            # The letter and the log come first. Notifications may be lost, and nobody waits for them.
            self._end(record.target, ending)
            self._ports.tell(notice_of(record, ending))
        for address in record.address_changes:
            self._address(record.target, address)

    def ignored(self, message: UpdateMessage, why: str) -> None:
        """The push at hand, which concerns no target, has ended. Raises RemoteError if that can't be remembered."""
        outcome = Outcome.of(message, "ignored", why, (), self._ports.now())
        call_with_retries(partial(self._ports.leave_trace, End(outcome=outcome)))
        ended(outcome.result, outcome.seconds)
        log.info("ended", outcome="ignored", detail=why)
        self._ports.tell(notice_without_record(message, outcome, None))

    def given_up(self, message: UpdateMessage, code: str, detail: str) -> None:
        """The push at hand has failed before a record was reached; its message becomes a dead letter."""
        outcome = Outcome.of(message, "failed", detail, (), self._ports.now())
        # The letter is what counts, and it may be storage that fails.
        with suppress(RemoteError):
            self._ports.leave_trace(End(target=message.target, outcome=outcome))
        ended(outcome.result, outcome.seconds)
        log.error("ended", outcome="failed", code=code, detail=detail)
        self._ports.tell(
            replace(notice_without_record(message, outcome, message.target), code=code)
        )

    def _end(self, target: TargetId, ending: Ending) -> None:
        message = ending.message
        if is_dead(ending.result):
            # Before everything else: if the queue is down, nothing is told, and all of it comes again.
            call_with_retries(partial(self._dead_letter, _letter(ending)))
        ended(ending.result, (ending.at - message.received_at).total_seconds())
        code = {"code": ending.code} if ending.code else {}
        with structlog.contextvars.bound_contextvars(**context_of(message, target)):
            say = _level_of(ending.result)
            say("ended", outcome=ending.result, detail=ending.detail, **code)
            if is_dead(ending.result):
                log.error(
                    "dead letter",
                    code=ending.code,
                    detail=ending.detail,
                    attempts=ending.attempts,
                )

    def _dead_letter(self, text: str) -> None:
        """Send a dead letter, unless it is on the queue already."""
        # A worker may have died after sending it, or its answer was lost. Every telling of one end makes the same text,
        # so that a peek can find it. But a peek shows only the oldest letters, so somebody who lets many pile up may
        # get one twice. https://learn.microsoft.com/rest/api/storageservices/peek-messages
        if text not in self._ports.poison.peek():
            self._ports.poison.send(text)

    def _address(self, target: TargetId, address: AddressChange) -> None:
        ADDRESS_CHANGES.inc()
        context = {"target": str(target)}
        if address.message:
            context = context_of(address.message, target)
        with structlog.contextvars.bound_contextvars(**context):
            log.error(
                "THE ADDRESS OF THE GROUP CHANGED",
                before=address.before,
                after=address.after,
            )
        if address.message:
            # It is told in the look that has seen it, or in the one after that if a worker died in between.
            self._ports.tell(
                notice_of_address(target, address.message, address, self._ports.now())
            )


def log_new_failures(before: Record, decided: Record) -> None:
    """Log the pushes that a look has found to fail on the group. Their ends are told later."""
    for undone in decided.undone:
        if undone not in before.undone:
            log.warning(
                "push failed on the group",
                push=undone.message.id,
                code=undone.code,
                detail=undone.detail,
            )


def _level_of(result: Result) -> Any:
    """The method of the log that tells an end. After a rollback the group runs well; after a failure it may not."""
    if result == "failed":
        return log.error
    return log.warning if is_dead(result) else log.info


def _letter(ending: Ending) -> str:
    message = ending.message
    letter = dead_letter_of(
        message,
        ending.code or "",
        ending.detail,
        ending.attempts,
        message.received_at,
        ending.at,
    )
    return letter.model_copy(update={"log": ending.log}).encode()


def context_of(
    message: UpdateMessage, target: TargetId | None = None
) -> dict[str, str]:
    """What every line of the log says about a push."""
    context = {"id": message.id, "image": str(message.push.image)}
    if target or message.target:
        context["target"] = str(target or message.target)
    if trace := trace_id(message.traceparent):
        context["trace_id"] = trace
    return context
