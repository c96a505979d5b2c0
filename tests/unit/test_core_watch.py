"""Watching a change that is on the group: what is waited for, what is proven, what fails and who is to blame."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import (
    ADDRESS,
    CRASH,
    NEW,
    OLD,
    RULES,
    TWO,
    Json,
    at,
    candidate,
    change,
    container,
    crash_loop,
    digest,
    event,
    failure,
    good,
    group,
    message,
    pin,
    record,
    running,
    the_change,
    waiting,
)
from worker.core.desired import desired
from worker.core.rules import Action, Put, RolloutRules, Wait
from worker.core.watch import watch
from worker.groups.group import ContainerGroup
from worker.record.container import ContainerRecord
from worker.record.record import Record
from worker.record.values import Patience, Undone

SIDE = {"side": "acme/side:1"}


def side(**rest: Any) -> ContainerRecord:
    """A container that gets no pushes."""
    plain = {"repository": "docker.io/acme/side", "followed": False, "goods": (good("1", "acme/side:1"),)}
    return container(**(plain | rest))


def begun(*, sent: Json | None = None, **others: ContainerRecord) -> Record:
    """:2 was put onto web at noon, where another image had run well."""
    return record({"web": container(candidate(TWO))} | others, change=change(**(sent or {})), generation=1)


def looked(
    now: Record, shown: ContainerGroup, seconds: float, rules: RolloutRules = RULES
) -> tuple[Record, Action | None]:
    return watch(now, shown, desired(now, shown.images, rollback=rules.rollback), rules, at(seconds))


def waited(now: Record, seconds: float, at_: float) -> Record:
    """The change after it was watched for so many seconds, the last time at `at_`."""
    assert now.change is not None
    return now.but(change=now.change.but(patience=Patience(waited=seconds, looked_at=at(at_))))


def codes(now: Record) -> dict[str, list[str]]:
    """The codes of what failed, by container."""
    return {name: [each.code for each in item.failures] for name, item in now.containers.items() if item.failures}


def reason(action: Action | None) -> str:
    assert isinstance(action, Wait)
    assert not action.owner
    return action.reason


def test_a_record_without_a_change_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"^the record has no change to watch$"):
        looked(record({"web": container(candidate(TWO))}), group(NEW), 4)


class TestWaiting:
    def test_a_container_that_is_starting_is_waited_for(self) -> None:
        now = begun()
        result, action = looked(now, group(NEW, {"web": waiting()}, state="Updating"), 4)
        assert action == Wait(timedelta(seconds=5), "the group is in transition; web is waiting")
        assert result == now.but(change=change(patience=Patience(waited=4, looked_at=at(4))))

    def test_every_container_that_is_starting_is_named(self) -> None:
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        shown = group(NEW | SIDE, {"web": waiting(), "side": waiting()})
        assert reason(looked(now, shown, 4)[1]) == "side is waiting; web is waiting"

    def test_a_group_in_transition_is_waited_for_although_its_containers_are_well(self) -> None:
        assert reason(looked(begun(), group(NEW, {"web": running(5)}, state="Updating"), 60)[1]) == (
            "the group is in transition"
        )

    @pytest.mark.parametrize(("before", "pause"), [(4, 5), (26, 15), (296, 60)])
    def test_the_longer_it_takes_the_rarer_the_looks_become(self, before: float, pause: float) -> None:
        _, action = looked(waited(begun(), before, 100), group(NEW, {"web": waiting()}), 104)
        assert action == Wait(timedelta(seconds=pause), "web is waiting")

    @pytest.mark.parametrize(("later", "counted"), [(3, 3), (10, 10), (11, 10), (3600, 10), (-30, 0)])
    def test_time_in_which_nobody_looked_does_not_count(self, later: float, counted: float) -> None:
        # An outage of Azure, of the records or of every worker proves nothing.
        result, action = looked(waited(begun(), 7, 60), group(NEW, {"web": waiting()}), 60 + later)
        assert the_change(result).patience == Patience(waited=7 + counted, looked_at=at(60 + later))
        assert isinstance(action, Wait)


class TestTimeout:
    def test_a_container_that_is_not_healthy_in_time_fails_its_push_with_the_evidence(self) -> None:
        shown = group(NEW, {"web": waiting() | {"events": [event("FailedMount", 60, "no such share", "Warning")]}})
        just, action = looked(waited(begun(), 896, 1000), shown, 1004)
        assert (reason(action), codes(just)) == ("web is waiting", {})
        result, action = looked(waited(begun(), 896, 1000), shown, 1005)
        assert action is None
        assert codes(result) == {"web": ["RolloutTimeout"]}
        (undone,) = result.undone
        detail = "not healthy after 15 min: web is waiting; warnings: FailedMount: no such share"
        assert (undone.message, undone.code, undone.detail) == (TWO, "RolloutTimeout", detail)

    def test_only_the_push_whose_container_does_not_come_up_fails(self) -> None:
        five = candidate(message("5", repository="acme/jobs"), "acme/jobs:5")
        jobs = container(five, repository="docker.io/acme/jobs", goods=(good("4", "acme/jobs:4"),))
        now = waited(begun(sent={"asked": {"web": "2", "jobs": "5"}}, jobs=jobs), 900, 1000)
        shown = group(NEW | {"jobs": "acme/jobs:5"}, {"web": running(10), "jobs": waiting()})
        result, _ = looked(now, shown, 1001)
        assert codes(result) == {"jobs": ["RolloutTimeout"]}
        assert result.undone[0].detail == "not healthy after 15 min: jobs is waiting"

    def test_every_push_fails_if_a_neighbour_does_not_come_up(self) -> None:
        now = waited(begun(sent={"well": {"web": None, "side": None}}, side=side()), 900, 1000)
        result, _ = looked(now, group(NEW | SIDE, {"web": running(10), "side": waiting()}), 1001)
        assert codes(result) == {"web": ["RolloutTimeout"]}

    def test_an_endless_transition_fails_the_push_although_its_container_is_well(self) -> None:
        now = waited(begun(), 900, 1000)
        result, _ = looked(now, group(NEW, {"web": running(10)}, state="Updating"), 1001)
        assert result.undone[0].detail == "not healthy after 15 min: the group is in transition"
        result, _ = looked(now, group(NEW, {"web": waiting()}, state="Updating"), 1001)
        assert result.undone[0].detail == "not healthy after 15 min: the group is in transition; web is waiting"

    def test_a_rollback_that_takes_too_long_is_told_and_over(self) -> None:
        undone = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        back = change(OLD, asked={}, patience=Patience(waited=900, looked_at=at(1000)))
        now = record({"web": container()}, change=back, undone=(undone,), apart=True)
        result, action = looked(now, group(OLD, {"web": waiting()}), 1001)
        assert action is None
        detail = "it crashes; the rollback failed: RolloutTimeout: not healthy after 15 min: web is waiting"
        assert [(each.result, each.detail, each.at) for each in result.outbox] == [("failed", detail, at(1001))]
        assert (result.change, result.apart, result.undone) == (None, False, ())

    def test_a_rollback_that_was_refused_and_took_effect_all_the_same_is_watched_like_any_other(self) -> None:
        # Regression: it counted as refused for good, so that nothing was compared with it any more.
        undone = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        now = record({"web": container()}, change=change(OLD, asked={}, refused="no"), undone=(undone,))
        result, action = looked(now, group(OLD, {"web": running(10)}), 20)
        assert isinstance(action, Wait)
        assert result.change is not None
        assert result.change.refused is None
        result, _ = looked(result, group(OLD, {"web": running(10)}), 60)
        assert [each.result for each in result.outbox] == ["rolled-back"]


class TestLost:
    """The change was sent, the group has the image, and the container has not been restarted."""

    @pytest.mark.parametrize(("seconds", "again"), [(90, False), (90.1, True)])
    def test_it_is_sent_again_once_it_can_not_take_effect_any_more(self, seconds: float, *, again: bool) -> None:
        result, action = looked(waited(begun(), 50, 85), group(NEW, {"web": running(-60)}), seconds)
        if again:
            assert action == Put(NEW, restart=False)
            assert (the_change(result).tries, the_change(result).began_at) == (2, at(seconds))
            assert the_change(result).patience == Patience(waited=55.1, looked_at=at(seconds))
        else:
            assert reason(action) == "web has not been restarted yet"

    @pytest.mark.parametrize(
        ("shown", "why"),
        [
            (
                group(NEW, {"web": running(-60)}, state="Updating"),
                "the group is in transition; web has not been restarted yet",
            ),
            (group(NEW, {"web": running(-60)}, tags={"aci-hooks.hold": "x"}), "web has not been restarted yet"),
            (group(NEW, {"web": waiting()}), "web is waiting"),
        ],
        ids=["in transition", "held by a tag", "restarted"],
    )
    def test_it_is_not_sent_again_during_an_operation_or_a_hold(self, shown: ContainerGroup, why: str) -> None:
        result, action = looked(begun(), shown, 600)
        assert (reason(action), the_change(result).tries) == (why, 1)

    def test_one_container_that_was_not_restarted_is_enough(self) -> None:
        now = begun(sent={"touched": frozenset({"web", "blue"})}, blue=container(candidate(TWO)))
        shown = group(NEW | {"blue": "acme/shop:2"}, {"web": running(5), "blue": running(-60)})
        assert looked(now, shown, 95)[1] == Put(NEW | {"blue": "acme/shop:2"}, restart=False)

    def test_one_such_container_is_enough_although_another_one_is_starting(self) -> None:
        now = begun(sent={"touched": frozenset({"web", "blue"})}, blue=container(candidate(TWO)))
        shown = group(NEW | {"blue": "acme/shop:2"}, {"web": waiting(), "blue": running(-60)})
        assert looked(now, shown, 95)[1] == Put(NEW | {"blue": "acme/shop:2"}, restart=False)

    def test_a_change_that_never_shows_fails_in_the_end(self) -> None:
        result, action = looked(begun(sent={"tries": 6}), group(NEW, {"web": running(-60)}), 95)
        assert action is None
        assert codes(result) == {"web": ["NoEffect"]}


class TestSteady:
    def test_a_healthy_group_is_watched_to_the_end_of_the_soak(self) -> None:
        result, action = looked(waited(begun(), 20, 30), group(NEW, {"web": running(10)}), 38)
        assert action == Wait(timedelta(seconds=2), "healthy, waiting for the end of the soak")
        assert result == waited(begun(), 28, 38)

    @pytest.mark.parametrize(("seconds", "pause"), [(39, 1), (39.5, 1), (39.999, 1)])
    def test_no_pause_is_shorter_than_a_second(self, seconds: float, pause: float) -> None:
        assert looked(begun(), group(NEW, {"web": running(10)}), seconds)[1] == Wait(
            timedelta(seconds=pause), "healthy, waiting for the end of the soak"
        )

    def test_no_pause_is_longer_than_the_slowest_pace(self) -> None:
        _, action = looked(begun(), group(NEW, {"web": running(10)}), 11, replace(RULES, soak=timedelta(hours=1)))
        assert action == Wait(timedelta(seconds=60), "healthy, waiting for the end of the soak")

    @pytest.mark.parametrize("seconds", [40, 930, 931, 86400])
    def test_after_the_soak_it_is_proven_however_late_the_look_is(self, seconds: float) -> None:
        # Regression: after an outage of all workers, a healthy rollout ended as a RolloutTimeout.
        result, action = looked(begun(), group(NEW, {"web": running(10)}), seconds)
        assert action is None
        assert result.containers["web"].goods == (good("2", pushed=0), good("1"))
        assert [(each.result, each.detail, each.at) for each in result.outbox] == [
            ("updated", "web runs acme/shop:2", at(seconds))
        ]
        assert result.change is None

    def test_after_a_proof_pushes_are_no_longer_tried_apart(self) -> None:
        result, _ = looked(begun().but(apart=True), group(NEW, {"web": running(10)}), 40)
        assert not result.apart

    def test_the_soak_counts_from_the_container_that_was_disturbed_last(self) -> None:
        now = begun(sent={"touched": frozenset({"web", "blue"})}, blue=container(candidate(TWO)))
        shown = group(NEW | {"blue": "acme/shop:2"}, {"web": running(10), "blue": running(20)})
        assert looked(now, shown, 30)[1] == Wait(timedelta(seconds=20), "healthy, waiting for the end of the soak")

    def test_a_warning_begins_the_soak_again(self) -> None:
        view = running(10, event("Unhealthy", 25, "Liveness probe failed", "Warning"))
        assert looked(begun(), group(NEW, {"web": view}), 40)[1] == Wait(
            timedelta(seconds=15), "healthy, waiting for the end of the soak"
        )

    def test_a_container_that_ended_well_needs_no_soak(self) -> None:
        ended = {"currentState": {"state": "Terminated", "exitCode": 0, "finishTime": at(5).isoformat()}}
        result, action = looked(begun(), group(NEW, {"web": ended}, restartPolicy="Never"), 6)
        assert action is None
        assert [each.result for each in result.outbox] == ["updated"]

    def test_a_container_that_ended_does_not_shorten_the_soak_of_the_others(self) -> None:
        ended = {"currentState": {"state": "Terminated", "exitCode": 0, "finishTime": at(5).isoformat()}}
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        shown = group(NEW | SIDE, {"web": running(10), "side": ended}, restartPolicy="Never")
        assert looked(now, shown, 38)[1] == Wait(timedelta(seconds=2), "healthy, waiting for the end of the soak")

    def test_a_container_that_restarts_again_and_again_fails_in_the_end(self) -> None:
        view = running(1000, event("Unhealthy", 1000, "Liveness probe failed", "Warning"))
        just, action = looked(waited(begun(), 929, 1000), group(NEW, {"web": view}), 1001)
        assert action == Wait(timedelta(seconds=29), "healthy, waiting for the end of the soak")
        assert codes(just) == {}
        result, action = looked(waited(begun(), 930, 1000), group(NEW, {"web": view}), 1001)
        assert action is None
        assert [(each.code, each.detail) for each in result.undone] == [
            ("RolloutTimeout", "the containers keep restarting or warning; warnings: Unhealthy: Liveness probe failed")
        ]

    def test_a_rollback_whose_containers_keep_restarting_is_told_and_over(self) -> None:
        undone = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        back = change(OLD, asked={}, patience=Patience(waited=930, looked_at=at(1000)))
        result, action = looked(
            record({"web": container()}, change=back, undone=(undone,)), group(OLD, {"web": running(1000)}), 1001
        )
        assert (action, result.change) == (None, None)
        assert [each.detail for each in result.outbox] == [
            "it crashes; the rollback failed: RolloutTimeout: the containers keep restarting or warning"
        ]

    def test_a_changed_address_is_told(self) -> None:
        result, _ = looked(begun(sent={"address": {"ip": "20.50.0.9"}}), group(NEW, {"web": running(10)}), 40)
        assert [each.after for each in result.address_changes] == [ADDRESS]

    def test_a_group_without_anything_to_watch_is_proven_at_once(self) -> None:
        now = record({"side": side()}, change=change(SIDE, asked={}, well={}))
        assert looked(now, group(SIDE, {"side": crash_loop(5)}), 6) == (now.but(change=None), None)


class TestNeighbours:
    """Containers that ran well before are judged too; others are not."""

    def test_a_neighbour_that_our_put_broke_fails_the_push(self) -> None:
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        result, action = looked(now, group(NEW | SIDE, {"web": running(10), "side": crash_loop(20)}), 25)
        assert action is None
        (undone,) = result.undone
        assert (undone.code, undone.detail, undone.containers) == ("CrashLoop", f"side: {CRASH}", ("web",))

    def test_a_neighbour_that_was_broken_before_does_not(self) -> None:
        now = begun(side=side())
        result, action = looked(now, group(NEW | SIDE, {"web": running(10), "side": crash_loop(20)}), 40)
        assert action is None
        assert [each.result for each in result.outbox] == ["updated"]

    def test_a_followed_neighbour_that_was_broken_before_does_not_either(self) -> None:
        # Regression: a container that had been broken all along failed every push of the others.
        now = begun(sent={"well": {"web": None}}, side=side(followed=True))
        result, _ = looked(now, group(NEW | SIDE, {"web": running(10), "side": crash_loop(20)}), 40)
        assert [each.result for each in result.outbox] == ["updated"]

    def test_a_container_that_the_change_brought_back_is_judged_although_it_was_broken_before(self) -> None:
        sent = {"well": {"web": None}, "touched": frozenset({"web", "side"})}
        now = begun(sent=sent, side=side(followed=True))
        result, _ = looked(now, group(NEW | SIDE, {"web": running(10), "side": crash_loop(20)}), 40)
        assert codes(result) == {"web": ["CrashLoop"]}

    def test_a_neighbour_without_a_record_is_judged_too(self) -> None:
        now = begun(sent={"well": {"web": None, "side": digest("side")}})
        result, _ = looked(now, group(NEW | SIDE, {"web": running(10), "side": crash_loop(20)}), 25)
        assert codes(result) == {"web": ["CrashLoop"]}

    def test_a_neighbour_that_azure_does_not_restart_is_judged_by_how_it_runs(self) -> None:
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        shown = group(NEW | SIDE, {"web": running(10), "side": running(-60)})
        assert [each.result for each in looked(now, shown, 40)[0].outbox] == ["updated"]

    def test_a_container_that_was_touched_must_be_restarted(self) -> None:
        sent = {"well": {"web": None, "side": None}, "touched": frozenset({"web", "side"})}
        shown = group(NEW | SIDE, {"web": running(10), "side": running(-60)})
        assert reason(looked(begun(sent=sent, side=side()), shown, 40)[1]) == "side has not been restarted yet"

    def test_a_neighbour_that_ended_before_and_was_not_restarted_is_judged_by_how_it_ended(self) -> None:
        ended = {"currentState": {"state": "Terminated", "exitCode": 1, "finishTime": at(-5).isoformat()}}
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        shown = group(NEW | SIDE, {"web": running(10), "side": ended}, restartPolicy="Never")
        result, _ = looked(now, shown, 40)
        assert result.undone[0].detail == "side: ended with exit code 1"

    def test_a_neighbour_that_is_restarting_is_not_judged_by_its_state_before(self) -> None:
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        shown = group(NEW | SIDE, {"web": running(10), "side": waiting()})
        assert reason(looked(now, shown, 60)[1]) == "side is waiting"

    @pytest.mark.parametrize(
        "before",
        [
            crash_loop(-60),
            waiting() | {"events": [event("Failed", -60, 'Failed to pull image "acme/side:1": EOF', "Warning")]},
        ],
        ids=["a crash", "a failed pull"],
    )
    def test_a_neighbour_that_is_restarting_is_not_judged_by_its_trouble_before(self, before: Json) -> None:
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        result, action = looked(now, group(NEW | SIDE, {"web": running(10), "side": before}), 60)
        assert reason(action).startswith("side is waiting")
        assert codes(result) == {}

    def test_a_neighbour_that_looks_broken_in_transition_may_still_come_up(self) -> None:
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        shown = group(NEW | SIDE, {"web": waiting(), "side": crash_loop(20)}, state="Updating")
        result, action = looked(now, shown, 25)
        assert reason(action) == "the group is in transition; web is waiting"
        assert codes(result) == {}

    @pytest.mark.parametrize(
        ("failing", "good_one", "watched"),
        [("acme/side:1", "0", False), ("acme/side:2", "0", True), ("acme/side:1", "1", True)],
    )
    def test_a_neighbour_that_is_known_to_have_failed_fails_no_other_push(
        self, failing: str, good_one: str, *, watched: bool
    ) -> None:
        # It stays on the group while a hold prevents the rollback. What failed once and ran well since has not failed.
        bad = failure(message("9"), image=failing)
        goods = (good(good_one, f"acme/side:{good_one}"),)
        now = begun(sent={"well": {"web": None, "side": None}}, side=side(failures=(bad,), goods=goods))
        result, _ = looked(now, group(NEW | SIDE, {"web": running(10), "side": crash_loop(20)}), 40)
        assert [each.result for each in result.outbox] == ([] if watched else ["updated"])
        assert "web" in codes(result) or not watched

    def test_a_desired_container_with_a_known_failure_is_watched(self) -> None:
        now = record({"web": container(candidate(TWO), failures=(failure(TWO),))}, change=change(well={"web": None}))
        assert reason(looked(now, group(NEW, {"web": waiting()}), 4)[1]) == "web is waiting"


class TestPinnedBack:
    """A neighbour's own tag had moved, and our PUT, which restarts all containers, pulled what it points at now."""

    BEFORE = digest("before")

    def broken(self, *events: Json, image: str = "acme/side:1") -> ContainerGroup:
        view = crash_loop(20) | {"events": list(events)}
        return group(NEW | {"side": image}, {"web": running(10), "side": view})

    def pulled(self, what: str, seconds: float = 8) -> Json:
        return event("Pulled", seconds, f'pulled "acme/side@{digest(what)}"')

    def now(self, **rest: Any) -> Record:
        return begun(sent={"well": {"web": None, "side": self.BEFORE}}, side=side(**rest))

    def test_it_gets_its_former_image_by_digest_and_the_push_goes_on(self) -> None:
        shown = self.broken(self.pulled("after"))
        before = waited(self.now(past=("acme/side:0",)), 11, 20)
        result, action = looked(before, shown, 25)
        assert action is None
        assert codes(result) == {}
        kept = result.containers["side"]
        assert kept.goods == (good("1", "acme/side:1", digest=self.BEFORE, moved=True),)
        assert kept.past == ("acme/side:1", "acme/side:0")
        assert desired(result, shown.images, rollback=True)["side"].image == f"acme/side@{self.BEFORE}"
        assert result.change == waited(before, 16, 25).change

    def test_it_gets_the_digest_that_the_record_knows(self) -> None:
        # The record may know the digest of an index, and the event that of one platform's manifest.
        known = good("1", "acme/side:1", digest=digest("index"))
        result, _ = looked(self.now(goods=(known, good("0", "acme/side:0"))), self.broken(self.pulled("after")), 25)
        assert result.containers["side"].goods == (known.but(moved=True), good("0", "acme/side:0"))

    def test_an_image_that_can_not_be_pulled_any_more_counts_as_moved(self) -> None:
        failed = event("Failed", 20, 'Failed to pull image "acme/side:1": not found', "Warning")
        shown = group(NEW | SIDE, {"web": running(10), "side": waiting() | {"events": [failed]}})
        result, _ = looked(self.now(), shown, 25)
        assert [each.moved for each in result.containers["side"].goods] == [True]

    @pytest.mark.parametrize(
        ("shown_events", "image"),
        [
            ((("before", 8),), "acme/side:1"),
            ((), "acme/side:1"),
            ((("after", -100),), "acme/side:1"),
            ((("after", 8),), f"acme/side@{digest('pinned')}"),
        ],
        ids=["the same was pulled", "nothing was pulled", "it was pulled before", "it runs by digest"],
    )
    def test_if_its_tag_has_not_moved_our_put_is_to_blame(
        self, shown_events: tuple[tuple[str, float], ...], image: str
    ) -> None:
        shown = self.broken(*(self.pulled(*shown_one) for shown_one in shown_events), image=image)
        result, _ = looked(self.now(), shown, 25)
        assert codes(result) == {"web": ["CrashLoop"]}
        assert not result.containers["side"].good.moved

    def test_without_a_known_former_digest_our_put_is_to_blame(self) -> None:
        now = begun(sent={"well": {"web": None, "side": None}}, side=side())
        result, _ = looked(now, self.broken(self.pulled("after")), 25)
        assert codes(result) == {"web": ["CrashLoop"]}

    def test_a_neighbour_that_did_not_run_well_before_is_not_pinned_back(self) -> None:
        sent = {"well": {"web": None}, "touched": frozenset({"web", "side"})}
        now = begun(sent=sent, side=side(followed=True))
        result, _ = looked(now, self.broken(self.pulled("after")), 25)
        assert codes(result) == {"web": ["CrashLoop"]}

    def test_a_neighbour_that_waits_to_be_brought_back_fails_no_push(self) -> None:
        # A hold may prevent that.
        moved = self.now(goods=(good("1", "acme/side:1", digest=self.BEFORE, moved=True),))
        result, _ = looked(moved, self.broken(self.pulled("after")), 40)
        assert [each.result for each in result.outbox] == ["updated"]

    def test_a_neighbour_that_breaks_by_its_digest_as_well_fails_the_push(self) -> None:
        moved = self.now(goods=(good("1", "acme/side:1", digest=self.BEFORE, moved=True),))
        result, _ = looked(moved, self.broken(image=f"acme/side@{self.BEFORE}"), 40)
        assert codes(result) == {"web": ["CrashLoop"]}

    def test_a_container_with_an_unproven_push_is_not_a_neighbour(self) -> None:
        now = begun(sent={"well": {"web": digest("one")}})
        view = crash_loop(20) | {"events": [event("Pulled", 8, f'pulled "acme/shop@{digest("two")}"')]}
        result, _ = looked(now, group(NEW, {"web": view}), 25)
        assert codes(result) == {"web": ["CrashLoop"]}

    def test_a_neighbour_without_a_record_can_not_be_pinned_back(self) -> None:
        now = begun(sent={"well": {"web": None, "side": self.BEFORE}})
        result, _ = looked(now, self.broken(self.pulled("after")), 25)
        assert codes(result) == {"web": ["CrashLoop"]}

    def test_one_that_can_not_be_pinned_back_does_not_keep_another_from_it(self) -> None:
        sent = {"well": {"a": None, "side": self.BEFORE, "web": None}}
        a = side(repository="docker.io/acme/a", goods=(good("1", "acme/a:1"),))
        shown = group(
            {"a": "acme/a:1"} | NEW | SIDE,
            {"a": crash_loop(20), "side": crash_loop(20) | {"events": [self.pulled("after")]}, "web": running(10)},
        )
        result, _ = looked(begun(sent=sent, a=a, side=side()), shown, 25)
        assert [result.containers[name].good.moved for name in ("a", "side")] == [False, True]


class TestBroken:
    @pytest.mark.parametrize("state", ["Succeeded", "Updating"])
    def test_a_crash_loop_fails_at_once_even_in_transition(self, state: str) -> None:
        result, action = looked(begun(), group(NEW, {"web": crash_loop(20)}, state=state), 25)
        assert action is None
        (failed,) = result.containers["web"].failures
        assert (failed.id, failed.code, failed.at, failed.circumstance) == ("2", "CrashLoop", at(25), False)
        assert [(each.detail, each.containers) for each in result.undone] == [(f"web: {CRASH}", ("web",))]
        assert result.containers["web"].candidates == ()
        assert result.change is not None

    def test_an_image_that_can_not_be_pulled_fails(self) -> None:
        said = 'Failed to pull image "acme/shop:2": not found'
        view = waiting() | {"events": [event("Failed", 20, said, "Warning")]}
        result, _ = looked(begun(), group(NEW, {"web": view}), 25)
        assert [(each.code, each.detail) for each in result.undone] == [("ImagePullFailed", f"web: {said}")]

    def test_the_first_broken_container_is_told_and_only_broken_ones_are_to_blame(self) -> None:
        sent = {"asked": {"web": "2", "blue": "3", "green": "4"}, "touched": frozenset({"web", "blue", "green"})}
        blue, green = (container(candidate(message(tag), f"acme/{tag}:{tag}")) for tag in ("3", "4"))
        images = NEW | {"green": "acme/4:4", "blue": "acme/3:3"}
        shown = group(images, {"web": crash_loop(20), "blue": crash_loop(20), "green": running(10)})
        result, _ = looked(begun(sent=sent, blue=blue, green=green), shown, 25)
        assert codes(result) == {"web": ["CrashLoop"], "blue": ["CrashLoop"]}
        assert {each.detail for each in result.undone} == {f"blue: {CRASH}"}

    def test_a_container_that_breaks_during_a_rollback_is_told(self) -> None:
        undone = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        now = record({"web": container()}, change=change(OLD, asked={}), undone=(undone,))
        result, action = looked(now, group(OLD, {"web": crash_loop(20)}), 25)
        assert action is None
        assert [each.detail for each in result.outbox] == [f"it crashes; the rollback failed: CrashLoop: web: {CRASH}"]
        assert result.change is None

    def test_a_rollback_by_hand_that_breaks_is_reverted(self) -> None:
        pinned = container(pin=pin(good("1")), goods=(good("3"), good("1")))
        now = record({"web": pinned}, change=change(OLD, asked={"web": "back"}))
        result, action = looked(now, group(OLD, {"web": crash_loop(20)}), 25)
        assert action is None
        pin_now = result.containers["web"].pin
        assert pin_now is not None
        assert (pin_now.good, pin_now.reverting) == (good("3"), True)


class TestProvisioningFailed:
    VIEW = waiting() | {"events": [event("FailedMount", 60, "no such share", "Warning")]}

    @pytest.mark.parametrize("state", ["Failed", "Canceled"])
    def test_a_failed_operation_fails_the_push(self, state: str) -> None:
        result, action = looked(begun(), group(NEW, {"web": self.VIEW}, state=state), 60)
        assert action is None
        assert [(each.code, each.detail) for each in result.undone] == [
            ("ProvisioningFailed", "the operation failed; warnings: FailedMount: no such share")
        ]

    def test_without_a_push_to_blame_the_rollback_failed(self) -> None:
        undone = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        now = record({"web": container()}, change=change(OLD, asked={}), undone=(undone,))
        result, _ = looked(now, group(OLD, {"web": running(10)}, state="Failed"), 60)
        assert [each.detail for each in result.outbox] == [
            "it crashes; the rollback failed: ProvisioningFailed: the operation failed"
        ]

    def test_an_earlier_failure_does_not_count_until_the_change_shows(self) -> None:
        # Regression: on a group whose last operation had failed, a good push failed after it was throttled once.
        now = begun(sent={"failed_before": True})
        result, action = looked(now, group(NEW, {"web": running(-60)}, state="Failed"), 5)
        assert (reason(action), codes(result)) == ("web has not been restarted yet", {})
        result, _ = looked(now, group(NEW, {"web": self.VIEW}, state="Failed"), 5)
        assert codes(result) == {"web": ["ProvisioningFailed"]}

    def test_an_earlier_failure_does_not_count_while_one_of_two_containers_was_not_restarted(self) -> None:
        five = candidate(message("5", repository="acme/jobs"), "acme/jobs:5")
        jobs = container(five, repository="docker.io/acme/jobs", goods=(good("4", "acme/jobs:4"),))
        both: Json = {"asked": {"web": "2", "jobs": "5"}, "touched": frozenset({"web", "jobs"}), "failed_before": True}
        shown = group(NEW | {"jobs": "acme/jobs:5"}, {"web": waiting()}, state="Failed")
        result, action = looked(begun(sent=both, jobs=jobs), shown, 5)
        assert (reason(action), codes(result)) == ("jobs has not been restarted yet; web is waiting", {})

    def test_a_failure_that_is_not_an_earlier_one_counts_although_nothing_was_restarted(self) -> None:
        result, _ = looked(begun(), group(NEW, {"web": running(-60)}, state="Failed"), 5)
        assert codes(result) == {"web": ["ProvisioningFailed"]}


class TestRollbackOff:
    def test_the_failed_image_stays_and_the_push_ends(self) -> None:
        rules = replace(RULES, rollback=False)
        result, action = looked(begun(), group(NEW, {"web": crash_loop(20)}), 25, rules)
        assert action is None
        assert (result.undone, codes(result)) == ((), {"web": ["CrashLoop"]})
        assert [(each.result, each.code, each.detail) for each in result.outbox] == [
            ("failed", "CrashLoop", f"web: {CRASH}; not rolled back: ACI_HOOKS_ROLLBACK is off")
        ]

    def test_with_rollback_on_the_push_ends_only_when_the_group_is_known_to_be_well(self) -> None:
        result, _ = looked(begun(), group(NEW, {"web": crash_loop(20)}), 25)
        assert (result.outbox, len(result.undone)) == ((), 1)
