"""The story of a push on a group: where it is, and how it ended."""

from __future__ import annotations

import pytest

from tests.unit.builders import at, candidate, change, container, good, message, pin, record, timer
from worker.core.story import ids_of, is_over, place_of, siblings, told
from worker.record.record import Record
from worker.record.values import AddressChange, Flight, Hold, Undone

TWO = message("2")
WAITING = {"web": container(candidate(TWO))}
UNDONE = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
OTHER_UNDONE = UNDONE.but(message=message("1"))
HOLD = Hold(reason="sale", since=at(0))


class TestPlace:
    @pytest.mark.parametrize(
        ("now", "text"),
        [
            (record(inbox=(TWO,)), "received"),
            (record(WAITING, change=change()), "an update is watched: web acme/shop:2"),
            (record(WAITING, hold=HOLD), "waits: held by hand: sale"),
            (record(inbox=(TWO,), hold=HOLD), "waits: held by hand: sale"),
            (record(WAITING, timer=timer(owner=True)), "waits for the group's owner"),
            (record(WAITING, change=change(asked={"web": "1"})), "waits: an update is watched"),
            (record(WAITING, timer=timer(trouble="Odd: x")), "waits: blocked for now, and retried: Odd: x"),
            (record(WAITING), "waits to be looked up"),
            (record(WAITING, timer=timer()), "waits to be looked up"),
            (record(WAITING, undone=(OTHER_UNDONE,)), "waits to be looked up"),
            (record({"web": container(pin=pin(good("1"), "2"))}, hold=HOLD), "waits: held by hand"),
            (record(undone=(UNDONE,)), "failed on the group (CrashLoop): it crashes; what ran before is brought"),
        ],
    )
    def test_what_is_under_way_says_where_it_is(self, now: Record, text: str) -> None:
        place = place_of(now, "2")
        assert place is not None
        assert place.text.startswith(text)
        assert place.result is None

    def test_every_container_that_it_was_put_on_is_named(self) -> None:
        both = dict.fromkeys(("web", "blue"), container(candidate(TWO)))
        images = {"web": "acme/shop:2", "jobs": "acme/jobs:5", "blue": "docker.io/acme/shop:2"}
        now = record(both, change=change(images, asked={"web": "2", "jobs": "5", "blue": "2"}))
        place = place_of(now, "2")
        assert place is not None
        assert place.text == "an update is watched: blue docker.io/acme/shop:2, web acme/shop:2"

    def test_what_has_ended_says_how(self) -> None:
        ended = record().end(TWO, "rolled-back", "so it was", ("web",), at(9))
        place = place_of(ended.end(message("3"), "updated", "", ("web",), at(10)), "2")
        assert place is not None
        assert (place.text, place.result) == ("rolled-back: so it was", "rolled-back")

    def test_what_was_folded_in_the_history_was_superseded(self) -> None:
        now = record().end(TWO, "superseded", "", (), at(0)).end(message("3"), "superseded", "", (), at(1))
        place = place_of(now, "2")
        assert place is not None
        assert (place.text, place.result) == ("superseded: a newer push has taken its place", "superseded")

    def test_a_letter_that_was_put_back_is_under_way_again(self) -> None:
        failed = record().end(TWO, "failed", "", (), at(0))
        assert place_of(failed.forgive("2"), "2") is None
        place = place_of(failed.forgive("2").but(inbox=(TWO,)), "2")
        assert place is not None
        assert place.result is None

    def test_what_is_not_known_is_nowhere(self) -> None:
        assert place_of(record(WAITING), "9") is None


def test_an_end_without_a_detail_is_a_word() -> None:
    (outcome,) = record().end(TWO, "updated", "", (), at(0)).outcomes
    assert told(outcome) == "updated"


class TestIds:
    def test_all_pushes_of_one_webhook_belong_together(self) -> None:
        now = record(
            {"blue": container(), "web": container(candidate(message("2", name="a.1")), pin=pin(good("1"), "a.2"))},
            inbox=(message("3", name="ab"),),
            undone=(UNDONE.but(message=message("4", name="a.3")),),
            ended=("a", "a.4", "b.1"),
        )
        assert ids_of(now, "a") == ["a", "a.1", "a.2", "a.3", "a.4"]

    @pytest.mark.parametrize(
        ("seen", "all_of_them"),
        [
            ({"a"}, {"a"}),
            (set(), set()),
            ({"a.1"}, {"a.1", "a.2"}),
            ({"a.4"}, {"a.1", "a.2", "a.3", "a.4"}),
            ({"a.x"}, {"a.x"}),
        ],
    )
    def test_their_numbers_tell_how_many_there_are_at_the_least(self, seen: set[str], all_of_them: set[str]) -> None:
        assert siblings("a", seen) == all_of_them

    def test_an_id_that_is_a_number_is_no_numbered_one(self) -> None:
        assert siblings("7", {"7"}) == {"7"}


class TestOver:
    @pytest.mark.parametrize(
        ("now", "over"),
        [
            (record(), True),
            (record(WAITING, hold=HOLD), True),
            (record(timer=timer()), False),
            (record(change=change()), False),
            (record(flights=(Flight(generation=1, sent_at=at(0)),)), False),
            (record(undone=(UNDONE,)), False),
            (record().end(TWO, "updated", "", (), at(0)), False),
            (record(address_changes=(AddressChange(before={}, after={}),)), True),
        ],
    )
    def test_nothing_is_under_way_nor_to_be_told(self, now: Record, over: bool) -> None:
        assert is_over(now) is over
