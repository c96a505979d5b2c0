"""The search as it is run: more schedules of every mix than the property tests have time for, and planted faults.

A search that finds nothing proves something only if it finds what is there.
"""

from __future__ import annotations

from itertools import islice

import pytest

from tests.property.test_search import EACH, SEED
from tests.search.mixes import MIXES
from tests.search.planted import PLANTED
from tests.search.search import search, shrink

MORE = 16
"""Schedules of a mix, after those of the property tests."""
ENOUGH = 250
"""Schedules within which a planted fault must be found."""
FIRST = {
    "write before send": 61,
    "a failed push stays desired": 0,
    "no drift check": 35,
    "no in-flight time": 31,
    "wall-clock patience": 18,
    "neighbours not judged": 0,
    "looks of the future are void": 78,
    "forgotten before it is told": 11,
    "order of arrival": 20,
    "last write wins": 3,
    "no lease before a PUT": 7,
    "the resource tag is ignored": 0,
}
"""The schedule with which to begin, so that each is found soon."""


@pytest.mark.parametrize("mix", MIXES)
def test_no_further_schedule_breaks_a_law(mix: str) -> None:
    for found in search(mix, SEED, MORE, first=EACH):
        assert found is None, str(found)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    planted = PLANTED[fault]
    with planted.planted():
        tried = islice(search(planted.mix, SEED, ENOUGH, FIRST[fault]), ENOUGH)
        assert any(tried), "the search has no teeth for it"


def test_what_is_found_is_made_as_short_as_it_can_be() -> None:
    fault = PLANTED["the resource tag is ignored"]
    with fault.planted():
        found = next(item for item in search(fault.mix, SEED, ENOUGH) if item)
        shortest = shrink(found.mix, found.schedule, found.law)
    assert len(shortest) <= 3, shortest
