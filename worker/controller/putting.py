"""Putting: a change is sent to Azure, fenced by the lease, and stays in flight until its answer is known."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import structlog

from shared import tracing
from shared.errors import RemoteError
from shared.leased_message import LeaseLost
from shared.message import Look
from shared.metrics import step_failed
from worker.controller.settlement import Reschedule, Settlement, look_again
from worker.controller.timers import CONFLICTS, change
from worker.core.landing import landed, not_made
from worker.core.rules import RolloutRules
from worker.failures.classify import Failure, Retry, Transient, nothing_done
from worker.groups.group import ContainerGroup
from worker.ports import Conflict, Ports
from worker.record.record import Record, cut
from worker.record.values import Change, Timer
from worker.targets.target import Target

log = structlog.get_logger()


class Putting:
    """Sends changes, for many threads at once."""

    def __init__(
        self,
        ports: Ports,
        rules: RolloutRules,
        retry: Retry,
        chance: random.Random,
    ) -> None:
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
        lease_holds: Callable[[], bool],
    ) -> Settlement:
        """Send the change that the record holds; it was written before.

        Raises LeaseLost; then the worker that has the look now goes on.
        """
        sent = record.change
        if sent is None:
            raise ValueError("the record has no change to send")
        try:
            self._send(sent, group, target, lease_holds)
        except RemoteError as error:
            return self._not_made(look, record, sent, error)
        delay = self._rules.check_interval.total_seconds()
        # Written even if the lease has run out meanwhile: that Azure has answered is true whoever has the look now.
        self._write(record, delay, lambda current: landed(current, sent))
        if not lease_holds():
            raise LeaseLost(look.token)
        return look_again(look, delay)

    def _send(
        self,
        sent: Change,
        group: ContainerGroup,
        target: Target,
        lease_holds: Callable[[], bool],
    ) -> None:
        # Looking at the lease once, before everything else, is tempting. But the adapter may have to fetch a token or
        # to retry, so it calls this before every try, at the last moment. ARM can't help: container groups have no
        # ETag, and the last write wins.
        def check_lease() -> None:
            if not lease_holds():
                raise LeaseLost("the lease ran out before the change was sent")

        images = {
            name: image for name, image in sent.images.items() if name in sent.touched
        }
        log.info(_what_is_done(sent), images=images)
        if sent.restart:
            self._ports.groups.restart(target.id, check_lease)
            return
        # A vault that is down must not hold up a group from which Azure withholds nothing.
        secrets = self._ports.resolve(dict(target.secrets)) if group.withheld() else {}
        self._ports.groups.put(
            target.id, group.definition(sent.images, secrets), check_lease
        )

    def _not_made(
        self,
        look: Look,
        record: Record,
        sent: Change,
        error: RemoteError,
    ) -> Settlement:
        """Try the change again for as long as that makes sense; then fail the pushes that asked for it."""
        failure = self._ports.classified(error)
        step_failed(failure.code)
        tracing.current().fail(failure.code, failure.detail)
        attempts = look.tries(failure.code) + 1
        over = self._retry.is_over(failure, attempts, look.waited)
        settlement = self._again(look, failure, attempts, over=over)
        delay = settlement.delay
        log.warning(
            "change not made",
            code=failure.code,
            detail=failure.detail,
            again_in=round(delay, 1),
        )
        now = self._ports.now()

        def decide(current: Record) -> Record:
            # Without an answer the change may still take effect, so it stays in flight.
            current = landed(current, sent) if nothing_done(error) else current
            return not_made(current, sent, failure, now, attempts, over=over)

        is_throttled = (
            isinstance(failure, Transient) and failure.retry_after is not None
        )
        trouble = (
            failure.detail if isinstance(failure, Transient) and not over else None
        )
        self._write(
            record, delay, decide, throttled=is_throttled and not over, trouble=trouble
        )
        return settlement

    def _again(
        self,
        look: Look,
        failure: Failure,
        attempts: int,
        *,
        over: bool,
    ) -> Reschedule:
        """The next look: after a pause if it tries the change again, else at once."""
        # The next look comes at once, because the failed pushes make another image the desired one.
        if over or not isinstance(failure, Transient):
            return look_again(look, 0.0)
        delay = self._retry.delay(failure, attempts, self._chance)
        again = look.met(failure.code).model_copy(
            update={"waited": look.waited + delay}
        )
        return Reschedule(again, delay)

    def _write(
        self,
        before: Record,
        delay: float,
        decide: Callable[[Record], Record],
        *,
        throttled: bool = False,
        trouble: str | None = None,
    ) -> None:
        """Write what became of a change, and when the next look is due. Raises Conflict and RemoteError."""
        for _ in range(CONFLICTS):
            current, etag = self._ports.load(before.target)
            timer = current.timer
            if timer is None or not _is_our_timer(before, timer):
                # Others have taken the group over. They may even have finished a newer change, and this late one may
                # have overwritten it. So the group is looked at once more, whatever they did.
                change(self._ports, before.target, decide)
                return
            due = self._ports.now() + timedelta(seconds=delay)
            timed = decide(current).but(
                timer=timer.but(
                    due=due, throttled=throttled, trouble=trouble and cut(trouble)
                )
            )
            try:
                self._ports.save(timed, etag)
            except Conflict:
                continue
            return
        raise Conflict(str(before.target))


def _what_is_done(sent: Change) -> str:
    if sent.restart:
        return "restarting"
    return "applying" if sent.asked else "rolling back"


def _is_our_timer(before: Record, timer: Timer) -> bool:
    """Whether the group still has the timer that this look belongs to."""
    return before.timer is not None and before.timer.token == timer.token
