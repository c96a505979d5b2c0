"""The rules that govern rollouts, and the actions that a look may decide on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.record.values import Patience


@dataclass(frozen=True, slots=True)
class RolloutRules:
    """What governs the rollouts of a deployment.

    `soak`: for how long a group must stay healthy. `timeout`: how much time of looking it gets to become healthy.
    `check_interval` and `slow`: the shortest and the longest time between two looks. `flight`: for how long a change
    without an answer may still take effect. `rollback`: whether the last good image is put back when a push fails.
    `secrets`: the paths of the configured secrets.
    """

    soak: timedelta
    timeout: timedelta
    check_interval: timedelta
    flight: timedelta
    slow: timedelta = timedelta(seconds=60)
    rollback: bool = True
    secrets: frozenset[str] = field(default_factory=frozenset)

    def pause(self, waited: float) -> timedelta:
        """The time until the next look: half of what was waited so far (seconds), within the two limits."""
        # Azure's limit on reads is shared by everything in a subscription, so a long wait must not read often.
        # https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
        return max(self.check_interval, min(timedelta(seconds=waited / 2), self.slow))

    def looked(self, patience: Patience, now: datetime) -> Patience:
        """The patience after one more look."""
        # A pause counts up to its planned length and no further. Time in which nobody could look proves nothing.
        return patience.looked(now, self.pause(patience.waited) + self.check_interval)


@dataclass(frozen=True, slots=True)
class Put:
    """Bring the record's change onto the group: PUT the `images` (container → image), or only restart the group."""

    images: Mapping[str, str]
    restart: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after `delay`.

    `owner`: only the group's owner can do what this waits for. `wakes`: a new push has the group looked at sooner.
    """

    delay: timedelta
    reason: str
    owner: bool = False
    wakes: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is left to do. The group needs no timer until a push or a command arrives."""


Action = Put | Wait | Rest
