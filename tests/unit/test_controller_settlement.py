"""The dead letter of a message that failed."""

from __future__ import annotations

import pytest

from shared.dead_letter import DeadLetter
from shared.message import UpdateMessage
from tests.unit.builders import at, message
from worker.controller.settlement import dead_letter_of

ROLLOUT = message("2")
PUSH = ROLLOUT.model_copy(update={"kind": "push", "target": None})


@pytest.mark.parametrize(
    ("of", "code", "reason"),
    [
        ("raw", "Undecodable", "the message could not be decoded"),
        (ROLLOUT, "MissingSecrets", "secrets that Azure withholds are not configured"),
        (PUSH, "WorkerCrash", "the worker that handled it crashed or stalled repeatedly"),
        (ROLLOUT, "CrashLoop", "the rollout failed"),
        (PUSH, "AuthorizationFailed", "the push failed"),
        ("raw", "AuthorizationFailed", "the push failed"),
    ],
)
def test_the_dead_letter_says_why_and_holds_the_message(of: UpdateMessage | str, code: str, reason: str) -> None:
    assert dead_letter_of(of, code, "so it was", 3, at(1), at(2)) == DeadLetter(
        reason=reason,
        code=code,
        detail="so it was",
        attempts=3,
        first_received_at=at(1),
        dead_lettered_at=at(2),
        message=of,
    )
