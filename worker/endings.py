"""How pushes end: told to logs, metrics and people, and what becomes of the message then."""

from __future__ import annotations

import structlog

from shared.message import UpdateMessage
from shared.telemetry import ADDRESS_CHANGES, OUTCOMES
from worker.adapters.notifications import Notice, Noticed
from worker.ports import Ports
from worker.record_parts import FailedResult, Result
from worker.settlement import Complete, Settlement, dead_lettered
from worker.steps import Finish, GiveUp, Moved

log = structlog.get_logger()


class Endings:
    """Ends pushes. A message that comes again after its end has it told again: better twice than never."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def ignore(self, message: UpdateMessage, why: str) -> Settlement:
        """It concerns nobody."""
        self._ended(message, "ignored", why)
        return Complete()

    def finish(self, message: UpdateMessage, step: Finish) -> Settlement:
        """It has ended well, or nothing is to be done."""
        self._report(message, step.moved)
        self._ended(message, step.result, step.detail)
        return Complete()

    def give_up(self, message: UpdateMessage, step: GiveUp) -> Settlement:
        """It has failed; the pushes that it had overtaken go on."""
        self._report(message, step.moved)
        for name in step.record.failures_of(message.id):
            wanted = step.record.containers[name].wanted
            if wanted and wanted.is_open:
                self._ports.send(fresh(wanted.message))
        return self.dead_letter(message, step.code, step.detail, step.result)

    def dead_letter(
        self, message: UpdateMessage, code: str, detail: str, result: FailedResult = "failed"
    ) -> Settlement:
        """It has failed, and no record needs to know."""
        self._ended(message, result, detail, code=code)
        return dead_lettered(message, code, detail, max(1, message.attempts), message.received_at, self._ports.now())

    def _report(self, message: UpdateMessage, moved: Moved | None) -> None:
        if moved:
            ADDRESS_CHANGES.inc()
            log.error("THE ADDRESS OF THE GROUP CHANGED", before=dict(moved.before), after=dict(moved.after))
            self._tell(message, "address changed", str(moved).removeprefix("; "))

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
