"""Failed pushes: one that can't be fanned out or received is tried again later, or becomes a dead letter.

A push that is in a record fails there instead, by worker.core.failing.
"""

from __future__ import annotations

import random

import structlog

from shared import tracing
from shared.errors import RemoteError
from shared.message import UpdateMessage
from shared.metrics import step_failed
from worker.controller.settlement import (
    DeadLetterIt,
    Reschedule,
    Settlement,
    dead_letter_of,
)
from worker.controller.telling import Telling, context_of
from worker.failures.classify import Retry, Transient
from worker.ports import UNREADABLE, Ports

log = structlog.get_logger()


class FailedPushes:
    """Decides what becomes of such pushes, for many threads at once."""

    def __init__(
        self,
        ports: Ports,
        retry: Retry,
        telling: Telling,
        chance: random.Random,
    ) -> None:
        self._ports = ports
        self._retry = retry
        self._telling = telling
        self._chance = chance

    def after(self, message: UpdateMessage, error: Exception) -> Settlement:
        """A push could not be fanned out or received: try it again later, or dead-letter it."""
        # Of a batch, each push has its own lines in the log, with its own id.
        with structlog.contextvars.bound_contextvars(**context_of(message)):
            return self._tried_later(message, error)

    def dead(
        self,
        message: UpdateMessage,
        code: str,
        detail: str,
        attempts: int,
    ) -> Settlement:
        """The push is given up: its end is told, and its message becomes a dead letter."""
        # Told before the letter is sent: a worker that dies in between tells it again, rather than not at all.
        self._telling.given_up(message, code, detail)
        received_at = message.received_at
        return DeadLetterIt(
            dead_letter_of(
                message, code, detail, attempts, received_at, self._ports.now()
            )
        )

    def _tried_later(self, message: UpdateMessage, error: Exception) -> Settlement:
        failure = self._ports.classified(error)
        step_failed(failure.code)
        tracing.current().fail(failure.code, failure.detail)
        attempts = message.attempts + 1
        if not isinstance(error, RemoteError):
            log.exception("message failed")
        # Unlike a look, such a message does not say how long it has waited. Beyond the limit of attempts, each further
        # one counts as the longest pause.
        waited = max(0, attempts - self._retry.max_attempts) * self._retry.longest
        is_over = self._retry.is_over(failure, attempts, waited)
        if is_over or not isinstance(failure, Transient):
            return self.dead(message, failure.code, failure.detail, attempts)
        delay = self._retry.delay(failure, attempts, self._chance)
        again_in = round(delay, 1)
        log.warning(
            "message failed",
            code=failure.code,
            detail=failure.detail,
            attempts=attempts,
            again_in=again_in,
        )
        again = message.model_copy(update={"attempts": attempts})
        return Reschedule(again, delay, awaiting_repair=failure.code == UNREADABLE)
