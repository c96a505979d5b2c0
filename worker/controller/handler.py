"""The handler: decodes leased messages, carries them out and settles them. No message, whatever it holds, stops it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import structlog

from shared.errors import RemoteError
from shared.leased_message import LeasedMessage, LeaseLost
from shared.message import (
    Look,
    TargetId,
    Undecodable,
    UpdateMessage,
    decode,
)
from worker.controller import spans
from worker.controller.failed_pushes import FailedPushes
from worker.controller.looking import Looking
from worker.controller.opened import Opened, context_of_all
from worker.controller.receiving import Receiving
from worker.controller.settlement import (
    DeadLetterIt,
    Reschedule,
    Settlement,
    dead_letter_of,
)
from worker.controller.settling import Settling
from worker.controller.telling import Telling, context_of
from worker.core.rules import RolloutRules
from worker.failures.classify import Permanent, Retry
from worker.ports import Conflict, Ports

log = structlog.get_logger()


class Handler:
    """Handles messages, for many threads at once. `lease` is in seconds; `clock` is the clock that leases expire by."""

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
        telling = Telling(ports)
        self._receiving = Receiving(ports, telling, chance)
        self._looking = Looking(
            ports, rules, retry, telling, lease=lease, chance=chance
        )
        self._failed = FailedPushes(ports, retry, telling, chance)
        self._settling = Settling(ports, clock)

    @property
    def awaiting_repair(self) -> int:
        """How many messages this worker has left on the queue until somebody repairs a record that can't be read."""
        return self._settling.awaiting_repair

    def handle(self, messages: Sequence[LeasedMessage]) -> None:
        """Open, carry out and settle messages. Pushes to one target are received together."""
        rollouts: dict[TargetId, list[Opened]] = {}
        for leased in messages:
            opened = self.open(leased)
            target = opened.rollout_of
            # A push that may have crashed its worker goes alone, so that it can't take the others with it.
            if target is None or opened.crashes:
                self.carry_out(opened)
            else:
                rollouts.setdefault(target, []).append(opened)
        for target, together in rollouts.items():
            self.receive(target, together)

    def open(self, leased: LeasedMessage) -> Opened:
        """Decode a message."""
        try:
            return Opened(leased, decode(leased.text, leased.inserted_at))
        except Undecodable as error:
            # Its text alone: an exception that is kept holds every frame that it went through, and the whole body.
            return Opened(leased, Undecodable(str(error)))
        except Exception as error:
            # A value that nobody foresaw, such as a time in the year 9999, must not stop a worker either.
            return Opened(leased, Undecodable(f"{type(error).__name__}: {error}"))

    def carry_out(self, opened: Opened) -> None:
        """Carry out a single message, and settle it."""
        leased, message = opened.leased, opened.message
        # A push that may have crashed its worker comes here alone, and is received like any other.
        if target := opened.rollout_of:
            self.receive(target, [opened])
            return
        with (
            structlog.contextvars.bound_contextvars(**opened.context),
            self._span_of([opened]),
        ):
            self._guarded(
                [leased],
                lambda: self._settling.settle(leased, self._decide(opened, message)),
            )

    def receive(self, target: TargetId, together: Sequence[Opened]) -> None:
        """Receive several pushes to one target with one write, and settle each message."""
        with (
            structlog.contextvars.bound_contextvars(**context_of_all(target, together)),
            self._span_of(together),
        ):
            self._guarded(
                [opened.leased for opened in together],
                lambda: self._receive_and_settle(target, together),
            )

    def _span_of(self, together: Sequence[Opened]) -> AbstractContextManager[object]:
        """The span of carrying messages out. A look's begins in worker.controller.looking, which reads its record."""
        messages = [
            opened.message
            for opened in together
            if isinstance(opened.message, UpdateMessage)
        ]
        if not messages:
            return nullcontext()
        return spans.process(messages, self._ports.updates.name)

    def _receive_and_settle(self, target: TargetId, together: Sequence[Opened]) -> None:
        updates = [
            (opened.leased, opened.message)
            for opened in together
            if isinstance(opened.message, UpdateMessage)
        ]
        # The queue may hold one push twice, under one id. It is received once, and both messages are settled.
        messages = {message.id: message for _, message in updates}
        settlements = self._receive(
            target, list(messages.values()), together[0].crashes
        )
        for leased, message in updates:
            # Each message is guarded by itself: one lost lease must not bring all the others back one by one.
            with structlog.contextvars.bound_contextvars(**context_of(message)):
                self._guarded(
                    [leased],
                    partial(self._settling.settle, leased, settlements[message.id]),
                )

    def _receive(
        self,
        target: TargetId,
        messages: list[UpdateMessage],
        crashes: int,
    ) -> dict[str, Settlement]:
        """What becomes of each push, by its id."""
        try:
            # Such a push is alone (see `handle`), so the first message is the only one.
            if self._is_crashing(crashes) and not self._is_known(target, messages[0]):
                return {
                    messages[0].id: self._failed.dead(
                        messages[0], "WorkerCrash", _crashed(crashes), crashes
                    )
                }
            return self._receiving.receive(target, messages)
        except Conflict:
            # Others keep writing this record, perhaps to receive the rest of a burst. That is over in a moment.
            return {
                message.id: Reschedule(message, self._chance.uniform(0, 1))
                for message in messages
            }
        except Exception as error:
            return {
                message.id: self._failed.after(message, error) for message in messages
            }

    def _is_crashing(self, crashes: int) -> bool:
        """Whether a message was received without being settled so often that the message itself must be the reason."""
        return crashes >= self._retry.max_attempts

    def _is_crashed_by(self, look: Look, crashes: int) -> bool:
        """Whether it must be the look itself that its workers crash on."""
        # Counting crashes alone is tempting, but would give up a group whose looks succeed and can't be settled.
        return self._is_crashing(crashes) and self._looking.never_got_to_write(
            look, crashes
        )

    def _is_known(self, target: TargetId, message: UpdateMessage) -> bool:
        """Whether the record has the push already. Then no worker crashes on it; only deleting its message fails."""
        record, _ = self._ports.load(target)
        return record.knows(message.id)

    def _decide(
        self,
        opened: Opened,
        message: UpdateMessage | Look | Undecodable,
    ) -> Settlement:
        """What becomes of a single message that is not a rollout."""
        leased, crashes = opened.leased, opened.crashes
        if isinstance(message, Undecodable):
            return self._undecodable(leased, str(message))
        if isinstance(message, Look):
            if self._is_crashed_by(message, crashes):
                failure = Permanent("WorkerCrash", _crashed(crashes))
                return self._looking.give_up(message, failure, crashes)
            return self._looking.look(message, lambda: leased.lease_holds(self._clock))
        # This is checked before the message is carried out. Afterwards the worker might be gone.
        if self._is_crashing(crashes):
            return self._failed.dead(
                message, "WorkerCrash", _crashed(crashes), message.attempts + crashes
            )
        try:
            return self._receiving.fan_out(message)
        except Exception as error:
            return self._failed.after(message, error)

    def _undecodable(self, leased: LeasedMessage, detail: str) -> Settlement:
        log.error("undecodable message", detail=detail)
        # A retry would be pointless, because what can't be decoded now never can be. The letter holds it as it came,
        # for somebody to look at.
        letter = dead_letter_of(
            leased.text,
            "Undecodable",
            detail,
            leased.dequeue_count,
            leased.inserted_at,
            self._ports.now(),
        )
        return DeadLetterIt(letter)

    def _guarded(
        self,
        leased: Sequence[LeasedMessage],
        act: Callable[[], None],
    ) -> None:
        """Do something with messages. Whatever it raises, the worker goes on, and the queue delivers them again."""
        try:
            act()
        except LeaseLost:
            log.warning("lease lost, leaving the message to the worker that has it now")
        except (RemoteError, Conflict) as error:
            log.warning(
                "message not settled, it will be delivered again", error=str(error)
            )
        except (
            Exception
        ):  # a thread that died silently would keep its place in the worker forever
            ids = [message.id for message in leased]
            log.exception(
                "message not settled, it will be delivered again", messages=ids
            )


def _crashed(crashes: int) -> str:
    return f"received {crashes} times in a row without being settled: its worker crashed or stalled each time"
