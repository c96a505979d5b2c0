"""Giving up on a group: what ends, what fails, and what is only put off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import TWO, at, candidate, change, container, ends, good, message, pin, record, the_change
from worker.core.giving_up import given_up, no_longer_a_target
from worker.failures.classify import Failure, Permanent, Transient
from worker.record.record import Record
from worker.record.values import Hold, Undone

NOW = at(60)
DOWN = Transient("ServiceUnavailable", "arm: down", circumstance=True)
GONE = Permanent("ResourceNotFound", "arm: no such group")
ONE, THREE = message("1", pushed=-10), message("3", pushed=10)
FAILED = Undone(message=message("0"), code="CrashLoop", detail="it crashes", containers=("web",))


def results(of: Record) -> dict[str, str]:
    return {ending.message.id: ending.result for ending in of.outbox}


class TestNoLongerATarget:
    WHY = "the group is no longer a target"

    def test_what_waits_is_ignored_and_nothing_is_left_to_do(self) -> None:
        now = record({"web": container(candidate(TWO))}, inbox=(THREE,), change=change(asked={}))
        after = no_longer_a_target(now, NOW)
        assert set(ends(after)) == {("2", "ignored", self.WHY), ("3", "ignored", self.WHY)}
        assert (after.inbox, after.waiting(), after.change) == ((), {}, None)

    def test_an_unproven_image_on_the_group_fails_because_nobody_watches_it_any_more(self) -> None:
        now = record({"web": container(candidate(THREE), candidate(TWO))}, change=change())
        after = no_longer_a_target(now, NOW)
        assert results(after) == {"2": "failed", "3": "ignored"}

    def test_what_failed_before_is_told(self) -> None:
        after = no_longer_a_target(record({"web": container()}, undone=(FAILED,)), NOW)
        assert ends(after) == [("0", "failed", f"it crashes; {self.WHY}")]


class TestGivenUp:
    """Nobody could look at the group for too long."""

    @pytest.mark.parametrize("failure", [DOWN, GONE])
    def test_what_waits_fails_by_circumstance(self, failure: Failure) -> None:
        after = given_up(record({"web": container(candidate(TWO))}, inbox=(THREE,)), failure, 30, NOW)
        assert results(after) == {"2": "failed", "3": "failed"}
        assert {(ending.code, ending.detail, ending.attempts) for ending in after.outbox} == {
            (failure.code, failure.detail, 30)
        }

    @pytest.mark.parametrize("known", [{"containers": {"web": container()}}, {"ran": ("docker.io/acme/shop",)}])
    def test_what_a_group_that_is_gone_did_not_run_is_ignored(self, known: dict[str, Any]) -> None:
        other = message("9", repository="acme/other")
        after = given_up(record(**known, inbox=(THREE, other)), GONE, 30, NOW)
        assert set(ends(after)) == {
            ("3", "failed", GONE.detail),
            ("9", "ignored", "arm: no such group; it did not run docker.io/acme/other before"),
        }
        assert (after.inbox, after.ran) == ((), ("docker.io/acme/shop",))

    def test_any_push_may_be_meant_for_a_group_of_which_nothing_is_known(self) -> None:
        after = given_up(record(inbox=(THREE, message("9", repository="acme/other"))), GONE, 30, NOW)
        assert results(after) == {"3": "failed", "9": "failed"}

    def test_an_outage_says_nothing_about_who_runs_what(self) -> None:
        other = message("9", repository="acme/other")
        after = given_up(record({"web": container()}, inbox=(other,)), DOWN, 30, NOW)
        assert results(after) == {"9": "failed"}

    def test_it_may_come_again(self) -> None:
        after = given_up(record({"web": container(candidate(TWO))}), DOWN, 30, NOW)
        assert [failure.circumstance for failure in after.containers["web"].failures] == [True]

    def test_a_push_that_is_on_the_group_is_watched_again_once_the_trouble_is_over(self) -> None:
        now = record({"web": container(candidate(THREE), candidate(TWO))}, change=change())
        after = given_up(now, DOWN, 30, NOW)
        assert (results(after), list(after.waiting())) == ({"3": "failed"}, ["2"])
        assert the_change(after) == change()

    def test_trouble_of_the_group_s_own_is_no_reason_to_watch_it_again(self) -> None:
        now = record({"web": container(candidate(TWO))}, change=change())
        after = given_up(now, Permanent("InvalidRequestContent", "no"), 30, NOW)
        assert after.waiting() == {}

    def test_a_rollback_by_hand_goes_on_once_the_trouble_is_over(self) -> None:
        now = record({"web": container(pin=pin(good("0"))), "blue": container()})
        after = given_up(now, DOWN, 30, NOW)
        assert (results(after), after.containers["web"].pin) == ({}, pin(good("0")))

    def test_a_rollback_by_hand_fails_with_a_group_that_is_gone(self) -> None:
        now = record({"web": container(pin=pin(good("0"))), "blue": container()})
        assert results(given_up(now, GONE, 30, NOW)) == {"back": "failed"}

    def test_what_failed_before_is_told(self) -> None:
        after = given_up(record({"web": container()}, undone=(FAILED,)), DOWN, 30, NOW)
        assert ends(after) == [("0", "failed", "it crashes; not rolled back: arm: down")]

    def test_a_group_that_is_gone_leaves_nothing_but_its_history_and_its_hold(self) -> None:
        hold = Hold(reason="sale", since=at(0))
        after = given_up(record({"web": container(candidate(TWO))}, change=change(), hold=hold), GONE, 30, NOW)
        assert (after.containers, after.change, after.hold) == ({}, None, hold)
        assert results(after) == {"2": "failed"}
