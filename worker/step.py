"""One step of a message through the adapters: read the record and the group, decide, write the decision, act."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog

from shared.errors import RemoteError
from shared.message import TargetId, UpdateMessage
from shared.queue import LeaseLost
from shared.telemetry import STEP_FAILURES
from worker.adapters.record_blobs import Conflict
from worker.admission import admit, overtaken, still_followed
from worker.change import CONFLICTS, Changes
from worker.endings import Endings
from worker.failures.classify import PATIENCE, UNKNOWN, Failure, Permanent, Retry, Transient, classify, passes
from worker.groups.group import ContainerGroup
from worker.ports import Ports
from worker.record import Record
from worker.rollback import given_up, seen_broken
from worker.rollout import next_step, past_result
from worker.settlement import Complete, Reschedule, Settlement
from worker.situation import Rules
from worker.steps import Apply, Finish, GiveUp, RollBack, Step, Wait, redacted
from worker.targets.target import Target

log = structlog.get_logger()


class Stepper:
    """Carries out steps, for many threads at once. `held` says whether a message's lease still stands."""

    def __init__(self, ports: Ports, rules: Rules, retry: Retry, chance: random.Random | None = None) -> None:
        self._ports = ports
        self._rules = rules
        self._retry = retry
        self._endings = Endings(ports)
        self._changes = Changes(ports, rules.check_interval)
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not cryptography

    def run(self, message: UpdateMessage, held: Callable[[], bool]) -> Settlement:
        """One step; what becomes of the message. Raises LeaseLost when it must not be settled."""
        try:
            return self._push(message) if message.target is None else self._rollout(message, message.target, held)
        except LeaseLost:
            raise
        # Whatever happens, the message is settled: the attempt limit ends what nobody foresaw.
        except Exception as error:
            return self.failed(message, error)

    def failed(self, message: UpdateMessage, error: Exception) -> Settlement:
        """The settlement of a step that failed: another try later, or the dead-letter queue."""
        failure = classify(error)
        failure = replace(failure, detail=self._ports.redact(failure.detail))
        STEP_FAILURES.labels(failure.code).inc()
        counts = isinstance(failure, Permanent) or failure.counts
        attempts = message.attempts + (1 if counts else 0)
        tried = message.model_copy(update={"attempts": attempts})
        if self._retry.is_over(failure, attempts) and not self._goes_on(tried, failure):
            log.error("step failed for good", code=failure.code, detail=failure.detail, attempts=attempts)
            return self.give_up(tried, failure.code, failure.detail)
        delay = self._retry.delay(failure, attempts, self._chance) if isinstance(failure, Transient) else 0
        log.warning(
            "step failed", code=failure.code, detail=failure.detail, attempts=attempts, again_in=round(delay, 1)
        )
        return Reschedule(tried, delay)

    def _goes_on(self, tried: UpdateMessage, failure: Failure) -> bool:
        """Is it the rollback of a group that was seen to be broken, and worth some more tries?"""
        if tried.target is None or self._retry.is_over(failure, tried.attempts, PATIENCE):
            return False
        with contextlib.suppress(RemoteError, ValueError):  # a record that can't be read tells nothing
            return seen_broken(self._ports.load(tried.target)[0], tried)
        return False

    def give_up(self, message: UpdateMessage, code: str, detail: str) -> Settlement:
        """Fail the message's push in its record, where it has one, and dead-letter it."""
        if message.target is None:
            return self._endings.dead_letter(message, code, detail)
        for _ in range(CONFLICTS):
            try:
                record, etag = self._ports.load(message.target)
            # A record that can't be read, now or ever, must not keep its messages going round for ever.
            except Exception as error:
                if isinstance(error, RemoteError) and passes(classify(error)):
                    raise
                return self._endings.dead_letter(message, code, detail)
            step = given_up(record, message, code, detail, self._ports.now())
            try:
                self._ports.save(record, step.record, etag)
            except Conflict:
                continue
            return self._endings.give_up(message, step) if isinstance(step, GiveUp) else self._wait(message, step)
        return Reschedule(message, self._chance.uniform(0, 1))

    def _push(self, message: UpdateMessage) -> Settlement:
        concerned = self._ports.targets.concerned(message.push.image)
        for target in concerned:
            self._ports.send(message.for_target(target.id))
        self._ports.fanned_out(message, (target.id for target in concerned))
        if not concerned:
            return self._endings.ignore(message, f"no target runs {message.push.image.name}")
        log.info("targets found", targets=[str(target.id) for target in concerned])
        return Complete()

    def _rollout(self, message: UpdateMessage, target_id: TargetId, held: Callable[[], bool]) -> Settlement:
        target = self._ports.targets.get(target_id)
        if target is None:
            return self._no_target(message)
        for _ in range(CONFLICTS):
            try:
                return self._decide(message, target, held)
            except Conflict:
                log.debug("record written by another worker, deciding anew")
        return Reschedule(message, self._chance.uniform(0, 1))

    def _no_target(self, message: UpdateMessage) -> Settlement:
        attempts = message.attempts + 1
        unknown = Transient("UnknownTarget", "no target here; another worker may know it", limit=UNKNOWN)
        if self._retry.is_over(unknown, attempts):
            return self._endings.ignore(message, "it is no target any more")
        delay = self._retry.delay(unknown, attempts, self._chance)
        log.info("waiting", reason=unknown.detail, again_in=round(delay, 1))
        return Reschedule(message.model_copy(update={"attempts": attempts}), delay)

    def _decide(self, message: UpdateMessage, target: Target, held: Callable[[], bool]) -> Settlement:
        now = self._ports.now()
        record, etag = self._ports.load(target.id)
        if known := _without_azure(record, message, target, now):
            self._ports.save(record, known.record, etag)
            return self._endings.finish(message, known)
        group = self._ports.watch.glance(target.id) or self._ports.groups.get(target.id)
        step = redacted(self._next_step(record, group, message, target, now), self._ports.redact)
        etag = self._ports.save(record, step.record, etag)
        match step:
            case Apply() | RollBack():
                return self._changes.carry_out(message, target, group, step, held, etag)
            case Wait():
                self._ports.watch.waits(target.id)
                return self._wait(message, step)
            case Finish():
                return self._endings.finish(message, step)
            case GiveUp():
                return self._endings.give_up(message, step)

    def _next_step(
        self, record: Record, group: ContainerGroup, message: UpdateMessage, target: Target, now: datetime
    ) -> Step:
        record = still_followed(record, group, target)
        if record.rolling_back and not record.owned_by(message.id):
            return Wait(record, self._rules.check_interval, "the group is on its way back, by hand")
        if not record.owned_by(message.id) and not record.failures_of(message.id):
            admission = admit(record, group, message, target, self._ports.digest(message), now)
            ruling = admission.verdict()
            if ruling is None:
                return Finish(record, "ignored", f"no container of {target.id} runs {message.push.image.name}")
            log.info("admission", container=ruling.container, verdict=ruling.verdict, reason=ruling.reason)
            record = admission.record
            if ruling.verdict in {"unchanged", "superseded", "ignored"}:
                ended = record.ended(message, (ruling.container,), ruling.verdict, ruling.reason, now)
                return Finish(ended, ruling.verdict, ruling.reason)
        rules = replace(self._rules, secrets=frozenset(target.secrets))
        return next_step(record, group, message, rules, now)

    def _wait(self, message: UpdateMessage, step: Wait) -> Settlement:
        delay = step.delay.total_seconds()
        log.info("waiting", reason=step.reason, again_in=round(delay, 1))
        return Reschedule(message.model_copy(update={"attempts": 0}), delay)


def _without_azure(record: Record, message: UpdateMessage, target: Target, now: datetime) -> Finish | None:
    """What can be told from the record alone: the push has ended, or newer ones are wanted wherever it might go."""
    owned = record.owned_by(message.id)
    if owned and all(wanted.status == "done" for wanted in owned.values()) and not record.failures_of(message.id):
        return Finish(record, *past_result(record, message))
    admission = overtaken(record, message, target, now)
    ruling = admission and admission.verdict()
    if not admission or not ruling:
        return None
    if ruling.verdict != "ignored":
        # A burst of pushes would fill the history with what was superseded before it began.
        return Finish(admission.record, "superseded", ruling.reason)
    ended = admission.record.ended(message, (ruling.container,), "ignored", ruling.reason, now)
    return Finish(ended, "ignored", ruling.reason)
