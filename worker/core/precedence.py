"""Precedence: which of two pushes for a container goes before the other. Pure.

The policy decides as far as it has an order of the two tags, and the time of the pushes otherwise.
"""

from __future__ import annotations

from datetime import datetime

from shared.message import UpdateMessage
from worker.policies.policy import Policy
from worker.record.container import Candidate


def newer(
    policy: Policy,
    message: UpdateMessage,
    tag: str,
    order: tuple[datetime, datetime],
) -> bool:
    """Whether a push is newer than another one with this tag and order: by the policy's order of tags, else by time."""
    # Two pushes of one tag differ only in their times, even where the tag has no place in the policy's order.
    ranked = policy.outranks(message.push.tag, tag) if message.push.tag != tag else None
    if ranked is not None:
        return ranked
    return message.order > order


def better(
    policy: Policy,
    running: str | None,
    message: UpdateMessage,
    other: Candidate,
) -> bool:
    """Whether a push is better than a candidate that may follow `running`, too: by the policy, else by time."""
    preferred = policy.prefers(running, message.push.tag, other.tag)
    if preferred is not None:
        return preferred
    return message.order > other.message.order
