"""The record of a group: what waits and what has ended, within bounds, and readable by later versions."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.builders import (
    SHOP,
    at,
    candidate,
    change,
    container,
    digest,
    ends,
    failure,
    good,
    message,
    pin,
    queued,
    record,
    timer,
)
from worker.record.folding import CHANGES_KEPT, OUTCOMES_KEPT
from worker.record.record import (
    DEEDS_KEPT,
    ENDED_KEPT,
    FAILURES_KEPT,
    GOODS_KEPT,
    LONGEST_DETAIL,
    MOST_OF_ALL,
    MOST_WAITING,
    PAST_KEPT,
    Record,
    cut,
    displaced,
    is_dead,
    remembered,
)
from worker.record.values import (
    MANUAL,
    ROLLBACK,
    AddressChange,
    Deed,
    Ending,
    Flight,
    Hold,
    Outcome,
    Patience,
    Result,
    Undone,
)

ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)
NOW = at(60)
UNDONE = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
MOVED = AddressChange(message=TWO, before={"ip": "20.50.0.2"}, after={"ip": "20.50.0.3"})


def full() -> Record:
    """A record with something in every field."""
    web = container(
        candidate(message("2", digest=digest("two")), lookups=1, restart=True),
        goods=(good("1", digest=digest("one"), pushed=0, moved=True), good(None, "acme/shop")),
        failures=(failure(ONE, circumstance=True), failure(message("0", pushed_at=None))),
        pin=pin(good("0"), reverting=True),
        past=("acme/shop:0",),
    )
    now = record(
        {"web": web, "proxy": container(followed=False)},
        swept=True,
        inbox=(THREE,),
        hold=Hold(reason="sale", since=at(0), by="ann", until=at(90)),
        deeds=(Deed(at=at(0), by="ann", what="held: sale"),),
        change=change(well={"web": None, "proxy": digest("one")}, refused="so", failed_before=True, restart=True),
        flights=(Flight(generation=7, sent_at=at(1)),),
        generation=7,
        apart=True,
        stuck=Patience(looked_at=at(2), waited=3.5),
        undone=(UNDONE,),
        timer=timer(9, owner=True),
        count=4,
        address_changes=(MOVED, MOVED.but(message=None)),
    )
    return now.end(TWO, "failed", "so", ("web",), NOW, "CrashLoop").end(ONE, "superseded", "", (), NOW)


class TestBlob:
    @pytest.mark.parametrize("now", [record(), full()], ids=["empty", "full"])
    @pytest.mark.parametrize("exclude_none", [True, False])
    def test_a_record_survives_being_written_and_read(self, now: Record, exclude_none: bool) -> None:
        assert Record.model_validate_json(now.model_dump_json(exclude_none=exclude_none)) == now

    def test_it_names_its_schema(self) -> None:
        assert full().model_dump()["schema"] == "aci-hooks/record/2"

    def test_fields_of_a_later_version_are_ignored(self) -> None:
        assert Record.model_validate({"target": SHOP, "mood": "fine", "schema": "aci-hooks/record/2"}) == record()

    def test_another_schema_is_an_error(self) -> None:
        with pytest.raises(ValidationError, match="aci-hooks/record/2"):
            Record.model_validate({"target": SHOP, "schema": "aci-hooks/record/1"})

    def test_no_record_can_be_changed_in_place(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            record().generation = 1  # type: ignore[misc]


CIRCUMSTANCE = failure(TWO, circumstance=True)
UNTOLD = Ending(message=TWO, result="failed", detail="", at=NOW)


class TestWaiting:
    def test_each_push_in_the_inbox_or_among_the_candidates_is_listed_once(self) -> None:
        both = container(candidate(TWO), candidate(ONE))
        now = record({"web": both, "blue": container(candidate(TWO))}, inbox=(THREE,))
        assert now.waiting() == {"3": THREE, "2": TWO, "1": ONE}

    @pytest.mark.parametrize(
        ("now", "known"),
        [
            (record(inbox=(TWO,)), True),
            (record({"web": container(candidate(TWO))}), True),
            (record(undone=(UNDONE,)), True),
            (record(ended=("1", "2")), True),
            (record({"web": container(candidate(THREE))}, inbox=(ONE,), ended=("0",)), False),
            (record({"web": container(failures=(failure(TWO),))}, ended=("2",)), True),
            (record({"web": container(failures=(CIRCUMSTANCE,))}, ended=("2",)), False),
            (
                record(
                    {"web": container(failures=(CIRCUMSTANCE,)), "a": container(failures=(failure(TWO),))}, ended=("2",)
                ),
                True,
            ),
            (record({"web": container(failures=(CIRCUMSTANCE,))}, ended=("2",), outbox=(UNTOLD,)), True),
        ],
    )
    def test_a_push_is_known_until_it_is_forgiven(self, now: Record, known: bool) -> None:
        assert now.knows("2") is known


class TestContainers:
    def test_one_container_is_changed_and_the_others_stay(self) -> None:
        now = record({"web": container(), "blue": container()})
        after = now.with_container("web", past=("a",), followed=False)
        assert after.containers == {"web": container(past=("a",), followed=False), "blue": container()}
        assert now.containers["web"] == container()

    def test_removed_candidates_leave_their_images_in_the_past(self) -> None:
        web = container(candidate(THREE), candidate(TWO, None), candidate(ONE), past=("acme/shop:0",))
        now = record({"web": web, "blue": container(candidate(TWO))})
        after = now.without_candidates(lambda name, one: name == "web" and one.id in {"2", "3"})
        assert (queued(after), queued(after, "blue")) == (["1"], ["2"])
        assert after.containers["web"].past == ("acme/shop:3", "acme/shop:0")
        assert after.containers["blue"].past == ()

    def test_candidates_are_removed_from_every_container(self) -> None:
        now = record({"jobs": container(), "web": container(candidate(TWO)), "blue": container(candidate(TWO))})
        after = now.without_candidates(lambda _, one: one.id == "2")
        assert [item.candidates for item in after.containers.values()] == [(), (), ()]
        assert [item.past for item in after.containers.values()] == [(), ("acme/shop:2",), ("acme/shop:2",)]

    def test_without_matching_candidates_nothing_changes(self) -> None:
        now = record({"web": container(candidate(TWO))})
        assert now.without_candidates(lambda _name, _one: False) is now

    def test_the_past_holds_each_image_once_the_newest_first_and_a_limited_number(self) -> None:
        past = tuple(f"v{number}" for number in range(PAST_KEPT))
        assert remembered(container(past=past), ["new", "v3"]) == (
            "new",
            "v3",
            *(f"v{number}" for number in range(PAST_KEPT - 1) if number != 3),
        )
        assert PAST_KEPT == 30


class TestDisplaced:
    """Another image was pulled by the same tag."""

    ONE = digest("one")

    @pytest.mark.parametrize(
        ("tag", "told", "moved"),
        [
            ("1", digest("two"), [True, False, True]),
            ("1", None, [True, False, True]),
            ("1", ONE, [False, False, True]),
            ("2", digest("two"), [False, True, False]),
            ("3", None, [False, False, False]),
        ],
    )
    def test_good_images_of_the_tag_have_moved_unless_it_is_the_same_image(
        self, tag: str, told: str | None, moved: list[bool]
    ) -> None:
        goods = (good("1", digest=self.ONE), good("2"), good("1", "acme/shop:one"))
        assert displaced(goods, tag, told) == tuple(
            item.but(moved=has_moved) for item, has_moved in zip(goods, moved, strict=True)
        )

    def test_an_image_that_has_moved_stays_moved(self) -> None:
        moved = (good("1", digest=self.ONE, moved=True),)
        assert displaced(moved, "1", self.ONE) == moved
        assert displaced(moved, "2", None) == moved


class TestEnd:
    def test_it_is_in_the_history_and_in_the_outbox(self) -> None:
        now = record().end(TWO, "failed", "so", iter(["web", "blue"]), NOW, "CrashLoop", 3)
        assert now == record(
            outbox=(Ending(message=TWO, result="failed", detail="so", code="CrashLoop", attempts=3, at=NOW),),
            outcomes=(
                Outcome(
                    at=NOW,
                    id="2",
                    image="docker.io/acme/shop:2",
                    containers=("web", "blue"),
                    result="failed",
                    detail="so",
                    seconds=(NOW - TWO.received_at).total_seconds(),
                ),
            ),
            ended=("2",),
        )

    def test_the_history_has_what_ran_before_and_for_how_long_it_took(self) -> None:
        now = record({"web": container(), "proxy": container()})
        (outcome,) = now.end(message("2", pushed=3), "updated", "", ("web", "gone"), at(64.26)).outcomes
        assert (outcome.before, outcome.seconds) == ({"web": "acme/shop:1"}, 61.3)
        (outcome,) = now.end(TWO, "updated", "", ("web",), NOW, before={"web": "acme/shop:0", "proxy": "x"}).outcomes
        assert outcome.before == {"web": "acme/shop:0"}

    def test_clocks_that_differ_make_no_time_below_zero(self) -> None:
        (outcome,) = record().end(message("2", pushed=60), "updated", "", (), at(0)).outcomes
        assert outcome.seconds == 0

    @pytest.mark.parametrize(
        ("sender", "pusher", "by"),
        [("dockerhub", "ann", None), (MANUAL, None, "ann"), (ROLLBACK, None, "ann")],
    )
    def test_who_pushed_is_told_from_who_did_it_by_hand(self, sender: str, pusher: str | None, by: str | None) -> None:
        (outcome,) = record().end(message("2", sender=sender, pusher="ann"), "updated", "", (), NOW).outcomes
        assert (outcome.pusher, outcome.by) == (pusher, by)

    def test_outcomes_of_an_older_version_stay_readable(self) -> None:
        older = {"at": str(NOW), "id": "2", "image": "i", "containers": ["web"], "result": "updated"}
        assert Outcome.model_validate(older).seconds is None

    def test_what_was_done_by_hand_is_remembered_newest_first_and_not_for_ever(self) -> None:
        now = record()
        for number in range(DEEDS_KEPT + 1):
            now = now.with_deed(f"deed {number}", "ann", at(number))
        assert len(now.deeds) == DEEDS_KEPT
        assert now.deeds[0] == Deed(at=at(DEEDS_KEPT), by="ann", what=f"deed {DEEDS_KEPT}")

    def test_an_end_has_one_attempt_and_no_code_by_default(self) -> None:
        (ending,) = record().end(TWO, "updated", "so", (), NOW).outbox
        assert (ending.code, ending.attempts) == (None, 1)

    def test_the_newest_is_first_in_the_history_and_last_in_the_outbox(self) -> None:
        now = record().end(ONE, "updated", "a", (), at(1)).end(TWO, "ignored", "b", (), at(2))
        assert ends(now) == [("2", "ignored", "b"), ("1", "updated", "a")]
        assert [ending.message.id for ending in now.outbox] == ["1", "2"]
        assert now.ended == ("2", "1")

    def test_a_push_that_ends_again_is_listed_once_as_the_newest(self) -> None:
        now = record(ended=("1", "2")).end(TWO, "failed", "", (), NOW)
        assert now.ended == ("2", "1")

    def test_the_history_is_limited_and_the_outbox_is_not(self) -> None:
        now = record()
        for number in range(ENDED_KEPT + 1):
            now = now.end(message(f"v{number}"), "ignored", "", (), at(0))
        assert [outcome.id for outcome in now.outcomes] == [f"v{number}" for number in range(200, 150, -1)]
        assert now.ended == tuple(f"v{number}" for number in range(200, 0, -1))
        assert len(now.outbox) == 201
        assert (OUTCOMES_KEPT, CHANGES_KEPT, ENDED_KEPT) == (50, 25, 200)

    @pytest.mark.parametrize("result", ["updated", "rolled-back", "failed"])
    @pytest.mark.parametrize("burst", [("ignored", "ignored"), ("superseded", "ignored"), ("unchanged", "unchanged")])
    def test_a_burst_that_changes_nothing_does_not_drive_out_what_did(
        self, result: Any, burst: tuple[Any, Any]
    ) -> None:
        # Regression: after 50 pushes of old tags, nobody saw any more what had been deployed and what had failed.
        now = record()
        for number in range(30):
            now = now.end(message(f"change-{number}"), result, "", (), at(0))
        for number in range(60):
            now = now.end(message(f"old-{number}"), burst[number % 2], "", (), at(0))
        kept = [outcome.id for outcome in now.outcomes]
        old = [f"old-{number}" for number in range(59, 34, -1)]
        assert kept == [*old, *(f"change-{number}" for number in range(29, 4, -1))]

    def test_more_changes_than_stay_in_any_case_are_kept_while_there_is_room(self) -> None:
        now = record()
        for number in range(60):
            now = now.end(message(f"v{number}"), "ignored" if number == 40 else "updated", "", (), at(0))
        assert [outcome.id for outcome in now.outcomes] == [f"v{number}" for number in range(59, 9, -1)]

    def test_a_long_detail_is_cut(self) -> None:
        now = record().end(TWO, "failed", "y" * 5000, (), NOW)
        assert now.outbox[0].detail == now.outcomes[0].detail == "y" * (LONGEST_DETAIL - 4) + " […]"

    @pytest.mark.parametrize("more", [0, 1])
    def test_a_detail_that_fits_stays_whole(self, more: int) -> None:
        whole = "x" * (2000 + more)
        assert cut(whole) == (whole if not more else "x" * 1996 + " […]")


class TestFolding:
    """Of several superseded pushes in a row, the newest stands for all, or they would drive out everything else."""

    def ended(self, *of: Any) -> list[tuple[str, int]]:
        now = record()
        for name, result, names in of:
            now = now.end(message(name), result, name, names, NOW)
        assert len(now.outbox) == len(of)
        return [(outcome.id, outcome.count) for outcome in now.outcomes]

    def test_superseded_pushes_in_a_row_are_folded(self) -> None:
        one = ("1", "superseded", ("web",)), ("2", "superseded", ("web",)), ("3", "superseded", ("web",))
        assert self.ended(*one) == [("3", 3)]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (("1", "superseded", ("web",)), ("2", "superseded", ("blue",))),
            (("1", "superseded", ("web",)), ("2", "ignored", ("web",))),
            (("1", "ignored", ("web",)), ("2", "superseded", ("web",))),
            (("1", "ignored", ("web",)), ("2", "ignored", ("web",))),
        ],
    )
    def test_other_pushes_are_not_folded(self, first: Any, second: Any) -> None:
        assert self.ended(first, second) == [("2", 1), ("1", 1)]

    def test_earlier_outcomes_stay(self) -> None:
        one = ("1", "updated", ()), ("2", "superseded", ()), ("3", "superseded", ())
        assert self.ended(*one) == [("3", 2), ("1", 1)]


class TestTold:
    def test_what_was_told_leaves_the_outbox_and_what_was_added_meanwhile_stays(self) -> None:
        before = record(address_changes=(MOVED,)).end(ONE, "updated", "", (), NOW)
        other = MOVED.but(message=None)
        now = before.end(TWO, "failed", "", (), NOW).but(address_changes=(MOVED, other))
        after = now.told(before.outbox, before.address_changes)
        assert [ending.message.id for ending in after.outbox] == ["2"]
        assert after.address_changes == (other,)
        assert after.outcomes == now.outcomes


class TestForgive:
    def test_a_failed_push_may_be_received_again(self) -> None:
        failed = container(failures=(failure(TWO), failure(ONE)))
        now = record({"web": failed, "blue": failed, "jobs": container()}, ended=("1", "2"))
        after = now.forgive("2")
        kept = container(failures=(failure(ONE),))
        assert after == record({"web": kept, "blue": kept, "jobs": container()}, ended=("1",))

    def test_an_unknown_push_changes_nothing(self) -> None:
        now = record({"web": container(failures=(failure(ONE),))}, ended=("1",))
        assert now.forgive("2") == now


class TestAnew:
    def test_containers_and_changes_go_and_the_history_and_a_hold_stay(self) -> None:
        now = full()
        after = now.without_group()
        kept = ("outbox", "outcomes", "ended", "address_changes", "inbox", "timer", "count", "generation", "hold")
        expected = record(ran=("docker.io/acme/shop",)).but(**{name: getattr(now, name) for name in (*kept, "deeds")})
        assert after == expected
        # A second time, when nothing has run there since.
        assert after.without_group() == expected


def test_a_record_is_bounded() -> None:
    assert (GOODS_KEPT, FAILURES_KEPT, PAST_KEPT, MOST_WAITING, MOST_OF_ALL) == (5, 20, 30, 200, 250)
    assert (OUTCOMES_KEPT, ENDED_KEPT, LONGEST_DETAIL) == (50, 200, 2000)


class TestRedacted:
    def redact(self, now: Record) -> Record:
        return now.redacted(lambda text: text.replace("hunter2", "***"))

    def test_secrets_are_redacted_in_what_outside_systems_said(self) -> None:
        now = record(undone=(UNDONE.but(detail="a hunter2"),), change=change(refused="c hunter2"))
        after = self.redact(now.end(TWO, "failed", "b hunter2", (), NOW))
        assert after == record(undone=(UNDONE.but(detail="a ***"),), change=change(refused="c ***")).end(
            TWO, "failed", "b ***", (), NOW
        )

    @pytest.mark.parametrize("now", [record(), record(change=change())])
    def test_without_anything_said_nothing_changes(self, now: Record) -> None:
        assert self.redact(now) == now


def test_failures_are_found_by_their_message() -> None:
    now = record({"web": container(failures=(failure(ONE), failure(TWO))), "blue": container()})
    assert now.failures_of("2") == {"web": failure(TWO)}
    assert now.failures_of("9") == {}


@pytest.mark.parametrize(
    ("result", "dead"),
    [
        ("updated", False),
        ("unchanged", False),
        ("superseded", False),
        ("ignored", False),
        ("rolled-back", True),
        ("failed", True),
    ],
)
def test_a_failed_push_is_dead_lettered(result: Result, dead: bool) -> None:
    assert is_dead(result) is dead
