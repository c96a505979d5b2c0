"""The operations of a schedule: frozen values that print as Python, so that what is found can be pasted into a test.

`OPERATIONS` makes one of each kind at random; which kinds a schedule has is its mix's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, Protocol, get_args

from tests.search.scenery import QUALITIES, Quality, Scenery
from tests.search.trial import Trial, dying
from tests.search.world import Hand, StorageFault, System

ArmTrouble = Literal["throttle", "conflict", "error", "error-after", "reset", "reset-after"]
Method = Literal["GET", "PUT", "POST"]


class Operation(Protocol):
    """One thing that happens."""

    def happen(self, trial: Trial) -> None:
        """Let it happen."""


Schedule = tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """An image is pushed; its webhook comes at once, or `late`. `rank` is its version's, where tags have an order."""

    container: str
    quality: Quality = "good"
    digest: bool = True
    late: bool = False
    clock_error: int | None = 0
    rank: int = 1

    def happen(self, trial: Trial) -> None:
        """Push it."""
        trial.push(
            self.container,
            self.quality,
            digest=self.digest,
            late=self.late,
            clock_error=self.clock_error,
            rank=self.rank,
        )


@dataclass(frozen=True, slots=True)
class Burst:
    """Many pushes at once, the last of which is good."""

    container: str
    pushes: int

    def happen(self, trial: Trial) -> None:
        """Push them all."""
        for number in range(self.pushes):
            quality: Quality = "crash-loop" if number % 7 == 3 else "good"
            last = number == self.pushes - 1
            trial.push(
                self.container, "good" if last else quality, digest=True, late=False, clock_error=0, rank=number % 3
            )


@dataclass(frozen=True, slots=True)
class Deliver:
    """A webhook that was late comes in."""

    which: int = 0

    def happen(self, trial: Trial) -> None:
        """Deliver it."""
        trial.deliver(self.which)


@dataclass(frozen=True, slots=True)
class DeliverAgain:
    """A webhook comes in once more; anew: as a delivery of its own."""

    which: int = 0
    anew: bool = False

    def happen(self, trial: Trial) -> None:
        """Deliver it."""
        trial.deliver_again(self.which, anew=self.anew)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The queue holds a message twice."""

    which: int = 0

    def happen(self, trial: Trial) -> None:
        """Send it once more."""
        trial.duplicate(self.which)


@dataclass(frozen=True, slots=True)
class MoveTag:
    """The tag that a container runs stands for another image, and nobody tells."""

    container: str
    quality: Quality = "good"

    def happen(self, trial: Trial) -> None:
        """Move it."""
        trial.move_tag(self.container, self.quality)


@dataclass(frozen=True, slots=True)
class RegistryAnswers:
    """The registry tells a tag's digest to whoever asks, or does so no more."""

    answers: bool = True

    def happen(self, trial: Trial) -> None:
        """Let it."""
        trial.registry_answers(answers=self.answers)


@dataclass(frozen=True, slots=True)
class Redrive:
    """A dead letter is tried again, its image perhaps having been mended."""

    which: int = 0
    mended: bool = False

    def happen(self, trial: Trial) -> None:
        """Redrive it."""
        trial.redrive(self.which, mended=self.mended)


@dataclass(frozen=True, slots=True)
class Work:
    """Workers carry out some messages, one by one or as one batch."""

    messages: int = 1
    together: bool = False

    def happen(self, trial: Trial) -> None:
        """Work."""
        trial.world.work(self.messages, together=self.together)


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes, and then some messages are carried out."""

    seconds: float
    messages: int = 0

    def happen(self, trial: Trial) -> None:
        """Let it pass."""
        trial.world.clock.advance(self.seconds)
        trial.world.work(self.messages)


@dataclass(frozen=True, slots=True)
class Run:
    """Time passes with workers at work."""

    seconds: float

    def happen(self, trial: Trial) -> None:
        """Let it pass."""
        trial.world.run(self.seconds)


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
class Outage:
    """A system is down for a while."""

    system: System
    seconds: float

    def happen(self, trial: Trial) -> None:
        """Let it go down."""
        trial.outage(self.system, self.seconds)


@dataclass(frozen=True, slots=True)
class StorageTrouble:
    """The next calls of a storage service fail, before or after they took effect."""

    system: System
    times: int = 1
    after: bool = False

    def happen(self, trial: Trial) -> None:
        """Plan it."""
        trial.storage_fault(StorageFault(self.system, self.times, self.after))


@dataclass(frozen=True, slots=True)
class Patrol:
    """A round over the list of groups."""

    def happen(self, trial: Trial) -> None:
        """Go round."""
        trial.patrol()


@dataclass(frozen=True, slots=True)
class LoseTimers:
    """Somebody clears the queue of all timers."""

    def happen(self, trial: Trial) -> None:
        """Lose them."""
        trial.lose_timers()


@dataclass(frozen=True, slots=True)
class Away:
    """No worker is there for long. In the end the owner restarts the group, perhaps, before they are back."""

    seconds: float
    restarted: bool = False

    def happen(self, trial: Trial) -> None:
        """Let time pass."""
        trial.world.clock.advance(self.seconds)
        if self.restarted:
            trial.restart()


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


@dataclass(frozen=True, slots=True)
class Hold:
    """An operator holds the group."""

    def happen(self, trial: Trial) -> None:
        """Hold it."""
        trial.hold()


@dataclass(frozen=True, slots=True)
class Release:
    """An operator releases it."""

    def happen(self, trial: Trial) -> None:
        """Release it."""
        trial.release()


@dataclass(frozen=True, slots=True)
class RollBack:
    """An operator goes back to the good images before, and holds the group there."""

    def happen(self, trial: Trial) -> None:
        """Go back."""
        trial.roll_back()


@dataclass(frozen=True, slots=True)
class Tag:
    """The owner sets the resource tag that holds the group, or takes it off."""

    held: bool = True

    def happen(self, trial: Trial) -> None:
        """Set the tags."""
        trial.tag(held=self.held)


@dataclass(frozen=True, slots=True)
class Stop:
    """The owner stops the group."""

    def happen(self, trial: Trial) -> None:
        """Stop it."""
        trial.stop()


@dataclass(frozen=True, slots=True)
class Start:
    """The owner starts the group, if it is stopped."""

    def happen(self, trial: Trial) -> None:
        """Start it."""
        trial.start()


@dataclass(frozen=True, slots=True)
class Restart:
    """The owner restarts the group."""

    def happen(self, trial: Trial) -> None:
        """Restart it."""
        trial.restart()


@dataclass(frozen=True, slots=True)
class Deploy:
    """The owner deploys an image of his own."""

    container: str

    def happen(self, trial: Trial) -> None:
        """Deploy it."""
        trial.deploy(self.container)


Make = Callable[[Random, Scenery], Operation]
_CALLS = (*range(8), *range(16))
"""At which call of an adapter something happens: to receive a push takes eight, a look with a PUT fourteen or so."""
_BAD = tuple(quality for quality in QUALITIES if quality != "good")


def _push(chance: Random, scenery: Scenery) -> Push:
    quality: Quality = chance.choice(("good", "good", *_BAD))
    container = chance.choice(scenery.pushed_to)
    carries_digest = scenery.containers[container].moves or chance.random() < 0.3
    return Push(container, quality, digest=carries_digest, late=chance.random() < 0.1, rank=chance.randrange(5))


def _push_by_tag(chance: Random, scenery: Scenery) -> Push:
    """Without a digest, also of a tag that moves."""
    push = _push(chance, scenery)
    return replace(push, digest=False) if chance.random() < 0.6 else push


def _push_by_bad_clock(chance: Random, scenery: Scenery) -> Push:
    return replace(_push(chance, scenery), clock_error=chance.choice((0, 0, None, -600, 600, 7200)))


def _stall(chance: Random, meanwhile: Push | Kill | Stall | None) -> Stall:
    return Stall(
        chance.choice(_CALLS),
        chance.choice((5, 31, 45)),
        chance.randrange(5),
        chance.choice((0, 0, 5, 30)),
        meanwhile,
    )


def _meanwhile(chance: Random, scenery: Scenery) -> Push | Kill | Stall | None:
    match chance.randrange(6):
        case 0:
            return Kill(chance.choice(_CALLS))
        case 1:
            return _stall(chance, meanwhile=None)
        case 2 | 3:
            return _push(chance, scenery)
        case _:
            return None


def _late_put(chance: Random, scenery: Scenery) -> LatePut:
    seconds, longer = chance.choice((5, 31, 45, 200, 200)), chance.choice((0, 5, 30, 60))
    push = _push(chance, scenery) if chance.random() < 0.6 else None
    return LatePut(seconds, longer, chance.random() < 0.6, push)


OPERATIONS: Mapping[str, Make] = {
    "push": _push,
    "push by tag": _push_by_tag,
    "push by a bad clock": _push_by_bad_clock,
    "burst": lambda chance, scenery: Burst(chance.choice(scenery.pushed_to), chance.choice((3, 12, 40))),
    "deliver": lambda chance, _: Deliver(chance.randrange(5)),
    "deliver again": lambda chance, _: DeliverAgain(chance.randrange(9), chance.random() < 0.5),
    "duplicate": lambda chance, _: Duplicate(chance.randrange(9)),
    "move tag": lambda chance, _: MoveTag("sidecar", chance.choice(("good", "crash-loop", "unpullable", "late-crash"))),
    "move the stranger's tag": lambda chance, _: MoveTag("stranger", chance.choice(("good", "crash-loop"))),
    "registry answers": lambda chance, _: RegistryAnswers(chance.random() < 0.5),
    "redrive": lambda chance, _: Redrive(chance.randrange(5), chance.random() < 0.5),
    "work": lambda chance, _: Work(chance.choice((1, 1, 2, 3, 8)), chance.random() < 0.4),
    "pass": lambda chance, _: Pass(chance.choice((1, 5, 5, 10, 20, 40, 60, 200)), chance.choice((0, 1, 3, 8))),
    "run": lambda chance, _: Run(chance.choice((10, 30, 60, 200, 600))),
    "kill": lambda chance, _: Kill(chance.choice(_CALLS), chance.choice((1, 1, 8))),
    "stall": lambda chance, scenery: _stall(chance, _meanwhile(chance, scenery)),
    "slow": lambda chance, _: Slow(chance.choice(_CALLS), chance.choice((2, 14, 28)), chance.choice((1, 4, 8))),
    "late put": _late_put,
    "fault": lambda chance, _: ArmFault(
        chance.choice(get_args(ArmTrouble)), chance.choice(("GET", "PUT", "PUT")), chance.choice((1, 2, 3, 20))
    ),
    "outage of arm": lambda chance, _: Outage("arm", chance.choice((30, 200, 1200))),
    "outage of storage": lambda chance, _: Outage(
        chance.choice(("records", "queue")), chance.choice((5, 40, 200, 1200))
    ),
    "storage fault": lambda chance, _: StorageTrouble(
        chance.choice(("records", "queue")), chance.choice((1, 2, 5)), chance.random() < 0.5
    ),
    "patrol": lambda chance, _: Patrol(),
    "lose timers": lambda chance, _: LoseTimers(),
    "away": lambda chance, _: Away(chance.choice((130, 300, 1000, 5000)), chance.random() < 0.3),
    "clocks apart": lambda chance, _: ClocksApart(chance.choice((-30, 30))),
    "stale targets": lambda chance, _: StaleTargets(
        chance.choice((10, 60, 300)), chance.choice(("all", "every other", "every other"))
    ),
    "hold": lambda chance, _: Hold(),
    "release": lambda chance, _: Release(),
    "roll back": lambda chance, _: RollBack(),
    "tag": lambda chance, _: Tag(),
    "untag": lambda chance, _: Tag(held=False),
    "stop": lambda chance, _: Stop(),
    "start": lambda chance, _: Start(),
    "restart": lambda chance, _: Restart(),
    "deploy": lambda chance, scenery: Deploy(chance.choice(tuple(scenery.containers))),
}
