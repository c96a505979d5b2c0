"""Reconcile: one question after the other, until there is one thing to do; and several looks as stories."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import worker.core.reconcile
from tests.unit.builders import (
    CRASH,
    HOLD,
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
from worker.core.reconcile import reconcile
from worker.core.rules import Action, Put, Rest, RolloutRules, Wait
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO
from worker.record.container import Candidate
from worker.record.record import MOST_WAITING, Record
from worker.record.values import Flight, Patience, Undone

BY_TAG = {"aci-hooks.hold": "freeze"}
SLOWLY = timedelta(seconds=60)
STOPPED = "stopped by its owner: an update would start it"
FAILED = Undone(message=message("0"), code="CrashLoop", detail="it crashes", containers=("web",))


def wanted(*candidates: Candidate, **rest: Any) -> Record:
    """:2 is wanted on web, and nothing was done yet."""
    return record({"web": container(*(candidates or (candidate(TWO),)))}, **rest)


def proven(**rest: Any) -> Record:
    """:1 is the last good image, and no push waits."""
    return record({"web": container()}, **rest)


def look(now: Record, shown: ContainerGroup, seconds: float = 0, rules: RolloutRules = RULES) -> tuple[Record, Action]:
    return reconcile(now, shown, rules, at(seconds))


def endings(now: Record) -> list[tuple[str, str, str]]:
    return [(ending.message.id, ending.result, ending.detail) for ending in now.outbox]


class TestAtRest:
    def test_a_group_that_runs_its_desired_images_rests(self) -> None:
        assert look(proven(), group(OLD)) == (proven(), Rest())

    def test_a_group_without_known_containers_rests(self) -> None:
        assert look(record(), group(OLD)) == (record(), Rest())

    def test_pushes_that_wait_in_the_inbox_for_their_age_are_waited_for_slowly(self) -> None:
        now = proven(inbox=(TWO,))
        why = "pushes wait until they are as old as the policy wants them (min_age)"
        assert look(now, group(OLD)) == (now, Wait(RULES.slow, why, owner=True, wakes=True))

    def test_pushes_that_wait_for_their_lookup_keep_it_from_resting(self) -> None:
        now = wanted(candidate(TWO, None), inbox=(message("3"),))
        assert look(now, group(OLD)) == (
            now,
            Wait(timedelta(seconds=5), "pushes wait for their registry lookup"),
        )

    def test_a_push_that_arrived_during_a_hold_is_still_admitted(self) -> None:
        assert isinstance(look(proven(inbox=(TWO,), hold=HOLD), group(OLD))[1], Wait)

    def test_candidates_of_a_group_held_by_hand_wait_for_the_release(self) -> None:
        now = wanted(candidate(TWO, None), hold=HOLD)
        assert look(now, group(OLD)) == (now, Rest())

    def test_candidates_behind_a_pin_without_a_known_image_wait_for_the_release(self) -> None:
        # The rollback can't be made, because the tag has moved and the digest is not known.
        back = pin(good("0", moved=True))
        now = record({"web": container(candidate(TWO, None), pin=back)})
        assert look(now, group(OLD)) == (now, Rest())

    def test_one_container_with_a_waiting_push_keeps_the_group_from_resting(self) -> None:
        back = container(candidate(TWO, None), pin=pin(good("0", moved=True)))
        now = record({"web": back, "blue": container(candidate(TWO, None))})
        assert isinstance(look(now, group(OLD | {"blue": "acme/shop:1"}))[1], Wait)

    @pytest.mark.parametrize(
        ("sent", "seconds", "left"),
        [((0,), 0, 60), ((0,), 29, 60), ((0,), 31, 59), ((0,), 89.5, 1), ((0, 20, 10), 75, 35)],
    )
    def test_a_change_that_may_still_take_effect_is_waited_for(
        self, sent: tuple[float, ...], seconds: float, left: float
    ) -> None:
        flights = tuple(Flight(generation=1, sent_at=at(each)) for each in sent)
        now = proven(flights=flights)
        result, action = look(now, group(OLD), seconds)
        assert action == Wait(timedelta(seconds=left), "an earlier change may still take effect")
        assert result == now

    @pytest.mark.parametrize(("seconds", "flying"), [(89.9, True), (90, False)])
    def test_a_change_that_can_not_take_effect_any_more_is_forgotten(self, seconds: float, *, flying: bool) -> None:
        flight = Flight(generation=1, sent_at=at(0))
        result, action = look(proven(flights=(flight,)), group(OLD), seconds)
        assert (result.flights, isinstance(action, Rest)) == (((flight,), False) if flying else ((), True))

    def test_an_earlier_failure_is_told_where_nothing_is_left_to_change(self) -> None:
        result, action = look(proven(undone=(FAILED,)), group(OLD))
        assert (result.undone, action) == ((), Rest())
        assert endings(result) == [("0", "failed", "it crashes; not rolled back: nothing was left to change")]

    def test_what_runs_is_watched_where_an_unwanted_change_never_took_effect(self) -> None:
        now = proven(change=change(), undone=(FAILED,))
        watched, action = look(now, group(OLD, {"web": running(-10)}))
        assert action == Wait(timedelta(seconds=20), "healthy, waiting for the end of the soak")
        assert (the_change(watched).images, the_change(watched).asked, endings(watched)) == (OLD, {}, [])
        result, action = look(watched, group(OLD, {"web": running(-10)}), 20)
        assert (result.change, action) == (None, Rest())
        assert endings(result) == [("0", "rolled-back", "it crashes; rolled back to acme/shop:1")]


class TestInTurn:
    """Which question about a group comes first."""

    def test_a_wanted_push_is_put(self) -> None:
        result, action = look(wanted(), group(OLD), 7)
        assert action == Put(NEW, restart=False)
        assert the_change(result).began_at == at(7)

    def test_a_stopped_group_is_left_alone_before_anything_else(self) -> None:
        shown = group(NEW, {"web": crash_loop(20)}, shown="Stopped", tags=BY_TAG, state="Updating")
        now = wanted(change=change(patience=Patience(waited=7, looked_at=at(0))))
        result, action = look(now, shown, 25)
        assert action == Wait(SLOWLY, STOPPED, owner=True)
        assert result == now.but(change=change(patience=Patience(waited=7, looked_at=at(25))))

    def test_a_group_that_is_held_by_a_tag_gets_no_put(self) -> None:
        now = wanted()
        result, action = look(now, group(OLD, tags=BY_TAG, state="Updating"))
        assert action == Wait(SLOWLY, "held by a resource tag: freeze", owner=True)
        assert result == now

    def test_an_image_that_is_on_the_group_is_watched_whatever_the_tags_say(self) -> None:
        result, action = look(wanted(change=change()), group(NEW, {"web": running(10)}, tags=BY_TAG), 40)
        assert action == Rest()
        assert endings(result) == [("2", "updated", "web runs acme/shop:2")]

    def test_a_group_in_transition_gets_no_put(self) -> None:
        result, action = look(wanted(), group(OLD, state="Updating"), 7)
        assert action == Wait(timedelta(seconds=5), "the group is in transition")
        assert result == wanted(stuck=Patience(waited=0, looked_at=at(7)))


class TestOwner:
    """A stopped group waits for its owner for as long as anything is left to do."""

    STOPPED = group(OLD, shown="Stopped")

    def test_one_container_with_a_waiting_push_is_enough(self) -> None:
        now = record({"blue": container(), "web": container(candidate(TWO, None))})
        assert look(now, self.STOPPED) == (now, Wait(SLOWLY, STOPPED, owner=True))

    @pytest.mark.parametrize(
        "now",
        [
            wanted(),
            wanted(candidate(TWO, None)),
            proven(inbox=(TWO,)),
            proven(flights=(Flight(generation=1, sent_at=at(0)),)),
            proven(change=change(OLD, asked={}, patience=Patience(looked_at=at(7)))),
            record({"web": container(goods=(good("0"),))}),
            record({"web": container(pin=pin(good("1")))}),
            proven(inbox=(TWO,), hold=HOLD),
        ],
        ids=[
            "a push",
            "one that nobody has looked up",
            "one that was received",
            "a change in flight",
            "a change to be watched",
            "another image than the last good one",
            "a way back that is not proven",
            "one that was received on a held group",
        ],
    )
    def test_the_owner_is_waited_for_while_anything_is_left_to_do(self, now: Record) -> None:
        assert look(now, self.STOPPED, 7) == (now, Wait(SLOWLY, STOPPED, owner=True))

    @pytest.mark.parametrize("now", [proven(), wanted(hold=HOLD)], ids=["nothing", "what is held by hand"])
    def test_the_group_rests_where_nothing_is_left_to_do(self, now: Record) -> None:
        assert look(now, self.STOPPED) == (now, Rest())

    def test_an_earlier_failure_is_not_rolled_back(self) -> None:
        result, action = look(proven(undone=(FAILED,)), group(NEW, shown="Stopped"))
        assert action == Wait(SLOWLY, STOPPED, owner=True)
        assert endings(result) == [("0", "failed", f"it crashes; not rolled back: {STOPPED}")]

    def test_an_earlier_failure_is_not_rolled_back_while_a_tag_holds_the_group(self) -> None:
        result, _ = look(proven(undone=(FAILED,)), group(NEW, tags=BY_TAG))
        assert endings(result) == [("0", "failed", "it crashes; not rolled back: held by a resource tag: freeze")]

    def test_a_held_group_with_an_unwanted_image_waits_for_its_owner(self) -> None:
        assert look(proven(), group(NEW, tags=BY_TAG)) == (
            proven(),
            Wait(SLOWLY, "held by a resource tag: freeze", owner=True),
        )

    def test_time_in_which_nobody_could_judge_a_change_does_not_count(self) -> None:
        now = wanted(change=change(patience=Patience(waited=400, looked_at=at(0))))
        result, _ = look(now, group(OLD, tags=BY_TAG), 4000)
        assert the_change(result).patience == Patience(waited=400, looked_at=at(4000))


class TestTransition:
    def test_the_longer_it_takes_the_rarer_the_looks_become(self) -> None:
        now = wanted(stuck=Patience(waited=26, looked_at=at(100)))
        result, action = look(now, group(OLD, state="Updating"), 104)
        assert action == Wait(timedelta(seconds=15), "the group is in transition")
        assert result.stuck == Patience(waited=30, looked_at=at(104))

    def test_time_without_any_worker_does_not_count(self) -> None:
        now = wanted(stuck=Patience(waited=26, looked_at=at(100)))
        result, _ = look(now, group(OLD, state="Updating"), 9999)
        assert result.stuck == Patience(waited=26 + 13 + 5, looked_at=at(9999))

    def test_a_transition_that_is_over_is_forgotten(self) -> None:
        result, action = look(wanted(stuck=Patience(waited=26, looked_at=at(100))), group(OLD), 104)
        assert result.stuck is None
        assert isinstance(action, Put)

    def test_an_endless_transition_fails_the_pushes_that_wait_for_it(self) -> None:
        shown = group(OLD, state="Updating")
        just, action = look(wanted(stuck=Patience(waited=1796, looked_at=at(100))), shown, 104)
        assert action == Wait(SLOWLY, "the group is in transition")
        assert endings(just) == []
        result, action = look(wanted(stuck=Patience(waited=1796, looked_at=at(100))), shown, 105)
        detail = "the group has been in transition for more than 0:30:00"
        assert endings(result) == [("2", "failed", detail)]
        assert [(each.code, each.circumstance, each.at) for each in result.containers["web"].failures] == [
            ("StuckInTransition", True, at(105))
        ]
        assert (result.stuck, action) == (Patience(waited=0, looked_at=at(105)), Rest())

    def test_the_next_push_gets_all_the_time_again(self) -> None:
        now = wanted(candidate(TWO), stuck=Patience(waited=1800, looked_at=at(100)))
        newer = container(candidate(message("3", pushed=9)), goods=(good("1"),))
        result, _ = look(now.but(containers={"web": newer}), group(OLD, state="Updating"), 105)
        assert [ending.message.id for ending in result.outbox] == ["3"]
        later = result.but(containers={"web": container(candidate(message("4", pushed=99)))})
        assert isinstance(look(later, group(OLD, state="Updating"), 110)[1], Wait)

    def test_a_rollback_goes_on_waiting_and_the_earlier_failure_is_told(self) -> None:
        now = proven(undone=(FAILED,), stuck=Patience(waited=1800, looked_at=at(100)))
        result, action = look(now, group(NEW, state="Updating"), 105)
        assert action == Wait(SLOWLY, "the group is in transition")
        detail = "it crashes; not rolled back: the group has been in transition for more than 0:30:00"
        assert endings(result) == [("0", "failed", detail)]
        # What is desired next may wait as long again.
        assert result.stuck == Patience(waited=0, looked_at=at(105))

    def test_a_new_container_is_recorded_once_the_transition_is_over(self) -> None:
        # A group in transition does not show what ran in a container that is not recorded yet.
        result, action = look(record(inbox=(TWO,)), group(OLD, state="Updating"), 7)
        assert action == Wait(timedelta(seconds=5), "the group is in transition")
        assert result == record(inbox=(TWO,), stuck=Patience(looked_at=at(7)))
        assert look(proven(), group(OLD, state="Updating")) == (proven(), Rest())
        tired = record(inbox=(TWO,), stuck=Patience(waited=1800, looked_at=at(100)))
        result, action = look(tired, group(OLD, state="Updating"), 105)
        assert action == Wait(SLOWLY, "the group is in transition")
        assert (result.inbox, endings(result)) == ((TWO,), [])

    def test_an_endless_transition_fails_every_waiting_push_and_tells_earlier_failures(self) -> None:
        five = candidate(message("5", repository="acme/jobs"), "acme/jobs:5")
        jobs = container(five, repository="docker.io/acme/jobs", goods=(good("4", "acme/jobs:4"),))
        now = record(
            {"web": container(candidate(TWO)), "jobs": jobs},
            undone=(FAILED,),
            stuck=Patience(waited=1800, looked_at=at(100)),
        )
        result, _ = look(now, group(OLD | {"jobs": "acme/jobs:4"}, state="Updating"), 105)
        assert [ending.message.id for ending in result.outbox] == ["0", "2", "5"]


class TestWatched:
    def test_a_change_with_all_desired_images_is_watched(self) -> None:
        now = wanted(change=change(since=0))
        result, action = look(now, group(NEW, {"web": waiting()}), 4)
        assert action == Wait(timedelta(seconds=5), "web is waiting")
        assert the_change(result).began_at == at(0)

    def test_a_change_with_more_than_the_desired_images_is_watched(self) -> None:
        sent = change(NEW | {"side": "acme/side:1"}, since=0)
        shown = group(NEW | {"side": "acme/side:1"}, {"web": waiting()})
        result, _ = look(wanted(change=sent), shown, 4)
        assert the_change(result).images == sent.images

    def test_an_image_that_somebody_else_deployed_is_watched_too(self) -> None:
        result, action = look(wanted(generation=3), group(NEW, {"web": running(-10)}), 4)
        assert action == Wait(timedelta(seconds=16), "healthy, waiting for the end of the soak")
        assert (the_change(result).generation, the_change(result).began_at) == (3, LONG_AGO)

    def test_such_an_image_is_proven_at_once_if_it_has_run_for_long_enough(self) -> None:
        result, action = look(wanted(), group(NEW), 4)
        assert action == Rest()
        assert endings(result) == [("2", "updated", "web runs acme/shop:2")]
        assert result.containers["web"].good == good("2", pushed=0)

    def test_such_an_image_fails_if_it_crashes(self) -> None:
        result, action = look(wanted(), group(NEW, {"web": crash_loop(-60)}), 4)
        assert action == Put(OLD, restart=False)
        assert [undone.code for undone in result.undone] == ["CrashLoop"]

    def test_a_change_with_only_some_of_the_desired_images_does_not_count(self) -> None:
        five = candidate(message("5", repository="acme/jobs"), "acme/jobs:5")
        jobs = container(five, repository="docker.io/acme/jobs", goods=(good("4", "acme/jobs:4"),))
        now = record({"web": container(candidate(TWO)), "jobs": jobs}, change=change(), generation=1)
        result, _ = look(now, group(NEW | {"jobs": "acme/jobs:5"}, {"web": running(0)}), 4)
        assert the_change(result).asked == {"web": "2", "jobs": "5"}
        assert the_change(result).began_at == LONG_AGO


class TestStories:
    """Several looks, one after the other."""

    def test_a_failed_push_is_rolled_back_in_the_same_look_and_told_once_that_is_proven(self) -> None:
        now, action = look(wanted(), group(OLD), 0)
        assert action == Put(NEW, restart=False)
        now, action = look(now, group(NEW, {"web": crash_loop(20)}), 25)
        assert action == Put(OLD, restart=False)
        assert (the_change(now).asked, the_change(now).generation, endings(now)) == ({}, 2, [])
        now, action = look(now, group(OLD, {"web": running(30)}), 62)
        assert action == Wait(timedelta(seconds=55 - 2), "an earlier change may still take effect")
        assert endings(now) == [("2", "rolled-back", f"web: {CRASH}; rolled back to acme/shop:1")]
        assert (now.change, now.undone) == (None, ())

    def test_the_next_best_candidate_replaces_a_failed_one(self) -> None:
        older = message("1.9", pushed=-5)
        now = wanted(candidate(TWO), candidate(older), change=change(), generation=1)
        result, action = look(now, group(NEW, {"web": crash_loop(20)}), 25)
        assert action == Put({"web": "acme/shop:1.9"}, restart=False)
        assert the_change(result).asked == {"web": "1.9"}
        assert [undone.message.id for undone in result.undone] == ["2"]
        result, _ = look(result, group({"web": "acme/shop:1.9"}, {"web": running(30)}), 62)
        assert [each[:2] for each in endings(result)] == [("2", "rolled-back"), ("1.9", "updated")]

    def test_a_push_that_arrives_meanwhile_replaces_the_watched_one(self) -> None:
        newer = candidate(message("3", pushed=9))
        now = wanted(newer, candidate(TWO), change=change(), generation=1)
        result, action = look(now, group(NEW, {"web": waiting()}), 10)
        assert action == Put({"web": "acme/shop:3"}, restart=False)
        assert [each.id for each in result.containers["web"].candidates] == ["3", "2"]

    def test_with_rollback_off_the_failed_image_stays_and_the_group_rests(self) -> None:
        rules = replace(RULES, rollback=False)
        now = wanted(change=change(), generation=1)
        result, action = look(now, group(NEW, {"web": crash_loop(20)}), 25, rules)
        assert (action, result.change) == (Rest(), None)
        assert endings(result) == [("2", "failed", f"web: {CRASH}; not rolled back: ACI_HOOKS_ROLLBACK is off")]
        assert look(result, group(NEW, {"web": crash_loop(20)}), 99, rules) == (result, Rest())

    def test_with_rollback_off_the_next_push_is_put(self) -> None:
        rules = replace(RULES, rollback=False)
        now = record({"web": container(candidate(message("3", pushed=9)), failures=(failure(TWO),))})
        assert look(now, group(NEW, {"web": crash_loop(20)}), 25, rules)[1] == Put(
            {"web": "acme/shop:3"}, restart=False
        )

    def test_a_hold_lets_a_begun_change_end_and_begins_nothing(self) -> None:
        newer = candidate(message("3", pushed=9))
        now = wanted(newer, candidate(TWO), change=change(), generation=1, hold=HOLD)
        result, action = look(now, group(NEW, {"web": running(10)}), 40)
        assert action == Rest()
        assert endings(result) == [("2", "updated", "web runs acme/shop:2")]
        assert [each.id for each in result.containers["web"].candidates] == ["3"]

    def test_a_push_that_fails_on_a_held_group_is_not_rolled_back_before_the_release(self) -> None:
        now = wanted(change=change(), generation=1, hold=HOLD)
        held, action = look(now, group(NEW, {"web": crash_loop(20)}), 25)
        assert not isinstance(action, Put)
        _, action = look(held.but(hold=None), group(NEW, {"web": crash_loop(20)}), 99)
        assert action == Put(OLD, restart=False)

    def test_a_restart_counts_once_the_group_was_restarted_for_it(self) -> None:
        again = candidate(message("1", name="again"), restart=True)
        now, action = look(wanted(again), group(OLD), 0)
        assert action == Put(OLD, restart=True)
        now, action = look(now, group(OLD, {"web": waiting()}), 4)
        assert action == Wait(timedelta(seconds=5), "web is waiting")
        now, action = look(now, group(OLD, {"web": running(10)}), 40)
        told = "web was restarted with acme/shop:1; unverified: Azure does not say which image it pulled"
        assert endings(now) == [("again", "updated", told)]

    def test_a_late_change_that_replaced_a_proven_image_is_corrected(self) -> None:
        now = record({"web": container(goods=(good("2", pushed=0), good("1")))}, generation=2)
        result, action = look(now, group(OLD, {"web": running(5)}), 10)
        assert action == Put(NEW, restart=False)
        assert the_change(result).asked == {}

    def test_missing_secrets_do_not_keep_a_push_waiting(self) -> None:
        login = {"server": "r.io", "username": "u"}
        result, action = look(wanted(), group(OLD, imageRegistryCredentials=[login]))
        assert action == Rest()
        assert [(each.code, each.result) for each in result.outbox] == [("MissingSecrets", "failed")]

    def test_a_neighbour_whose_tag_moved_is_pinned_back_with_the_next_put(self) -> None:
        side = container(repository="docker.io/acme/side", followed=False, goods=(good("1", "acme/side:1"),))
        sent = change(well={"web": None, "side": digest("side")})
        now = record({"web": container(candidate(TWO)), "side": side}, change=sent, generation=1)
        pulled: Json = event("Pulled", 8, f'pulled "acme/side@{digest("other")}"')
        shown = group(
            NEW | {"side": "acme/side:1"}, {"web": running(10), "side": crash_loop(20) | {"events": [pulled]}}
        )
        result, action = look(now, shown, 25)
        assert action == Put(NEW | {"side": f"acme/side@{digest('side')}"}, restart=False)
        assert the_change(result).asked == {"web": "2"}

    def test_pushes_to_be_tried_apart_are_put_one_after_the_other(self) -> None:
        five = candidate(message("5", repository="acme/jobs"), "acme/jobs:5")
        jobs = container(five, repository="docker.io/acme/jobs", goods=(good("4", "acme/jobs:4"),))
        now = record({"web": container(candidate(TWO)), "jobs": jobs}, apart=True)
        images = OLD | {"jobs": "acme/jobs:4"}
        now, action = look(now, group(images), 0)
        assert action == Put({"jobs": "acme/jobs:5"}, restart=False)
        now, action = look(now, group(images | {"jobs": "acme/jobs:5"}, {"jobs": running(10)}), 40)
        assert action == Put({"web": "acme/shop:2", "jobs": "acme/jobs:5"}, restart=False)


class TestItComesToAnEnd:
    def test_a_full_record_whose_every_push_fails_is_settled_in_one_look(self) -> None:
        pushes = [candidate(message(str(number), pushed=-number)) for number in range(MOST_WAITING)]
        login = {"server": "r.io", "username": "u"}
        result, action = look(wanted(*pushes), group(OLD, imageRegistryCredentials=[login]))
        assert action == Rest()
        assert len(result.outbox) == MOST_WAITING

    def test_a_look_without_an_end_raises_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker.core.reconcile, "MOST_TURNS", 1)
        with pytest.raises(AssertionError, match=r"^reconcile found no action within 1 turns$"):
            look(wanted(), group(NEW))
