"""Which groups the status page reads next: Azure answers 25 reads a second of a subscription, and workers need most.

https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.message import TargetId

TICK = 2.0
"""Seconds between two rounds."""
READS = 5
"""Reads a second, at most."""
FIRST_READS = 20
"""Reads a second of groups that nobody has seen yet."""
LIVELY, CALM = 4.0, 10.0
"""Seconds between two reads of a group: of one with a rollout under way, and of any other."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A group, when it was last read (in seconds; None: never), and whether something is happening to it."""

    target: TargetId
    read_at: float | None = None
    lively: bool = False

    @property
    def due(self) -> float:
        """When it is to be read again."""
        if self.read_at is None:
            return float("-inf")
        return self.read_at + (LIVELY if self.lively else CALM)


def next_turns(turns: Iterable[Turn], now: float) -> list[TargetId]:
    """The groups to read in this round: those that nobody has seen, then the others by how long they are overdue."""
    due = sorted((turn for turn in turns if turn.due <= now), key=lambda turn: turn.due)
    # Groups that nobody has seen come by themselves, at a higher rate: until then the page has nothing to show of them.
    new = [turn.target for turn in due if turn.read_at is None]
    others = [turn.target for turn in due if turn.read_at is not None]
    return new[: int(FIRST_READS * TICK)] or others[: int(READS * TICK)]
