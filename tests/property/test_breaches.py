"""What the first core broke, each as the shortest story that shows it.

A push's message owned a container then, and wherever the messages and the record of a group fell apart, a push, a
group or the operator's patience was lost. Every test here failed on that core. They run over the real controller, with
outside systems in memory and a clock that only they move.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import pytest
import structlog

from shared.dead_letter import decode_letter
from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage, to_base64
from shared.push import Push
from tests.fakes import NoTimes
from tests.search.scenery import SHOP, WITH_SIDECAR, Quality, digest_of
from tests.search.world import LEASE, PATROL, World, imagined_time
from worker.controller.handler import Handler
from worker.controller.patrol import Patrol
from worker.controller.sweep import Sweeper
from worker.core.rules import RolloutRules
from worker.failures.classify import Retry
from worker.groups.group import ContainerGroup
from worker.policies.policy import AnyTag
from worker.ports import Listed, Unknown
from worker.targets.tags import hold_reason
from worker.targets.target import ContainerRule, Target

MINUTE, HOUR, DAY = 60, 3600, 86_400
CONTAINERS = WITH_SIDECAR.containers
"""`web` gets a new tag with each push, `jobs` follows one that moves, and nobody pushes to the `sidecar`."""
Stop = Literal["a resource tag", "its owner's stop"]


class Stage(World):
    """A group and its workers with the settings of a plain deployment, and what people do to them.

    All times are in seconds: `transition` is what a PUT takes, `soak` and `timeout` are the settings of these names.
    """

    def __init__(self, *, transition: float = 8, soak: float = 6, timeout: float = 120, seed: int = 0) -> None:
        super().__init__(WITH_SIDECAR)
        self.azure.options(transition_seconds=transition)
        self.file = File(self, frozenset(CONTAINERS))
        self.ports = replace(self.ports, targets=self.file)
        rules = RolloutRules(
            soak=timedelta(seconds=soak),
            timeout=timedelta(seconds=timeout),
            check_interval=timedelta(seconds=5),
            flight=timedelta(seconds=3 * LEASE),
        )
        retry = Retry(max_attempts=8, base=5, longest=600)
        chance = random.Random(seed)
        self._handler = Handler(self.ports, rules, retry, lease=LEASE, clock=self.clock.seconds, chance=chance)
        self._patrol = Patrol(self.ports, Sweeper(self.ports, OutOfReach()))
        self.most_messages = 0
        self._pushes = 0
        self._digests: dict[str, str] = {}
        self._patrol_at = self.clock.seconds()

    # What happens

    def push(self, container: str, quality: Quality = "good", *, digest: bool = False) -> str:
        """An image is pushed and its webhook comes in, with the digest or without; the push's id."""
        self._pushes += 1
        one = CONTAINERS[container]
        tag = one.tag if one.moves else f"v{self._pushes + 1}"
        made = digest_of(self._pushes)
        self.registry.put(one.repository, tag, quality, made)
        now = self.clock.now()
        push = Push(
            sender="generic",
            registry="docker.io",
            repository=one.repository,
            tag=tag,
            digest=made if digest else None,
            pushed_at=now,
        )
        message = UpdateMessage(id=f"{container}-{self._pushes}", kind="push", push=push, received_at=now)
        self._digests[made] = message.id
        self.updates.send(message.encode())
        self.most_messages = max(self.most_messages, self.updates.count())
        return message.id

    def let_pass(self, seconds: float) -> None:
        """Time passes. Whatever comes up is done at once, and all records are compared with the list now and then."""
        end = self.clock.seconds() + seconds
        while True:
            self._work_off()
            due = self.clock.seconds() + self.next_due if self.updates.count() else end
            due = min(due, self._patrol_at)
            if due >= end:
                break
            self.clock.advance(max(0.0, due - self.clock.seconds()))
            if self.clock.seconds() >= self._patrol_at:
                self._patrol_at = self.clock.seconds() + PATROL
                self.look_round()
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def pass_without_workers(self, seconds: float) -> None:
        """Time passes, and no worker is there."""
        self.clock.advance(seconds)

    def stop_updates(self, how: Stop) -> None:
        """The owner does not want the group to be updated."""
        if how == "a resource tag":
            self._by_owner("PATCH", body={"tags": {"aci-hooks.hold": "audit"}})
        else:
            self._by_owner("POST", "/stop")

    def let_updates_go_on(self, how: Stop) -> None:
        """The owner does so again."""
        if how == "a resource tag":
            self._by_owner("PATCH", body={"tags": {}})
        else:
            self._by_owner("POST", "/start")

    def restart_by_owner(self) -> None:
        """The owner restarts the group."""
        self._by_owner("POST", "/restart")

    def breaks_down(self, what: Literal["reads of Azure", "records"]) -> None:
        """An outage begins."""
        if what == "records":
            self.down_until["records"] = float("inf")
        else:
            self.azure.fault("error", method="GET")

    def refuses_puts(self, retry_after: float) -> None:
        """Azure throttles every PUT."""
        self.azure.fault("throttle", method="PUT", retry_after=retry_after)

    def is_well_again(self) -> None:
        """It is over."""
        self.no_more_trouble()

    def freeze_next_put(self, meanwhile: Callable[[], None]) -> None:
        """The worker that sends the next PUT stands still right before it; the PUT lands at last, and it dies."""

        def late() -> bool:
            meanwhile()
            return True

        self.azure.late = late

    def cannot_live_beside(self, sidecar: str, image: str) -> None:
        """A container's image, as it is, crashes wherever another one of the group runs that `image`."""
        put = self.azure.put

        def put_and_break(target: TargetId, definition: bytes, check_lease: Callable[[], None]) -> None:
            images = _images(json.loads(definition))
            self.azure.image(images[sidecar], "crash-loop" if image in images.values() else "good")
            put(target, definition, check_lease)

        self.azure.put = put_and_break  # type: ignore[method-assign]

    # What there is to see

    @property
    def images(self) -> dict[str, str]:
        """What the containers are to run, as it is written in the group."""
        return _images(self.azure.truth(SHOP)["definition"])

    def runs(self, container: str) -> str | None:
        """The push whose very image runs there; None if it is none of the pushed ones."""
        return self._digests.get(self.azure.truth(SHOP)["digests"][container])

    @property
    def unwell(self) -> dict[str, str]:
        """The containers that do not run, with the state that each is in."""
        group: Any = self.azure.by_owner(SHOP, "GET")
        states = {
            item["name"]: item["properties"]["instanceView"]["currentState"]
            for item in group["properties"]["containers"]
        }
        return {
            name: f"{state['state']} {state.get('detailStatus', '')}"
            for name, state in states.items()
            if state["state"] != "Running"
        }

    @property
    def dead(self) -> list[tuple[str, str]]:
        """The dead letters: whose push it was ("raw": of nothing that can be read), and the code."""
        letters = [decode_letter(text) for text in self.poison.texts]
        return [
            (letter.message.id if isinstance(letter.message, UpdateMessage) else "raw", letter.code)
            for letter in letters
        ]

    def ends_of(self, push: str) -> set[str]:
        """How a push was told to have ended."""
        return set(self.told().get(push, ()))

    @property
    def reads(self) -> int:
        """The GETs of groups so far."""
        return self.azure.stats()["reads"]

    @property
    def messages(self) -> int:
        """The messages on the queue."""
        return self.updates.count()

    def _work_off(self) -> None:
        """Carry out what is visible, and what comes up at once."""
        while self.updates.count() and not self.next_due:
            self.work()
            self.most_messages = max(self.most_messages, self.updates.count())

    def _by_owner(self, method: str, action: str = "", body: object = None) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        assert self.azure.by_owner(SHOP, method, action, text) is not None


@dataclass
class File:
    """The targets file of the workers: the containers that it names, None where it does not name the group at all.

    The list of groups beside it is one that a worker has anyway: nothing of it counts as a read.
    """

    stage: Stage
    names: frozenset[str] | None

    def concerned(self, _image: ImageReference) -> tuple[Target, ...]:
        """The group, as the newest file has it."""
        return (self._target(frozenset(CONTAINERS)),)

    def target_of(self, _group: ContainerGroup) -> Target | None:
        """The group, as this file has it."""
        return None if self.names is None else self._target(self.names)

    def all(self) -> tuple[Target, ...]:
        """All that this file has."""
        return () if self.names is None else (self._target(self.names),)

    def listed(self) -> Mapping[TargetId, Listed]:
        """The group as a list shows it."""
        truth = self.stage.azure.truth(SHOP)
        held = hold_reason(truth["definition"].get("tags")) is not None
        in_transition = truth["provisioning_state"] not in {"Succeeded", "Failed"}
        return {SHOP: Listed(_images(truth["definition"]), held, in_transition)}

    def is_gone(self, target: TargetId) -> bool:
        """It never is."""
        return False

    def _target(self, names: frozenset[str]) -> Target:
        return Target(SHOP, {name: ContainerRule(AnyTag()) for name in sorted(names)})


class OutOfReach(NoTimes):
    """A registry that tells nothing."""

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Unknown:
        """Nobody can tell."""
        return Unknown("out of reach")

    def tags(self, image: ImageReference) -> list[str]:
        """None are known."""
        return []


def _images(definition: Mapping[str, Any]) -> dict[str, str]:
    return {item["name"]: item["properties"]["image"] for item in definition["properties"]["containers"]}


Begin = Callable[..., Stage]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begins a story: what is given is a Stage's own."""
    with ExitStack() as stack:

        def begun(**settings: float) -> Stage:
            stage = Stage(**settings)  # type: ignore[arg-type]
            stack.enter_context(imagined_time(stage.clock))
            stage.logs = stack.enter_context(structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]))
            return stage

        yield begun


STOPS: tuple[Stop, ...] = ("a resource tag", "its owner's stop")


@pytest.mark.parametrize("stop", STOPS)
def test_a_bad_push_that_waited_is_taken_back_though_another_push_has_brought_it_along(
    begin: Begin, stop: Stop
) -> None:
    stage = begin()
    stage.stop_updates(stop)
    waited = stage.push("web", "crash-loop")
    stage.let_pass(100)
    stage.let_updates_go_on(stop)
    other = stage.push("jobs")
    stage.let_pass(DAY)
    assert not stage.unwell, f"a day later, with {stage.messages} messages on the queue and {stage.dead} dead"
    assert [push for push, _ in stage.dead] == [waited]
    assert stage.ends_of(other) == {"updated"}
    assert stage.messages == 0


@pytest.mark.parametrize("stop", STOPS)
def test_a_good_push_that_waited_comes_to_its_end_though_another_push_has_brought_it_along(
    begin: Begin, stop: Stop
) -> None:
    stage = begin()
    stage.stop_updates(stop)
    waited = stage.push("web")
    stage.let_pass(100)
    stage.let_updates_go_on(stop)
    other = stage.push("jobs")
    stage.let_pass(DAY)
    assert (stage.runs("web"), stage.runs("jobs")) == (waited, other)
    assert (stage.ends_of(waited), stage.ends_of(other)) == ({"updated"}, {"updated"})
    assert stage.messages == 0


@pytest.mark.parametrize("stop", STOPS)
def test_what_came_while_updates_were_stopped_is_rolled_out_when_they_go_on(begin: Begin, stop: Stop) -> None:
    stage = begin()
    stage.stop_updates(stop)
    waited = stage.push("web")
    stage.let_pass(10 * MINUTE)
    stage.let_updates_go_on(stop)
    stage.let_pass(HOUR)
    assert stage.runs("web") == waited, f"an hour later it runs {stage.images['web']}; {stage.messages} messages"
    assert stage.ends_of(waited) == {"updated"}
    assert stage.messages == 0


@pytest.mark.parametrize("stop", STOPS)
def test_a_rollback_that_was_asked_for_while_updates_were_stopped_is_done_when_they_go_on(
    begin: Begin, stop: Stop
) -> None:
    stage = begin()
    older = stage.push("web")
    stage.let_pass(HOUR)
    stage.push("web")
    stage.let_pass(HOUR)
    stage.stop_updates(stop)
    stage.roll_back()
    stage.let_pass(10 * MINUTE)
    stage.let_updates_go_on(stop)
    stage.let_pass(HOUR)
    assert stage.runs("web") == older, f"an hour later it runs {stage.images['web']}; {stage.messages} messages"
    assert stage.messages == 0


def test_a_newer_push_without_a_digest_is_not_taken_for_an_older_one_that_waits_for_the_operator(begin: Begin) -> None:
    stage = begin()
    stage.hold()
    stage.push("jobs", digest=True)
    stage.let_pass(5)
    newest = stage.push("jobs", digest=False)
    stage.let_pass(5)
    stage.release()
    stage.let_pass(HOUR)
    assert stage.runs("jobs") == newest
    assert stage.ends_of(newest) == {"updated"}


def test_a_newer_push_without_a_digest_is_not_taken_for_an_older_one_that_waits_for_azure(begin: Begin) -> None:
    stage = begin()
    stage.restart_by_owner()
    stage.push("jobs", digest=True)
    stage.let_pass(1)
    newest = stage.push("jobs", digest=False)
    stage.let_pass(HOUR)
    assert stage.runs("jobs") == newest
    assert stage.ends_of(newest) == {"updated"}


def test_a_newer_push_without_a_digest_is_not_taken_for_an_older_one_that_waits_for_another_container(
    begin: Begin,
) -> None:
    stage = begin()
    stage.push("web")
    stage.let_pass(1)
    stage.push("jobs", digest=True)
    stage.let_pass(1)
    newest = stage.push("jobs", digest=False)
    stage.let_pass(HOUR)
    assert stage.runs("jobs") == newest
    assert stage.ends_of(newest) == {"updated"}


@pytest.mark.parametrize("pushes", [7, 59])
def test_bad_pushes_a_minute_apart_cost_one_letter_each_and_few_reads_and_messages(begin: Begin, pushes: int) -> None:
    stage = begin(transition=30, soak=30, timeout=900)
    bad = []
    for _ in range(pushes):
        bad.append(stage.push("web", "crash-loop"))
        stage.let_pass(MINUTE)
    stage.let_pass(DAY)
    cost = f"{len(stage.dead)} letters, {stage.reads} reads, {stage.most_messages} messages at a time"
    assert sorted(push for push, _ in stage.dead) == sorted(bad), cost
    assert stage.reads <= 900 * pushes / 59, cost
    assert stage.most_messages <= 3, cost
    assert stage.images["web"] == CONTAINERS["web"].image
    assert not stage.unwell
    assert stage.messages == 0


@pytest.mark.parametrize("minutes", [10, 20])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("what", ["reads of Azure", "records"])
def test_an_outage_fails_no_healthy_push(begin: Begin, what: Any, begun: bool, minutes: int) -> None:
    stage = begin(transition=30, soak=30, timeout=900)
    _push_in_an_outage(stage, what, begun=begun, minutes=minutes)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("what", ["reads of Azure", "records"])
def test_an_outage_of_three_minutes_fails_no_healthy_push_whatever_the_retries_dice_say(
    begin: Begin, what: Any, begun: bool
) -> None:
    for seed in range(20):
        stage = begin(transition=30, soak=30, timeout=900, seed=seed)
        _push_in_an_outage(stage, what, begun=begun, minutes=3)


def _push_in_an_outage(stage: Stage, what: Any, *, begun: bool, minutes: int) -> None:
    if not begun:
        stage.breaks_down(what)
    push = stage.push("web")
    if begun:
        stage.let_pass(3)
        assert stage.runs("web") == push
        stage.breaks_down(what)
    stage.let_pass(minutes * MINUTE)
    stage.is_well_again()
    stage.let_pass(3 * HOUR)
    assert not stage.dead, f"the group runs {stage.images['web']}, and its push is told to be {stage.ends_of(push)}"
    assert stage.ends_of(push) == {"updated"}
    assert stage.runs("web") == push
    assert stage.messages == 0


def test_a_push_does_not_fail_because_all_workers_were_away_after_its_put(begin: Begin) -> None:
    stage = begin(transition=30, soak=30, timeout=600)
    push = stage.push("web")
    stage.let_pass(3)
    assert stage.runs("web") == push
    stage.pass_without_workers(30 * MINUTE)
    stage.restart_by_owner()
    stage.let_pass(HOUR)
    assert not stage.dead, f"the group runs {stage.images['web']}, and its push is told to be {stage.ends_of(push)}"
    assert stage.ends_of(push) == {"updated"}


def test_a_push_does_not_fail_because_all_workers_were_away_before_its_put(begin: Begin) -> None:
    stage = begin(transition=30, soak=30, timeout=600)
    stage.restart_by_owner()
    push = stage.push("web")
    stage.let_pass(3)
    stage.pass_without_workers(30 * MINUTE)
    stage.restart_by_owner()
    stage.let_pass(HOUR)
    assert not stage.dead, f"the group runs {stage.images['web']}, and its push is told to be {stage.ends_of(push)}"
    assert stage.ends_of(push) == {"updated"}


def test_a_push_whose_put_breaks_a_sidecar_has_failed_and_is_rolled_back(begin: Begin) -> None:
    stage = begin()
    stage.cannot_live_beside("sidecar", "acme/shop:v2")
    push = stage.push("web")
    stage.let_pass(DAY)
    assert "updated" not in stage.ends_of(push), f"while not running: {stage.unwell}"
    assert [item for item, _ in stage.dead] == [push]
    assert stage.images["web"] == CONTAINERS["web"].image
    assert not stage.unwell


OLDER_FILES = [
    pytest.param(None, id="without the group"),
    pytest.param(frozenset({"web", "sidecar"}), id="without the container"),
]


@pytest.mark.parametrize("quality", ["good", "crash-loop"])
@pytest.mark.parametrize("older", OLDER_FILES)
def test_a_worker_with_an_older_targets_file_does_not_drop_a_rollout_in_progress(
    begin: Begin, older: frozenset[str] | None, quality: Quality
) -> None:
    stage = begin()
    push = stage.push("jobs", quality, digest=True)
    stage.let_pass(3)
    assert stage.runs("jobs") == push
    newest, stage.file.names = stage.file.names, older
    stage.let_pass(10 * MINUTE)
    stage.file.names = newest
    stage.let_pass(DAY)
    assert stage.ends_of(push) == ({"updated"} if quality == "good" else {"rolled-back"}), f"unwell: {stage.unwell}"
    assert [item for item, _ in stage.dead] == ([] if quality == "good" else [push])
    assert not stage.unwell
    assert stage.messages == 0


@pytest.mark.parametrize("stop", STOPS)
def test_a_failed_push_gets_its_letter_though_updates_were_stopped_before_it_was_taken_back(
    begin: Begin, stop: Stop
) -> None:
    stage = begin()
    bad = stage.push("web", "crash-loop")
    stage.let_pass(3)
    assert stage.runs("web") == bad
    stage.refuses_puts(retry_after=MINUTE)
    stage.let_pass(MINUTE)
    stage.stop_updates(stop)
    stage.is_well_again()
    stage.let_pass(10 * MINUTE)
    stage.let_updates_go_on(stop)
    good = stage.push("web")
    stage.let_pass(DAY)
    assert stage.runs("web") == good
    assert stage.ends_of(good) == {"updated"}
    assert [push for push, _ in stage.dead] == [bad], f"it is told to be {stage.ends_of(bad)}"


def test_a_hundred_pushes_while_a_group_is_on_its_way_back_cost_a_read_each_at_most(begin: Begin) -> None:
    stage = begin(transition=60, soak=30, timeout=900)
    older = stage.push("web")
    stage.let_pass(HOUR)
    stage.push("web")
    stage.let_pass(HOUR)
    reads = stage.reads
    stage.roll_back()
    for _ in range(100):
        stage.let_pass(0.1)
        stage.push("web")
    stage.let_pass(HOUR)
    assert stage.runs("web") == older
    assert stage.reads - reads <= 120, "more than a read for each, and those that the way back takes"
    assert stage.messages == 0


@pytest.mark.parametrize("late", [MINUTE, 10 * MINUTE, HOUR])
def test_a_put_that_lands_late_and_whose_worker_dies_then_does_not_stay(begin: Begin, late: int) -> None:
    stage = begin()
    newest = []

    def meanwhile() -> None:
        stage.let_pass(40)
        newest.append(stage.push("web"))
        stage.let_pass(late - 40)
        assert stage.runs("web") == newest[0]

    stage.freeze_next_put(meanwhile)
    stage.push("web")
    stage.let_pass(DAY)
    assert stage.runs("web") == newest[0], f"a day later it runs {stage.images['web']}; {stage.messages} messages"
    assert not stage.unwell
    assert stage.messages == 0


def test_a_message_from_the_year_9999_ends_no_worker(begin: Begin) -> None:
    stage = begin()
    push = {"sender": "generic", "registry": "docker.io", "repository": "acme/jobs", "tag": "v9"}
    pushed_at = {"pushed_at": "2026-01-01T12:00:00Z"}
    stage.updates.send(
        to_base64(
            json.dumps(
                {
                    "schema": "aci-hooks/1",
                    "id": "far-off",
                    "kind": "push",
                    "push": push | pushed_at,
                    "received_at": "9999-12-31T23:59:59Z",
                }
            )
        )
    )
    later = stage.push("web")
    stage.let_pass(DAY)
    assert stage.runs("web") == later
    assert stage.ends_of(later) == {"updated"}
    assert stage.dead == [("raw", "Undecodable")]
    assert stage.messages == 0
