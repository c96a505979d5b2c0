"""One step of a message through the adapters: read the record and the group, decide, write the decision, act."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage
from shared.queue import LeaseLost
from shared.telemetry import ADDRESS_CHANGES, OUTCOMES, STEP_FAILURES
from worker.admission import admit, overtaken
from worker.failures import Permanent, Retry, Transient, classify
from worker.group import ContainerGroup
from worker.notify import Notice, Noticed
from worker.record import FailedResult, Record, Result, Rollout
from worker.records import Conflict
from worker.retrying import briefly
from worker.rollback import refused
from worker.rollout import next_step, past_result
from worker.settlement import Complete, Reschedule, Settlement, dead_lettered
from worker.situation import Rules
from worker.steps import Apply, Finish, GiveUp, RollBack, Step, Wait
from worker.targets import Target

CONFLICTS = 5
"""Times that a step decides anew because somebody else wrote the record first, before it leaves it to later."""

log = structlog.get_logger()


class Groups(Protocol):
    """Container groups in Azure; worker.arm.Arm."""

    def get(self, target: TargetId) -> ContainerGroup:
        """The group as it is."""

    def put(self, target: TargetId, definition: bytes) -> None:
        """Bring a definition onto it."""

    def restart(self, target: TargetId) -> None:
        """Restart it."""


class RecordStore(Protocol):
    """The records; worker.records.Records."""

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        """A record and its ETag."""

    def save(self, record: Record, etag: str | None) -> str:
        """Compare and swap; raises Conflict."""


class Glances(Protocol):
    """What spares reads while many groups are waited for; worker.watch.Watch."""

    def glance(self, target: TargetId) -> ContainerGroup | None:
        """The group without instance views if it is in transition for certain."""

    def waits(self, target: TargetId) -> None:
        """It is being waited for."""


class TargetCatalogue(Protocol):
    """The targets; worker.catalogue.Catalogue."""

    def concerned(self, image: ImageReference) -> tuple[Target, ...]:
        """The targets that a push may concern."""

    def get(self, target_id: TargetId) -> Target | None:
        """One target."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside systems of a step: ARM, the records, the targets, the queue's `send`, secrets and the registry.

    `resolve` reads secrets (path → source) into values; `digest` gives a pushed image's digest, None if not known;
    `redact` hides secrets in what an outside system said; `tell` notifies people.
    """

    groups: Groups
    records: RecordStore
    targets: TargetCatalogue
    watch: Glances
    send: Callable[[UpdateMessage], None]
    resolve: Callable[[dict[str, str]], dict[str, str]]
    digest: Callable[[UpdateMessage], str | None]
    redact: Callable[[str], str] = str
    tell: Callable[[Notice], None] = lambda _notice: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Stepper:
    """Carries out steps, for many threads at once. `held` says whether a message's lease still stands."""

    def __init__(self, ports: Ports, rules: Rules, retry: Retry, chance: random.Random | None = None) -> None:
        self._ports = ports
        self._rules = rules
        self._retry = retry
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
        if self._retry.is_over(failure, attempts):
            log.error("step failed for good", code=failure.code, detail=failure.detail, attempts=attempts)
            return self.give_up(tried, failure.code, failure.detail)
        delay = self._retry.delay(failure, attempts, self._chance) if isinstance(failure, Transient) else 0
        log.warning(
            "step failed", code=failure.code, detail=failure.detail, attempts=attempts, again_in=round(delay, 1)
        )
        return Reschedule(tried, delay)

    def give_up(self, message: UpdateMessage, code: str, detail: str) -> Settlement:
        """Fail the message's push in its record, where it has one, and dead-letter it."""
        if message.target is None:
            return self._dead_letter(message, code, detail, "failed")
        for _ in range(CONFLICTS):
            record, etag = briefly(lambda: self._ports.records.load(message.target))  # type: ignore[arg-type]
            step = refused(record, message, code, detail, self._ports.now())
            try:
                self._save(record, step.record, etag)
            except Conflict:
                continue
            return self._give_up(message, step)
        return Reschedule(message, self._chance.uniform(0, 1))

    def _push(self, message: UpdateMessage) -> Settlement:
        concerned = self._ports.targets.concerned(message.push.image)
        for target in concerned:
            self._ports.send(message.for_target(target.id))
        if not concerned:
            self._ended(message, "ignored", f"no target runs {message.push.image.name}")
        else:
            log.info("targets found", targets=[str(target.id) for target in concerned])
        return Complete()

    def _rollout(self, message: UpdateMessage, target_id: TargetId, held: Callable[[], bool]) -> Settlement:
        target = self._ports.targets.get(target_id)
        if target is None:
            self._ended(message, "ignored", "it is no target any more")
            return Complete()
        for _ in range(CONFLICTS):
            try:
                return self._decide(message, target, held)
            except Conflict:
                log.debug("record written by another worker, deciding anew")
        return Reschedule(message, self._chance.uniform(0, 1))

    def _decide(self, message: UpdateMessage, target: Target, held: Callable[[], bool]) -> Settlement:
        now = self._ports.now()
        record, etag = briefly(lambda: self._ports.records.load(target.id))
        if known := _without_azure(record, message, target, now):
            self._save(record, known.record, etag)
            return self._finish(message, known)
        group = self._ports.watch.glance(target.id) or self._ports.groups.get(target.id)
        step = self._next_step(record, group, message, target, now)
        etag = self._save(record, step.record, etag)
        match step:
            case Apply() | RollBack():
                return self._change(message, target, group, step, held, etag)
            case Wait(_, delay, reason):
                self._ports.watch.waits(target.id)
                log.info("waiting", reason=reason, again_in=round(delay.total_seconds(), 1))
                return Reschedule(message.model_copy(update={"attempts": 0}), delay.total_seconds())
            case Finish():
                return self._finish(message, step)
            case GiveUp():
                return self._give_up(message, step)

    def _next_step(
        self, record: Record, group: ContainerGroup, message: UpdateMessage, target: Target, now: datetime
    ) -> Step:
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

    def _change(
        self,
        message: UpdateMessage,
        target: Target,
        group: ContainerGroup,
        step: Apply | RollBack,
        held: Callable[[], bool],
        etag: str | None,
    ) -> Settlement:
        rollout = step.record.rollout
        if rollout is None:
            raise ValueError("a change has its intent in the record")
        secrets = self._ports.resolve(dict(target.secrets)) if group.withheld() else {}
        if not held():
            raise LeaseLost(message.id)
        verb = "restarting" if rollout.restart else "applying"
        log.info("rolling back" if isinstance(step, RollBack) else verb, images=rollout.images)
        self._ports.watch.waits(target.id)
        try:
            if rollout.restart:
                self._ports.groups.restart(target.id)
            else:
                self._ports.groups.put(target.id, group.definition(rollout.images, secrets))
        except RemoteError as error:
            self._uncount(step.record, rollout, etag)
            alone = rollout.images.keys() <= step.record.owned_by(message.id).keys()
            if alone or not isinstance(classify(error), Permanent):
                raise
            log.warning("refused together with other pushes, trying alone", code=error.code)
            return Reschedule(message.model_copy(update={"attempts": message.attempts + 1}), 0)
        if not held():
            self._heal(target)
            raise LeaseLost(message.id)
        return Reschedule(message.model_copy(update={"attempts": 0}), self._rules.check_interval.total_seconds())

    def _uncount(self, record: Record, rollout: Rollout, etag: str | None) -> None:
        """A change that Azure did not accept, being throttled say, was no try. Best effort: it is but a count."""
        with contextlib.suppress(Conflict, RemoteError):
            self._ports.records.save(record.but(rollout=rollout.but(tries=rollout.tries - 1)), etag)

    def _heal(self, target: Target) -> None:
        """A change was sent after its lease ran out and may have overwritten a newer one: have everything looked at."""
        log.warning("lease lost while changing the group; having its owners look again", target=str(target.id))
        for _ in range(CONFLICTS):
            record, etag = briefly(lambda: self._ports.records.load(target.id))
            reopened = record.reopen()
            try:
                self._save(record, reopened, etag)
            except Conflict:
                continue
            for wanted in reopened.open().values():
                self._ports.send(fresh(wanted.message))
            return

    def _save(self, before: Record, after: Record, etag: str | None) -> str | None:
        if after == before:
            return etag
        return briefly(lambda: self._ports.records.save(after, etag))

    def _finish(self, message: UpdateMessage, step: Finish) -> Settlement:
        if step.moved:
            ADDRESS_CHANGES.inc()
            log.error("THE ADDRESS OF THE GROUP CHANGED", before=dict(step.moved[0]), after=dict(step.moved[1]))
            self._tell(message, "address changed", step.detail)
        self._ended(message, step.result, step.detail)
        return Complete()

    def _give_up(self, message: UpdateMessage, step: GiveUp) -> Settlement:
        for name in step.record.failures_of(message.id):
            wanted = step.record.containers[name].wanted
            if wanted and wanted.is_open:
                self._ports.send(fresh(wanted.message))
        return self._dead_letter(message, step.code, step.detail, step.result)

    def _dead_letter(self, message: UpdateMessage, code: str, detail: str, result: FailedResult) -> Settlement:
        self._ended(message, result, detail, code=code)
        return dead_lettered(message, code, detail, max(1, message.attempts), message.received_at, self._ports.now())

    def _ended(self, message: UpdateMessage, outcome: Result, detail: str, **more: str) -> None:
        OUTCOMES.labels(outcome).inc()
        log.info("ended", outcome=outcome, detail=detail, **more)
        if outcome in {"updated", "rolled-back", "failed"}:
            self._tell(message, outcome, detail)

    def _tell(self, message: UpdateMessage, outcome: Noticed, detail: str) -> None:
        self._ports.tell(Notice(outcome, str(message.push.image), str(message.target or "any target"), detail))


def fresh(message: UpdateMessage) -> UpdateMessage:
    """The message as it is sent anew: nothing of its earlier deliveries counts."""
    return message.model_copy(update={"attempts": 0, "dequeued": 0})


def _without_azure(record: Record, message: UpdateMessage, target: Target, now: datetime) -> Finish | None:
    """What can be told from the record alone: the push has ended, or newer ones are wanted wherever it might go."""
    owned = record.owned_by(message.id)
    if owned and all(wanted.status == "done" for wanted in owned.values()) and not record.failures_of(message.id):
        return Finish(record, *past_result(record, message))
    after = overtaken(record, message, target, now)
    return None if after is None else Finish(after, "superseded", "a newer push is wanted")
