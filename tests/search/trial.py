"""A trial: one schedule on its way, and what the laws must know of it. Each operation is one of its methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.dead_letter import decode_letter
from shared.image import ImageReference
from shared.message import UpdateMessage
from shared.push import Push
from tests.search.people import Owner
from tests.search.scenery import Container, Quality, Scenery, digest_of
from tests.search.world import World

ROUNDS = 10
"""Rounds over the list of groups in the end: one at least, and so many at most until everything is at rest."""
MOST_BAD = 6
"""Bad pushes of a repository: enough for a record to be full of failures, few enough for a trial to end."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push, and what only the registry knows of it: its image, and whether that works.

    `pinned`: it is rolled out by its own digest, wherever its tag has moved to. `rank` is its version's, where tags
    have an order. `mended`: its image did not work at first.
    """

    number: int
    message: UpdateMessage
    quality: Quality
    digest: str
    pinned: bool
    rank: int
    mended: bool = False

    @property
    def id(self) -> str:
        """The id of its message."""
        return self.message.id

    @property
    def image(self) -> ImageReference:
        """Its repository and tag."""
        return self.message.push.image


@dataclass
class Trial:
    """A world, and what was done to it."""

    scenery: Scenery
    world: World
    pushes: list[Pushed] = field(default_factory=list)
    """Those that were delivered, the order in which they were."""
    late: list[Pushed] = field(default_factory=list)
    """Those whose webhook has not come yet."""
    rolled_back: set[str] = field(default_factory=set)
    """Containers that an operator took back to an older image."""
    timers_lost: bool = False
    registry_answered: bool = False
    numbers: int = 0

    def __post_init__(self) -> None:
        self.owner = Owner(self.world)

    @property
    def made(self) -> list[Pushed]:
        """All pushes, in the order in which their images were made."""
        return sorted([*self.pushes, *self.late], key=lambda item: item.number)

    def container(self, name: str) -> Container:
        """One of the group's containers."""
        return self.scenery.containers[name]

    # The registry and its webhooks

    def push(
        self, name: str, quality: Quality, *, digest: bool, late: bool, clock_error: int | None, rank: int
    ) -> None:
        """An image is pushed. Its webhook may come later."""
        self.world.clock.advance(1)
        container = self.container(name)
        number = self._number()
        tag = self._tag(container, number, rank)
        quality = self._allowed(container, quality, f"{container.repository}:{tag}", digest=digest)
        made = digest_of(number)
        self.world.registry.put(container.repository, tag, quality, made)
        now = self.world.clock.now()
        push = Push(
            sender="generic",
            registry="docker.io",
            repository=container.repository,
            tag=tag,
            digest=made if digest else None,
            pushed_at=None if clock_error is None else now + timedelta(seconds=clock_error),
        )
        message = UpdateMessage(id=f"{number}-{quality}", kind="push", push=push, received_at=now)
        pinned = not container.moves or digest
        self.late.append(Pushed(number, message, quality, made, pinned, rank))
        if not late:
            self.deliver(len(self.late) - 1)

    def deliver(self, which: int) -> None:
        """A webhook comes in."""
        if self.late:
            one = self.late.pop(which % len(self.late))
            message = one.message.model_copy(update={"received_at": self.world.clock.now()})
            self.pushes.append(replace(one, message=message))
            if one.pinned:
                self.world.witness.sees_push({str(one.image), f"{one.image.name}@{one.digest}"})
            self._send(message)

    def deliver_again(self, which: int, *, anew: bool) -> None:
        """A webhook comes in once more; anew: as a delivery of its own."""
        if not self.pushes:
            return
        one = self.pushes[which % len(self.pushes)]
        # Of a push without a time or a digest nobody can say that it is the old one, and not a newer one.
        if anew and one.pinned and one.message.push.pushed_at and not one.mended:
            number = self._number()
            update = {"id": f"{one.id}-{number}", "received_at": self.world.clock.now()}
            one = replace(one, message=one.message.model_copy(update=update))
            self.pushes.append(one)
        self._send(one.message)

    def duplicate(self, which: int) -> None:
        """The queue holds a message twice."""
        texts = self.world.updates.texts
        if texts:
            self._queue(texts[which % len(texts)])

    def move_tag(self, name: str, quality: Quality) -> None:
        """The tag that a container runs stands for another image, and nobody tells."""
        container = self.container(name)
        if quality != "good" and self.owner.has_stopped_with(f"{container.repository}:{container.tag}"):
            return
        self.world.registry.put(container.repository, container.tag, quality, digest_of(self._number()))

    def registry_answers(self, *, answers: bool) -> None:
        """The registry tells a tag's digest to whoever asks, or does so no more."""
        self.world.registry.answers = answers
        self.registry_answered |= answers

    def redrive(self, which: int, *, mended: bool) -> None:
        """An operator has a dead letter tried again, its image perhaps having been mended."""
        texts = self.world.poison.texts
        if not texts:
            return
        which %= len(texts)
        message = decode_letter(texts[which]).message
        bad = [push for push in self.pushes if isinstance(message, UpdateMessage) and push.id == message.id]
        mend = mended and all(not self.container_of(item).moves for item in bad)
        for item in bad if mend else ():
            self._mend(item, "good")
        if not self.world.operator.redrive(which) and mend:
            for item in bad:  # nobody tries it again
                self._mend(item, item.quality)

    # Workers

    def late_put(self, meanwhile: Callable[[], None], *, dies: bool) -> None:
        """The next PUT takes effect late, after something else; its worker may be dead by then."""

        def late() -> bool:
            meanwhile()
            return dies

        self.world.azure.late = late
        self.world.work(2)
        self.world.azure.late = None

    def lose_timers(self) -> None:
        """Somebody clears the queue of all timers."""
        self.timers_lost = True
        self.world.lose_timers()

    def roll_back(self) -> None:
        """An operator goes back to the good images before."""
        self.world.operator.roll_back()
        self.rolled_back |= self.scenery.containers.keys()

    def deploy(self, name: str) -> None:
        """The owner deploys an image of his own."""
        self.owner.deploy(name, self.container(name), self._number())

    def come_to_rest(self) -> None:
        """All trouble is over, every webhook has come, and nobody holds the group back any more. Time passes."""
        self.world.no_more_trouble()
        while self.late:
            self.deliver(0)
        self.owner.tag(held=False)
        self.owner.start()
        self.world.operator.release()
        for _ in range(ROUNDS):
            if not self.world.come_to_rest():
                return
            self.world.look_round()
            if self.world.is_at_rest():
                return

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def _tag(self, container: Container, number: int, rank: int) -> str:
        if container.ordered:
            return f"1.{rank}.{number}"
        return container.tag if container.moves else f"v{number}"

    def _allowed(self, container: Container, quality: Quality, image: str, *, digest: bool) -> Quality:
        """The quality, unless no law could be stated of such a push."""
        if quality == "good":
            return quality
        pushes = (item for item in self.made if item.message.push.repository == container.repository)
        bad = [push for push in pushes if push.quality != "good"]
        if len(bad) >= MOST_BAD or self.owner.has_stopped_with(image):
            return "good"
        # Azure refuses every PUT of a group that names an inaccessible tag, whatever the PUT is for.
        return "unpullable" if quality == "inaccessible" and container.moves else quality

    def _mend(self, one: Pushed, quality: Quality) -> None:
        """Its tag stands for an image of this quality from now on."""
        push = one.message.push
        self.world.registry.put(push.repository, push.tag, quality, one.digest)
        place = next(number for number, other in enumerate(self.pushes) if other.id == one.id)
        self.pushes[place] = replace(one, quality=quality, mended=one.mended or quality != one.quality)

    def container_of(self, one: Pushed) -> Container:
        """A container that a push is for."""
        repository = one.message.push.repository
        return next(own for own in self.scenery.containers.values() if own.repository == repository)

    def _send(self, message: UpdateMessage) -> None:
        self._queue(message.encode())

    def _queue(self, text: str) -> None:
        """The ingress answers 202 once the queue has it, so senders try until it is up again."""
        self.world.from_outside(lambda: self.world.updates.send(text))
