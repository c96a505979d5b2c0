"""The handler: what becomes of leased messages, whatever is in them. Decode, carry out, settle; no message ends it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from shared.errors import RemoteError
from shared.message import DeadLetter, Look, TargetId, Undecodable, UpdateMessage, decode
from shared.queue import LeasedMessage, LeaseLost, dead_letter
from shared.telemetry import SETTLED
from worker.controller.looking import Looking
from worker.controller.receiving import Receiving
from worker.controller.settlement import Complete, DeadLetterIt, Reschedule, Settlement, dead_letter_of
from worker.controller.telling import Telling, context_of
from worker.core.rules import RolloutRules
from worker.failures.classify import Permanent, Retry, Transient, classify
from worker.failures.retrying import briefly
from worker.ports import UNREADABLE, Conflict, Ports

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Opened:
    """A leased message and what is in it."""

    leased: LeasedMessage
    message: UpdateMessage | Look | Undecodable

    @property
    def rollout_of(self) -> TargetId | None:
        """The target of a push that is to be received into its record, None of any other message."""
        is_rollout = isinstance(self.message, UpdateMessage) and self.message.kind == "rollout"
        return self.message.target if is_rollout and isinstance(self.message, UpdateMessage) else None

    @property
    def crashes(self) -> int:
        """How often in a row it was received and not settled: its worker crashed or stalled each time."""
        if isinstance(self.message, Undecodable):
            return 0
        # Its own count is the queue's when it was settled last.
        return max(0, self.leased.dequeue_count - 1 - self.message.dequeued)


class Handler:
    """Handles messages, for many threads at once. `lease` is in seconds, `clock` the one that leases are held by."""

    def __init__(
        self,
        ports: Ports,
        rules: RolloutRules,
        retry: Retry,
        *,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        chance = chance or random.Random()  # noqa: S311 - jitter, not cryptography
        self._ports = ports
        self._retry = retry
        self._lease = lease
        self._clock = clock
        self._chance = chance
        telling = self._telling = Telling(ports)
        self._receiving = Receiving(ports, telling, chance)
        self._looking = Looking(ports, rules, retry, telling, lease=lease, chance=chance)
        self._to_be_mended: set[str] = set()

    @property
    def to_be_mended(self) -> int:
        """How many messages this worker has left on the queue until somebody mends a record that can't be read."""
        return len(self._to_be_mended)

    def handle(self, messages: Sequence[LeasedMessage]) -> None:
        """Open, carry out and settle messages, those of pushes to one target together."""
        rollouts: dict[TargetId, list[Opened]] = {}
        for leased in messages:
            opened = self.open(leased)
            if (target := opened.rollout_of) and not opened.crashes:
                rollouts.setdefault(target, []).append(opened)
            else:
                self.carry_out(opened)
        for target, together in rollouts.items():
            self.receive(target, together)

    def open(self, leased: LeasedMessage) -> Opened:
        """What is in a message; whatever that is, it does no harm."""
        try:
            return Opened(leased, decode(leased.text, leased.inserted_at))
        except Undecodable as error:
            # Its text alone: an exception that is kept holds every frame that it went through, and the whole body.
            return Opened(leased, Undecodable(str(error)))
        except Exception as error:  # a value that nobody foresaw must not end a worker either
            return Opened(leased, Undecodable(f"{type(error).__name__}: {error}"))

    def carry_out(self, opened: Opened) -> None:
        """Carry a single message out, and settle it."""
        leased, message = opened.leased, opened.message
        if target := opened.rollout_of:
            self.receive(target, [opened])
            return
        with structlog.contextvars.bound_contextvars(**_context(opened)):
            self._guarded([leased], lambda: self._settle(leased, self._decide(opened, message)))

    def receive(self, target: TargetId, together: Sequence[Opened]) -> None:
        """Receive several pushes to one target with one write, and settle each."""
        messages = {one.message.id: one.message for one in together if isinstance(one.message, UpdateMessage)}
        context = _context(together[0]) if len(together) == 1 else {"target": str(target), "pushes": str(len(together))}
        with structlog.contextvars.bound_contextvars(**context):

            def act() -> None:
                settlements = self._receive(target, list(messages.values()), together[0].crashes)
                for one in together:
                    if isinstance(one.message, UpdateMessage):  # pragma: no branch  (only rollouts come together)
                        # Each on its own: one lost lease must not bring all the others back one by one.
                        settlement = settlements[one.message.id]
                        self._guarded([one.leased], partial(self._settle, one.leased, settlement))

            self._guarded([one.leased for one in together], act)

    def _receive(self, target: TargetId, messages: list[UpdateMessage], crashes: int) -> dict[str, Settlement]:
        """What becomes of each push, by its id. One that crashes its worker again and again is alone by then."""
        try:
            if crashes >= self._retry.max_attempts and not self._ports.load(target)[0].knows(messages[0].id):
                return {messages[0].id: self._dead(messages[0], "WorkerCrash", _crashed(crashes), crashes)}
            return self._receiving.receive(target, messages)
        except Conflict:
            return {message.id: Reschedule(message, self._chance.uniform(0, 1)) for message in messages}
        except Exception as error:
            return {message.id: self._failed(message, error) for message in messages}

    def _decide(self, opened: Opened, message: UpdateMessage | Look | Undecodable) -> Settlement:
        leased, crashes = opened.leased, opened.crashes
        if isinstance(message, Undecodable):
            detail = str(message)
            log.error("undecodable message", detail=detail)
            letter = dead_letter_of(
                leased.text, "Undecodable", detail, leased.dequeue_count, leased.inserted_at, self._ports.now()
            )
            return DeadLetterIt(letter)
        if isinstance(message, Look):
            if crashes >= self._retry.max_attempts and self._looking.never_got_to_write(message, crashes):
                return self._looking.give_up(message, Permanent("WorkerCrash", _crashed(crashes)), crashes)
            return self._looking.look(message, lambda: leased.is_held(self._clock))
        if crashes >= self._retry.max_attempts:
            return self._dead(message, "WorkerCrash", _crashed(crashes), message.attempts + crashes)
        try:
            return self._receiving.fan_out(message)
        except Exception as error:
            return self._failed(message, error)

    def _failed(self, message: UpdateMessage, error: Exception) -> Settlement:
        """A push that could not be fanned out or received: again later, or a dead letter."""
        failure = classify(error)
        detail = self._ports.redact(failure.detail)
        attempts = message.attempts + 1
        if not isinstance(error, RemoteError):
            log.exception("message failed")
        # These messages keep no seconds of waiting: beyond the limit, each try stands for the longest pause.
        waited = max(0, attempts - self._retry.max_attempts) * self._retry.longest
        if self._retry.is_over(failure, attempts, waited) or not isinstance(failure, Transient):
            return self._dead(message, failure.code, detail, attempts)
        delay = self._retry.delay(failure, attempts, self._chance)
        log.warning("message failed", code=failure.code, detail=detail, attempts=attempts, again_in=round(delay, 1))
        again = message.model_copy(update={"attempts": attempts})
        return Reschedule(again, delay, to_be_mended=failure.code == UNREADABLE)

    def _dead(self, message: UpdateMessage, code: str, detail: str, attempts: int) -> Settlement:
        self._telling.given_up(message, code, detail)
        received_at = message.received_at
        return DeadLetterIt(dead_letter_of(message, code, detail, attempts, received_at, self._ports.now()))

    def _settle(self, leased: LeasedMessage, settlement: Settlement) -> None:
        waits = isinstance(settlement, Reschedule) and settlement.to_be_mended
        (self._to_be_mended.add if waits else self._to_be_mended.discard)(leased.id)
        match settlement:
            case Complete():
                briefly(lambda: self._ports.updates.complete(leased))
                SETTLED.labels("completed").inc()
            case Reschedule(message=message, delay=delay):
                text = message.model_copy(update={"dequeued": leased.dequeue_count}).encode()
                briefly(lambda: self._ports.updates.reschedule(leased, text, delay))
                SETTLED.labels("rescheduled").inc()
            case DeadLetterIt(letter):  # pragma: no branch  (there is no fourth)
                self._dead_letter(leased, letter)

    def _dead_letter(self, leased: LeasedMessage, letter: DeadLetter) -> None:
        if not leased.is_held(self._clock):  # whoever has it now sends the letter
            raise LeaseLost(leased.id)
        dead_letter(self._ports.updates, self._ports.poison, leased, letter, briefly)
        SETTLED.labels("dead-lettered").inc()
        log.error("dead letter", code=letter.code, detail=letter.detail, attempts=letter.attempts)

    def _guarded(self, leased: Sequence[LeasedMessage], act: Callable[[], None]) -> None:
        """Nothing that comes up here ends the worker: a message that is not settled is delivered again."""
        try:
            act()
        except LeaseLost:
            log.warning("lease lost, leaving the message to whoever has it now")
        except (RemoteError, Conflict) as error:
            log.warning("message not settled, it will be delivered again", error=str(error))
        except Exception:  # a thread that died silently would keep its place in the worker forever
            log.exception("message not settled, it will be delivered again", messages=[one.id for one in leased])


def _crashed(crashes: int) -> str:
    return f"received {crashes} times in a row without being settled: its worker crashed or stalled each time"


def _context(opened: Opened) -> dict[str, str]:
    match opened.message:
        case UpdateMessage() as message:
            return context_of(message)
        case Look() as look:
            return {"target": str(look.target)}
        case _:
            return {"message_id": opened.leased.id}
