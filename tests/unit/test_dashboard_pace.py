"""Which groups are read next: new ones first, then by how long they are overdue, never more than Azure can spare."""

from __future__ import annotations

from shared.message import TargetId
from worker.dashboard.pace import CALM, FIRST_READS, LIVELY, READS, TICK, Turn, next_turns


def target(number: int) -> TargetId:
    return TargetId(subscription="sub", resource_group="web", container_group=f"group-{number:03}")


def test_what_nobody_has_seen_comes_first() -> None:
    turns = [Turn(target(1), read_at=0), Turn(target(2))]
    assert next_turns(turns, now=100) == [target(2)]


def test_the_longest_overdue_comes_first() -> None:
    turns = [Turn(target(1), read_at=9), Turn(target(2), read_at=3), Turn(target(3), read_at=99)]
    assert next_turns(turns, now=100) == [target(2), target(1)]


def test_what_is_under_way_is_read_more_often() -> None:
    turns = [Turn(target(1), read_at=0, lively=True), Turn(target(2), read_at=0)]
    assert next_turns(turns, now=LIVELY) == [target(1)]
    assert set(next_turns(turns, now=CALM)) == {target(1), target(2)}


def test_two_hundred_groups_cost_no_more_than_the_limit() -> None:
    clock, read_at, reads = 0.0, dict[TargetId, float](), list[int]()
    for _ in range(100):
        turns = [Turn(target(number), read_at.get(target(number))) for number in range(200)]
        chosen = next_turns(turns, clock)
        reads.append(len(chosen))
        read_at |= dict.fromkeys(chosen, clock)
        clock += TICK
    assert reads[:5] == [int(FIRST_READS * TICK)] * 5
    assert max(reads[5:]) == READS * TICK
    assert clock - min(read_at.values()) <= 200 / READS + 2 * TICK
