"""next_step: what is done next for a rollout, in every situation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import (
    RULES,
    Json,
    at,
    container,
    crash_loop,
    digest,
    event,
    failure,
    good,
    group,
    message,
    record,
    rollout,
    running,
    waiting,
    wanted,
)
from worker.groups.group import ContainerGroup
from worker.manual import hold, release
from worker.record import Record
from worker.record_parts import Rollout
from worker.rollout import next_step, past_result
from worker.situation import Rules
from worker.steps import Apply, Finish, GiveUp, Moved, RollBack, Step, Wait

TWO = message("2")
OLD, NEW = {"web": "acme/shop:1"}, {"web": "acme/shop:2"}


def admitted(**rest: Any) -> Record:
    """:2 is wanted, and nothing was done yet."""
    return record({"web": container(wanted(TWO))}, **rest)


def begun(since: float = 0, **rest: Any) -> Record:
    """:2 was sent to Azure."""
    under_way = rollout(since=since, **rest)
    return record({"web": container(wanted(TWO, began=since))}, rollout=under_way)


def step(now: Record, shown: ContainerGroup, seconds: float = 0, of: UpdateMessage = TWO, rules: Rules = RULES) -> Step:
    return next_step(now, shown, of, rules, at(seconds))


class TestStart:
    def test_a_wanted_push_is_applied_and_its_intent_written(self) -> None:
        result = step(admitted(), group(OLD), 7)
        assert isinstance(result, Apply)
        under_way = result.record.rollout
        assert under_way is not None
        assert (under_way.by, under_way.images, under_way.since, under_way.tries) == ("2", NEW, at(7), 1)
        assert under_way.address == group().address
        assert not under_way.restart
        assert result.record.open()["web"].began_at == at(7)

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (None, None),
            (rollout("7", {"jobs": "acme/jobs:4"}, since=-60), at(-60)),
            (rollout("2", {"web": "acme/shop:0"}, since=-60, after=at(-90)), at(-60)),
            (rollout("2", since=-60, after=at(-90)), at(-90)),
            (rollout("7", OLD, since=-60), None),
            (rollout("7", OLD, since=-60, after=at(-90)), at(-90)),
        ],
        ids=["alone", "another's", "another of its own", "sent again", "that arrived", "that arrived, after one"],
    )
    def test_it_knows_of_the_change_before_it(self, before: Rollout | None, after: datetime | None) -> None:
        result = step(record({"web": container(wanted(TWO))}, rollout=before), group(OLD))
        assert isinstance(result, Apply)
        assert result.rollout.after == after

    def test_every_open_push_of_the_group_goes_with_it(self) -> None:
        jobs = wanted(message("5", repository="acme/jobs"), "acme/jobs:5")
        now = record({"web": container(wanted(TWO)), "jobs": container(jobs, repository="docker.io/acme/jobs")})
        result = step(now, group({"web": "acme/shop:1", "jobs": "acme/jobs:4"}))
        assert isinstance(result, Apply)
        assert result.record.rollout is not None
        assert result.record.rollout.images == {"web": "acme/shop:2", "jobs": "acme/jobs:5"}
        assert result.unsent == now
        assert all(one.began_at == at(0) for one in result.record.open().values())

    @pytest.mark.parametrize("why", ["failed before", "held group"])
    def test_it_goes_alone_after_a_failed_attempt_and_on_a_held_group(self, why: str) -> None:
        jobs = wanted(message("5", repository="acme/jobs"), "acme/jobs:5")
        now = record({"web": container(wanted(TWO)), "jobs": container(jobs)})
        of = message("2", attempts=1) if why == "failed before" else TWO
        if why == "held group":
            held = hold(now, "rolled back by hand", at(0))
            now = held.but(hold=held.hold.but(allows="2") if held.hold else None)
        result = step(now, group({"web": "acme/shop:1", "jobs": "acme/jobs:4"}), of=of)
        assert isinstance(result, Apply)
        assert result.record.rollout is not None
        assert result.record.rollout.images == NEW

    @pytest.mark.parametrize(("running", "restart"), [("acme/jobs:4", True), ("acme/jobs:5", False)])
    def test_what_another_push_brings_back_goes_on_going_back(self, running: str, *, restart: bool) -> None:
        # FINDING: a change that came during a rollback took its place, and the rollback was sent once more.
        jobs = container(
            wanted(message("5", repository="acme/jobs"), status="failed"), repository="docker.io/acme/jobs"
        )
        others = rollout("5", {"jobs": "acme/jobs:4"}, since=-60, returning=frozenset({"jobs"}))
        now = record({"web": container(wanted(message("1"), restart=True)), "jobs": jobs}, rollout=others)
        result = step(now, group({"web": "acme/shop:1", "jobs": running}), of=message("1"))
        assert isinstance(result, Apply)
        under_way = result.record.rollout
        assert under_way is not None
        assert under_way.images == {"web": "acme/shop:1", "jobs": "acme/jobs:4"}
        assert (under_way.returning, under_way.restart) == (frozenset({"jobs"}), restart)

    def test_a_tag_that_moved_to_nobody_knows_what_is_brought_in_by_a_restart(self) -> None:
        now = record({"web": container(wanted(message("1"), restart=True))})
        result = step(now, group(OLD), of=message("1"))
        assert isinstance(result, Apply)
        assert result.record.rollout is not None
        assert result.record.rollout.restart

    def test_a_restart_is_not_enough_when_the_group_runs_another_image_by_now(self) -> None:
        now = record({"web": container(wanted(message("1"), restart=True))})
        result = step(now, group({"web": "acme/shop:3"}), of=message("1"))
        assert isinstance(result, Apply)
        assert result.record.rollout is not None
        assert not result.record.rollout.restart

    def test_a_group_in_transition_is_waited_for(self) -> None:
        result = step(admitted(), group(OLD, state="Updating"), 30)
        assert result == Wait(admitted(), timedelta(seconds=15), "the group is in transition")

    def test_a_group_that_never_comes_out_of_its_transition_is_given_up(self) -> None:
        just, over = 2 * RULES.timeout.total_seconds(), 2 * RULES.timeout.total_seconds() + 1
        assert isinstance(step(admitted(), group(OLD, state="Updating"), just), Wait)
        result = step(admitted(), group(OLD, state="Updating"), over)
        assert isinstance(result, GiveUp)
        assert (result.code, result.detail) == (
            "StuckInTransition",
            "the group has been in transition for more than 0:30:00",
        )
        assert result.record.containers["web"].wanted == wanted(TWO, status="failed")

    def test_secrets_that_nobody_configured_are_all_named_and_nothing_is_sent(self) -> None:
        share: Json = {"name": "data", "azureFile": {"shareName": "s", "storageAccountName": "a"}}
        shown = group(OLD, volumes=[share], imageRegistryCredentials=[{"server": "r.io", "username": "u"}])
        result = step(admitted(), shown)
        assert isinstance(result, GiveUp)
        assert result.code == "MissingSecrets"
        assert result.detail.endswith("in the targets file: registry/r.io, volume/data/storage-account-key")
        configured = replace(RULES, secrets=frozenset({"registry/r.io", "volume/data/storage-account-key"}))
        assert isinstance(step(admitted(), shown, rules=configured), Apply)

    def test_pushes_that_come_together_are_gathered_after_the_last_change_of_another_one(self) -> None:
        now = admitted(rollout=rollout(by="1", images=OLD, since=0))
        waits = step(now, group(OLD), 2)
        assert waits == Wait(now, timedelta(seconds=3), "gathering pushes after the last change")
        assert isinstance(step(now, group(OLD), 5), Apply)


class TestNothingToDo:
    def test_a_push_that_was_overtaken_is_superseded(self) -> None:
        assert step(admitted(), group(OLD), of=message("1")) == Finish(
            admitted(), "superseded", "a newer push is wanted"
        )

    def test_a_push_that_ended_before_ends_as_it_did(self) -> None:
        ended = record({"web": container(wanted(TWO, status="done"))}).ended(TWO, ("web",), "updated", "ran", at(9))
        assert step(ended, group(NEW)) == Finish(ended, "updated", "ran")

    def test_an_outcome_that_was_forgotten_is_no_change(self) -> None:
        assert past_result(record({"web": container(wanted(TWO, status="done"))}), TWO) == (
            "unchanged",
            "it runs already",
        )

    @pytest.mark.parametrize(
        ("now", "shown", "reason"),
        [
            (hold(admitted(), "audit", at(0)), group(OLD), "by hand: audit"),
            (admitted(), group(OLD, tags={"aci-hooks.hold": "freeze"}), "by a resource tag: freeze"),
            (admitted(), group(OLD, shown="Stopped"), "stopped by its owner: an update would start it"),
        ],
    )
    def test_a_group_that_must_not_be_changed_holds_the_push(
        self, now: Record, shown: ContainerGroup, reason: str
    ) -> None:
        result = step(now, shown)
        assert isinstance(result, Finish)
        assert (result.result, result.detail) == ("held", reason)
        assert [(one.id, one.result) for one in result.record.outcomes] == [("2", "held")]
        assert result.record.open()


class TestWatch:
    def test_what_is_on_its_way_is_waited_for(self) -> None:
        result = step(begun(), group(NEW, {"web": waiting()}, state="Updating"), 4)
        assert result == Wait(begun(), timedelta(seconds=5), "the group is in transition; web is waiting")

    @pytest.mark.parametrize(("seconds", "delay"), [(4, 5), (30, 15), (300, 60)])
    def test_the_longer_it_takes_the_less_often_it_is_looked_at(self, seconds: float, delay: float) -> None:
        result = step(begun(), group(NEW, {"web": waiting()}), seconds)
        assert isinstance(result, Wait)
        assert result.delay == timedelta(seconds=delay)

    def test_a_healthy_group_is_watched_to_the_end_of_the_soak(self) -> None:
        result = step(begun(), group(NEW, {"web": running(10)}), 38)
        assert result == Wait(begun(), timedelta(seconds=2), "healthy, and watched for a while")

    def test_after_a_release_it_has_all_its_time_again(self) -> None:
        # FINDING: what had been held in the middle was overdue at once, and was rolled back.
        begun = record({"web": container(wanted(TWO, began=0))}, rollout=rollout())
        now = release(hold(begun, "audit", at(10)), at(4000))
        shown = group({"web": "acme/shop:2"}, {"web": waiting()}, state="Updating")
        assert next_step(now, shown, TWO, RULES, at(4001)).record.failures_of("2") == {}
        overdue = 4001 + RULES.timeout.total_seconds()
        assert next_step(now, shown, TWO, RULES, at(overdue)).record.failures_of("2").keys() == {"web"}

    def test_another_change_gives_it_all_its_time_again(self) -> None:
        # Found by the state machine: it was overdue as soon as another container's change put the group in transition.
        now = record({"web": container(wanted(TWO, began=0))}, rollout=rollout("5", {"jobs": "x:1"}, since=4000))
        shown = group({"web": "acme/shop:2"}, {"web": waiting()}, state="Updating")
        assert next_step(now, shown, TWO, RULES, at(4001)).record.failures_of("2") == {}

    def test_after_the_soak_the_push_is_the_last_good_one(self) -> None:
        of = message("2", digest=digest("two"))
        now = record({"web": container(wanted(of, began=0))}, rollout=rollout())
        result = step(now, group(NEW, {"web": running(10)}), 40, of=of)
        assert isinstance(result, Finish)
        assert (result.result, result.detail, result.moved) == ("updated", "web runs acme/shop:2", None)
        kept = result.record.containers["web"]
        assert kept.good == good("2", pushed=0, digest=digest("two"))
        assert kept.wanted is not None
        assert kept.wanted.status == "done"
        assert result.record.rollout is None

    def test_an_address_that_changed_is_told_loudly(self) -> None:
        now = begun(address={"ip": "20.50.0.9"})
        result = step(now, group(NEW, {"web": running(10)}), 40)
        assert isinstance(result, Finish)
        assert result.moved == Moved({"ip": "20.50.0.9"}, group().address)
        assert "; THE ADDRESS CHANGED from {'ip': '20.50.0.9'} to " in result.detail

    @pytest.mark.parametrize("address", [{}, group().address])
    def test_an_address_that_is_the_same_or_was_not_known_is_not_told(self, address: dict[str, str]) -> None:
        result = step(begun(address=address), group(NEW, {"web": running(10)}), 40)
        assert isinstance(result, Finish)
        assert result.moved is None

    def test_a_push_without_a_rollout_under_way_can_finish(self) -> None:
        now = record({"web": container(wanted(TWO, began=0))})
        assert isinstance(step(now, group(NEW, {"web": running(10)}), 40), Finish)

    @pytest.mark.parametrize(
        ("pulled", "detail"),
        [
            (8, f"web was restarted and runs acme/shop:1 at {digest('moved')}"),
            (
                -100,
                "web was restarted with acme/shop:1; unverified: Azure does not say which image it pulled",
            ),
        ],
    )
    def test_a_restart_is_verified_by_the_pulled_event(self, pulled: float, detail: str) -> None:
        of = message("1")
        now = record({"web": container(wanted(of, restart=True, began=0))}, rollout=rollout("1", OLD, restart=True))
        pull = event("Pulled", pulled, f'Successfully pulled image "acme/shop@{digest("moved")}"')
        result = step(now, group(OLD, {"web": running(10, pull)}), 40, of=of)
        assert isinstance(result, Finish)
        assert result.detail == detail

    def test_a_change_that_never_arrived_is_sent_again(self) -> None:
        result = step(begun(), group(OLD), 60)
        assert isinstance(result, Apply)
        assert result.record.rollout is not None
        assert (result.record.rollout.tries, result.record.rollout.since) == (2, at(60))

    def test_a_repeated_change_remembers_the_address_before_the_first(self) -> None:
        result = step(begun(address={"ip": "20.50.0.9"}), group(OLD), 60)
        assert isinstance(result, Apply)
        assert result.record.rollout is not None
        assert result.record.rollout.address == {"ip": "20.50.0.9"}

    def test_a_push_of_two_containers_is_applied_until_both_were_begun(self) -> None:
        of = message("2")
        now = record({"web": container(wanted(of, began=0)), "blue": container(wanted(of))}, rollout=rollout(since=0))
        shown = group({"web": "acme/shop:2", "blue": "acme/shop:1"}, {"web": running(5)})
        result = step(now, shown, 40, of=of)
        assert isinstance(result, Apply)
        assert result.record.rollout is not None
        assert result.record.rollout.images == {"web": "acme/shop:2", "blue": "acme/shop:2"}

    def test_two_containers_are_watched_from_the_later_beginning(self) -> None:
        of = message("2")
        now = record({"web": container(wanted(of, began=0)), "blue": container(wanted(of, began=20))})
        shown = group({"web": "acme/shop:2", "blue": "acme/shop:2"}, {"web": running(25), "blue": running(25)})
        assert isinstance(step(now, shown, 54, of=of), Wait)
        assert isinstance(step(now, shown, 55, of=of), Finish)


class TestFailure:
    def test_a_broken_group_is_rolled_back_at_once(self) -> None:
        result = step(begun(), group(NEW, {"web": crash_loop(20)}), 25)
        assert isinstance(result, RollBack)
        under_way = result.record.rollout
        assert under_way is not None
        assert (under_way.images, under_way.returning, under_way.restart) == (OLD, frozenset({"web"}), False)
        (failed,) = result.record.containers["web"].failures
        assert (failed.code, failed.at, failed.settled) == ("CrashLoop", at(25), None)
        assert failed.detail.startswith("web: CrashLoopBackOff: Back-off 10s restarting failed; 1 restarts; ")

    def test_a_push_that_failed_on_one_of_two_containers_fails_on_both(self) -> None:
        now = record({"web": container(wanted(TWO, began=0)), "blue": container(wanted(TWO, began=0))})
        shown = group({"web": "acme/shop:2", "blue": "acme/shop:2"}, {"web": crash_loop(20), "blue": running(5)})
        result = step(now, shown, 25)
        assert isinstance(result, RollBack)
        assert result.record.rollout is not None
        assert result.record.rollout.returning == {"web", "blue"}

    def test_a_failure_that_was_dealt_with_is_not_tried_again(self) -> None:
        settled = failure(TWO, settled="rolled-back")
        now = record({"web": container(wanted(TWO, status="failed"), failures=(settled,))})
        assert step(now, group(OLD)) == GiveUp(now, "CrashLoop", "web: it crashes", "rolled-back")
