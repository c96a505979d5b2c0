"""Failed looks: one that can't be carried out is tried again later; what waits for it fails once that takes too long.

Whatever happens, the timer of the group must go on. Only its record may end it.
"""

from __future__ import annotations

import contextlib
import random
from datetime import timedelta

import structlog

from shared import tracing
from shared.errors import RemoteError
from shared.message import Look
from shared.metrics import step_failed
from worker.controller.outbox import Outbox
from worker.controller.settlement import Complete, Reschedule, Settlement, after
from worker.controller.timers import is_named, timed
from worker.core.giving_up import given_up
from worker.core.rules import Action, Rest, Wait
from worker.failures.classify import Failure, Retry, Transient
from worker.ports import UNREADABLE, Conflict, Ports
from worker.record.record import cut

log = structlog.get_logger()


class FailedLooks:
    """Decides what becomes of such looks, for many threads at once."""

    def __init__(
        self,
        ports: Ports,
        retry: Retry,
        outbox: Outbox,
        chance: random.Random,
    ) -> None:
        self._ports = ports
        self._retry = retry
        self._outbox = outbox
        self._chance = chance

    def after(self, look: Look, error: Exception) -> Settlement:
        """The look could not be carried out: try again later, and give up once that has gone on for too long."""
        failure = self._ports.classified(error)
        step_failed(failure.code)
        tracing.current().fail(failure.code, failure.detail)
        attempts = look.tries(failure.code) + 1
        if not isinstance(error, RemoteError):
            log.exception("look failed, retrying")
        # When only telling fails, because the poison queue does not answer, no image is to blame.
        is_about_telling = isinstance(error, RemoteError) and error.service == "queue"
        if self._retry.is_over(failure, attempts, look.waited) and not is_about_telling:
            log.error(
                "look failed, giving up",
                code=failure.code,
                detail=failure.detail,
                attempts=attempts,
            )
            # The record itself may be what can't be read. Then nothing can end yet, and the looks go on.
            with contextlib.suppress(Conflict, RemoteError):
                return self.give_up(look, failure)
        return self._tried_later(look, failure, attempts)

    def give_up(self, look: Look, failure: Failure, crashes: int = 1) -> Settlement:
        """Nobody can look at the group, so what waits for it fails. Raises RemoteError and Conflict."""
        record, etag = self._ports.load(look.target)
        # Another look has taken its place meanwhile, and goes on with whatever waits.
        if not is_named(record, look):
            return Complete()
        now = self._ports.now()
        record = given_up(record, failure, look.tries(failure.code) + crashes, now)
        action: Action = Rest()
        # A change that was sent may still take effect. So nobody may forget the group before that has become known.
        if record.change or record.flights:
            action = Wait(timedelta(seconds=self._retry.longest), failure.detail)
        etag = self._ports.save(timed(record, action, now), etag)
        if record.outbox:
            # The lease does not matter here: of several workers, only one can have written the record just now.
            return self._outbox.settled(record, look, action, etag, lambda: True)
        return after(look, action)

    def _tried_later(self, look: Look, failure: Failure, attempts: int) -> Settlement:
        delay = self._retry.base
        if isinstance(failure, Transient):
            delay = self._retry.delay(failure, attempts, self._chance)
        again_in = round(delay, 1)
        log.warning(
            "look failed",
            code=failure.code,
            detail=failure.detail,
            attempts=attempts,
            again_in=again_in,
        )
        self._postpone(look, delay, failure.detail)
        again = look.met(failure.code).model_copy(
            update={"waited": look.waited + delay}
        )
        return Reschedule(again, delay, awaiting_repair=failure.code == UNREADABLE)

    def _postpone(self, look: Look, delay: float, trouble: str) -> None:
        """Write when the next look is due, if the record can be written. Otherwise the patrol takes it for overdue."""
        # A record that can't be written as JSON raises ValueError. Not even that may end the timer.
        with contextlib.suppress(Conflict, RemoteError, ValueError):
            record, etag = self._ports.load(look.target)
            if not is_named(record, look):
                return
            late = timed(
                record, Wait(timedelta(seconds=delay), trouble), self._ports.now()
            )
            timer = late.timer and late.timer.but(trouble=cut(trouble))
            self._ports.save(late.but(timer=timer), etag)
