"""The overview: what all records together say of the deployment."""

from __future__ import annotations

from shared.message import TargetId
from tests.unit.builders import HOLD, SHOP, THREE, TWO, at, candidate, change, container, message, record, timer
from worker.record.overview import Overview, overview
from worker.record.record import Record
from worker.record.values import Ending, Undone

JOB, LOST = (SHOP.model_copy(update={"container_group": name}) for name in ("job", "lost"))


def record_of(target: TargetId, **rest: object) -> Record:
    return record(**rest).but(target=target)  # type: ignore[arg-type]


def test_of_no_target_there_is_nothing_to_say() -> None:
    assert overview([], [record(inbox=(TWO,))], [SHOP]) == Overview()


def test_a_target_at_rest_counts_and_has_nothing_under_way() -> None:
    assert overview([SHOP, JOB], [record({"web": container()})], []) == Overview(targets=2)


def test_every_push_that_has_not_ended_counts_once_for_each_target() -> None:
    containers = {"web": container(candidate(TWO)), "api": container(candidate(TWO))}
    undone = Undone(message=message("4", pushed=4), code="CrashLoop", detail="", containers=("web",))
    ending = Ending(message=message("5", pushed=-5), result="updated", detail="", at=at(9))
    busy = record(containers, inbox=(THREE,), undone=(undone,), outbox=(ending,), change=change())
    other = record_of(JOB, inbox=(TWO,))
    assert overview([SHOP, JOB], [busy, other], []) == Overview(targets=2, pushes=5, oldest=at(-5), changing=1)


def test_pushes_to_a_target_that_is_held_are_not_under_way() -> None:
    by_hand = record(inbox=(TWO,), hold=HOLD, timer=timer(owner=True))
    stopped = record_of(JOB, inbox=(TWO, THREE), timer=timer(owner=True))
    tagged = record_of(LOST)
    seen = overview([SHOP, JOB, LOST], [by_hand, stopped, tagged], [SHOP, LOST])
    assert seen == Overview(targets=3, held_by_hand=1, held_by_owner=2, pushes_held=3)


def test_pushes_that_wait_for_their_age_are_not_under_way_and_nobody_holds_their_target() -> None:
    waiting = record(inbox=(TWO,), timer=timer(owner=True).but(wakes=True))
    assert overview([SHOP], [waiting], []) == Overview(targets=1, pushes_held=1)
    assert overview([SHOP], [waiting], [SHOP]) == Overview(targets=1, held_by_owner=1, pushes_held=1)


def test_a_timer_that_waits_for_nobody_holds_nothing() -> None:
    seen = overview([SHOP], [record(inbox=(TWO,), timer=timer())], [])
    assert (seen.held_by_owner, seen.pushes, seen.oldest) == (0, 1, at(0))


def test_what_is_no_target_any_more_does_not_count() -> None:
    assert overview([JOB], [record(inbox=(TWO,), hold=HOLD, change=change())], [SHOP]) == Overview(targets=1)
