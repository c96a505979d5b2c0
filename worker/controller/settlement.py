"""Settlement: what becomes of a leased message, as values; and the dead letter of a message that failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.dead_letter import DeadLetter
from shared.message import Look, UpdateMessage
from worker.core.rules import Action, Rest, Wait

EXPLANATIONS = {
    "Undecodable": "the message could not be decoded",
    "MissingSecrets": "secrets that Azure withholds are not configured",
    "WorkerCrash": "the worker that handled it crashed or stalled repeatedly",
}
"""Short reasons for people. Any other code is explained by the detail alone."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Delete the message: nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Reschedule:
    """Make this message visible again after `delay` seconds.

    `awaiting_repair`: its record can't be read, and somebody must repair it first.
    """

    message: UpdateMessage | Look
    delay: float
    awaiting_repair: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetterIt:
    """Send the letter to the poison queue, then delete the message."""

    letter: DeadLetter


Settlement = Complete | Reschedule | DeadLetterIt


def look_again(look: Look, delay: float) -> Reschedule:
    """The next look, after one that succeeded: it starts without the troubles of the looks before."""
    # A trouble counts only while it goes on: errors that are days apart prove nothing together.
    return Reschedule(
        look.model_copy(update={"attempts": 0, "trouble": "", "waited": 0.0}), delay
    )


def after(look: Look, action: Action) -> Settlement:
    """What becomes of a look's message once its action was carried out."""
    # The record names no timer any more, so the message that was the timer goes.
    if isinstance(action, Rest):
        return Complete()
    return look_again(
        look, action.delay.total_seconds() if isinstance(action, Wait) else 0.0
    )


def dead_letter_of(
    message: UpdateMessage | str,
    code: str,
    detail: str,
    attempts: int,
    received_at: datetime,
    now: datetime,
) -> DeadLetter:
    """The dead letter of a message that can't be carried out. `message` is its raw text if it could not be decoded."""
    return DeadLetter(
        reason=EXPLANATIONS.get(code) or _what_failed(message),
        code=code,
        detail=detail,
        attempts=attempts,
        first_received_at=received_at,
        dead_lettered_at=now,
        message=message,
    )


def _what_failed(message: UpdateMessage | str) -> str:
    is_rollout = isinstance(message, UpdateMessage) and message.target is not None
    return "the rollout failed" if is_rollout else "the push failed"
