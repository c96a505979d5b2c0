"""Mixes: which operations a schedule may have, how often each, and over which scenery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from tests.search.making import OPERATIONS
from tests.search.operations import Operation, Schedule
from tests.search.scenery import (
    EVERYTHING,
    TWINS,
    TWO,
    VERSIONS,
    WITH_SIDECAR,
    WITH_STRANGER,
    Scenery,
)

SHORTEST, LONGEST = 3, 16
"""Operations of a schedule."""


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix: the kinds of operations, repeated by their weight. `calm`: nothing goes wrong but images."""

    operations: tuple[str, ...]
    scenery: Scenery = TWO
    calm: bool = False

    def schedule(self, chance: Random) -> Schedule:
        """A random schedule of it."""
        length = chance.randrange(SHORTEST, LONGEST)
        return tuple(self._operation(chance) for _ in range(length))

    def _operation(self, chance: Random) -> Operation:
        return OPERATIONS[chance.choice(self.operations)](chance, self.scenery)


def _weighted(**weights: int) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name, weight in weights.items() for _ in range(weight))


_WORK = _weighted(work=4, **{"pass": 3}, run=2)
_BASE = _weighted(push=5) + _WORK
_MISCHIEF = ("deliver", "deliver again", "duplicate", "kill", "stall", "slow", "fault")

MIXES: Mapping[str, Mix] = {
    "calm": Mix((*_BASE, "hold", "release", "tag", "untag"), calm=True),
    "plain": Mix((*_BASE, *_MISCHIEF)),
    "bad clocks": Mix((*_weighted(push_by_a_bad_clock=5), *_WORK, *_MISCHIEF)),
    "tag": Mix((*_BASE, "tag", "untag", "tag", "untag", "duplicate")),
    "stop": Mix((*_BASE, "stop", "start", "stop", "start", "restart", "away")),
    "away": Mix((*_BASE, "away", "restart", "away", "fault")),
    "hand": Mix((*_BASE, "hold", "release", "roll back", "roll back", "kill", "stall", "duplicate")),
    "races": Mix(
        _weighted(push=5, work=2, kill=3, stall=4, slow=2, deliver_again=1, duplicate=1, run=1, **{"pass": 1})
    ),
    "late": Mix((*_BASE, *_weighted(late_put=5), "fault", "kill", "patrol")),
    "semver": Mix((*_BASE, *_MISCHIEF, "hold", "release"), VERSIONS),
    "by tag": Mix((*_weighted(push_by_tag=5), *_WORK, *_MISCHIEF, "patrol")),
    "registry": Mix((*_weighted(push_by_tag=5, registry_answers=2), *_WORK, "kill", "fault", "deliver")),
    "sidecar": Mix((*_BASE, *_weighted(move_tag=3), "restart", "stop", "start", "kill", "stall"), WITH_SIDECAR),
    "stranger": Mix((*_BASE, "move the stranger's tag", "kill"), WITH_STRANGER),
    "twins": Mix((*_BASE, *_MISCHIEF, "roll back", "release"), TWINS),
    "outage": Mix((*_BASE, *_weighted(outage_of_arm=2, outage_of_storage=2, storage_fault=3), "away", "kill")),
    "azure": Mix(
        (*_BASE, *_weighted(refusals=3, node_down=3), "deliver again", "kill", "outage of arm", "hold", "release")
    ),
    "skew": Mix((*_BASE, *_weighted(clocks_apart=2), *_MISCHIEF, "tag", "untag")),
    "stale": Mix((*_BASE, *_weighted(stale_targets=3), "kill", "stall", "hold", "release")),
    "owner": Mix((*_BASE, *_weighted(deploy=3), "restart", "kill", "late put", "patrol", "tag", "untag")),
    "redrive": Mix((*_BASE, *_weighted(redrive=4), "kill", "duplicate", "hold", "release", "storage fault")),
    "timers": Mix((*_BASE, *_weighted(lose_timers=2, patrol=2), "kill", "stall", "late put")),
    "burst": Mix((*_weighted(burst=2), *_BASE, "kill", "stall"), VERSIONS),
    "all": Mix(
        (
            *_BASE,
            *_BASE,
            *_weighted(push_by_tag=2),
            *_MISCHIEF,
            *(kind for kind in OPERATIONS if kind not in {"burst", "move the stranger's tag", "push by a bad clock"}),
        ),
        EVERYTHING,
    ),
}


def schedules(name: str, seed: int, first: int = 0) -> Iterator[tuple[int, Schedule]]:
    """A mix's schedules of a seed, each with its number: any one of them can be had again by the two."""
    number = first
    while True:
        yield number, MIXES[name].schedule(Random(f"{name}/{seed}/{number}"))
        number += 1
