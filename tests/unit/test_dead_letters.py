"""Dead letters: found by the beginnings of their ids, redriven once, and left alone where somebody else has them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.dead_letter import DeadLetter
from shared.errors import RemoteError
from shared.message import UpdateMessage, decode
from tests.fakes import Clock, MemoryQueue
from tests.unit.builders import at, message
from worker.controller.dead_letters import TAKEN, UNREADABLE, Letter, find, leased_letters, purge, redrive

LEASE = 30


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def updates(clock: Clock) -> MemoryQueue:
    return MemoryQueue(clock, LEASE)


@pytest.fixture
def poison(clock: Clock) -> MemoryQueue:
    queue = MemoryQueue(clock, LEASE, "poison")
    for of in ("1", "2"):
        queue.send(letter(message(of, attempts=3).model_copy(update={"dequeued": 4})))
    return queue


def letter(of: UpdateMessage | str) -> str:
    return DeadLetter(
        reason="r", code="C", detail="d", attempts=1, first_received_at=at(0), dead_lettered_at=at(1), message=of
    ).encode()


def forgive(_message: UpdateMessage) -> None:
    """Nobody keeps a record here."""


def test_letters_are_given_back_after_the_block(poison: MemoryQueue) -> None:
    with leased_letters(poison) as letters:
        assert [item.id for item in letters] == ["message-1", "message-2"]
        assert poison.receive(32) == []
    assert len(poison.receive(32)) == 2


def test_letters_that_somebody_else_has_leased_are_not_listed(poison: MemoryQueue) -> None:
    poison.receive(1)
    with leased_letters(poison) as letters:
        assert [item.id for item in letters] == ["message-2"]


def test_a_redriven_message_is_new(updates: MemoryQueue, poison: MemoryQueue) -> None:
    with leased_letters(poison) as letters:
        assert redrive(letters, updates, poison, forgive) == {}
    put_back = [message for message in map(decode, updates.texts) if isinstance(message, UpdateMessage)]
    assert [(message.id, message.attempts, message.dequeued) for message in put_back] == [("1", 0, 0), ("2", 0, 0)]
    assert poison.count() == 0


def test_a_letter_that_can_not_be_decoded_is_not_redriven(clock: Clock, updates: MemoryQueue) -> None:
    poison = MemoryQueue(clock, LEASE)
    poison.send("not a letter")
    poison.send(letter("not a message"))
    with leased_letters(poison) as letters:
        assert set(redrive(letters, updates, poison, forgive).values()) == {UNREADABLE}
    assert (updates.count(), poison.count()) == (0, 2)


def redriven(letters: list[Letter], updates: MemoryQueue, poison: MemoryQueue) -> dict[str, str]:
    return redrive(letters, updates, poison, forgive)


def purged(letters: list[Letter], _updates: MemoryQueue, poison: MemoryQueue) -> dict[str, str]:
    return purge(letters, poison)


@pytest.mark.parametrize("do", [redriven, purged])
def test_a_letter_that_somebody_else_took_meanwhile_is_left_to_them(
    do: Callable[[list[Letter], MemoryQueue, MemoryQueue], dict[str, str]],
    clock: Clock,
    updates: MemoryQueue,
    poison: MemoryQueue,
) -> None:
    # Regression: a traceback of LeaseLost; and a redrive had sent the message by then.
    with leased_letters(poison) as letters:
        clock.advance(LEASE)
        poison.receive(32)
        assert do(letters, updates, poison) == {"message-1": TAKEN, "message-2": TAKEN}
    assert (updates.count(), poison.count()) == (0, 2)


def test_a_letter_that_is_named_twice_is_found_once(poison: MemoryQueue) -> None:
    with leased_letters(poison) as letters:
        assert [item.id for item in find(letters, ["message-1", "message-1"])] == ["message-1"]


def test_a_unique_beginning_names_a_letter(poison: MemoryQueue) -> None:
    with leased_letters(poison) as letters:
        letters[0] = Letter("5b1f", letters[0].content, letters[0].leased)
        assert [item.id for item in find(letters, ["5", "m"])] == ["5b1f", "message-2"]


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        (["message"], "2 dead letters have an id that begins with 'message'"),
        (["x", "message-1", "y"], "no dead letters have an id that begins with 'x'; no .*'y'"),
        ([""], "no dead letters"),
    ],
)
def test_a_beginning_of_no_letter_or_of_several_is_an_error(poison: MemoryQueue, ids: list[str], why: str) -> None:
    with leased_letters(poison) as letters, pytest.raises(LookupError, match=why):
        find(letters, ids)


def test_the_id_of_a_push_means_all_of_its_letters(poison: MemoryQueue) -> None:
    poison.send(letter(message("1")))
    poison.send("not ours")
    with leased_letters(poison) as letters:
        assert [item.id for item in find(letters, ["1"])] == ["message-1", "message-3"]


def test_every_letter_says_since_when_it_is_one(clock: Clock) -> None:
    poison = MemoryQueue(clock, LEASE)
    poison.send("not ours")
    poison.send(letter(message("1")))
    with leased_letters(poison) as letters:
        assert [item.dead_lettered_at for item in letters] == [letters[0].leased.inserted_at, at(1)]


class TestSummary:
    def test_of_a_letter_it_says_what_was_pushed_where_and_why_it_failed(self, poison: MemoryQueue) -> None:
        with leased_letters(poison) as letters:
            assert letters[0].summary() == {
                "id": "message-1",
                "reason": "r",
                "code": "C",
                "detail": "d",
                "attempts": 1,
                "image": "docker.io/acme/shop:1",
                "target": {"subscription": "sub", "resource_group": "web", "container_group": "shop"},
                "dead_lettered_at": at(1).isoformat(),
            }

    def test_of_what_can_not_be_read_it_says_so(self, clock: Clock) -> None:
        poison = MemoryQueue(clock, LEASE)
        poison.send("not a letter" + "!" * 300)
        poison.send(letter("not a message"))
        clock.advance(5)
        with leased_letters(poison) as letters:
            raw, of_ours = (item.summary() for item in letters)
        assert (raw["reason"], raw["code"], raw["attempts"]) == ("undecodable", "Undecodable", 1)
        assert raw["detail"] == "not a letter" + "!" * 188, "cut, as anything may be in it"
        assert raw["dead_lettered_at"] == at(0).isoformat()
        assert (raw["image"], raw["target"]) == (None, None)
        assert (of_ours["code"], of_ours["image"], of_ours["target"]) == ("C", None, None)


def test_a_letter_that_can_not_be_put_back_keeps_no_other_from_it(updates: MemoryQueue, poison: MemoryQueue) -> None:
    def fail_for_the_first(of: UpdateMessage) -> None:
        if of.id == "1":
            raise RemoteError("records", 503, "ServerBusy", "later")

    with leased_letters(poison) as letters:
        left = redrive(letters, updates, poison, fail_for_the_first)
    assert left == {"message-1": "records: ServerBusy (503): later"}
    assert [item.id for item in map(decode, updates.texts) if isinstance(item, UpdateMessage)] == ["2"]
    assert poison.count() == 1
