"""The loop's settlements: letters are sent once, crash loops end, and stopping is safe in a signal handler."""

from __future__ import annotations

import random

import pytest

from shared.errors import RemoteError
from shared.message import UpdateMessage, decode_letter
from shared.queue import LeasedMessage
from tests.fakes import Clock, FixedTargets, MemoryQueue, MemoryRecords, NoGlances, SimulatedGroups
from tests.unit.builders import RULES, SHOP, message
from worker.failures.classify import Retry
from worker.loop import Pace, Worker, newest_first
from worker.ports import Ports
from worker.step import Stepper
from worker.targets.target import single_target

PACE = Pace(concurrency=1, poll_min=0.01, poll_max=0.01, visibility_timeout=30, max_attempts=3)


class Stubborn(MemoryQueue):
    """A queue whose first deletions fail."""

    failing = 0

    def complete(self, message: LeasedMessage) -> None:
        if self.failing:
            self.failing -= 1
            raise RemoteError("queue", 503, "ServerBusy", "later", 0)
        super().complete(message)


class Site:
    """A worker on queues in memory, whose group does not exist."""

    def __init__(self) -> None:
        # The worker's leases run by the real clock, which these queues are far ahead of.
        self.clock = Clock()
        self.updates = Stubborn(self.clock)
        self.poison = MemoryQueue(self.clock, name="updates-poison")
        ports = Ports(
            groups=SimulatedGroups(self.clock),
            records=MemoryRecords(),
            targets=FixedTargets(single_target(SHOP)),
            watch=NoGlances(),
            send=lambda message: self.updates.send(message.encode()),
            resolve=lambda sources: {},
            digest=lambda message: message.push.digest,
        )
        self.worker = Worker(self.updates, self.poison, Stepper(ports, RULES, Retry(3, 1, 1), random.Random(0)), PACE)

    def drain(self) -> None:
        self.worker.run(drain=True)

    @property
    def codes(self) -> list[str]:
        return [decode_letter(text).code for text in self.poison.texts]


def test_a_letter_is_sent_once_however_often_its_message_can_not_be_deleted() -> None:
    # FINDING: each try to delete the message sent its letter again.
    site = Site()
    site.updates.failing = 2
    site.updates.send(message("2").encode())
    site.drain()
    assert (site.codes, site.updates.texts) == (["ResourceGroupNotFound"], [])


def test_a_message_of_somebody_else_goes_to_the_dead_letters_as_it_is() -> None:
    site = Site()
    site.updates.send("not ours")
    site.drain()
    assert (site.codes, site.updates.texts) == (["Undecodable"], [])


@pytest.mark.parametrize(("crashes", "code"), [(3, "WorkerCrash"), (2, "ResourceGroupNotFound")])
def test_a_message_that_was_never_settled_ends_by_its_deliveries(crashes: int, code: str) -> None:
    site = Site()
    site.updates.send(message("2").encode())
    for _ in range(crashes):
        site.updates.receive(1)
        site.clock.advance(60)
    site.drain()
    assert site.codes == [code]


def test_attempts_alone_are_no_crash() -> None:
    # FINDING: a message at its last attempt was called a crash before it was tried.
    site = Site()
    site.updates.send(message("2", attempts=3).encode())
    site.drain()
    assert site.codes == ["ResourceGroupNotFound"]


@pytest.mark.parametrize(("attempts", "code"), [(3, "ResourceGroupNotFound"), (2, "WorkerCrash")])
def test_a_crash_does_not_end_the_extra_tries_of_a_rollback(attempts: int, code: str) -> None:
    # FINDING: the first one did.
    site = Site()
    site.updates.send(message("2", attempts=attempts).encode())
    site.updates.receive(1)
    site.clock.advance(60)
    site.drain()
    assert site.codes == [code]


def test_the_newest_push_of_a_batch_comes_first_and_what_is_unreadable_before_it() -> None:
    clock = Clock()
    queue = MemoryQueue(clock)
    for text in (message("1", pushed=1).encode(), "not ours", message("3", pushed=3).encode()):
        queue.send(text)
    order = [update for _, update in newest_first(queue.receive(32))]
    assert [one.id if isinstance(one, UpdateMessage) else "?" for one in order] == ["?", "3", "1"]


def test_a_signal_may_come_while_the_main_thread_holds_the_events_lock() -> None:
    # FINDING: the handler waited for a lock that the thread it had interrupted held: the worker never stopped.
    worker = Site().worker
    with worker.stopping._cond:  # type: ignore[attr-defined]
        worker.stop()
    assert worker.stopping.wait(5)
