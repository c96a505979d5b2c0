"""The search, briefly: some schedules of every mix, what it once found, and the faults that it must find.

`make search` goes on for as long as it is told to. Whatever it finds goes into FOUND, as it was printed.
"""

from __future__ import annotations

from itertools import islice

import pytest

from tests.search.mischief import ArmFault, Kill, LatePut
from tests.search.mixes import MIXES
from tests.search.operations import Deploy, Hold, MoveTag, Pass, Push, Run, Schedule, Work
from tests.search.planted import PLANTED
from tests.search.search import attempt, search, shrink

SEED = 0
EACH = 20
"""Schedules of a mix."""
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
FOUND: dict[str, tuple[str, Schedule]] = {
    "a change that Azure answers with an error was no try": (
        "plain",
        (ArmFault("error", "PUT", times=10), Push("web"), Run(150)),
    ),
    "a change whose answers were lost was no try either": (
        "plain",
        (Push("web", "inaccessible"), ArmFault("error-after", "PUT", times=10), Push("jobs"), Run(30)),
    ),
    "a way back goes on when Azure answers again": (
        "plain",
        (ArmFault("error", "PUT", times=20), Push("jobs"), Run(600)),
    ),
    "a hold by hand keeps no container in its crash loop": (
        "calm",
        (Push("web"), Push("jobs", "crash-loop"), Pass(1, messages=8), Hold(), Pass(10, messages=3)),
    ),
    "a change that is refused does not end the watch over the one before it": (
        "sidecar",
        (
            Push("web", "crash-loop"),
            Pass(1, messages=4),
            MoveTag("sidecar", "crash-loop"),
            Pass(10),
            Push("web", "inaccessible"),
        ),
    ),
    "nor does it where the neighbour is no affair of ours": (
        "stranger",
        (
            MoveTag("stranger", "crash-loop"),
            Push("web", "late-crash"),
            Work(3),
            Pass(60, messages=1),
            Push("web", "inaccessible"),
        ),
    ),
    "a neighbour whose tag has moved is pinned back during a hold by hand, too": (
        "stale",
        (Push("web"), Push("jobs", "crash-loop", late=True), Run(1), Hold(), Run(12)),
    ),
    "a late change that was sent by tag is not taken for the owner's own": (
        "owner",
        (
            Deploy("jobs"),
            Pass(6, messages=1),
            Push("jobs", "crash-loop"),
            Kill(1),
            Work(),
            Push("jobs", "crash-loop"),
            LatePut(1, longer=15),
        ),
    ),
}


@pytest.mark.parametrize("mix", MIXES)
def test_no_schedule_breaks_a_law(mix: str) -> None:
    for found in search(mix, SEED, EACH):
        assert found is None, str(found)


@pytest.mark.parametrize("case", FOUND)
def test_what_was_found_once_does_not_come_back(case: str) -> None:
    mix, schedule = FOUND[case]
    violation = attempt(mix, schedule)
    assert violation is None, str(violation)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    planted = PLANTED[fault]
    with planted.planted():
        tried = islice(search(planted.mix, SEED, ENOUGH, FIRST[fault]), ENOUGH)
        assert any(tried), "the search has no teeth for it"


def test_what_is_found_is_made_as_short_as_it_can_be() -> None:
    fault = PLANTED["the resource tag is ignored"]
    with fault.planted():
        found = next(one for one in search(fault.mix, SEED, ENOUGH) if one)
        shortest = shrink(found.mix, found.schedule, found.law)
    assert len(shortest) <= 3, shortest
