"""Folding: the same notice again and again is told once, and then as "n more"."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.message import TargetId
from worker.adapters.notifications.content import Repeats
from worker.adapters.notifications.folding import Folding
from worker.ports import Notice

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def failed(
    tag: str = "v2", target: str = "web/shop", code: str | None = "CrashLoop", outcome: Any = "failed"
) -> Notice:
    return Notice(outcome, f"acme/shop:{tag}", target, "it crashed", code=code)


def later(seconds: float) -> tuple[float, datetime]:
    return seconds, NOON + timedelta(seconds=seconds)


def test_the_first_is_told_at_once_and_those_that_follow_with_the_last_of_them() -> None:
    folding = Folding(first=600)
    assert folding.take(failed("v2"), *later(0)) == [(failed("v2"), None)]
    assert folding.take(failed("v3"), *later(10)) == []
    assert folding.take(failed("v4"), *later(599)) == []
    assert folding.next_due() == 600
    assert folding.due(*later(599)) == []
    assert folding.due(*later(600)) == [(failed("v4"), Repeats(2, NOON))]
    assert folding.due(*later(601)) == []


def test_groups_of_two_subscriptions_are_two_although_they_are_called_the_same() -> None:
    folding = Folding()
    one, other, again = (
        replace(failed(), group=TargetId(subscription=name, resource_group="web", container_group="shop"))
        for name in ("east", "west", "EAST")
    )
    assert folding.take(one, *later(0)) == [(one, None)]
    assert folding.take(other, *later(1)) == [(other, None)]
    assert folding.take(again, *later(2)) == []


def test_as_long_as_it_goes_on_it_is_told_less_often() -> None:
    folding = Folding(first=600, longest=2000)
    folding.take(failed(), *later(0))
    due = []
    for minute in range(200):
        folding.take(failed(), *later(60 * minute))
        due += [60 * minute for _ in folding.due(*later(60 * minute))]
    assert due == [600, 1800, 3840, 5880, 7920, 9960]


def test_what_stays_away_for_the_whole_time_is_told_at_once_again() -> None:
    folding = Folding(first=600)
    folding.take(failed(), *later(0))
    assert folding.due(*later(600)) == []
    assert folding.next_due() is None
    assert folding.take(failed(), *later(700)) == [(failed(), None)]


@pytest.mark.parametrize(
    "other",
    [failed(target="web/api"), failed(code="ImagePullFailed"), failed(code=None), failed(outcome="rolled-back")],
)
def test_another_group_outcome_or_code_is_another_thing(other: Notice) -> None:
    folding = Folding()
    folding.take(failed(), *later(0))
    assert folding.take(other, *later(1)) == [(other, None)]


def test_each_new_image_that_runs_is_told_and_the_same_one_again_is_not() -> None:
    folding = Folding()
    two, three = failed("v2", code=None, outcome="updated"), failed("v3", code=None, outcome="updated")
    assert [folding.take(notice, *later(0)) for notice in (two, three, two)] == [[(two, None)], [(three, None)], []]


def test_an_end_that_is_told_twice_is_not_repeated() -> None:
    folding = Folding()
    ended = replace(failed(), id="p1", at=NOON)
    redriven = replace(ended, at=NOON + timedelta(seconds=90))
    for notice in (ended, ended, ended):
        folding.take(notice, *later(0))
    assert folding.due(*later(600)) == []
    for notice in (ended, redriven, redriven):
        folding.take(notice, *later(700))
    assert folding.all() == [(redriven, Repeats(1, NOON + timedelta(seconds=700)))]


def test_the_spelling_of_a_group_makes_no_other_group() -> None:
    folding = Folding()
    folding.take(failed(), *later(0))
    assert folding.take(failed(target="Web/Shop"), *later(1)) == []


def test_every_changed_address_is_told() -> None:
    folding = Folding()
    moved = Notice("address changed", "acme/shop:v2", "web/shop", "from 1 to 2")
    assert [folding.take(moved, *later(second)) for second in range(2)] == [[(moved, None)]] * 2
    assert folding.next_due() is None


def test_at_the_end_everything_that_was_held_back_is_told() -> None:
    folding = Folding()
    folding.take(failed(), *later(0))
    folding.take(failed(), *later(1))
    folding.take(failed(target="web/api"), *later(2))
    assert folding.all() == [(failed(), Repeats(1, NOON))]
    assert folding.all() == []


def test_what_is_remembered_is_bounded_and_nothing_held_back_is_lost() -> None:
    folding = Folding(most=2)
    folding.take(failed(target="web/a"), *later(0))
    folding.take(failed(target="web/a"), *later(1))
    folding.take(failed(target="web/b"), *later(2))
    third, fourth = failed(target="web/c"), failed(target="web/d")
    assert folding.take(third, *later(3)) == [(failed(target="web/a"), Repeats(1, NOON)), (third, None)]
    assert folding.take(fourth, *later(4)) == [(fourth, None)]
