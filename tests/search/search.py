"""Carry out a schedule, see whether a law was broken, and find the shortest schedule that breaks it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import structlog

from tests.search import laws
from tests.search.mixes import MIXES, schedules
from tests.search.operations import Operation, Schedule
from tests.search.trial import Trial
from tests.search.world import World, imagined_time


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule that broke a law."""

    mix: str
    number: int
    schedule: Schedule
    law: str
    detail: str

    def __str__(self) -> str:
        lines = "".join(f"    {operation!r},\n" for operation in self.schedule)
        return f"{self.mix} {self.number}: {self.detail}\n  attempt({self.mix!r}, (\n{lines}  ))"


def attempt(mix: str, schedule: Schedule) -> laws.Violation | None:
    """Carry out one schedule to the end of all its work; the first law that it broke."""
    chosen = MIXES[mix]
    world = World(chosen.scenery)
    trial = Trial(chosen.scenery, world)
    with (
        imagined_time(world.clock),
        structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as world.logs,
    ):
        try:
            for operation in schedule:
                operation.happen(trial)
                laws.always(trial)
            trial.come_to_rest()
            laws.in_the_end(trial, calm=chosen.calm)
        except laws.Violation as violation:
            return violation
        except Exception:  # whatever it is, it should have met nobody
            return laws.Violation("nothing unforeseen comes up", traceback.format_exc(limit=-8))
    return None


def shrink(mix: str, schedule: Schedule, law: str) -> Schedule:
    """The shortest and simplest schedule that one can come to by leaving out or simplifying operations.

    It breaks the same law still.
    """
    shorter: Schedule | None = schedule
    while shorter is not None:
        schedule = shorter
        shorter = next((item for item in _simpler(schedule) if _breaks(mix, item, law)), None)
    return schedule


def search(mix: str, seed: int, limit: int, first: int = 0) -> Iterator[Found | None]:
    """Attempt a mix's schedules, `limit` of them: for each what was found, not shrunk yet, or None."""
    for number, schedule in schedules(mix, seed, first):
        if number >= first + limit:
            return
        violation = attempt(mix, schedule)
        yield Found(mix, number, schedule, violation.law, str(violation)) if violation else None


def shrunk(found: Found) -> Found:
    """The same, in as few operations as show it."""
    schedule = shrink(found.mix, found.schedule, found.law)
    violation = attempt(found.mix, schedule)
    assert violation is not None
    return replace(found, schedule=schedule, detail=str(violation))


def _breaks(mix: str, schedule: Schedule, law: str) -> bool:
    violation = attempt(mix, schedule)
    return violation is not None and violation.law == law


def _simpler(schedule: Schedule) -> Iterator[Schedule]:
    """Schedules to try in place of one: without its halves, quarters, and so on, then with simpler operations."""
    size = len(schedule) // 2
    while size:
        for start in range(len(schedule) - size, -1, -size):
            yield schedule[:start] + schedule[start + size :]
        size //= 2
    for place, operation in enumerate(schedule):
        for simpler in _simpler_operations(operation):
            yield (*schedule[:place], simpler, *schedule[place + 1 :])


def _simpler_operations(operation: Any) -> Iterator[Operation]:
    for field in fields(operation):
        value = getattr(operation, field.name)
        for simpler in _simpler_values(field.name, value):
            yield replace(operation, **{field.name: simpler})


def _simpler_values(name: str, value: object) -> Sequence[object]:
    """Values that make an operation easier to read. A digest and a webhook on time are what is usual."""
    match value:
        case bool():
            usual = name == "digest"
            return [] if value == usual else [usual]
        case int() | float() if value > 1:
            return sorted({1, int(value // 2)})
        case str() if name == "quality" and value not in {"good", "crash-loop"}:
            return ["crash-loop"]
        case None:
            return []
        case int() | float() | str():
            return []
        case _:
            return [None]
