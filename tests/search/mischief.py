"""Mischief: workers that die, stall or are slow, systems that fail, clocks and files that are wrong.

Operations as those of tests.search.operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.search.operations import Push
from tests.search.outside import Killed
from tests.search.trial import Trial
from tests.search.trouble import StorageFault, System
from tests.search.world import Hand

ArmTrouble = Literal["throttle", "conflict", "error", "error-after", "reset", "reset-after"]
Method = Literal["GET", "PUT", "POST"]
Refusal = Literal["InaccessibleImage", "RegistryErrorResponse", "AuthorizationFailed", "ContainerGroupQuotaReached"]


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker dies at a call of an adapter, with one message in its hand or a batch."""

    calls: int = 0
    messages: int = 1

    def happen(self, trial: Trial) -> None:
        """Kill it."""
        trial.world.work(self.messages, together=True, calls=self.calls, act=dying)


@dataclass(frozen=True, slots=True)
class Stall:
    """A worker stands still at a call of an adapter, its lease not being renewed.

    Meanwhile something else happens, perhaps (a webhook comes in, or another worker is interrupted); then others carry
    out some messages, and perhaps go on for `longer` steps.
    """

    calls: int
    seconds: float
    messages: int = 0
    longer: int = 0
    meanwhile: Push | Kill | Stall | None = None

    def happen(self, trial: Trial) -> None:
        """Stall it."""
        trial.world.work(calls=self.calls, act=lambda hand: self(hand, trial))

    def __call__(self, _hand: Hand, trial: Trial) -> None:
        """What happens at that call."""
        trial.world.clock.advance(self.seconds)
        if self.meanwhile:
            self.meanwhile.happen(trial)
        trial.world.work(self.messages)
        trial.world.go_on(self.longer)


@dataclass(frozen=True, slots=True)
class Slow:
    """A call of an adapter takes its time, the lease being renewed meanwhile, and others work."""

    calls: int
    seconds: float
    messages: int = 1

    def happen(self, trial: Trial) -> None:
        """Slow it down."""
        trial.world.work(calls=self.calls, act=lambda hand: self(hand, trial))

    def __call__(self, hand: Hand, trial: Trial) -> None:
        """What happens at that call."""
        for _ in range(self.messages):
            trial.world.clock.advance(self.seconds / self.messages)
            trial.world.work()
        trial.world.stays_alive(hand)


@dataclass(frozen=True, slots=True)
class LatePut:
    """The next PUT takes effect late, when others have gone on; its worker may be dead by then."""

    seconds: float
    longer: int = 0
    dies: bool = False
    meanwhile: Push | None = None

    def happen(self, trial: Trial) -> None:
        """Let it be late."""
        trial.late_put(lambda: self(trial), dies=self.dies)

    def __call__(self, trial: Trial) -> None:
        """What happens before it takes effect."""
        trial.world.clock.advance(self.seconds)
        if self.meanwhile:
            self.meanwhile.happen(trial)
        trial.world.go_on(self.longer)


@dataclass(frozen=True, slots=True)
class ArmFault:
    """The next requests to Azure meet with trouble, before or after they took effect."""

    fault: ArmTrouble
    method: Method = "PUT"
    times: int = 1

    def happen(self, trial: Trial) -> None:
        """Plan it."""
        trial.world.azure.fault(self.fault, method=self.method, times=self.times)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Azure takes no update for now, for a reason that is not the image's."""

    code: Refusal
    times: int = 1

    def happen(self, trial: Trial) -> None:
        """Plan them."""
        wrapped = self.code in {"RegistryErrorResponse", "ContainerGroupQuotaReached"}
        trial.world.azure.fault(
            "refuse",
            status=403 if self.code == "AuthorizationFailed" else 400,
            code="MultipleErrorsOccurred" if wrapped else self.code,
            details=self.code if wrapped else None,
            message="Not now.",
            method="PUT",
            times=self.times,
        )


@dataclass(frozen=True, slots=True)
class NodeDown:
    """The group's node goes down, and the platform moves the group."""

    def happen(self, trial: Trial) -> None:
        """Take it down."""
        trial.owner.lose_node()


@dataclass(frozen=True, slots=True)
class Outage:
    """A system is down for a while."""

    system: System
    seconds: float

    def happen(self, trial: Trial) -> None:
        """Let it go down."""
        trial.world.trouble.down_until[self.system] = trial.world.clock.seconds() + self.seconds


@dataclass(frozen=True, slots=True)
class StorageTrouble:
    """The next calls of a storage service fail, before or after they took effect."""

    system: System
    times: int = 1
    after: bool = False

    def happen(self, trial: Trial) -> None:
        """Plan it."""
        trial.world.trouble.faults.append(StorageFault(self.system, self.times, self.after))


@dataclass(frozen=True, slots=True)
class LoseTimers:
    """Somebody clears the queue of all timers."""

    def happen(self, trial: Trial) -> None:
        """Lose them."""
        trial.lose_timers()


@dataclass(frozen=True, slots=True)
class ClocksApart:
    """From now on every other worker's clock is ahead (or behind)."""

    seconds: float

    def happen(self, trial: Trial) -> None:
        """Set the clocks."""
        trial.world.clocks = (0.0, self.seconds)


@dataclass(frozen=True, slots=True)
class StaleTargets:
    """For a while workers have a targets file that does not know the group: all of them, or every other one."""

    seconds: float
    workers: Literal["all", "every other"] = "every other"

    def happen(self, trial: Trial) -> None:
        """Make it stale."""
        trial.world.stale_until = trial.world.clock.seconds() + self.seconds
        trial.world.stale_workers = self.workers


def dying(_hand: Hand) -> None:
    """What happens to a worker that is killed."""
    raise Killed
