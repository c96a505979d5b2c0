"""Leased messages together with their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.leased_message import LeasedMessage
from shared.message import Look, TargetId, Undecodable, UpdateMessage
from worker.controller.telling import context_of


@dataclass(frozen=True, slots=True)
class Opened:
    """A leased message and its content."""

    leased: LeasedMessage
    message: UpdateMessage | Look | Undecodable

    @property
    def rollout_of(self) -> TargetId | None:
        """The target whose record is to receive this push; None for any other message."""
        if isinstance(self.message, UpdateMessage) and self.message.kind == "rollout":
            return self.message.target
        return None

    @property
    def crashes(self) -> int:
        """How many times in a row it was received without being settled, because its worker crashed or stalled."""
        # It says nothing of earlier settlements, and becomes a dead letter the first time anyway.
        if isinstance(self.message, Undecodable):
            return 0
        # The queue never resets its dequeue count. `dequeued` is what that count was at the last settlement.
        settled = self.message.dequeued
        # A count that the queue has yet to reach can't be of any settlement. If it were believed, the message would
        # never be given up.
        if settled >= self.leased.dequeue_count:
            settled = 0
        return self.leased.dequeue_count - 1 - settled

    @property
    def context(self) -> dict[str, str]:
        """What every line of the log says about the message."""
        match self.message:
            case UpdateMessage() as message:
                return context_of(message)
            case Look() as look:
                return {"target": str(look.target)}
            case _:
                return {"message_id": self.leased.id}


def context_of_all(target: TargetId, together: Sequence[Opened]) -> dict[str, str]:
    """What every line of the log says about several pushes to one target."""
    if len(together) == 1:
        return together[0].context
    return {"target": str(target), "pushes": str(len(together))}
