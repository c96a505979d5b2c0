"""Putting: a change is sent to Azure, fenced by the lease, and stays in flight until its answer is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import structlog

from shared.errors import RemoteError
from shared.message import Look
from shared.queue import LeaseLost
from shared.telemetry import STEP_FAILURES
from worker.controller.settlement import Reschedule, Settlement
from worker.controller.timers import CONFLICTS, change
from worker.core.landing import landed, not_made
from worker.core.rules import RolloutRules
from worker.failures.classify import Retry, Transient, classify, nothing_done
from worker.groups.group import ContainerGroup
from worker.ports import Conflict, Ports
from worker.record.record import Record
from worker.record.values import Change
from worker.targets.target import Target

log = structlog.get_logger()


class Putting:
    """Sends changes, for many threads at once."""

    def __init__(self, ports: Ports, rules: RolloutRules, retry: Retry, chance: random.Random) -> None:
        self._ports = ports
        self._rules = rules
        self._retry = retry
        self._chance = chance

    def put(
        self,
        look: Look,
        record: Record,
        group: ContainerGroup,
        target: Target,
        is_held: Callable[[], bool],
    ) -> Settlement:
        """Send the record's change, which has been written. Raises LeaseLost: whoever has the look now goes on."""
        sent = record.change
        if sent is None:
            raise ValueError("a change has its intent in the record")
        try:
            self._send(sent, group, target, is_held)
        except RemoteError as error:
            return self._not_made(look, record, sent, error)
        delay = self._rules.check_interval.total_seconds()
        self._write(record, delay, lambda current: landed(current, sent))
        if not is_held():
            raise LeaseLost(look.token)
        return Reschedule(look.model_copy(update={"attempts": 0, "trouble": "", "waited": 0.0}), delay)

    def _send(self, sent: Change, group: ContainerGroup, target: Target, is_held: Callable[[], bool]) -> None:
        def insist() -> None:
            if not is_held():
                raise LeaseLost("the lease ran out before the change was sent")

        images = {name: image for name, image in sent.images.items() if name in sent.touched}
        log.info("restarting" if sent.restart else "applying" if sent.asked else "rolling back", images=images)
        if sent.restart:
            self._ports.groups.restart(target.id, insist)
            return
        secrets = self._ports.resolve(dict(target.secrets)) if group.withheld() else {}
        self._ports.groups.put(target.id, group.definition(sent.images, secrets), insist)

    def _not_made(self, look: Look, record: Record, sent: Change, error: RemoteError) -> Settlement:
        """It is tried again as long as that makes sense; then the pushes that asked for it fail."""
        failure = classify(error)
        failure = replace(failure, detail=self._ports.redact(failure.detail))
        STEP_FAILURES.labels(failure.code).inc()
        attempts = look.tries(failure.code) + 1
        over = self._retry.is_over(failure, attempts, look.waited)
        delay, again = 0.0, look.model_copy(update={"attempts": 0, "trouble": "", "waited": 0.0})
        if isinstance(failure, Transient) and not over:
            delay = self._retry.delay(failure, attempts, self._chance)
            again = look.met(failure.code).model_copy(update={"waited": look.waited + delay})
        log.warning("change not made", code=failure.code, detail=failure.detail, again_in=round(delay, 1))
        now = self._ports.now()
        # Without an answer it may take effect yet: it stays in flight.
        answered = nothing_done(error)
        self._write(
            record,
            delay,
            lambda current: not_made(
                landed(current, sent) if answered else current, sent, failure, now, attempts, over=over
            ),
            throttled=isinstance(failure, Transient) and failure.retry_after is not None and not over,
        )
        return Reschedule(again, delay)

    def _write(
        self, before: Record, delay: float, decide: Callable[[Record], Record], *, throttled: bool = False
    ) -> None:
        """Write what became of a change, and when the next look is due.

        If others have taken the group over meanwhile it is looked at once more, whatever they did: the change may
        have come after a newer one that has ended, and have overwritten it.
        """
        for _ in range(CONFLICTS):
            current, etag = self._ports.load(before.target)
            ours = before.timer and current.timer and current.timer.token == before.timer.token
            if not current.timer or not ours:
                change(self._ports, before.target, decide)
                return
            due = self._ports.now() + timedelta(seconds=delay)
            try:
                self._ports.save(decide(current).but(timer=current.timer.but(due=due, throttled=throttled)), etag)
            except Conflict:
                continue
            return
        raise Conflict(str(before.target))
