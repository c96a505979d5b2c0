"""The search, briefly: some schedules of every mix, and what it once found.

`make search` goes on for as long as it is told to. Whatever it finds goes into FOUND, as it was printed. More
schedules, and the faults that the search must find, are in tests/integration/test_search.py.
"""

from __future__ import annotations

import pytest

from tests.search.mischief import ArmFault, Kill, LatePut
from tests.search.mixes import MIXES
from tests.search.operations import Deploy, Hold, MoveTag, Pass, Push, Run, Schedule, Work
from tests.search.search import attempt, search

SEED = 0
EACH = 4
"""Schedules of a mix."""
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
