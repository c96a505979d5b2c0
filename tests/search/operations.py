"""The operations of a schedule: what happens to the registry, the group and its workers by anybody's will, and time.

They are frozen values that print as Python, so that what is found can be pasted into a test. What happens by nobody's
will is in tests.search.mischief.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tests.search.scenery import Quality
from tests.search.trial import Trial


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
class Patrol:
    """A round over the list of groups."""

    def happen(self, trial: Trial) -> None:
        """Go round."""
        trial.world.look_round()


@dataclass(frozen=True, slots=True)
class Away:
    """No worker is there for long. In the end the owner restarts the group, perhaps, before they are back."""

    seconds: float
    restarted: bool = False

    def happen(self, trial: Trial) -> None:
        """Let time pass."""
        trial.world.clock.advance(self.seconds)
        if self.restarted:
            trial.owner.restart()


@dataclass(frozen=True, slots=True)
class Hold:
    """An operator holds the group."""

    def happen(self, trial: Trial) -> None:
        """Hold it."""
        trial.world.hold()


@dataclass(frozen=True, slots=True)
class Release:
    """An operator releases it."""

    def happen(self, trial: Trial) -> None:
        """Release it."""
        trial.world.release()


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
        trial.owner.tag(held=self.held)


@dataclass(frozen=True, slots=True)
class Stop:
    """The owner stops the group."""

    def happen(self, trial: Trial) -> None:
        """Stop it."""
        trial.owner.stop()


@dataclass(frozen=True, slots=True)
class Start:
    """The owner starts the group, if it is stopped."""

    def happen(self, trial: Trial) -> None:
        """Start it."""
        trial.owner.start()


@dataclass(frozen=True, slots=True)
class Restart:
    """The owner restarts the group."""

    def happen(self, trial: Trial) -> None:
        """Restart it."""
        trial.owner.restart()


@dataclass(frozen=True, slots=True)
class Deploy:
    """The owner deploys an image of his own."""

    container: str

    def happen(self, trial: Trial) -> None:
        """Deploy it."""
        trial.deploy(self.container)
