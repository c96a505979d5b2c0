"""No push lost, no older push wins, no group left broken: whatever comes, in whatever order, and whatever dies.

A state machine over the real Stepper, with outside systems in memory and a clock that the machine moves. A push is
what a registry's webhook would tell of; every push has an image of its own, good or bad in one of several ways.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Literal

import pytest
import structlog
from hypothesis import HealthCheck, currently_in_test_context, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage, decode, decode_letter
from shared.push import Push
from shared.queue import LeasedMessage, LeaseLost, dead_letter
from tests.fakes import Clock, FixedTargets, MemoryQueue, MemoryRecords, NoGlances, SimulatedGroups
from worker.adapters.registry.client import Unknown
from worker.endings import fresh
from worker.failures.classify import Retry
from worker.manual import NothingToRollBackTo, hold, release, roll_back
from worker.ports import Ports
from worker.record import Record
from worker.settlement import Complete, DeadLetterIt, Reschedule, Settlement
from worker.situation import Rules
from worker.step import Stepper
from worker.sweep import Sweeper, lost_messages
from worker.targets.target import single_target

SHOP = TargetId(subscription="sub", resource_group="web", container_group="shop")
REPOSITORIES = {"web": "acme/shop", "jobs": "acme/jobs"}
FIRST = {"web": "acme/shop:1", "jobs": "acme/jobs:latest", "sidecar": "acme/proxy:7"}
"""What the containers run at first: web follows versions, which come without a digest, jobs a tag that moves."""
LEASE = 30
MAX_ATTEMPTS = 40
"""Beyond what the rules can bring about, so that no good push fails by its bad luck alone."""
MOST_BAD = 4
"""Bad pushes of a container: fewer than the runners-up that a record keeps."""
RULES = Rules(
    soak=timedelta(seconds=6),
    timeout=timedelta(seconds=120),
    check_interval=timedelta(seconds=5),
    lease=timedelta(seconds=LEASE),
)
SETTLE = 2 * RULES.timeout + RULES.soak + RULES.lease
Quality = Literal["good", "crash-loop", "late-crash", "unpullable", "inaccessible", "exits-1"]
BAD: tuple[Quality, ...] = ("crash-loop", "late-crash", "unpullable", "inaccessible")


class Killed(BaseException):
    """The worker died here."""


class NoRegistry:
    """A registry that is out of reach."""

    def lookup(self, image: ImageReference) -> Unknown:
        """Nobody can tell."""
        return Unknown("out of reach")

    def tags(self, image: ImageReference) -> list[str]:
        """None are known."""
        return []


@dataclass(frozen=True)
class Delivered:
    """A push as it was delivered, and what only the registry knows: its image, and whether that works."""

    container: str
    quality: Quality
    digest: str
    message: UpdateMessage


@dataclass
class World:
    """The outside systems, the worker's steps, and what was seen of them."""

    clock: Clock = field(default_factory=Clock)
    outcomes: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.azure = SimulatedGroups(self.clock)
        self.records = MemoryRecords()
        self.updates = MemoryQueue(self.clock, LEASE)
        self.poison = MemoryQueue(self.clock, LEASE, "updates-poison")
        self._interruption: tuple[int, Callable[[LeasedMessage], None]] | None = None
        self._in_hand: list[LeasedMessage] = []
        for adapter in (self.azure, self.records, self.updates, self.poison):
            adapter.probe = self._reached
        ports = Ports(
            groups=self.azure,
            records=self.records,
            targets=FixedTargets(single_target(SHOP)),
            watch=NoGlances(),
            send=lambda message: self.updates.send(message.encode()),
            resolve=lambda sources: {},
            digest=lambda message: message.push.digest,
            now=self.clock.now,
        )
        self._stepper = Stepper(ports, RULES, Retry(MAX_ATTEMPTS, 1, 60), random.Random(0))

    def work(self, messages: int = 1, interruption: tuple[int, Callable[[LeasedMessage], None]] | None = None) -> None:
        """Receive and carry out a few messages; at its n-th call of an adapter the first meets the interruption."""
        for _ in range(messages):
            for leased in self.updates.receive(1):
                self._interruption, interruption = interruption, None
                self._in_hand.append(leased)
                try:
                    self._handle(leased)
                except (Killed, LeaseLost):
                    pass
                finally:
                    self._in_hand.pop()
                    self._interruption = None

    def sweep(self) -> None:
        """One round of a sweep whose registry knows nothing."""
        sweeper = Sweeper(
            groups=self.azure,
            records=self.records,
            registry=NoRegistry(),
            send=lambda message: self.updates.send(message.encode()),
            new_id=lambda: "swept",
            now=self.clock.now,
            settle_time=SETTLE,
        )
        assert len(list(sweeper.sweep([single_target(SHOP)]))) == 1

    def renew(self, leased: LeasedMessage) -> None:
        """What the renewer of a living worker does."""
        self.updates.renew(leased)

    def _handle(self, leased: LeasedMessage) -> None:
        message = decode(leased.text)
        with structlog.testing.capture_logs() as logs:
            settlement = self._decide(leased, message)
        ended = {one["outcome"] for one in logs if one["event"] == "ended"}
        if not isinstance(settlement, Reschedule) and message.kind == "rollout":
            assert ended, f"{message.id} is settled without an outcome"
        self.outcomes.setdefault(message.id, set()).update(ended)
        match settlement:
            case Complete():
                self.updates.complete(leased)
            case Reschedule(again, delay):
                text = again.model_copy(update={"dequeued": leased.dequeue_count}).encode()
                self.updates.reschedule(leased, text, delay)
            case DeadLetterIt(letter):
                dead_letter(self.updates, self.poison, leased, letter)

    def _decide(self, leased: LeasedMessage, message: UpdateMessage) -> Settlement:
        return self._stepper.run(message, lambda: leased.is_held(self.clock.seconds))

    def _reached(self, _call: str) -> None:
        if self._interruption is None:
            return
        calls, act = self._interruption
        self._interruption = (calls - 1, act) if calls else None
        if not calls:
            act(self._in_hand[-1])


class RolloutMachine(RuleBasedStateMachine):
    """Pushes to two containers of a group that has a third one, which nobody pushes to."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.pushes: list[Delivered] = []
        self.late: list[Delivered] = []
        self.by_hand: dict[str, set[str]] = {}
        self.lost: set[str] = set()
        self.calm = True

    @initialize()
    def a_group_runs(self) -> None:
        containers = [{"name": name, "properties": {"image": image}} for name, image in FIRST.items()]
        address = {"type": "Public", "ports": [{"port": 80}]}
        self.world.azure.place(SHOP, {"properties": {"containers": containers, "ipAddress": address}})
        self.world.azure.options(transition_seconds=8, pull_seconds=3, back_off_seconds=10)

    @rule(
        container=st.sampled_from(sorted(REPOSITORIES)),
        quality=st.sampled_from(["good", "good", *BAD]),
        clock_error=st.sampled_from([0, 0, 0, None, -600, 600, 7200]),
        on_time=st.booleans(),
    )
    def push(self, container: str, *, quality: Quality, clock_error: int | None, on_time: bool) -> None:
        """An image is pushed. Its webhook may come later."""
        self.world.clock.advance(1)
        bad = [one for one in self._all() if one.container == container and one.quality != "good"]
        if len(bad) >= MOST_BAD:
            quality = "good"
        if quality == "inaccessible" and container == "jobs":
            quality = "unpullable"  # Azure would refuse every PUT of a group that names such a tag, whatever it is for
        number = len(self._all()) + 1
        moves = container == "jobs"
        tag = "latest" if moves else f"v{number}"
        digest = f"sha256:{sha256(str(number).encode()).hexdigest()}"
        now = self.world.clock.now()
        push = Push(
            sender="generic",
            registry="docker.io",
            repository=REPOSITORIES[container],
            tag=tag,
            digest=digest if moves else None,
            pushed_at=None if clock_error is None else now + timedelta(seconds=clock_error),
        )
        self.world.azure.image(f"{REPOSITORIES[container]}:{tag}", quality, digest=digest, after=_lives(quality))
        message = UpdateMessage(id=f"{number}-{quality}", kind="push", push=push, received_at=now)
        self.late.append(Delivered(container, quality, digest, message))
        if on_time:
            self.deliver(len(self.late) - 1)

    @precondition(lambda self: self.late)
    @rule(which=st.integers(0, 9))
    def deliver(self, which: int) -> None:
        """A webhook comes in."""
        one = self.late.pop(which % len(self.late))
        self._queue(one, one.message.id)

    @precondition(lambda self: self.pushes)
    @rule(which=st.integers(0, 99))
    def deliver_again(self, which: int) -> None:
        """A sender delivers a push once more, as for each platform of an image."""
        one = self.pushes[which % len(self.pushes)]
        if one.quality == "good":
            self._queue(one, f"{one.message.id}-again-{len(self.pushes)}")

    @precondition(lambda self: self.world.updates.count())
    @rule(which=st.integers(0, 99))
    def duplicate(self, which: int) -> None:
        """The queue holds a message twice."""
        texts = self.world.updates.texts
        self.calm = False
        self.world.updates.send(texts[which % len(texts)])

    @rule(messages=st.integers(1, 3))
    def work(self, messages: int) -> None:
        """A worker carries out what is visible."""
        self.world.work(messages)

    @rule(seconds=st.sampled_from([1, 5, 10, 20, 40, 200]), messages=st.integers(0, 5))
    def time_passes(self, seconds: int, messages: int) -> None:
        """Time passes, and then work is done."""
        self.world.clock.advance(seconds)
        self.world.work(messages)

    @rule(call=st.integers(0, 14))
    def a_worker_is_killed(self, call: int) -> None:
        """A step ends in the middle; its message stays leased until the lease runs out."""

        def die(_: LeasedMessage) -> None:
            self.calm = False
            raise Killed

        self.world.work(1, (call, die))

    @rule(
        call=st.integers(0, 14),
        seconds=st.sampled_from([1, 31, 45]),
        meanwhile=st.integers(0, 4),
        longer=st.sampled_from([0, 0, 5, 30]),
    )
    def a_worker_stalls(self, call: int, seconds: int, meanwhile: int, longer: int = 0) -> None:
        """A step stands still, for longer than its lease perhaps, while other workers go on; all the way, maybe."""

        def stall(_message: LeasedMessage) -> None:
            self.calm = False
            self.world.clock.advance(seconds)
            self.world.work(meanwhile)
            for _ in range(longer):
                self.world.clock.advance(self.world.updates.next_visible_in)
                self.world.work(2)

        self.world.work(1, (call, stall))

    @rule(call=st.integers(0, 14), seconds=st.sampled_from([2, 5, 14, 28]), meanwhile=st.integers(1, 8))
    def a_worker_is_slow(self, call: int, seconds: int, meanwhile: int) -> None:
        """A call takes its time, the lease being renewed meanwhile."""

        def wait(leased: LeasedMessage) -> None:
            self.calm = False
            for _ in range(meanwhile):
                self.world.clock.advance(seconds / meanwhile)
                self.world.work(1)
            if not leased.settled:
                self.world.renew(leased)

        self.world.work(1, (call, wait))

    @rule(
        fault=st.sampled_from(["throttle", "conflict", "error", "error-after", "reset", "reset-after"]),
        method=st.sampled_from(["GET", "PUT", "PUT"]),
        times=st.integers(1, 3),
    )
    def azure_has_trouble(self, fault: str, method: str, times: int) -> None:
        """The next requests meet a fault, before or after they took effect."""
        self.calm = False
        self.world.azure.fault(fault, method=method, times=times)

    @rule()
    def hold(self) -> None:
        """An operator holds the group."""
        record, etag = self.world.records.load(SHOP)
        self.world.records.save(hold(record, "audit", self.world.clock.now()), etag)

    @rule()
    def release(self) -> None:
        """An operator releases it: whatever is still wanted is tried again."""
        record, etag = self.world.records.load(SHOP)
        if record.hold:
            released = release(record, self.world.clock.now())
            self.world.records.save(released, etag)
            for message in released.unfinished():
                self.world.updates.send(fresh(message).encode())

    @rule()
    def roll_back(self) -> None:
        """An operator goes back to the good images before, and holds the group there."""
        record, etag = self.world.records.load(SHOP)
        number = len(self.by_hand) + 1
        try:
            rolled, message = roll_back(record, lambda: f"by-hand-{number}", self.world.clock.now())
        except NothingToRollBackTo:
            return
        self.calm = False
        self.world.records.save(rolled, etag)
        self.world.updates.send(message.encode())
        self.by_hand[message.id] = set(rolled.owned_by(message.id))

    @rule(which=st.integers(0, 9))
    def a_message_is_lost(self, which: int) -> None:
        """The queue loses the message of what is wanted: the sweep finds out in the end."""
        there = sorted(lost_messages(self._record(), self.world.clock.now() + SETTLE))
        if there:
            self.calm = False
            lost = there[which % len(there)]
            self.lost.add(lost)
            self.world.updates.lose(lambda text: decode(text).id == lost)

    @invariant()
    def what_is_wanted_has_its_message(self) -> None:
        record = self._record()
        known = {decode(text).id for text in self.world.updates.texts}
        if not record.hold:
            assert {wanted.message.id for wanted in record.open().values()} <= known | self.lost

    @invariant()
    def nothing_but_images_changes(self) -> None:
        truth = self.world.azure.truth(SHOP) if self.world.updates.count() else None
        if truth:
            assert truth["ip"] == "20.50.0.2"
            containers = truth["definition"]["properties"]["containers"]
            images = {one["name"]: one["properties"]["image"] for one in containers}
            assert images["sidecar"] == FIRST["sidecar"]
            assert all(images[name].startswith(repository) for name, repository in REPOSITORIES.items())

    def teardown(self) -> None:
        while self.late:
            self.deliver(0)
        self.world.azure.clear_faults()
        self.release()
        self._drain()
        if self.lost:
            self.world.clock.advance(SETTLE.total_seconds() + 1)
            self.world.sweep()
            self._drain()
        self._no_push_is_lost()
        self._no_older_push_won()
        self._no_group_is_broken()
        if self.calm:
            self._no_needless_put()
        for one in sorted({outcome for outcomes in self.world.outcomes.values() for outcome in outcomes}):
            if currently_in_test_context():
                event(f"outcome {one}")

    def _drain(self) -> None:
        for _ in range(400):
            if not self.world.updates.count():
                return
            self.world.clock.advance(self.world.updates.next_visible_in)
            self.world.work(8)
        raise AssertionError(f"not at rest: {[decode(text) for text in self.world.updates.texts]}")

    def _no_push_is_lost(self) -> None:
        letters = [decode_letter(text).message for text in self.world.poison.texts]
        dead = {letter.id for letter in letters if isinstance(letter, UpdateMessage)}
        for one in self.pushes:
            outcomes = self.world.outcomes.get(one.message.id, set())
            assert (one.message.id in dead) == bool(outcomes & {"failed", "rolled-back"})
        for message_id in {one.message.id for one in self.pushes} | self.by_hand.keys():
            # Of one that was overtaken after the queue had lost it, nobody can tell.
            assert self.world.outcomes.get(message_id) or message_id in self.lost, message_id
        assert not self._record().open()

    def _no_older_push_won(self) -> None:
        running = self.world.azure.truth(SHOP)["digests"]
        for container in REPOSITORIES.keys() - set().union(*self.by_hand.values()):
            good = [one for one in self.pushes if (one.container, one.quality) == (container, "good")]
            latest = max((one.message.order for one in good), default=None)
            newest = {one.digest: one.message.id for one in good if one.message.order == latest}  # several by a tie
            assert not newest or running[container] in newest, f"{container} does not run {newest}"

    def _no_group_is_broken(self) -> None:
        self.world.clock.advance(300)
        properties = self.world.azure.get(SHOP).raw["properties"]
        assert properties["provisioningState"] == "Succeeded", "the last operation failed"
        states = {one["name"]: one["properties"]["instanceView"]["currentState"] for one in properties["containers"]}
        assert {name: state["state"] for name, state in states.items()} == dict.fromkeys(FIRST, "Running"), states

    def _no_needless_put(self) -> None:
        ended = [outcome for outcomes in self.world.outcomes.values() for outcome in outcomes]
        changes = ended.count("updated") + 2 * (ended.count("rolled-back") + ended.count("failed"))
        assert self.world.azure.stats()["effective_puts"] <= changes + len(self.pushes)

    def _queue(self, one: Delivered, message_id: str) -> None:
        message = one.message.model_copy(update={"id": message_id, "received_at": self.world.clock.now()})
        self.pushes.append(Delivered(one.container, one.quality, one.digest, message))
        self.world.updates.send(message.encode())

    def _all(self) -> list[Delivered]:
        return [*self.pushes, *self.late]

    def _record(self) -> Record:
        return self.world.records.load(SHOP)[0]


def _lives(quality: Quality) -> float | None:
    return 4 if quality == "late-crash" else None


RolloutMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRollouts = RolloutMachine.TestCase


class TestFound:
    """What the machine found, each in as few steps as show it."""

    @pytest.fixture
    def machine(self) -> Iterator[RolloutMachine]:
        """A group that runs; whatever was done to it is brought to its end, and the promises are looked at."""
        machine = RolloutMachine()
        machine.a_group_runs()
        yield machine
        machine.teardown()

    def test_a_failed_push_that_was_delivered_twice_comes_to_an_end(self, machine: RolloutMachine) -> None:
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=True)
        machine.duplicate(0)
        machine.push("jobs", quality="unpullable", clock_error=None, on_time=True)
        machine.push("jobs", quality="unpullable", clock_error=0, on_time=False)
        machine.a_worker_is_killed(0)
        for call in (9, 5, 9):
            machine.a_worker_is_killed(call)

    def test_azure_may_throttle_for_long(self, machine: RolloutMachine) -> None:
        machine.push("web", quality="good", clock_error=0, on_time=True)
        for _ in range(8):
            machine.azure_has_trouble("throttle", "PUT", 1)
        for _ in range(12):
            machine.time_passes(40, 3)

    def test_a_slow_change_does_not_overtake_a_newer_one(self, machine: RolloutMachine) -> None:
        # Found by chaos: the newer push was proven, and ended, while the older one's PUT was still on its way.
        machine.push("web", quality="good", clock_error=0, on_time=True)
        machine.work(1)
        machine.push("web", quality="good", clock_error=0, on_time=True)
        machine.a_worker_is_slow(call=6, seconds=28, meanwhile=28)

    def test_a_change_that_stalls_past_its_own_rollback_is_rolled_back_again(self, machine: RolloutMachine) -> None:
        machine.push("web", quality="crash-loop", clock_error=0, on_time=True)
        machine.work(1)
        machine.a_worker_stalls(call=6, seconds=45, meanwhile=0, longer=30)

    def test_a_hold_that_comes_before_the_rollback_hides_no_crash_loop(self, machine: RolloutMachine) -> None:
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=False)
        machine.deliver(0)
        machine.duplicate(0)
        machine.time_passes(1, 3)
        machine.hold()
        machine.release()
        machine.time_passes(1, 0)
        machine.a_worker_is_slow(call=0, meanwhile=1, seconds=5)
        machine.hold()
        machine.time_passes(1, 3)

    def test_a_healthy_rollout_that_nobody_could_look_at_for_long_is_no_failure(self, machine: RolloutMachine) -> None:
        machine.push("web", quality="good", clock_error=0, on_time=True)
        machine.work(2)
        machine.world.clock.advance(10_000)

    def test_another_containers_change_does_not_make_a_healthy_one_overdue(self, machine: RolloutMachine) -> None:
        machine.azure_has_trouble("error-after", "GET", 1)
        machine.azure_has_trouble("throttle", "GET", 2)
        machine.push("web", quality="crash-loop", clock_error=0, on_time=True)
        machine.time_passes(1, 1)
        machine.time_passes(1, 1)
        machine.push("jobs", quality="good", clock_error=0, on_time=True)
        machine.a_worker_is_slow(call=12, meanwhile=6, seconds=2)
        machine.push("web", quality="late-crash", clock_error=None, on_time=False)
        machine.time_passes(1, 4)
        machine.time_passes(200, 5)

    def test_a_rollback_is_not_refused_for_another_containers_image(self, machine: RolloutMachine) -> None:
        machine.push("web", quality="inaccessible", clock_error=0, on_time=False)
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=False)
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=False)
        machine.push("web", quality="crash-loop", clock_error=0, on_time=False)

    def test_two_rollbacks_do_not_take_each_others_place(self, machine: RolloutMachine) -> None:
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=False)
        machine.push("web", quality="crash-loop", clock_error=0, on_time=False)
        machine.teardown()
        assert machine.world.azure.stats()["effective_puts"] <= 4

    def test_a_tag_is_followed_after_a_rollback_by_its_digest(self, machine: RolloutMachine) -> None:
        machine.push("jobs", quality="good", clock_error=0, on_time=False)
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=True)
        machine.work(2)
        for _ in range(4):
            machine.time_passes(10, 1)

    def test_an_image_that_another_containers_change_pulled_is_watched(self, machine: RolloutMachine) -> None:
        machine.push("web", quality="good", clock_error=0, on_time=True)
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=False)
        machine.work(2)
        machine.time_passes(10, 0)

    def test_an_older_push_does_not_take_the_turn_of_a_newer_one(self, machine: RolloutMachine) -> None:
        machine.push("jobs", quality="good", clock_error=0, on_time=True)
        machine.duplicate(0)
        machine.push("jobs", quality="good", clock_error=0, on_time=True)
        machine.push("jobs", quality="crash-loop", clock_error=0, on_time=True)
        machine.a_worker_is_killed(0)
        for _ in range(6):
            machine.time_passes(5, 8)
