"""Receiving: the same pushes give the same record, in whatever order and however often they come."""

from __future__ import annotations

from itertools import permutations

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import candidate, container, message, record
from worker.core.receive import receive
from worker.record.record import MOST_OF_ALL, MOST_WAITING, Record
from worker.record.values import Undone

ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)


def received(now: Record, *messages: UpdateMessage) -> Record:
    """The record with these pushes, for all of which it has room."""
    after, no_room = receive(now, messages)
    assert no_room == frozenset()
    return after


def inbox(of: Record) -> list[str]:
    return [item.id for item in of.inbox]


def full(**rest: object) -> Record:
    """A record in which the greatest number of pushes waits."""
    many = tuple(message("2", name=f"m{number:03}") for number in range(MOST_WAITING))
    return record(inbox=many).but(**rest)


class TestOrder:
    def test_a_push_waits_in_the_inbox_until_the_next_look(self) -> None:
        assert received(record(), TWO) == record(inbox=(TWO,))

    def test_without_messages_nothing_changes(self) -> None:
        assert received(record(inbox=(TWO,))) == record(inbox=(TWO,))

    def test_the_oldest_push_comes_first(self) -> None:
        assert inbox(received(record(inbox=(TWO,)), message("4", pushed=20), THREE)) == ["2", "3", "4"]

    def test_of_two_pushes_of_one_time_the_one_received_first_comes_first(self) -> None:
        late = TWO.model_copy(update={"id": "a", "received_at": THREE.received_at})
        assert inbox(received(record(), late, TWO)) == ["2", "a"]

    @pytest.mark.parametrize("order", list(permutations("bac")))
    def test_pushes_of_one_time_give_the_same_record_in_any_order(self, order: tuple[str, ...]) -> None:
        together = received(record(), *(message("2", name=name) for name in order))
        one_by_one = record()
        for name in order:
            one_by_one = received(one_by_one, message("2", name=name))
        assert inbox(together) == ["a", "b", "c"]
        assert one_by_one == together


class TestAgain:
    @pytest.mark.parametrize(
        "now",
        [
            record(inbox=(TWO,)),
            record({"web": container(candidate(TWO))}),
            record(ended=("2",)),
            record(undone=(Undone(message=TWO, code="CrashLoop", detail="", containers=("web",)),)),
        ],
        ids=["received", "a candidate", "ended", "failed, and on its way back"],
    )
    def test_a_push_that_was_received_before_changes_nothing(self, now: Record) -> None:
        assert received(now, TWO) == now

    def test_other_pushes_beside_a_repeated_one_are_received(self) -> None:
        assert inbox(received(record(inbox=(TWO,)), TWO, THREE)) == ["2", "3"]

    def test_a_push_that_comes_twice_at_once_is_received_once(self) -> None:
        assert received(record(), TWO, TWO) == record(inbox=(TWO,))

    def test_another_message_of_the_same_push_is_received_too(self) -> None:
        assert inbox(received(record(inbox=(TWO,)), message("2", name="again"))) == ["2", "again"]


class TestRoom:
    def test_pushes_that_the_record_has_no_room_for_are_returned(self) -> None:
        now = full()
        assert receive(now, [TWO, THREE]) == (now, frozenset({"2", "3"}))

    def test_the_last_places_go_to_the_first_messages(self) -> None:
        now = full()
        now = now.but(inbox=now.inbox[2:])
        after, no_room = receive(now, [THREE, ONE, TWO])
        assert ([item for item in inbox(after) if item in "123"], no_room) == (["1", "3"], frozenset({"2"}))
        assert len(after.inbox) == MOST_WAITING

    def test_a_push_that_is_in_the_record_already_needs_no_room(self) -> None:
        now = full()
        assert receive(now, [TWO, now.inbox[7]]) == (now, frozenset({"2"}))

    def test_candidates_take_room_too(self) -> None:
        now = full()
        web = container(*(candidate(item) for item in now.inbox[:9]))
        crowded = now.but(inbox=now.inbox[9:], containers={"web": web})
        assert receive(crowded, [TWO]) == (crowded, frozenset({"2"}))

    def test_a_push_that_two_containers_wait_for_takes_the_room_of_one(self) -> None:
        now = full()
        both = container(*(candidate(item) for item in now.inbox[:9]))
        roomy = now.but(inbox=now.inbox[10:], containers={"web": both, "blue": both})
        assert receive(roomy, [TWO])[1] == frozenset()

    def test_pushes_that_wait_for_their_age_do_not_hold_up_another_repository(self) -> None:
        proxy = message("2", name="proxy", repository="acme/proxy")
        assert inbox(received(full(), proxy))[-1] == "proxy"

    def test_a_record_takes_a_bounded_number_of_pushes_of_all_repositories(self) -> None:
        proxies = [message("2", name=f"p{number}", repository="acme/proxy") for number in range(60)]
        after, no_room = receive(full(), proxies)
        assert len(after.inbox) == MOST_OF_ALL
        assert no_room == {f"p{number}" for number in range(50, 60)}
