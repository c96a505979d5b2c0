"""One contract for the queues and records, in memory and in Azurite: what holds for the fakes holds for Azure."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from shared.dead_letter import decode_letter
from shared.leased_message import LeaseLost
from shared.message import TargetId
from shared.queue import MAX_BATCH, Queue, dead_letter
from tests.fakes import Clock, MemoryQueue, MemoryRecords
from tests.unit.builders import SHOP, at, candidate, change, container, message, record
from worker.adapters.record_blobs.client import Records
from worker.controller.settlement import dead_letter_of
from worker.ports import Conflict
from worker.record.overrides import hold

if TYPE_CHECKING:
    from tests.azurite import Azurite

LEASE = 2
"""Seconds; as few as the real thing's clock allows."""
LONG_LEASE = 600


@dataclass(frozen=True)
class Storage:
    """The queues and records of one kind, and how to wait there."""

    updates: Queue
    long_leases: Queue
    """The updates again, with leases and delays that no test sees the end of."""
    poison: Queue
    records: Records
    wait: Callable[[float], None]


def in_memory() -> Storage:
    clock = Clock()
    updates, poison = MemoryQueue(clock, LEASE), MemoryQueue(clock, LEASE, "poison")
    return Storage(updates, updates.with_leases_of(LONG_LEASE), poison, MemoryRecords(), clock.advance)


def in_azurite(azurite: Azurite) -> Storage:
    connection = azurite.connection_string
    name = f"contract-{uuid.uuid4().hex[:12]}"
    updates, long_leases, poison = (
        Queue(QueueClient.from_connection_string(connection, queue), lease)
        for queue, lease in ((name, LEASE), (name, LONG_LEASE), (f"{name}-poison", LEASE))
    )
    records = Records(ContainerClient.from_connection_string(connection, name))
    for service in (updates, poison, records):
        service.ensure()
    return Storage(updates, long_leases, poison, records, lambda seconds: time.sleep(seconds + 0.2))


@pytest.fixture(params=["memory", "azurite"])
def storage(request: pytest.FixtureRequest) -> Storage:
    return in_memory() if request.param == "memory" else in_azurite(request.getfixturevalue("azurite"))


class TestQueue:
    def test_what_was_sent_is_received_once(self, storage: Storage) -> None:
        storage.updates.send("one")
        storage.updates.send("two")
        received = storage.long_leases.receive(32)
        assert sorted(leased.text for leased in received) == ["one", "two"]
        assert [leased.dequeue_count for leased in received] == [1, 1]
        assert len({leased.id for leased in received}) == 2
        assert storage.long_leases.receive(32) == []
        assert storage.updates.count() == 2

    def test_no_more_than_asked_for_are_received(self, storage: Storage) -> None:
        for _ in range(3):
            storage.updates.send("one")
        assert len(storage.long_leases.receive(2)) == 2
        assert len(storage.long_leases.receive(99)) == 1

    def test_a_delayed_message_is_visible_later(self, storage: Storage) -> None:
        storage.updates.send("later", delay=LONG_LEASE)
        storage.updates.send("soon", delay=0.5)
        storage.wait(1)
        assert [leased.text for leased in storage.updates.receive(2)] == ["soon"]

    def test_a_completed_message_is_gone(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.updates.complete(leased)
        assert leased.settled
        assert storage.updates.count() == 0

    def test_a_rescheduled_message_comes_again_with_its_new_content(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.updates.reschedule(leased, "two", 0.5)
        storage.wait(1)
        (again,) = storage.updates.receive(1)
        assert (again.id, again.text, again.dequeue_count) == (leased.id, "two", 2)
        assert again.inserted_at == leased.inserted_at

    def test_a_rescheduled_message_stays_away_for_its_delay(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.updates.reschedule(leased, "two", LONG_LEASE)
        storage.wait(LEASE)
        assert storage.updates.receive(1) == []

    def test_a_message_can_be_made_visible_at_once(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.updates.reschedule(leased, "one", 0)
        assert len(storage.updates.receive(1)) == 1

    def test_peeking_shows_what_could_be_received_and_leases_nothing(self, storage: Storage) -> None:
        for text in ("one", "two", "three"):
            storage.updates.send(text)
        storage.updates.send("later", delay=60)
        (leased,) = storage.long_leases.receive(1)
        assert storage.updates.peek() == [text for text in ("one", "two", "three") if text != leased.text]
        assert len(storage.updates.receive(9)) == 2

    def test_peeking_shows_the_oldest_messages_alone(self, storage: Storage) -> None:
        for number in range(MAX_BATCH + 1):
            storage.updates.send(str(number))
        assert storage.updates.peek() == [str(number) for number in range(MAX_BATCH)]

    def test_a_message_that_nobody_settles_comes_again(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.wait(LEASE)
        (again,) = storage.updates.receive(1)
        assert (again.id, again.text, again.dequeue_count) == (leased.id, "one", 2)

    def test_who_lost_the_lease_can_do_nothing_more(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.wait(LEASE)
        (again,) = storage.updates.receive(1)
        with pytest.raises(LeaseLost):
            storage.updates.complete(leased)
        assert leased.lost
        with pytest.raises(LeaseLost):
            storage.updates.renew(leased)
        with pytest.raises(LeaseLost):
            storage.updates.reschedule(leased, "mine", 0)
        storage.updates.complete(again)

    def test_a_lease_that_ran_out_unnoticed_can_still_be_settled(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.wait(LEASE)
        storage.updates.complete(leased)
        assert storage.updates.count() == 0

    def test_a_message_that_somebody_else_completed_is_lost(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.wait(LEASE)
        (again,) = storage.updates.receive(1)
        storage.updates.complete(again)
        with pytest.raises(LeaseLost):
            storage.updates.renew(leased)

    def test_a_renewed_lease_holds_longer_and_settles_with_its_new_receipt(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        before = leased.expires
        storage.long_leases.renew(leased)
        assert leased.expires > before
        storage.wait(LEASE)
        assert storage.updates.receive(1) == []
        storage.updates.complete(leased)
        assert storage.updates.count() == 0

    def test_a_settled_message_cannot_be_settled_again(self, storage: Storage) -> None:
        storage.updates.send("one")
        (leased,) = storage.updates.receive(1)
        storage.updates.reschedule(leased, "one", 0)
        with pytest.raises(LeaseLost):
            storage.updates.complete(leased)
        assert storage.updates.count() == 1

    def test_a_dead_letter_goes_to_the_poison_queue_with_its_message(self, storage: Storage) -> None:
        of = message("2")
        storage.updates.send(of.encode())
        (leased,) = storage.updates.receive(1)
        letter = dead_letter_of(of, "CrashLoop", "it crashes", 3, at(0), at(9))
        dead_letter(storage.updates, storage.poison, leased, letter)
        assert storage.updates.count() == 0
        (dead,) = storage.poison.receive(1)
        assert decode_letter(dead.text) == letter


class TestRecords:
    FULL = hold(record({"web": container(candidate(message("2")))}, change=change()), "audit", at(2))

    def test_there_is_an_empty_one_at_first(self, storage: Storage) -> None:
        assert storage.records.load(SHOP) == (record(), None)

    def test_what_was_saved_is_loaded_whole(self, storage: Storage) -> None:
        etag = storage.records.save(self.FULL, None)
        assert storage.records.load(SHOP) == (self.FULL, etag)

    def test_each_write_has_its_own_etag(self, storage: Storage) -> None:
        first = storage.records.save(self.FULL, None)
        second = storage.records.save(self.FULL, first)
        assert first != second
        assert storage.records.load(SHOP) == (self.FULL, second)

    @pytest.mark.parametrize("stale", ["none", "old"])
    def test_who_did_not_see_the_last_write_does_not_overwrite_it(self, storage: Storage, stale: str) -> None:
        first = storage.records.save(record(), None)
        second = storage.records.save(self.FULL, first)
        with pytest.raises(Conflict):
            storage.records.save(record(), None if stale == "none" else first)
        assert storage.records.load(SHOP) == (self.FULL, second)

    def test_any_spelling_of_a_group_finds_its_record(self, storage: Storage) -> None:
        storage.records.save(self.FULL, None)
        shouted = TargetId(subscription="SUB", resource_group="Web", container_group="SHOP")
        assert storage.records.load(shouted)[0] == self.FULL

    def test_the_list_tells_the_version_that_loading_tells(self, storage: Storage) -> None:
        # Regression: the two were spelt differently, so the patrol read every record in every round.
        etag = storage.records.save(self.FULL, None)
        assert dict(storage.records.versions()) == {SHOP: etag}
        assert storage.records.load(SHOP)[1] == etag

    def test_every_group_with_a_record_is_listed(self, storage: Storage) -> None:
        other = TargetId(subscription="sub", resource_group="web", container_group="api")
        storage.records.save(record(), None)
        storage.records.save(record().but(target=other), None)
        assert set(storage.records.all()) == {SHOP, other}
