"""The patrol: timers that the queue has lost, groups that have drifted, and new targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import Look, TargetId, UpdateMessage
from tests.fakes import FixedTargets, NoTimes
from tests.unit.builders import (
    OLD,
    RULES,
    SHOP,
    at,
    container,
    digest,
    failure,
    good,
    message,
    record,
    timer,
)
from tests.unit.builders import target as target_of
from tests.unit.controller_builders import (
    DOWN,
    LEASE,
    RECORDS_DOWN,
    RETRY,
    TARGET,
    Bench,
    chance,
    conflict,
    group_of,
)
from worker.controller.handler import Handler
from worker.controller.patrol import MOST_MET, MOST_READ, SWEEP_TRIES, Patrol
from worker.controller.sweep import Sweeper, Swept
from worker.controller.timers import CONFLICTS
from worker.ports import Found, Listed, Lookup, Unknown
from worker.record.record import Record
from worker.record.values import Hold
from worker.targets.target import Target, single_target

RESTING = record({"web": container()}, swept=True)


class Seen(FixedTargets):
    """The targets, and what the newest list shows about their groups."""

    def __init__(self, *targets: Target, groups: dict[TargetId, Listed] | None = None) -> None:
        super().__init__(*targets)
        self.groups = groups or {}
        self.gone: set[TargetId] = set()

    def listed(self) -> dict[TargetId, Listed]:
        return self.groups

    def is_gone(self, target: TargetId) -> bool:
        return target in self.gone


class Registry(NoTimes):
    """A registry that gives the same answer for every image."""

    def __init__(self) -> None:
        self.said: Lookup = Unknown("unreachable")
        self.asked = 0

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Lookup:
        self.asked += 1
        return self.said

    def tags(self, image: ImageReference) -> list[str]:
        raise AssertionError("nobody asks for tags")


class Beat(Bench):
    """A listed group, and rounds of the patrol."""

    def __init__(self, now: Record | None = RESTING, shown: Listed | None = None, **rest: Any) -> None:
        # The list shows what the group runs, unless a test says that it is older.
        super().__init__(now, rest.pop("images", shown.images if shown else OLD), **rest)
        self.targets = Seen(TARGET, groups={SHOP: shown or Listed(OLD)})
        self.registry = Registry()
        self.rollback = True
        self._patrol: Patrol | None = None

    @property
    def patrol(self) -> Patrol:
        if self._patrol is None:
            ports = self.ports()
            sweeper = Sweeper(ports, self.registry, self.rollback)
            self._patrol = Patrol(ports, sweeper, self.rollback)
        return self._patrol

    def round(self) -> list[dict[str, Any]]:
        """Make one round, and return what it logs."""
        self.calls.clear()
        with capture_logs() as lines:
            self.patrol.look_round()
        return [dict(line) for line in lines]

    @property
    def looks(self) -> list[tuple[TargetId, str]]:
        """The looks on the queue."""
        return [(each.target, each.token) for each in self.sent if isinstance(each, Look)]


def named(name: str) -> TargetId:
    return TargetId(subscription="sub", resource_group="web", container_group=name)


class TestHolds:
    HELD = RESTING.but(hold=Hold(reason="sale", since=at(0), until=at(60)))

    def test_one_whose_time_is_over_ends_and_its_group_is_looked_at(self) -> None:
        bench = Beat(self.HELD)
        assert bench.round() == []
        assert bench.record.hold is not None
        bench.clock.advance(60)
        (line,) = bench.round()
        assert (line["event"], line["reason"]) == ("a hold has ended, as its time is over", "sale")
        assert len(bench.looks) == 1
        assert bench.record == self.HELD.but(
            hold=None, timer=bench.record.timer, count=bench.record.count, deeds=bench.record.deeds
        )
        assert bench.round() == []

    def test_one_without_an_end_stays(self) -> None:
        bench = Beat(RESTING.but(hold=Hold(reason="sale", since=at(0))))
        bench.clock.advance(1e9)
        bench.round()
        assert bench.record.hold is not None


class TestTimers:
    @pytest.mark.parametrize(("due", "lost"), [(-120, False), (-120.1, True), (60, False)])
    def test_an_overdue_timer_is_restarted(self, due: float, *, lost: bool) -> None:
        beat = Beat(RESTING.but(timer=timer(due), count=4))
        lines = beat.round()
        assert beat.looks == ([(SHOP, "id-1")] if lost else [])
        assert (beat.record.timer, beat.record.count) == ((timer(0, "id-1"), 5) if lost else (timer(due), 4))
        told = [(line["event"], line["target"], line["due"]) for line in lines]
        assert told == ([("a timer is overdue, restarting it", "web/shop", str(at(due)))] if lost else [])

    def test_a_group_with_a_timer_is_not_checked_for_drift(self) -> None:
        beat = Beat(RESTING.but(timer=timer(60)), Listed({"web": "acme/shop:0"}))
        beat.round()
        assert beat.looks == []

    def test_a_timer_that_another_worker_restarted_meanwhile_is_left_alone(self) -> None:
        beat = Beat(RESTING.but(timer=timer(-121), count=4))
        # Another worker has looked since the patrol read the record.
        beat.on("load", lambda: None, lambda: beat.rewrite(lambda now: now.but(timer=timer(5, "theirs"), count=5)))
        beat.round()
        assert (beat.looks, beat.record.timer) == ([], timer(5, "theirs"))

    def test_a_group_that_came_to_rest_meanwhile_is_left_alone(self) -> None:
        beat = Beat(RESTING.but(timer=timer(-121), count=4))
        beat.on("load", lambda: None, lambda: beat.rewrite(lambda now: now.but(timer=None)))
        beat.round()
        assert (beat.looks, beat.record.timer) == ([], None)


class TestDrift:
    @pytest.mark.parametrize(
        ("shown", "drifted"),
        [
            (Listed(OLD), False),
            (Listed({"web": "acme/shop:0"}), True),
            (Listed({"web": "acme/shop:0"}, held=True), False),
            (Listed({"web": "acme/shop:0"}, in_transition=True), False),
            (Listed({"jobs": "acme/jobs:4"}), True),
        ],
        ids=["what it should", "another image", "held", "in transition", "a container is gone"],
    )
    def test_a_group_at_rest_that_has_drifted_is_looked_at(self, shown: Listed, *, drifted: bool) -> None:
        beat = Beat(shown=shown)
        lines = beat.round()
        assert beat.looks == ([(SHOP, "id-1")] if drifted else [])
        assert beat.record == (RESTING.but(timer=timer(0, "id-1"), count=1) if drifted else RESTING)
        told = [(line["event"], line["target"], line["gone"]) for line in lines]
        drift = "a group differs from its record, starting a look"
        assert told == ([(drift, "web/shop", False)] if drifted else [])

    def test_a_list_that_is_older_than_the_last_push_shows_no_drift(self) -> None:
        # Regression: every group whose push had ended after the last list was looked at once more.
        beat = Beat(shown=Listed({"web": "acme/shop:0"}), images=OLD)
        assert (beat.round(), beat.looks) == ([], [])

    def test_a_drifted_group_gets_one_timer(self) -> None:
        beat = Beat(shown=Listed({"web": "acme/shop:0"}))
        for _ in range(3):
            beat.round()
        assert len(beat.looks) == 1

    def test_a_group_that_another_worker_looks_at_meanwhile_is_left_alone(self) -> None:
        beat = Beat(shown=Listed({"web": "acme/shop:0"}))
        beat.on("load", lambda: None, lambda: beat.rewrite(lambda now: now.but(timer=timer(60, "theirs"))))
        beat.round()
        assert (beat.looks, beat.record.timer) == ([], timer(60, "theirs"))

    def test_with_rollback_off_a_failed_image_is_not_drift(self) -> None:
        failed = RESTING.with_container("web", failures=(failure(message("0")),))
        for rollback, looks in ((False, 0), (True, 1)):
            beat = Beat(failed, Listed({"web": "acme/shop:0"}))
            beat.rollback = rollback
            beat.round()
            assert len(beat.looks) == looks

    def test_a_group_that_is_no_longer_a_target_is_not_looked_at_for_ever(self) -> None:
        beat = Beat(shown=Listed({"web": "acme/shop:by-its-owner"}), images={"web": "acme/shop:by-its-owner"})
        beat.targets._targets = {}
        handler = Handler(beat.ports(), RULES, RETRY, lease=LEASE, clock=beat.clock.seconds, chance=chance())
        beat.round()
        while beat.updates.count():
            beat.clock.advance(60)
            with capture_logs():
                handler.handle(beat.updates.receive(32))
        beat.round()
        assert beat.looks == []

    def test_a_group_that_is_gone_is_looked_at(self) -> None:
        beat = Beat()
        beat.targets.groups = {}
        beat.targets.gone = {SHOP}
        beat.targets._targets = {}
        beat.on("get", RemoteError("arm", 404, "ResourceNotFound", "gone"))
        lines = beat.round()
        assert [(line["target"], line["gone"]) for line in lines] == [("web/shop", True)]
        assert beat.looks == [(SHOP, "id-1")]

    def test_a_group_that_no_list_would_show_does_not_count_as_gone(self) -> None:
        beat = Beat()
        beat.targets.groups = {}
        beat.targets._targets = {}
        assert beat.round() == []
        assert beat.looks == []

    def test_a_record_without_containers_can_not_drift(self) -> None:
        beat = Beat(record(swept=True), Listed({"web": "acme/shop:0"}))
        beat.targets.gone = {SHOP}
        beat.round()
        assert beat.looks == []


class TestFollowing:
    """Groups whose containers follow more than their records know."""

    @pytest.mark.parametrize("policy", ["any", None])
    def test_a_container_that_was_added_is_met_only_if_it_has_a_rule(self, policy: str | None) -> None:
        # Regression: nobody looked at the group until its next push, and what was pushed before passed it by.
        shown = Listed({"web": OLD["web"], "jobs": "acme/jobs:1"})
        beat = Beat(RESTING, shown)
        beat.targets = Seen(target_of(policy or "any", "web", *(["jobs"] if policy else [])), groups={SHOP: shown})
        beat.round()
        assert beat.looks == ([(SHOP, "id-1")] if policy else [])

    def test_a_container_that_was_given_a_rule_is_met(self) -> None:
        beat = Beat(record({"web": container(followed=False)}, swept=True))
        beat.round()
        assert beat.looks == [(SHOP, "id-1")]

    @pytest.mark.parametrize(
        ("hold", "more"),
        [
            (None, {}),
            (Hold(reason="sale", since=at(0)), {}),
            (None, {"orchestratorId": "/subscriptions/s/ngroups/n"}),
            (None, {"tags": {"aci-hooks.hold": "set after the list was made"}}),
        ],
    )
    def test_one_look_is_enough_whatever_keeps_its_updates_back(self, hold: Hold | None, more: dict[str, Any]) -> None:
        resting = record({"web": container(followed=False)}, swept=True, hold=hold)
        beat = Beat(resting, definition=group_of(OLD, **more))
        handler = Handler(beat.ports(), RULES, RETRY, lease=LEASE, clock=beat.clock.seconds, chance=chance())
        started = []
        for _ in range(4):
            started.append(len([line for line in beat.round() if "starting a look" in line["event"]]))
            beat.clock.advance(45)
            with capture_logs():
                handler.handle(beat.updates.receive(32))
        assert (started, beat.looks) == ([1, 0, 0, 0], [])


class TestUnlisted:
    """Groups that no list shows are read by themselves."""

    def beat(self, **rest: Any) -> Beat:
        beat = Beat(RESTING.with_container("web", goods=(good("0"),)), **rest)
        beat.targets.groups = {}
        return beat

    def test_a_group_that_has_drifted_is_looked_at(self) -> None:
        beat = self.beat()
        beat.round()
        assert beat.looks == [(SHOP, "id-1")]

    def test_a_stopped_group_is_left_alone(self) -> None:
        beat = self.beat(state="Stopped")
        beat.round()
        assert beat.looks == []

    def test_a_group_in_transition_is_left_alone(self) -> None:
        beat = self.beat()
        beat.azure.put(SHOP, beat.azure.get(SHOP).definition({}, {}), lambda: None)
        beat.round()
        assert beat.looks == []

    @pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceGroupNotFound"])
    def test_a_group_that_is_gone_is_looked_at(self, code: str) -> None:
        beat = self.beat()
        beat.on("get", RemoteError("arm", 404, code, "gone"))
        assert [(line["target"], line["gone"]) for line in beat.round()] == [("web/shop", True)]
        assert beat.looks == [(SHOP, "id-1")]

    def test_a_listed_group_is_not_read(self) -> None:
        beat = Beat()
        beat.round()
        assert "before get" not in beat.calls

    def test_only_a_few_groups_are_read_in_one_round(self) -> None:
        beat = Beat(None)
        targets = [single_target(named(f"g{number:02}")) for number in range(MOST_READ + 1)]
        for target in targets:
            beat.records.save(Record(target=target.id, containers={"web": container()}, swept=True), None)
        beat.targets = Seen(*targets)
        beat.round()
        assert beat.calls.count("before get") == MOST_READ

    def test_the_other_groups_are_read_in_the_next_rounds(self) -> None:
        beat = Beat(None)
        targets = [single_target(named(f"g{number:02}")) for number in range(MOST_READ + 1)]
        for target in targets:
            beat.records.save(
                Record(target=target.id, containers={"web": container(goods=(good("0"),))}, swept=True), None
            )
            beat.azure.place(target.id, group_of(OLD))
        beat.targets = Seen(*targets)
        for _ in range(3):
            beat.round()
        assert {target for target, _ in beat.looks} == {target.id for target in targets}

    def test_trouble_that_lasts_is_logged_once_and_again_when_it_returns(self) -> None:
        beat = self.beat()
        beat.on("get", DOWN, DOWN)
        assert [(line["event"], line["target"], line["error"]) for line in beat.round()] == [
            ("group not checked", "web/shop", str(DOWN))
        ]
        assert beat.round() == []
        beat.round()
        assert beat.looks == [(SHOP, "id-1")]
        beat.rewrite(lambda now: now.but(timer=None))
        beat.on("get", DOWN)
        assert [line["event"] for line in beat.round()] == ["group not checked"]


class TestCosts:
    def test_only_records_that_have_changed_are_read(self) -> None:
        beat = Beat()
        beat.round()
        assert beat.calls.count("before load") == 1
        beat.round()
        assert beat.calls.count("before load") == 0
        beat.rewrite(lambda now: now.but(count=7))
        beat.round()
        assert beat.calls.count("before load") == 1

    def test_records_that_are_gone_are_forgotten(self) -> None:
        beat = Beat()
        beat.round()
        beat.records._blobs.clear()
        beat.targets._targets = {}
        beat.round()
        assert beat.patrol._seen == {}


class TestNewTargets:
    def test_a_new_target_is_swept_once(self) -> None:
        beat = Beat(None)
        beat.registry.said = Found(digest("newer"))
        lines = beat.round()
        assert [each.push.digest for each in beat.sent if isinstance(each, UpdateMessage)] == [digest("newer")]
        assert beat.record == record(swept=True, ran=("docker.io/acme/shop",))
        assert lines[-1] == {
            "event": "new target",
            "log_level": "info",
            "target": "web/shop",
            "missed": 1,
            "problem": None,
        }
        for _ in range(2):
            beat.round()
        assert beat.registry.asked == 1

    def test_a_target_that_another_worker_has_swept_is_not_swept_again(self) -> None:
        beat = Beat()
        beat.round()
        assert beat.registry.asked == 0

    def test_a_target_that_another_worker_has_just_marked_is_not_swept_again(self) -> None:
        beat = Beat(record())
        beat.on("load", lambda: None, lambda: beat.rewrite(lambda now: now.but(swept=True)))
        beat.round()
        assert beat.registry.asked == 0

    def test_a_target_whose_record_is_written_meanwhile_is_swept_once(self) -> None:
        beat = Beat(record())
        beat.on("get", lambda: beat.rewrite(lambda now: now.but(count=3)))
        beat.registry.said = Found(digest("newer"))
        assert [line["event"] for line in beat.round()] == ["missed push found", "new target"]
        assert (beat.record.swept, beat.record.count) == (True, 3)

    def test_a_target_whose_record_is_written_all_the_time_waits_for_the_next_round(self) -> None:
        beat = Beat(record())
        beat.registry.said = Found(digest("newer"))
        beat.on("save", *[conflict()] * CONFLICTS)
        beat.round()
        assert not beat.record.swept
        beat.round()
        assert beat.record.swept

    def test_only_a_limited_number_is_swept_in_one_round_and_each_has_its_turn(self) -> None:
        # Regression: the first start with a thousand groups read all of them at once.
        beat = Beat(None)
        targets = [single_target(named(f"g{number:02}")) for number in range(MOST_MET + 1)]
        for target in targets:
            beat.records.save(Record(target=target.id, hold=Hold(reason="audit", since=at(0))), None)
            beat.azure.place(target.id, group_of(OLD))
        beat.targets = Seen(*targets, groups={target.id: Listed(OLD) for target in targets})
        beat.round()
        assert beat.calls.count("before get") == MOST_MET
        for target in targets:
            record, etag = beat.records.load(target.id)
            beat.records.save(record.but(hold=None), etag)
        beat.registry.said = Found(digest("same"))
        beat.round()
        beat.round()
        assert all(beat.records.load(target.id)[0].swept for target in targets)

    def test_a_registry_without_answers_is_asked_a_few_times(self) -> None:
        beat = Beat(record())
        for number in range(1, SWEEP_TRIES):
            lines = beat.round()
            assert [(line["event"], line["problem"]) for line in lines] == [
                ("new target not swept, retrying", "web: unreachable")
            ]
            assert (beat.record.swept, beat.registry.asked) == (False, number)
        assert [(line["event"], line["missed"], line["problem"]) for line in beat.round()] == [
            ("new target", 0, "web: unreachable")
        ]
        assert beat.record.swept
        beat.round()
        assert beat.registry.asked == SWEEP_TRIES

    @pytest.mark.parametrize("hold", [None, Hold(reason="audit", since=at(0))])
    def test_what_a_group_runs_is_noted_before_it_is_swept(self, hold: Hold | None) -> None:
        beat = Beat(record(hold=hold), Listed({"web": "acme/shop:0", "api": "acme/api:0", "odd": "?"}))
        beat.round()
        assert (beat.record.swept, beat.record.ran) == (False, ("docker.io/acme/api", "docker.io/acme/shop"))
        etag = beat.records.load(beat.record.target)[1]
        beat.round()
        assert beat.records.load(beat.record.target)[1] == etag

    def test_what_a_group_ran_is_not_forgotten_when_no_list_shows_it(self) -> None:
        beat = Beat(record(hold=Hold(reason="audit", since=at(0)), ran=("docker.io/acme/shop",)))
        beat.targets = Seen(TARGET, groups={})
        beat.round()
        assert beat.record.ran == ("docker.io/acme/shop",)

    def test_a_held_target_is_swept_once_it_is_released(self) -> None:
        beat = Beat(record(hold=Hold(reason="audit", since=at(0))))
        for _ in range(SWEEP_TRIES + 1):
            assert beat.round() == []
            assert not beat.record.swept
        beat.rewrite(lambda now: now.but(hold=None))
        beat.registry.said = Found(digest("newer"))
        beat.round()
        assert beat.record.swept
        assert len(beat.sent) == 1

    def test_a_target_that_does_not_exist_yet_is_swept_once_it_does(self) -> None:
        beat = Beat(record())
        beat.on("get", *[RemoteError("arm", 404, "ResourceNotFound", "not yet")] * (SWEEP_TRIES + 1))
        for _ in range(SWEEP_TRIES + 1):
            beat.round()
            assert not beat.record.swept
        beat.registry.said = Found(digest("newer"))
        beat.round()
        assert beat.record.swept

    def test_a_held_target_has_all_its_tries_after_the_release(self) -> None:
        beat = Beat(record(hold=Hold(reason="audit", since=at(0))))
        for _ in range(SWEEP_TRIES):
            beat.round()
        beat.rewrite(lambda now: now.but(hold=None))
        beat.round()
        assert (beat.record.swept, beat.registry.asked) == (False, 1)

    def test_a_group_that_can_not_be_read_is_tried_a_few_times(self) -> None:
        beat = Beat(record())
        beat.on("get", *[DOWN] * SWEEP_TRIES)
        for _ in range(SWEEP_TRIES - 1):
            beat.round()
            assert not beat.record.swept
        beat.round()
        assert beat.record.swept


class TestTrouble:
    def test_trouble_with_one_group_does_not_end_the_round(self) -> None:
        beat = Beat(None)
        others = [named("a"), named("b")]
        for target in others:
            beat.records.save(Record(target=target, containers={"web": container()}, swept=True), None)
        beat.targets = Seen(
            *(single_target(target) for target in others),
            groups=dict.fromkeys(others, Listed({"web": "acme/shop:0"})),
        )
        beat.on("load", ValueError("unforeseen"))
        with capture_logs() as lines:
            beat.patrol.look_round()
        assert ("group not checked", "web/a") in {(line["event"], line.get("target")) for line in lines}
        assert (named("b"), "id-1") in beat.looks

    def test_a_record_that_can_not_be_read_is_logged_once(self) -> None:
        beat = Beat()
        unreadable = RemoteError("records", None, "UnreadableRecord", "foreign", 0)
        beat.on("load", *[unreadable] * 12)
        beat.targets._targets = {}
        assert [(line["event"], line["error"]) for line in beat.round()] == [("group not checked", str(unreadable))]
        assert beat.round() == []

    def test_a_record_that_another_worker_writes_is_no_trouble(self) -> None:
        beat = Beat(shown=Listed({"web": "acme/shop:0"}))
        beat.on("save", *[conflict()] * CONFLICTS)
        lines = beat.round()
        assert [line["event"] for line in lines] == ["a group differs from its record, starting a look"]

    def test_records_that_can_not_be_listed_end_the_round(self) -> None:
        beat = Beat()

        def versions() -> Iterator[tuple[TargetId, str]]:
            raise RECORDS_DOWN
            yield

        beat.records.versions = versions  # type: ignore[method-assign]
        with pytest.raises(RemoteError):
            beat.patrol.look_round()


def test_the_patrol_sweeps_with_the_sweeper_it_was_given() -> None:
    class Sweeping(Sweeper):
        def sweep_one(self, target: Target) -> Swept:
            asked.append(target)
            return Swept(target.id)

    asked: list[Target] = []
    beat = Beat(record())
    ports = beat.ports()
    Patrol(ports, Sweeping(ports, beat.registry)).look_round()
    assert asked == [TARGET]
