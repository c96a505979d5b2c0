"""Making operations at random: `OPERATIONS` makes one of each kind. Which kinds a schedule has is its mix's affair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import get_args

from tests.search.mischief import (
    ArmFault,
    ArmTrouble,
    ClocksApart,
    Kill,
    LatePut,
    LoseTimers,
    NodeDown,
    Outage,
    Refusal,
    Refusals,
    Slow,
    StaleTargets,
    Stall,
    StorageTrouble,
)
from tests.search.operations import (
    Away,
    Burst,
    Deliver,
    DeliverAgain,
    Deploy,
    Duplicate,
    Hold,
    MoveTag,
    Operation,
    Pass,
    Patrol,
    Push,
    Redrive,
    RegistryAnswers,
    Release,
    Restart,
    RollBack,
    Run,
    Start,
    Stop,
    Tag,
    Work,
)
from tests.search.scenery import QUALITIES, Quality, Scenery

Make = Callable[[Random, Scenery], Operation]
_CALLS = (*range(8), *range(16))
"""At which call of an adapter something happens: to receive a push takes eight, a look with a PUT fourteen or so."""
_BAD = tuple(quality for quality in QUALITIES if quality != "good")


def _push(chance: Random, scenery: Scenery) -> Push:
    quality: Quality = chance.choice(("good", "good", *_BAD))
    container = chance.choice(scenery.pushed_to)
    carries_digest = scenery.containers[container].moves or chance.random() < 0.3
    return Push(container, quality, digest=carries_digest, late=chance.random() < 0.1, rank=chance.randrange(5))


def _push_by_tag(chance: Random, scenery: Scenery) -> Push:
    """Without a digest, also of a tag that moves."""
    push = _push(chance, scenery)
    return replace(push, digest=False) if chance.random() < 0.6 else push


def _push_by_bad_clock(chance: Random, scenery: Scenery) -> Push:
    return replace(_push(chance, scenery), clock_error=chance.choice((0, 0, None, -600, 600, 7200)))


def _stall(chance: Random, meanwhile: Push | Kill | Stall | None) -> Stall:
    return Stall(
        chance.choice(_CALLS),
        chance.choice((5, 31, 45)),
        chance.randrange(5),
        chance.choice((0, 0, 5, 30)),
        meanwhile,
    )


def _meanwhile(chance: Random, scenery: Scenery) -> Push | Kill | Stall | None:
    match chance.randrange(6):
        case 0:
            return Kill(chance.choice(_CALLS))
        case 1:
            return _stall(chance, meanwhile=None)
        case 2 | 3:
            return _push(chance, scenery)
        case _:
            return None


def _late_put(chance: Random, scenery: Scenery) -> LatePut:
    seconds, longer = chance.choice((5, 31, 45, 200, 200)), chance.choice((0, 5, 30, 60))
    push = _push(chance, scenery) if chance.random() < 0.6 else None
    return LatePut(seconds, longer, chance.random() < 0.6, push)


OPERATIONS: Mapping[str, Make] = {
    "push": _push,
    "push by tag": _push_by_tag,
    "push by a bad clock": _push_by_bad_clock,
    "burst": lambda chance, scenery: Burst(chance.choice(scenery.pushed_to), chance.choice((3, 12, 40))),
    "deliver": lambda chance, _: Deliver(chance.randrange(5)),
    "deliver again": lambda chance, _: DeliverAgain(chance.randrange(9), chance.random() < 0.5),
    "duplicate": lambda chance, _: Duplicate(chance.randrange(9)),
    "move tag": lambda chance, _: MoveTag("sidecar", chance.choice(("good", "crash-loop", "unpullable", "late-crash"))),
    "move the stranger's tag": lambda chance, _: MoveTag("stranger", chance.choice(("good", "crash-loop"))),
    "registry answers": lambda chance, _: RegistryAnswers(chance.random() < 0.5),
    "redrive": lambda chance, _: Redrive(chance.randrange(5), chance.random() < 0.5),
    "work": lambda chance, _: Work(chance.choice((1, 1, 2, 3, 8)), chance.random() < 0.4),
    "pass": lambda chance, _: Pass(chance.choice((1, 5, 5, 10, 20, 40, 60, 200)), chance.choice((0, 1, 3, 8))),
    "run": lambda chance, _: Run(chance.choice((10, 30, 60, 200, 600))),
    "kill": lambda chance, _: Kill(chance.choice(_CALLS), chance.choice((1, 1, 8))),
    "stall": lambda chance, scenery: _stall(chance, _meanwhile(chance, scenery)),
    "slow": lambda chance, _: Slow(chance.choice(_CALLS), chance.choice((2, 14, 28)), chance.choice((1, 4, 8))),
    "late put": _late_put,
    "fault": lambda chance, _: ArmFault(
        chance.choice(get_args(ArmTrouble)), chance.choice(("GET", "PUT", "PUT")), chance.choice((1, 2, 3, 20))
    ),
    "refusals": lambda chance, _: Refusals(chance.choice(get_args(Refusal)), chance.choice((1, 3, 20))),
    "node down": lambda chance, _: NodeDown(),
    "outage of arm": lambda chance, _: Outage("arm", chance.choice((30, 200, 1200))),
    "outage of storage": lambda chance, _: Outage(
        chance.choice(("records", "queue")), chance.choice((5, 40, 200, 1200))
    ),
    "storage fault": lambda chance, _: StorageTrouble(
        chance.choice(("records", "queue")), chance.choice((1, 2, 5)), chance.random() < 0.5
    ),
    "patrol": lambda chance, _: Patrol(),
    "lose timers": lambda chance, _: LoseTimers(),
    "away": lambda chance, _: Away(chance.choice((130, 300, 1000, 5000)), chance.random() < 0.3),
    "clocks apart": lambda chance, _: ClocksApart(chance.choice((-30, 30))),
    "stale targets": lambda chance, _: StaleTargets(
        chance.choice((10, 60, 300)), chance.choice(("all", "every other", "every other"))
    ),
    "hold": lambda chance, _: Hold(),
    "release": lambda chance, _: Release(),
    "roll back": lambda chance, _: RollBack(),
    "tag": lambda chance, _: Tag(),
    "untag": lambda chance, _: Tag(held=False),
    "stop": lambda chance, _: Stop(),
    "start": lambda chance, _: Start(),
    "restart": lambda chance, _: Restart(),
    "deploy": lambda chance, scenery: Deploy(chance.choice(tuple(scenery.containers))),
}
