"""For which pushes a look acts, and which rollouts it has seen end."""

from __future__ import annotations

import pytest

from tests.unit.builders import THREE, TWO, at, candidate, change, container, good, message, pin, record
from worker.groups.health import LONG_AGO
from worker.record.acting import acts_for, stretches
from worker.record.record import Record
from worker.record.values import Ending, Undone

FOUR = message("4", pushed=4)
BACK = pin(good("1"))


def ending(of: str, result: str = "updated", code: str | None = None) -> Ending:
    told = {"2": TWO, "3": THREE}[of]
    return Ending.model_validate(
        {"message": told, "result": result, "detail": "so it went", "code": code, "at": at(60)}
    )


def undone(of: str) -> Undone:
    return Undone(message={"2": TWO, "3": THREE}[of], code="CrashLoop", detail="it crashed", containers=("web",))


@pytest.mark.parametrize(
    ("of", "ids"),
    [
        pytest.param(record(), [], id="nobody"),
        pytest.param(record(inbox=(TWO, THREE)), ["3", "2"], id="what was received, the newest first"),
        pytest.param(
            record({"web": container(candidate(TWO), candidate(THREE))}, inbox=(FOUR,)),
            ["2", "4", "3"],
            id="the best candidate, and those that wait",
        ),
        pytest.param(
            record({"web": container(candidate(THREE), candidate(TWO))}, change=change()),
            ["2", "3"],
            id="whoever asked for the change, whatever is better by now",
        ),
        pytest.param(
            record(
                {"web": container(candidate(TWO)), "api": container(candidate(THREE))},
                change=change(asked={"web": "2", "api": "3"}),
            ),
            ["3", "2"],
            id="two pushes that asked for one change",
        ),
        pytest.param(
            record({"web": container(candidate(THREE), pin=BACK)}, change=change(asked={"web": "back"})),
            ["back", "3"],
            id="an operator's rollback",
        ),
        pytest.param(
            record({"web": container(candidate(THREE), pin=BACK)}), ["back", "3"], id="a rollback that has not begun"
        ),
        pytest.param(
            record({"web": container(candidate(THREE))}, undone=(undone("2"),)), ["2", "3"], id="what is brought back"
        ),
        pytest.param(
            record({"web": container(candidate(THREE))}, outbox=(ending("2"),)), ["2", "3"], id="what is to be told"
        ),
    ],
)
def test_for_whom(of: Record, ids: list[str]) -> None:
    assert [acted_for.id for acted_for in acts_for(of)] == ids


BEFORE = record({"web": container(candidate(TWO))}, change=change(since=10))


def told(before: Record, after: Record) -> list[tuple[str, str, str, str | None]]:
    found = stretches(before, after, at(90))
    return [(item.name, item.message.id, item.result, item.code) for item in found]


def test_a_rollout_from_its_put_to_its_end() -> None:
    (rollout,) = stretches(BEFORE, BEFORE.but(outbox=(ending("2"),)), at(90))
    assert (rollout.name, rollout.message, rollout.result, rollout.detail) == ("rollout", TWO, "updated", "so it went")
    assert (rollout.started, rollout.ended) == (at(10), at(60))


def test_a_change_that_nobody_saw_begin_counts_from_the_pushs_arrival() -> None:
    before = BEFORE.but(change=change(began_at=LONG_AGO))
    (rollout,) = stretches(before, before.but(outbox=(ending("2"),)), at(90))
    assert rollout.started == TWO.received_at


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(record(), record(outbox=(ending("2"),)), [], id="no change was under way"),
        pytest.param(BEFORE, BEFORE, [], id="nothing has ended"),
        pytest.param(BEFORE, BEFORE.but(outbox=(ending("3", "superseded"),)), [], id="one that never began"),
        pytest.param(
            BEFORE.but(outbox=(ending("2"),)), BEFORE.but(outbox=(ending("2"),)), [], id="it had ended before"
        ),
        pytest.param(
            BEFORE, BEFORE.but(undone=(undone("2"),)), [("rollout", "2", "failed", "CrashLoop")], id="it failed"
        ),
        pytest.param(
            BEFORE.but(undone=(undone("2"),)), BEFORE.but(undone=(undone("2"),)), [], id="it had failed before"
        ),
        pytest.param(
            BEFORE.but(undone=(undone("2"),), change=change(asked={})),
            BEFORE.but(outbox=(ending("2", "rolled-back", "CrashLoop"),)),
            [("rollback", "2", "rolled-back", None)],
            id="it was brought back",
        ),
    ],
)
def test_what_has_ended(before: Record, after: Record, expected: list[tuple[str, str, str, str | None]]) -> None:
    assert told(before, after) == expected
