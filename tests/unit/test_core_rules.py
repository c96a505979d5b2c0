"""What governs rollouts: how often a group is looked at, and the defaults."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.builders import RULES, at
from worker.core.rules import RolloutRules, Wait
from worker.record.values import Patience


@pytest.mark.parametrize(
    ("waited", "pause"), [(0, 5), (9.9, 5), (10, 5), (11, 5.5), (60, 30), (119, 59.5), (120, 60), (121, 60), (9999, 60)]
)
def test_the_longer_it_takes_the_rarer_the_looks_become(waited: float, pause: float) -> None:
    assert RULES.pause(waited) == timedelta(seconds=pause)


def test_a_check_interval_beyond_the_slowest_pace_is_kept() -> None:
    rules = replace(RULES, check_interval=timedelta(seconds=90))
    assert [rules.pause(waited) for waited in (0, 9999)] == [timedelta(seconds=90)] * 2


def test_failed_pushes_are_rolled_back_and_slow_is_a_minute_by_default() -> None:
    second = timedelta(seconds=1)
    rules = RolloutRules(soak=second, timeout=second, check_interval=second, flight=second)
    assert (rules.slow, rules.rollback, rules.secrets) == (timedelta(seconds=60), True, frozenset())


def test_a_wait_is_not_for_the_owner_by_default() -> None:
    assert not Wait(timedelta(0), "a moment").owner


@pytest.mark.parametrize(
    ("waited", "passed", "counted"),
    [(0, 4, 4), (0, 10, 10), (0, 11, 10), (100, 54, 54), (100, 56, 55), (900, 65, 65), (900, 86400, 65), (5, -30, 0)],
)
def test_a_pause_counts_for_no_longer_than_it_was_planned(waited: float, passed: float, counted: float) -> None:
    # An outage of Azure, of the records or of every worker proves nothing.
    before = Patience(waited=waited, looked_at=at(1000))
    assert RULES.looked(before, at(1000 + passed)) == Patience(waited=waited + counted, looked_at=at(1000 + passed))
