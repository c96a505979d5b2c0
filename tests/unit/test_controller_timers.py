"""Timers: a look is on the queue before its record names it, and each record that is not at rest names one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.errors import RemoteError
from shared.message import Look
from tests.unit.builders import API, HOLD, SHOP, at, message, record, timer
from tests.unit.builders import change as under_way
from tests.unit.controller_builders import RECORDS_DOWN, Bench, Died, conflict
from worker.controller.timers import CONFLICTS, change, is_overdue, timed, waiting_for_owners, with_timer
from worker.core.rules import Put, Wait
from worker.ports import Conflict
from worker.record.record import Record
from worker.record.values import Timer


def held(now: Record) -> Record:
    return now.but(hold=HOLD)


def look(token: str = "id-1", count: int = 1) -> Look:
    return Look(target=SHOP, token=token, count=count)


@pytest.mark.parametrize(("seconds", "overdue"), [(0, False), (119, False), (120, False), (120.1, True)])
def test_a_look_that_is_two_minutes_late_is_overdue(seconds: float, *, overdue: bool) -> None:
    assert is_overdue(timer(100), at(100 + seconds)) == overdue


def test_what_blocks_a_change_is_not_over_while_the_change_is_sent_once_more() -> None:
    blocked = record(timer=timer(0, trouble="the registry is down"))
    put, wait = Put({"web": "acme/shop:2"}, restart=False), Wait(timedelta(seconds=5), "it starts")
    assert timed(blocked, put, at(9)).timer == timer(9, trouble="the registry is down")
    assert timed(blocked, wait, at(9)).timer == timer(14)


class TestChange:
    def test_the_decision_is_written_with_a_timer_that_is_due_now(self) -> None:
        bench = Bench(record(count=4, swept=True))
        before, after = change(bench.ports(), SHOP, held)
        assert before == record(count=4, swept=True)
        assert after == record(count=5, swept=True, hold=HOLD, timer=timer(0, "id-1"))
        assert bench.record == after
        assert bench.sent == [look(count=5)]

    def test_the_look_is_sent_before_the_record_names_it(self) -> None:
        # The other order could leave a record that waits for a message that was never sent.
        bench = Bench(record())
        change(bench.ports(), SHOP, held)
        assert [call for call in bench.calls if call in {"after send", "before save"}] == ["after send", "before save"]

    def test_a_worker_that_dies_in_between_leaves_a_look_that_no_record_names(self) -> None:
        bench = Bench(record())

        def die() -> None:
            raise Died

        bench.on("save", die)
        with pytest.raises(Died):
            change(bench.ports(), SHOP, held)
        assert (bench.record, bench.sent) == (record(), [look()])

    def test_a_group_without_a_record_gets_one(self) -> None:
        bench = Bench()
        before, after = change(bench.ports(), SHOP, held)
        assert (before, bench.record) == (record(), after)

    def test_without_a_change_nothing_is_sent_or_written(self) -> None:
        bench = Bench(record(swept=True))
        assert change(bench.ports(), SHOP, lambda _now: None) == (record(swept=True), record(swept=True))
        assert bench.calls == ["before load", "after load"]

    def test_after_a_conflict_it_is_decided_again(self) -> None:
        bench = Bench(record())
        bench.on("save", lambda: bench.rewrite(lambda now: now.but(swept=True)))
        before, after = change(bench.ports(), SHOP, held)
        assert (before.swept, after.swept, after.hold) == (True, True, HOLD)
        assert bench.record == after

    def test_a_look_that_was_sent_is_used_until_a_record_names_it(self) -> None:
        bench = Bench(record())
        bench.on("save", *[conflict()] * (CONFLICTS - 1))
        change(bench.ports(), SHOP, held)
        assert bench.sent == [look()]
        assert bench.record.timer == timer(0, "id-1")

    def test_a_look_that_is_no_longer_the_newest_is_not_used(self) -> None:
        bench = Bench(record())
        bench.on("save", lambda: bench.rewrite(lambda now: now.but(count=1)))
        change(bench.ports(), SHOP, held)
        assert bench.sent == [look(), look("id-2", 2)]
        assert (bench.record.timer, bench.record.count) == (timer(0, "id-2"), 2)

    def test_a_timer_that_another_worker_started_first_is_kept(self) -> None:
        bench = Bench(record())
        bench.on("save", lambda: bench.rewrite(lambda now: now.but(count=1, timer=timer(0, "theirs"))))
        change(bench.ports(), SHOP, held)
        assert (bench.record.timer, bench.record.count, bench.record.hold) == (timer(0, "theirs"), 1, HOLD)

    def test_constant_conflicts_are_raised(self) -> None:
        bench = Bench(record())
        bench.on("save", *[conflict()] * CONFLICTS)
        with pytest.raises(Conflict, match=r"^others wrote the record of web/shop first, 5 times in a row$"):
            change(bench.ports(), SHOP, held)
        assert bench.saves() == 0

    def test_an_outage_of_the_records_for_a_moment_does_no_harm(self) -> None:
        bench = Bench(record())
        bench.on("load", RECORDS_DOWN)
        bench.on("save", RECORDS_DOWN)
        change(bench.ports(), SHOP, held)
        assert bench.record.hold == HOLD


class TestWithoutWaking:
    """A group that nothing can be done for now keeps its timer."""

    @pytest.mark.parametrize(
        ("kept", "left"),
        [
            (timer(60, owner=True), True),
            (timer(-120, owner=True), True),
            (timer(-121, owner=True), False),
            (timer(60, owner=True, wakes=True), False),
            (timer(60, throttled=True), True),
            (timer(-121, throttled=True), False),
            (timer(60), False),
            (None, False),
        ],
        ids=[
            "owner",
            "owner, due",
            "owner, overdue",
            "age",
            "throttled",
            "throttled, overdue",
            "something else",
            "at rest",
        ],
    )
    def test_a_group_that_waits_for_its_owner_or_for_azure_keeps_its_timer(
        self, kept: Timer | None, *, left: bool
    ) -> None:
        bench = Bench(record(timer=kept, count=3))
        change(bench.ports(), SHOP, held, wake=False)
        assert bench.sent == ([] if left else [look(count=4)])
        assert bench.record == record(timer=kept if left else timer(0, "id-1"), count=3 if left else 4, hold=HOLD)

    def test_an_operators_command_starts_the_timer_all_the_same(self) -> None:
        bench = Bench(record(timer=timer(60, owner=True)))
        change(bench.ports(), SHOP, held)
        assert bench.sent == [look()]


class TestWithTimer:
    @pytest.mark.parametrize("due", [-120, -1, 0, 1])
    def test_a_timer_that_is_due_in_a_moment_stays(self, due: float) -> None:
        bench = Bench()
        now = record(timer=timer(due), count=3)
        assert with_timer(bench.ports(), now) == (now, None)
        assert bench.sent == []

    @pytest.mark.parametrize("due", [-120.1, 1.1, 60])
    def test_a_timer_that_is_overdue_or_due_later_is_replaced_by_one_that_is_due_now(self, due: float) -> None:
        bench = Bench()
        now = record(timer=timer(due, owner=True), count=3)
        assert with_timer(bench.ports(), now) == (now.but(timer=timer(0, "id-1"), count=4), look(count=4))
        assert bench.sent == [look(count=4)]

    @pytest.mark.parametrize(("due", "stays"), [(0, True), (3, True), (3.1, False), (60, False)])
    def test_while_a_change_is_under_way_pushes_are_gathered_for_a_moment(self, due: float, *, stays: bool) -> None:
        # Regression: each look during a burst found a newer push and put it: four PUTs for 200 pushes.
        bench = Bench()
        now = record(timer=timer(due), count=3, change=under_way())
        result, _ = with_timer(bench.ports(), now)
        assert result.timer == (timer(due) if stays else timer(2, "id-1"))
        bench.clock.advance(1)
        assert bench.updates.receive(1) == []
        bench.clock.advance(1)
        assert len(bench.updates.receive(1)) == (0 if stays else 1)

    @pytest.mark.parametrize(("count", "serves"), [(2, True), (3, False), (4, False)])
    def test_a_look_that_was_sent_before_is_used_if_it_is_still_the_newest(self, count: int, *, serves: bool) -> None:
        bench = Bench()
        sent = look("before", 3)
        result, used = with_timer(bench.ports(), record(count=count), sent)
        expected = sent if serves else look("id-1", count + 1)
        assert (used, result.timer, result.count) == (expected, timer(0, expected.token), expected.count)
        assert bench.sent == ([] if serves else [expected])

    def test_a_look_that_was_sent_before_is_returned_where_it_is_not_needed(self) -> None:
        now = record(timer=timer(0))
        assert with_timer(Bench().ports(), now, look("before", 9)) == (now, look("before", 9))


class TestWaitingForOwners:
    def test_groups_that_wait_for_their_owner_are_counted_and_those_at_rest_are_not(self) -> None:
        bench = Bench(record(timer=timer(owner=True)))
        bench.records.save(Record(target=API), None)
        assert waiting_for_owners(bench.ports()) == 1

    def test_where_all_groups_rest_none_is_counted(self) -> None:
        assert waiting_for_owners(Bench(record(inbox=(message("2"),))).ports()) == 0

    @pytest.mark.parametrize("code", ["UnreadableRecord", "AuthorizationFailed"])
    def test_a_record_that_can_not_be_read_counts_as_waiting_for_a_person(self, code: str) -> None:
        bench = Bench(record(timer=timer(owner=True)))
        for number in range(3):
            other = API.model_copy(update={"container_group": f"api-{number}"})
            bench.records.save(Record(target=other, timer=timer(owner=True)), None)
        trouble = RemoteError("records", None, code, "foreign", 0)
        bench.on("load", lambda: None, *[trouble] * 6)
        if code == "UnreadableRecord":
            assert waiting_for_owners(bench.ports()) == 4
        else:
            with pytest.raises(RemoteError):
                waiting_for_owners(bench.ports())

    @pytest.mark.parametrize(("unreadable", "seen", "waiting"), [(0, 3, 1), (1, 0, 2), (1, 3, 4), (2, 1, 3)])
    def test_several_messages_may_wait_for_one_record(self, unreadable: int, seen: int, waiting: int) -> None:
        bench = Bench(record(timer=timer(owner=True)))
        for number in range(2):
            other = API.model_copy(update={"container_group": f"api-{number}"})
            bench.records.save(Record(target=other), None)
        trouble = RemoteError("records", None, "UnreadableRecord", "foreign", 0)
        # A record that can be read is read once; the other one is tried a few times.
        bench.on("load", lambda: None, *[trouble] * 3 * unreadable)
        assert waiting_for_owners(bench.ports(), seen) == waiting

    def test_a_timer_that_waits_for_anything_else_gives_none(self) -> None:
        bench = Bench(record(timer=timer(owner=True)))
        bench.records.save(Record(target=API, timer=timer()), None)
        assert waiting_for_owners(bench.ports()) is None
