"""What governs rollouts, and what a look may come to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.record.values import Patience


@dataclass(frozen=True, slots=True)
class RolloutRules:
    """What governs the rollouts of a deployment.

    `soak`: how long a group must stay healthy; `timeout`: how long it may be looked at until it is; `check_interval`
    and `slow`: the shortest and the longest time between two looks; `flight`: how long a change whose answer is not
    known may still take effect; `rollback`: is the last good image put back when a push fails? `secrets`: the paths
    of those that are configured.
    """

    soak: timedelta
    timeout: timedelta
    check_interval: timedelta
    flight: timedelta
    slow: timedelta = timedelta(seconds=60)
    rollback: bool = True
    secrets: frozenset[str] = field(default_factory=frozenset)

    def pause(self, waited: float) -> timedelta:
        """The time until the next look: the longer it has taken (seconds), the less often."""
        return max(self.check_interval, min(timedelta(seconds=waited / 2), self.slow))

    def looked(self, patience: Patience, now: datetime) -> Patience:
        """The patience after one more look. Only the pause that was meant counts, not an absence of all workers."""
        return patience.looked(now, self.pause(patience.waited) + self.check_interval)


@dataclass(frozen=True, slots=True)
class Put:
    """Bring the record's change onto the group: PUT `images` (container → image), or restart it where `restart`."""

    images: Mapping[str, str]
    restart: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `delay`. `owner`: what is waited for is something that only the group's owner can do."""

    delay: timedelta
    reason: str
    owner: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is left to be done: the group needs no timer until something new comes in."""


Action = Put | Wait | Rest
