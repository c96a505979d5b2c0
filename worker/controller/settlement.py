"""Settlement: what becomes of a leased message. Values, and the dead letter that a failure makes of a message. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.message import DeadLetter, Look, UpdateMessage

EXPLANATIONS = {
    "Undecodable": "the message can't be decoded",
    "MissingSecrets": "secrets that Azure withholds are not configured",
    "WorkerCrash": "its worker crashed or stalled repeatedly",
}
"""Short reasons for people; any other code is explained by its detail alone."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Delete the message: nothing is left to be done."""


@dataclass(frozen=True, slots=True)
class Reschedule:
    """Make this message visible again after `delay` seconds. `to_be_mended`: somebody must mend its record first."""

    message: UpdateMessage | Look
    delay: float
    to_be_mended: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetterIt:
    """Send the letter to the poison queue, then delete the message."""

    letter: DeadLetter


Settlement = Complete | Reschedule | DeadLetterIt


def dead_letter_of(
    message: UpdateMessage | str, code: str, detail: str, attempts: int, received_at: datetime, now: datetime
) -> DeadLetter:
    """The letter of what can't be done. `message` is the raw text if it could not be decoded."""
    reason = EXPLANATIONS.get(code)
    if reason is None:
        reason = "the rollout failed" if isinstance(message, UpdateMessage) and message.target else "the push failed"
    return DeadLetter(
        reason=reason,
        code=code,
        detail=detail,
        attempts=attempts,
        first_received_at=received_at,
        dead_lettered_at=now,
        message=message,
    )
