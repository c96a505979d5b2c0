"""The real controller over outside systems in memory, with workers that can be interrupted between any two calls."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Literal
from unittest.mock import patch

import tenacity.nap
from structlog.typing import EventDict

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.leased_message import LeasedMessage, LeaseLost
from shared.message import Look, TargetId, UpdateMessage, decode
from tests.arm_simulator import life, view
from tests.fakes import Clock, NoGlances
from tests.search.outside import Killed, SearchGroups, SearchQueue, SearchRecords
from tests.search.people import Operator
from tests.search.scenery import SHOP, Registry, Scenery, images_of
from tests.search.trouble import System, Trouble, Witness
from worker.controller.handler import Handler
from worker.controller.patrol import Patrol
from worker.controller.sweep import Sweeper
from worker.core.rules import RolloutRules
from worker.failures.classify import Retry
from worker.groups.group import ContainerGroup
from worker.ports import Conflict, Listed, Ports
from worker.record.record import Record
from worker.targets.tags import BadTags, hold_reason
from worker.targets.target import Target

Act = Callable[["Hand"], None]
"""What happens to a worker in the middle of its work."""

LEASE = 30
SWEPT = "id-"
"""Begins the ids that the worker itself gives: the only ones of pushes are those of sweeps."""
PATROL = 45.0
"""Seconds between two rounds over the list of all groups."""
BATCH = 8
MANY_STEPS = 1200
"""More than a schedule has left to be done when it is over."""
RULES = RolloutRules(
    soak=timedelta(seconds=6),
    timeout=timedelta(seconds=400),
    check_interval=timedelta(seconds=5),
    flight=timedelta(seconds=90),
    slow=timedelta(seconds=60),
)
RETRY = Retry(max_attempts=40, base=1, longest=60, outage_patience=3600)
"""Tries beyond what a schedule can use up, so that no good push fails by its bad luck alone."""

_timestamp = lru_cache(maxsize=1 << 16)(view.timestamp)
_events = lru_cache(maxsize=1 << 14)(life.events)


@dataclass
class Hand:
    """A worker at work: the messages in its hand, its clock and its targets file, and what is to happen to it."""

    messages: Sequence[LeasedMessage]
    ahead: float
    is_stale: bool
    calls: int = 0
    act: Act | None = None
    """Happens at the call of an adapter after `calls` others."""

    def reached_call(self) -> None:
        """One more call of an adapter."""
        if self.act is None:
            return
        if self.calls:
            self.calls -= 1
            return
        act, self.act = self.act, None
        act(self)


class World:
    """A group, its queues and records, and the workers, one at a time or one within another's pause."""

    def __init__(self, scenery: Scenery) -> None:
        self.clock = Clock()
        self.azure = SearchGroups(self.clock, behind=lambda: -self.ahead)
        self.witness = Witness(self, self._is_leased)
        self.azure.sends, self.azure.lands = self.witness.sends, self.witness.lands
        self.trouble = Trouble(self.clock)
        self.registry = Registry(self.azure)
        self.records = SearchRecords()
        self.updates = SearchQueue(self.clock, LEASE)
        self.poison = SearchQueue(self.clock, LEASE, "updates-poison")
        self.logs: list[EventDict] = []
        self.clocks: tuple[float, ...] = (0.0,)
        self.stale_until = 0.0
        self.stale_workers: Literal["all", "every other"] = "all"
        self._undisturbed = False
        self._hands: list[Hand] = []
        self._workers = 0
        self._ids = 0
        systems: dict[System, tuple[SearchGroups | SearchQueue | SearchRecords, ...]] = {
            "arm": (self.azure,),
            "records": (self.records,),
            "queue": (self.updates, self.poison),
        }
        self.azure.place(SHOP, scenery.definition())
        self.azure.options(transition_seconds=8, pull_seconds=3, back_off_seconds=10, put_changes_tags=False)
        truth = self.azure.truth(SHOP)
        self.first_definition, self.first_address = truth["definition"], truth["ip"]
        for system, adapters in systems.items():
            for adapter in adapters:
                adapter.probe = partial(self._reached, system)
        self.ports = Ports(
            groups=self.azure,
            records=self.records,
            targets=_Targets(scenery.target, self),
            watch=NoGlances(),
            updates=self.updates,
            poison=self.poison,
            resolve=lambda sources: {},
            digest=self.registry.digest,
            now=self.now,
            new_id=self.new_id,
        )
        self.operator = Operator(self.ports)
        self._patrol = Patrol(self.ports, Sweeper(self.ports, self.registry))
        self._handler = Handler(
            self.ports,
            RULES,
            RETRY,
            lease=LEASE,
            clock=self.clock.seconds,
            chance=random.Random(0),
        )

    @property
    def ahead(self) -> float:
        """How many seconds the clock of whoever is at work is ahead."""
        return self._hands[-1].ahead if self._hands else 0.0

    @property
    def is_stale(self) -> bool:
        """Does whoever is at work not know the group?"""
        return self._hands[-1].is_stale if self._hands else False

    def now(self) -> datetime:
        """The time of day by the clock of whoever is at work."""
        return self.clock.now() + timedelta(seconds=self.ahead)

    def new_id(self) -> str:
        """An id that nothing else has."""
        self._ids += 1
        return f"{SWEPT}{self._ids}"

    def work(self, messages: int = 1, *, together: bool = False, calls: int = 0, act: Act | None = None) -> None:
        """Receive messages and carry them out, one by one or together; the first worker meets the interruption."""
        for limit in [messages] if together else [1] * messages:
            try:
                leased = self.updates.receive(limit)
            except RemoteError:
                return
            if not leased:
                return
            self._carry_out(self._hand(leased, calls, act))
            act = None

    def run(self, seconds: float, steps: int = 4000) -> None:
        """Time passes; whatever becomes visible is carried out at once."""
        end = self.clock.seconds() + seconds
        for _ in range(steps):
            self.work(BATCH)
            due = self.clock.seconds() + (self.next_due if self.updates.count() else seconds + 1)
            if due > end:
                break
            self.clock.advance(due - self.clock.seconds())
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def go_on(self, steps: int) -> None:
        """Pass the time to the next message, and work: for a worker that stands still this is another's time."""
        for _ in range(steps):
            self.clock.advance(self.next_due)
            self.work(2)

    @property
    def next_due(self) -> float:
        """Seconds until the next message can be received. While the queue is down, nothing is."""
        return max(self.updates.next_visible_in, self.trouble.left("queue"))

    def stays_alive(self, hand: Hand) -> None:
        """What the renewer of a living worker does."""
        for leased in hand.messages:
            if not leased.settled and not leased.lost:
                self._renew(leased)

    def no_more_trouble(self) -> None:
        """All systems are well again, and all clocks right."""
        self.azure.clear_faults()
        self.azure.late = None
        self.trouble.end()
        self.clocks, self.stale_until = (0.0,), 0.0

    # What other processes do

    def hold(self) -> None:
        """An operator holds the group."""
        self.operator.hold()

    def release(self) -> None:
        """An operator releases it."""
        self.operator.release()

    def roll_back(self) -> None:
        """An operator goes back to the good images before."""
        self.operator.roll_back()

    def look_round(self) -> None:
        """One round over the list of groups, unless something is in the way of it."""
        with suppress(RemoteError, Conflict):
            self._patrol.look_round()

    def lose_timers(self) -> None:
        """The queue forgets all timers."""
        self.updates.lose(lambda text: isinstance(_decoded(text), Look))

    def from_outside(self, call: Callable[[], None]) -> None:
        """A call by somebody who tries until it succeeds."""
        undisturbed, self._undisturbed = self._undisturbed, True
        try:
            call()
        finally:
            self._undisturbed = undisturbed

    # How it comes to its end

    def come_to_rest(self) -> bool:
        """Time passes until the queue is empty, but not for ever. Is it empty?"""
        for _ in range(MANY_STEPS):
            if not self.updates.count():
                self.clock.advance(PATROL)
                return True
            self.clock.advance(self.next_due)
            self.work(BATCH)
        return False

    def is_at_rest(self) -> bool:
        """Is there nothing left to be done?"""
        return self.record.timer is None and not self.updates.count()

    # What there is to see

    @property
    def record(self) -> Record:
        """The group's record, as an onlooker sees it."""
        return self.records.seen(SHOP)[0]

    @property
    def images(self) -> dict[str, str]:
        """What the group's containers are to run, as it is written there."""
        return images_of(self.azure.truth(SHOP)["definition"])

    @property
    def down_until(self) -> dict[System, float]:
        """Which systems are down, until when."""
        return self.trouble.down_until

    @property
    def letters(self) -> list[str]:
        """Every dead letter that was ever sent."""
        return self.poison.sent

    def timers(self) -> set[str]:
        """The tokens of all looks on the queue."""
        messages = (_decoded(text) for text in self.updates.texts)
        return {message.token for message in messages if isinstance(message, Look)}

    def told(self) -> dict[str, list[str]]:
        """How each push was told to have ended, in the order of the telling."""
        told: dict[str, list[str]] = {}
        for line in self.logs:
            if line["event"] == "ended":
                told.setdefault(str(line["id"]), []).append(str(line["outcome"]))
        return told

    def _is_leased(self) -> bool:
        return any(leased.lease_holds(self.clock.seconds) for leased in self._hands[-1].messages)

    def _hand(self, leased: Sequence[LeasedMessage], calls: int, act: Act | None) -> Hand:
        self._workers += 1
        stale = self.clock.seconds() < self.stale_until
        if self.stale_workers == "every other":
            stale = stale and self._workers % 2 == 0
        return Hand(leased, self.clocks[self._workers % len(self.clocks)], stale, calls, act)

    def _carry_out(self, hand: Hand) -> None:
        self._hands.append(hand)
        try:
            self._handler.handle(hand.messages)
        except Killed:
            pass
        finally:
            self._hands.pop()

    def _renew(self, leased: LeasedMessage) -> None:
        with suppress(LeaseLost, RemoteError):
            self.updates.renew(leased)

    def _reached(self, system: System, call: str) -> None:
        if self._undisturbed:
            return
        if self._hands:
            self._hands[-1].reached_call()
        self.trouble.meet(system, call)


@lru_cache(maxsize=1024)
def _decoded(text: str) -> UpdateMessage | Look:
    return decode(text)


class _Targets:
    """A targets file, older than the group for some workers; and the list of groups that all share."""

    def __init__(self, target: Target, world: World) -> None:
        self._target = target
        self._world = world

    def concerned(self, _image: ImageReference) -> tuple[Target, ...]:
        """The one target: its look will see."""
        return (self._target,)

    def target_of(self, group: ContainerGroup) -> Target | BadTags | None:
        """The target, unless this worker does not know it yet."""
        return None if self._world.is_stale else self._target

    def all(self) -> tuple[Target, ...]:
        """The one target, if it is known."""
        return () if self._world.is_stale else (self._target,)

    def listed(self) -> Mapping[TargetId, Listed]:
        """The group as a list shows it, without its instance view."""
        group = self._world.azure.get(self._target.id)
        held = hold_reason(group.tags) is not None
        return {self._target.id: Listed(group.images, held, group.in_transition)}

    def is_gone(self, target: TargetId) -> bool:
        """It never is."""
        return False


@contextmanager
def imagined_time(clock: Clock) -> Iterator[None]:
    """Pauses pass by the imagined clock.

    And the simulator works out once alone what a container has been through: that is most of a search's time else.
    """
    nap = SimpleNamespace(sleep=clock.advance)
    with (
        patch.object(tenacity.nap, "time", nap),
        patch.object(view, "timestamp", _timestamp),
        patch.object(life, "events", lambda run, moment, killed, _stamp: _events(run, moment, killed, _written)),
    ):
        yield


def _written(moment: float) -> str:
    return _timestamp(moment, 3)
