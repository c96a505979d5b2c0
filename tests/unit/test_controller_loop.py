"""The loop: what is received and when, which steps run, what is written together, and how a worker ends."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

import worker.controller.loop
from shared.errors import RemoteError
from shared.leased_message import LeasedMessage
from shared.message import Look, TargetId
from tests.fakes import Clock, MemoryQueue
from tests.unit.builders import RULES, SHOP, message, record, timer
from tests.unit.controller_builders import LEASE, QUEUE_DOWN, RETRY, Bench, Died, chance
from worker.controller.handler import Handler
from worker.controller.loop import Pace, Worker
from worker.controller.opened import Opened
from worker.controller.timers import waiting_for_owners

LONG = 10.0
"""Seconds to wait for a thread at most: enough on a busy machine, too."""
PUSHES = [message(str(number), pushed=number) for number in range(40)]
LIVE = record(timer=timer(0), count=1)
"""Its timer is due now, so no push sends another look."""


class Watched(MemoryQueue):
    """A queue that remembers how many messages were asked for, and signals when it is empty."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, LEASE)
        self.limits: list[int] = []
        self.empty = threading.Event()
        self.troubles: list[Exception] = []
        self.renewed = threading.Event()

    def receive(self, limit: int) -> list[LeasedMessage]:
        self.limits.append(limit)
        if self.troubles:
            raise self.troubles.pop(0)
        received = super().receive(limit)
        if not received:
            self.empty.set()
        return received

    def renew(self, message: LeasedMessage) -> None:
        self.renewed.set()
        super().renew(message)


class Clerk(Handler):
    """A handler that remembers what it was given."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()

    def receive(self, target: TargetId, together: Sequence[Opened]) -> None:
        self.batches.append([item.message.id for item in together if not isinstance(item.message, Look | Exception)])
        super().receive(target, together)

    def carry_out(self, opened: Opened) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.alone.append(opened.leased.text)
        try:
            super().carry_out(opened)
        finally:
            with self._lock:
                self.at_once -= 1


class Shop(Bench):
    """A worker on queues in memory."""

    def __init__(
        self,
        *args: Any,
        concurrency: int = 2,
        visibility: float = LEASE,
        lease_clock: Callable[[], float] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(*args, **rest)
        self.updates: Watched = Watched(self.clock)
        self.updates.probe = self._probe("")
        clock = lease_clock or self.clock.seconds
        self.clerk = Clerk(self.ports(), RULES, RETRY, lease=LEASE, clock=clock, chance=chance())
        pace = Pace(concurrency=concurrency, poll_min=0.001, poll_max=0.002, visibility_timeout=visibility)
        self.waiting: Callable[[], int | None] = lambda: waiting_for_owners(self.ports())
        self.worker = Worker(self.updates, self.clerk, pace, lambda: self.waiting())

    def send(self, *messages: Any) -> None:
        for each in messages:
            self.updates.send(each if isinstance(each, str) else each.encode())

    def drain(self) -> bool:
        return self.run(drain=True)

    def run(self, *, drain: bool = False) -> bool:
        """Run the worker beside the test, which fails rather than hangs if that does not end."""
        ended: list[bool | BaseException] = []

        def work() -> None:
            try:
                ended.append(self.worker.run(drain=drain))
            except BaseException as error:
                ended.append(error)

        beside = threading.Thread(target=work, daemon=True)
        beside.start()
        beside.join(3 * LONG)
        if not ended:
            self.worker.stopping.set()
            pytest.fail("the worker does not end")
        if isinstance(ended[0], BaseException):
            raise ended[0]
        return ended[0]


def until(event: threading.Event) -> Callable[[], None]:
    """Wait for something that another thread does."""

    def wait() -> None:
        assert event.wait(LONG)

    return wait


class TestDraining:
    def test_everything_is_carried_out_and_then_the_worker_ends(self) -> None:
        shop = Shop(images={"web": "acme/shop:1"})
        shop.send("not ours", message("2"))
        shop.on("after put", shop.worker.stop)
        assert shop.run()
        assert [each.code for each in shop.letters] == ["Undecodable"]
        assert shop.images == {"web": "acme/shop:2"}

    def test_an_empty_queue_ends_it_once_it_was_seen_empty_twice(self) -> None:
        shop = Shop()
        seen: list[int] = []
        counted = waiting_for_owners

        def waiting() -> int | None:
            seen.append(shop.updates.count())
            return counted(shop.ports())

        shop.waiting = waiting
        assert shop.drain()
        assert seen == [0, 0]

    def test_a_message_in_between_starts_the_count_again(self) -> None:
        shop = Shop()
        answers: list[int | None] = [0, None, 0, 0]
        shop.waiting = lambda: answers.pop(0)
        assert shop.drain()
        assert answers == []

    def test_messages_between_two_counts_start_the_count_again_too(self) -> None:
        shop = Shop()
        answers = [0, 0, 0]

        def waiting() -> int:
            if len(answers) == 3:
                shop.send("not ours")
            return answers.pop()

        shop.waiting = waiting
        assert shop.drain()
        assert (answers, len(shop.letters)) == ([], 1)

    def test_groups_that_wait_for_their_owner_do_not_keep_it(self) -> None:
        now = record(timer=timer(60, owner=True), count=1)
        shop = Shop(now)
        shop.updates.send(Look(target=SHOP, token="live", count=1).encode(), delay=60)
        assert shop.drain()
        assert shop.updates.count() == 1

    def test_messages_that_wait_for_anything_else_keep_it(self) -> None:
        shop = Shop(record(timer=timer(60), count=1))
        shop.updates.send(Look(target=SHOP, token="live", count=1).encode(), delay=60)
        seen = 0

        def waiting() -> int | None:
            nonlocal seen
            seen += 1
            if seen == 5:
                shop.worker.stopping.set()
            return waiting_for_owners(shop.ports())

        shop.waiting = waiting
        assert shop.drain()
        assert seen == 5

    def test_more_messages_than_the_timers_of_those_groups_keep_it(self) -> None:
        shop = Shop(record(timer=timer(60, owner=True), count=1))
        for _ in range(2):
            shop.updates.send("later", delay=60)
        seen = 0

        def waiting() -> int:
            nonlocal seen
            seen += 1
            if seen == 5:
                shop.worker.stopping.set()
            return 1

        shop.waiting = waiting
        assert shop.drain()
        assert seen == 5

    def test_an_outage_of_the_records_keeps_it(self) -> None:
        shop = Shop()
        answers: list[int | Exception] = [0, QUEUE_DOWN, 0, 0]

        def waiting() -> int:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        shop.waiting = waiting
        assert shop.drain()
        assert answers == []

    def test_without_drain_it_goes_on(self) -> None:
        shop = Shop()
        shop.waiting = lambda: pytest.fail("nobody asks")
        empty = 0
        receive = shop.updates.receive

        def received(limit: int) -> list[LeasedMessage]:
            nonlocal empty
            empty += 1
            if empty == 5:
                shop.worker.stopping.set()
            return receive(limit)

        shop.updates.receive = received  # type: ignore[method-assign]
        assert shop.run()
        assert empty == 5


class TestReceiving:
    def test_a_queue_that_can_not_be_read_is_read_again(self) -> None:
        shop = Shop()
        shop.send("not ours")
        shop.updates.troubles = [QUEUE_DOWN]
        with capture_logs() as lines:
            assert shop.drain()
        assert len(shop.letters) == 1
        assert [(line["event"], line["error"]) for line in lines[:1]] == [
            ("can't read the queue, retrying", str(QUEUE_DOWN))
        ]

    def test_it_receives_as_many_as_there_are_free_steps_and_a_whole_batch_after_pushes_only(self) -> None:
        shop = Shop(LIVE, concurrency=3)
        shop.send(*PUSHES)
        shop.waiting = lambda: 0
        shop.drain()
        # The steps are free again when the pushes have been received.
        assert shop.updates.limits[:2] == [3, 32]
        assert shop.updates.limits[-1] == 3

    def test_after_any_other_message_it_receives_only_as_many_as_there_are_free_steps(self) -> None:
        shop = Shop(LIVE, concurrency=1)
        shop.send("not ours", PUSHES[0], "not ours")
        shop.waiting = lambda: 0
        shop.drain()
        assert shop.updates.limits[:2] == [1, 1]
        assert shop.updates.limits[2:3] == [32]

    def test_there_are_never_more_steps_than_configured(self) -> None:
        shop = Shop(concurrency=2)
        shop.send(*["not ours"] * 9)
        both = threading.Barrier(2)
        shop.on("poison send", *[lambda: both.wait(LONG)] * 2)
        shop.waiting = lambda: 0
        assert shop.drain()
        assert (shop.clerk.most_at_once, len(shop.letters)) == (2, 9)

    def test_no_more_messages_are_leased_than_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(worker.controller.loop, "MOST_IN_HAND", 3)
        shop = Shop(LIVE, concurrency=4)
        shop.send(*PUSHES[:9])
        shop.waiting = lambda: 0
        polled = threading.Event()
        wait = shop.worker._freed.wait
        asked = 0

        def counted(timeout: float | None = None) -> bool:
            # The main thread has looked for a free step several times in vain.
            nonlocal asked
            asked += 1
            if asked == 3:
                polled.set()
            return wait(timeout)

        monkeypatch.setattr(shop.worker._freed, "wait", counted)
        leased: list[int] = []
        shop.on("save", until(polled))
        shop.on("after save", lambda: leased.append(len(shop.worker._in_hand)))
        assert shop.drain()
        assert leased[0] == 4
        assert len(shop.record.inbox) == 9

    def test_it_pauses_longer_while_nothing_comes_and_shortly_after_a_message(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shop = Shop()
        pauses: list[float] = []

        class Event(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                pauses.append(timeout or 0.0)
                if len(pauses) == 4:
                    shop.send("not ours")
                if len(pauses) == 6:
                    self.set()
                return self.is_set()

        # Each pause is somewhere between a half and the whole of these.
        monkeypatch.setattr(random, "uniform", lambda low, high: high if 2 * low == high else 0)
        shop.worker._pace = Pace(concurrency=1, poll_min=1.0, poll_max=5.0, visibility_timeout=LEASE)
        shop.worker.stopping = Event()
        assert shop.run()
        assert pauses == [1, 2, 4, 5, 1, 2]


class TestTogether:
    def test_pushes_that_come_during_a_write_are_in_the_next_write(self) -> None:
        shop = Shop(LIVE)
        shop.send(*PUSHES)
        shop.waiting = lambda: 0
        shop.on("save", until(shop.updates.empty))
        assert shop.drain()
        assert len(shop.clerk.batches) == 2
        assert sorted(each for batch in shop.clerk.batches for each in batch) == sorted(each.id for each in PUSHES)
        assert shop.record.inbox == tuple(PUSHES)
        assert shop.updates.count() == 0

    def test_a_push_that_has_crashed_a_worker_is_received_alone(self) -> None:
        shop = Shop(LIVE)
        shop.send(PUSHES[0])
        shop.updates.receive(1)
        shop.clock.advance(LEASE)
        shop.rewrite(lambda now: now.but(timer=timer(LEASE)))
        shop.send(*PUSHES[1:3])
        shop.waiting = lambda: 0
        assert shop.drain()
        assert shop.clerk.alone == [PUSHES[0].encode()]
        assert ["0"] in shop.clerk.batches
        assert len(shop.record.inbox) == 3

    def test_pushes_to_two_targets_are_written_apart(self) -> None:
        api = TargetId(subscription="sub", resource_group="web", container_group="api")
        shop = Shop(LIVE)
        shop.records.save(record(timer=timer(0), count=1).but(target=api), None)
        shop.send(PUSHES[0], PUSHES[1].model_copy(update={"target": api}))
        shop.waiting = lambda: 0
        assert shop.drain()
        assert sorted(shop.clerk.batches) == [["0"], ["1"]]

    def test_a_target_whose_pushes_were_received_gets_the_next_ones(self) -> None:
        shop = Shop(LIVE, concurrency=1)
        shop.send(PUSHES[0])
        shop.on("after complete", lambda: shop.send(PUSHES[1]))
        shop.waiting = lambda: 0
        assert shop.drain()
        assert shop.record.inbox == tuple(PUSHES[:2])


class TestTrouble:
    @pytest.mark.parametrize("of", ["not ours", PUSHES[0]])
    def test_a_step_that_dies_frees_its_place(self, of: Any) -> None:
        shop = Shop(LIVE, concurrency=1)

        def die() -> None:
            raise Died

        shop.send(of)
        shop.on("complete", die)
        shop.on("after receive", die)
        ended: list[int] = []

        def waiting() -> int:
            ended.append(len(shop.worker._in_hand))
            if len(ended) == 1:
                shop.send("not ours as well")
            return 9

        shop.waiting = waiting
        assert shop.drain()
        assert set(ended) == {0}
        assert "not ours as well" in [each.message for each in shop.letters]


class TestLeases:
    """Leases are renewed while their messages are in hand."""

    def shop(self) -> Shop:
        shop = Shop(visibility=0.01, lease_clock=lambda: -1.0)
        # The worker measures leases by its own clock, and the bench's clock is far ahead of it.
        receive = shop.updates.receive

        def expiring(limit: int) -> list[LeasedMessage]:
            received = receive(limit)
            for each in received:
                each.expires = 0.0
            return received

        shop.updates.receive = expiring  # type: ignore[method-assign]
        shop.waiting = lambda: 0
        return shop

    def test_leases_of_messages_in_hand_are_renewed(self) -> None:
        shop = self.shop()
        shop.send("not ours")
        shop.on("poison send", until(shop.updates.renewed))
        assert shop.drain()
        assert len(shop.letters) == 1

    @pytest.mark.parametrize(
        ("trouble", "tries", "event"),
        [
            (QUEUE_DOWN, 2, "lease not renewed, retrying"),
            (RemoteError("queue", 404, "MessageNotFound", "gone"), 1, "lease lost"),
        ],
        ids=["for now", "for good"],
    )
    def test_a_lease_that_can_not_be_renewed_stops_nothing(self, trouble: RemoteError, tries: int, event: str) -> None:
        shop = self.shop()
        shop.send("not ours")
        shop.waiting = lambda: 1
        tried = threading.Event()
        renewals = 0

        def renew(leased: LeasedMessage) -> None:
            nonlocal renewals

            def refused(_receipt: str | None) -> str | None:
                raise trouble

            renewals += 1
            if renewals == tries:
                tried.set()
            leased.with_receipt(refused, settles=False)

        shop.updates.renew = renew  # type: ignore[method-assign, assignment]
        shop.on("poison send", until(tried))
        with capture_logs() as lines:
            assert shop.drain()
        told = [
            line for line in lines if line.get("message_id") == "message-1" and line["event"] != "undecodable message"
        ]
        assert {line["event"] for line in told} == {event}
        assert len(told) >= tries

    def test_a_lease_that_is_long_enough_is_not_renewed(self) -> None:
        shop = Shop(visibility=0.01)
        asked = threading.Event()
        margins: list[float] = []
        receive = shop.updates.receive

        def wants_renewal(margin: float) -> bool:
            margins.append(margin)
            asked.set()
            return False

        def watched(limit: int) -> list[LeasedMessage]:
            received = receive(limit)
            for each in received:
                each.wants_renewal = wants_renewal  # type: ignore[assignment, method-assign]
            return received

        shop.updates.receive = watched  # type: ignore[method-assign]
        shop.send("not ours")
        shop.on("poison send", until(asked))
        assert shop.drain()
        assert not shop.updates.renewed.is_set()
        assert set(margins) == {0.005}


class TestStopping:
    def test_a_signal_may_come_while_the_main_thread_holds_the_events_lock(self) -> None:
        # Regression: the signal handler waited for a lock that the interrupted thread held, and nothing stopped.
        stopped = Shop().worker
        with stopped.stopping._cond:  # type: ignore[attr-defined]
            handler = threading.Thread(target=stopped.stop, daemon=True)
            handler.start()
            handler.join(LONG)
            assert not handler.is_alive()
        assert stopped.stopping.wait(LONG)

    def test_nothing_more_is_received_and_running_steps_finish(self) -> None:
        shop = Shop(concurrency=1)
        shop.send("not ours", "left")
        shop.on("poison send", shop.worker.stopping.set)
        assert shop.run()
        assert [each.message for each in shop.letters] == ["not ours"]
        assert shop.updates.texts == ["left"]

    def test_a_worker_that_is_stopped_while_it_waits_for_a_free_step_receives_nothing(self) -> None:
        # Which of its two checks sees the signal depends on the moment, so the second one is called by itself.
        shop = Shop()
        shop.send(*PUSHES[:2])
        shop.worker.stopping.set()
        assert shop.worker._receive_opened(in_burst=False) == []
        assert shop.updates.limits == []

    def test_a_worker_that_was_stopped_before_it_ran_receives_nothing(self) -> None:
        shop = Shop()
        shop.send("left")
        shop.worker.stopping.set()
        assert shop.run()
        assert shop.updates.limits == []

    def test_messages_of_steps_that_take_too_long_are_left_to_another_worker(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(worker.controller.loop, "SHUTDOWN", 0.01)
        shop = Shop(concurrency=1)
        shop.send("not ours")
        go_on, over = threading.Event(), threading.Event()

        def take_long() -> None:
            shop.worker.stopping.set()
            go_on.wait(LONG)

        shop.on("poison send", take_long)
        shop.on("after complete", over.set)
        with capture_logs() as lines:
            assert not shop.run()
        assert [(line["event"], line["messages"]) for line in lines if line["log_level"] == "warning"] == [
            ("steps did not finish in time, their messages will be delivered again", 1)
        ]
        go_on.set()
        assert over.wait(LONG)

    def test_no_thread_goes_on_after_the_end(self) -> None:
        shop = Shop()
        shop.send("not ours")
        assert shop.drain()
        for thread in threading.enumerate():
            if thread.name == "renewer" or thread.name.startswith("step"):
                thread.join(LONG)
                assert not thread.is_alive()
