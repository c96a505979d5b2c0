"""The handler: whatever a message holds, it is settled once, or left to the worker that has it by then."""

from __future__ import annotations

import random
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

import worker.controller.handler
from shared.dead_letter import DeadLetter
from shared.errors import RemoteError
from shared.message import Look, TargetId, Undecodable, UpdateMessage, to_base64
from tests.fakes import FixedTargets
from tests.unit.builders import API, RULES, SHOP, THREE, TWO, at, container, message, record, timer
from tests.unit.controller_builders import (
    LEASE,
    QUEUE_DOWN,
    RECORDS_DOWN,
    RETRY,
    TARGET,
    THROTTLED,
    Bench,
    chance,
    conflict,
    counted,
)
from worker.controller.handler import Handler
from worker.controller.opened import Opened
from worker.controller.timers import CONFLICTS
from worker.record.record import MOST_WAITING
from worker.targets.target import single_target

PUSHED = message("2").model_copy(update={"kind": "push", "target": None})
LIVE = Look(target=SHOP, token="live", count=1)
CRASHED = "received 8 times in a row without being settled: its worker crashed or stalled each time"


def of_api(tag: str) -> UpdateMessage:
    return message(tag, name=f"api-{tag}").model_copy(update={"target": API})


class Desk(Bench):
    """A handler and its messages."""

    def __init__(self, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.targets = FixedTargets(TARGET, single_target(API))

    def handler(self, **ports: Any) -> Handler:
        return Handler(self.ports(**ports), RULES, RETRY, lease=LEASE, clock=self.clock.seconds, chance=chance())

    def handle(self, *messages: UpdateMessage | Look | str, crashes: int = 0, **ports: Any) -> list[dict[str, Any]]:
        """The log while these messages are handled."""
        leased = [self.lease(each, crashes) for each in messages]
        self.calls.clear()
        with capture_logs() as lines:
            self.handler(**ports).handle(leased)
        return [dict(line) for line in lines]

    @property
    def settled(self) -> list[str]:
        """What was done to messages, in order."""
        return [call for call in self.calls if call in {"after complete", "after reschedule", "after poison send"}]


class TestSettling:
    def test_a_completed_message_is_deleted(self) -> None:
        desk = Desk()
        before = counted("aci_hooks_settled_total", settlement="completed")
        desk.handle(TWO)
        assert desk.settled == ["after complete"]
        assert desk.record.inbox == (TWO,)
        assert [type(each) for each in desk.sent] == [Look]
        assert counted("aci_hooks_settled_total", settlement="completed") == before + 1

    def test_a_rescheduled_message_carries_its_dequeue_count(self) -> None:
        desk = Desk(record(inbox=(TWO,), timer=timer(0), count=1))
        before = counted("aci_hooks_settled_total", settlement="rescheduled")
        desk.on("get", THROTTLED)
        desk.handle(LIVE, crashes=2)
        delay = 17 + min(chance().uniform(0, 5), 1.0)
        met = {"attempts": 1, "trouble": "TooManyRequests", "waited": delay, "dequeued": 3}
        assert desk.sent == [LIVE.model_copy(update=met)]
        assert desk.updates.receive(32) == []
        desk.clock.advance(17)
        assert desk.updates.receive(32) == []
        desk.clock.advance(1)
        assert len(desk.updates.receive(32)) == 1
        assert counted("aci_hooks_settled_total", settlement="rescheduled") == before + 1

    def test_a_failed_message_is_dead_lettered_and_then_deleted(self) -> None:
        desk = Desk()
        before = counted("aci_hooks_settled_total", settlement="dead-lettered")
        lines = desk.handle("not ours")
        assert desk.settled == ["after poison send", "after complete"]
        assert desk.letters == [
            DeadLetter(
                reason="the message could not be decoded",
                code="Undecodable",
                detail="not base64",
                attempts=1,
                first_received_at=at(0),
                dead_lettered_at=at(0),
                message="not ours",
            )
        ]
        assert counted("aci_hooks_settled_total", settlement="dead-lettered") == before + 1
        assert lines == [
            {"event": "undecodable message", "log_level": "error", "detail": "not base64"},
            {
                "event": "dead letter",
                "log_level": "error",
                "code": "Undecodable",
                "detail": "not base64",
                "attempts": 1,
            },
        ]

    @pytest.mark.parametrize("failing", [1, 2])
    def test_a_dead_letter_is_sent_once_although_its_message_can_not_be_deleted(self, failing: int) -> None:
        # Regression: each try to delete the message sent its letter again.
        desk = Desk()
        desk.on("complete", *[QUEUE_DOWN] * failing)
        desk.handle("not ours")
        assert (len(desk.letters), desk.sent) == (1, [])

    @pytest.mark.parametrize("call", ["complete", "reschedule"])
    def test_a_queue_that_is_down_for_a_moment_does_not_prevent_settlement(self, call: str) -> None:
        desk = (
            Desk(record(inbox=tuple(message(str(n)) for n in range(MOST_WAITING)))) if call == "reschedule" else Desk()
        )
        desk.on(call, QUEUE_DOWN, QUEUE_DOWN)
        lines = desk.handle(message("new"))
        assert desk.settled == [f"after {call}"]
        assert [line["log_level"] for line in lines] == (["warning"] if call == "reschedule" else [])

    def test_a_message_that_can_not_be_settled_is_delivered_again(self) -> None:
        desk = Desk()
        desk.on("complete", *[QUEUE_DOWN] * 3)
        lines = desk.handle(TWO)
        assert desk.settled == []
        assert [(line["event"], line["error"]) for line in lines] == [
            ("message not settled, it will be delivered again", str(QUEUE_DOWN))
        ]
        assert len(desk.sent) == 2

    def test_an_unforeseen_error_during_settlement_does_not_stop_the_worker(self) -> None:
        desk = Desk()
        desk.on("complete", ValueError("unforeseen"))
        (line,) = desk.handle(TWO)
        assert (line["event"], line["log_level"], line["messages"]) == (
            "message not settled, it will be delivered again",
            "error",
            ["message-1"],
        )
        assert line["exc_info"]

    def test_a_message_that_another_worker_has_is_left_to_it(self) -> None:
        desk = Desk()
        leased = desk.lease(TWO)
        desk.clock.advance(LEASE)
        (theirs,) = desk.updates.receive(32)
        with capture_logs() as lines:
            desk.handler().handle([leased])
        assert [line["event"] for line in lines] == ["lease lost, leaving the message to the worker that has it now"]
        desk.updates.complete(theirs)

    @pytest.mark.parametrize(("passed", "letters"), [(LEASE - 1, 1), (LEASE, 0)])
    def test_a_dead_letter_is_sent_only_by_the_worker_that_has_the_lease(self, passed: float, letters: int) -> None:
        desk = Desk()
        leased = desk.lease("not ours")
        desk.clock.advance(passed)
        with capture_logs() as lines:
            desk.handler().handle([leased])
        assert len(desk.letters) == letters
        lost = "lease lost, leaving the message to the worker that has it now"
        assert [line["event"] for line in lines] == ["undecodable message", "dead letter" if letters else lost]


class TestOpening:
    def test_a_message_is_decoded(self) -> None:
        desk = Desk()
        assert desk.handler().open(desk.lease(TWO)).message == TWO
        assert desk.handler().open(desk.lease(LIVE)).message == LIVE

    def test_a_time_more_than_a_day_after_its_insertion_makes_a_message_undecodable(self) -> None:
        # Regression: one message with a time in 9999 ended every worker for good.
        desk = Desk()
        forged = message("2", pushed=86401)
        desk.handle(forged)
        (letter,) = desk.letters
        assert (letter.code, letter.message) == ("Undecodable", forged.encode())
        assert letter.detail.endswith("is more than a day after the message came onto the queue")
        desk.handle(message("2", pushed=86400))
        assert len(desk.record.inbox) == 1

    def test_an_unforeseen_value_makes_a_message_undecodable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(_text: str, _inserted_at: object) -> None:
            raise OverflowError("a year too many")

        monkeypatch.setattr(worker.controller.handler, "decode", broken)
        desk = Desk()
        desk.handle(TWO)
        assert [(each.code, each.detail, each.message) for each in desk.letters] == [
            ("Undecodable", "OverflowError: a year too many", TWO.encode())
        ]

    @pytest.mark.parametrize(
        "text", ["", "not base64", to_base64("[]"), to_base64('{"kind": "look"}'), to_base64("{}")]
    )
    def test_no_content_of_a_message_stops_the_handler(self, text: str) -> None:
        desk = Desk()
        desk.handle(text)
        assert [each.message for each in desk.letters] == [text]

    @pytest.mark.parametrize(
        ("of", "target"),
        [(TWO, SHOP), (PUSHED, None), (LIVE, None), (Undecodable("x"), None)],
        ids=["rollout", "push", "look", "unreadable"],
    )
    def test_only_a_push_for_one_target_is_received_into_a_record(self, of: Any, target: TargetId | None) -> None:
        assert Opened(Desk().lease("x"), of).rollout_of == target

    @pytest.mark.parametrize(
        ("deliveries", "dequeued", "crashes"), [(1, 0, 0), (2, 0, 1), (5, 2, 2), (3, 2, 0), (1, 9, 0), (9, 10**30, 8)]
    )
    def test_a_delivery_that_was_never_settled_counts_as_a_crash(
        self, deliveries: int, dequeued: int, crashes: int
    ) -> None:
        leased = Desk().lease("x", deliveries - 1)
        for of in (TWO, LIVE):
            assert Opened(leased, of.model_copy(update={"dequeued": dequeued})).crashes == crashes
        assert Opened(leased, Undecodable("x")).crashes == 0


class TestTogether:
    """Pushes to one target are written with one write."""

    def test_pushes_of_one_batch_are_received_together(self) -> None:
        desk = Desk()
        desk.handle(TWO, of_api("4"), THREE, of_api("5"))
        assert desk.saves() == 2
        assert desk.record.inbox == (TWO, THREE)
        assert {each.id for each in desk.records.load(API)[0].inbox} == {"api-4", "api-5"}
        assert desk.settled == ["after complete"] * 4
        assert desk.calls.count("after send") == 2

    def test_a_push_that_comes_twice_in_a_batch_is_received_once(self) -> None:
        desk = Desk()
        desk.handle(TWO, TWO)
        assert desk.record.inbox == (TWO,)
        assert desk.settled == ["after complete"] * 2

    def test_a_message_that_can_not_be_settled_does_not_keep_the_others_from_settlement(self) -> None:
        desk = Desk()
        leased = [desk.lease(each) for each in (TWO, THREE)]
        desk.updates.complete(leased[0])
        with capture_logs() as lines:
            desk.handler().handle(leased)
        assert desk.record.inbox == (TWO, THREE)
        assert [type(each) for each in desk.sent] == [Look]
        assert [line["event"] for line in lines] == ["lease lost, leaving the message to the worker that has it now"]

    def test_a_push_that_has_crashed_a_worker_is_received_alone(self) -> None:
        desk = Desk()
        crashed = desk.lease(TWO, crashes=1)
        desk.handler().handle([crashed, desk.lease(THREE), desk.lease(message("4", pushed=2))])
        assert desk.saves() == 2
        assert len(desk.record.inbox) == 3

    def test_if_others_write_all_the_time_all_messages_come_again_in_a_moment(self) -> None:
        desk = Desk()
        desk.on("save", *[conflict()] * CONFLICTS)
        desk.handle(TWO, THREE)
        assert [each.model_copy(update={"dequeued": 0}) for each in desk.sent[:2]] == [TWO, THREE]
        assert [each.dequeued for each in desk.sent[:2]] == [1, 1]
        desk.clock.advance(1)
        assert len(desk.updates.receive(32)) == 3

    @pytest.mark.parametrize(
        ("of", "context"),
        [
            ((TWO,), {"id": "2", "image": "docker.io/acme/shop:2", "target": "web/shop"}),
            ((LIVE,), {"target": "web/shop"}),
            ((PUSHED,), {"id": "2", "image": "docker.io/acme/shop:2"}),
            (("not ours",), {"message_id": "message-1"}),
        ],
        ids=["a push", "a look", "a push to find targets of", "unreadable"],
    )
    def test_every_line_of_the_log_says_what_it_is_about(self, of: Any, context: dict[str, str]) -> None:
        desk = Desk()
        seen: list[dict[str, Any]] = []
        for call in ("complete", "reschedule"):
            desk.on(call, lambda: seen.append(structlog.contextvars.get_contextvars()))
        desk.handle(*of)
        assert seen == [context]
        assert structlog.contextvars.get_contextvars() == {}

    @pytest.mark.parametrize("trouble", [RECORDS_DOWN, None], ids=["not received", "received"])
    def test_of_pushes_received_together_each_has_lines_of_its_own(self, trouble: Exception | None) -> None:
        # Regression: the end of a push that failed in a batch was logged without its id.
        desk, seen = Desk(), list[dict[str, Any]]()
        if trouble:
            desk.on("load", *[trouble] * 3)
        for reached in ("complete", "reschedule"):
            desk.on(reached, *[lambda: seen.append(structlog.contextvars.get_contextvars())] * 2)
        desk.handle(TWO, THREE)
        assert [(context["id"], context["pushes"]) for context in seen] == [("2", "2"), ("3", "2")]


class TestPushes:
    def test_a_push_is_sent_to_each_of_its_targets(self) -> None:
        desk = Desk()
        desk.handle(PUSHED)
        assert desk.settled == ["after complete"]
        assert [each.target for each in desk.sent] == [SHOP, API]

    def test_a_transient_error_is_tried_again(self) -> None:
        desk = Desk()
        busy = RemoteError("queue", 503, "ServerBusy", "later")
        desk.on("send", busy)
        lines = desk.handle(PUSHED)
        delay = chance().uniform(0, 5)
        assert desk.sent == [PUSHED.model_copy(update={"attempts": 1, "dequeued": 1})]
        assert lines == [
            {
                "event": "message failed",
                "log_level": "warning",
                "code": "ServerBusy",
                "detail": str(busy),
                "attempts": 1,
                "again_in": 4.2,
            }
        ]
        assert round(delay, 1) == 4.2
        desk.clock.advance(4)
        assert desk.updates.receive(32) == []
        desk.clock.advance(1)
        assert len(desk.updates.receive(32)) == 1

    def test_a_permanent_error_is_dead_lettered(self) -> None:
        desk = Desk()
        desk.on("send", RemoteError("queue", 400, "OutOfRangeInput", "password=hunter2"))
        lines = desk.handle(PUSHED.model_copy(update={"attempts": 2}))
        assert [(each.code, each.detail, each.attempts, each.reason) for each in desk.letters] == [
            ("OutOfRangeInput", "queue: OutOfRangeInput (400): password=***", 3, "the push failed")
        ]
        assert desk.letters[0].first_received_at == at(0)
        plain = {
            "log_level": "error",
            "code": "OutOfRangeInput",
            "detail": "queue: OutOfRangeInput (400): password=***",
        }
        assert lines == [
            plain | {"event": "ended", "outcome": "failed"},
            plain | {"event": "dead letter", "attempts": 3},
        ]

    @pytest.mark.parametrize("of", [PUSHED, TWO], ids=["to be sent to its targets", "to be received"])
    @pytest.mark.parametrize(("attempts", "letters"), [(6, 0), (7, 1)])
    def test_an_unforeseen_error_is_tried_a_few_times_and_logged_as_a_bug(
        self, of: UpdateMessage, attempts: int, letters: int
    ) -> None:
        desk = Desk()
        desk.on("send", ValueError("a bug"))
        lines = desk.handle(of.model_copy(update={"attempts": attempts}))
        assert [(each.code, each.detail, each.attempts) for each in desk.letters] == [
            ("ValueError", "a bug", 8)
        ] * letters
        assert lines[0]["event"] == "message failed"
        assert lines[0]["exc_info"]

    @pytest.mark.parametrize(("attempts", "letters"), [(42, 0), (43, 1)])
    def test_an_outage_is_waited_for_for_hours(self, attempts: int, letters: int) -> None:
        # Six hours: beyond the limit of tries, each further one counts as the longest pause.
        desk = Desk()
        desk.on("load", *[RECORDS_DOWN] * 3)
        desk.handle(TWO.model_copy(update={"attempts": attempts}))
        assert len(desk.letters) == letters

    def test_an_outage_of_the_records_brings_all_of_a_batch_back(self) -> None:
        desk = Desk()
        desk.on("load", *[RECORDS_DOWN] * 3)
        desk.handle(TWO, THREE)
        assert [each.attempts for each in desk.sent if isinstance(each, UpdateMessage)] == [1, 1]


class TestCrashes:
    """A message that crashes its workers ends as a dead letter."""

    @pytest.mark.parametrize(("crashes", "letters"), [(7, 0), (8, 1)])
    def test_a_push_that_crashes_every_worker_that_fans_it_out_is_dead_lettered(
        self, crashes: int, letters: int
    ) -> None:
        desk = Desk()
        desk.handle(PUSHED.model_copy(update={"attempts": 2}), crashes=crashes)
        assert [(each.code, each.detail, each.attempts) for each in desk.letters] == [
            ("WorkerCrash", CRASHED, 10)
        ] * letters
        assert len(desk.sent) == (0 if letters else 2)

    @pytest.mark.parametrize(("crashes", "letters"), [(7, 0), (8, 1)])
    def test_a_push_that_crashes_every_worker_that_receives_it_is_dead_lettered(
        self, crashes: int, letters: int
    ) -> None:
        desk = Desk()
        desk.handle(TWO, crashes=crashes)
        assert [(each.code, each.detail, each.attempts, each.message) for each in desk.letters] == [
            ("WorkerCrash", CRASHED, 8, TWO)
        ] * letters
        assert desk.record.inbox == (() if letters else (TWO,))

    def test_a_push_that_the_record_has_is_not_taken_for_a_crash(self) -> None:
        # Only its settlement fails.
        desk = Desk(record(inbox=(TWO,)))
        desk.handle(TWO, crashes=8)
        assert (desk.letters, desk.settled) == ([], ["after complete"])

    def test_attempts_alone_are_not_crashes(self) -> None:
        # Regression: a message at its last attempt was called a crash before it was tried.
        desk = Desk()
        desk.handle(message("2", attempts=8))
        assert (desk.letters, len(desk.record.inbox)) == ([], 1)

    def test_deliveries_that_were_settled_are_not_crashes(self) -> None:
        desk = Desk()
        desk.handle(TWO.model_copy(update={"dequeued": 8}), crashes=8)
        assert desk.letters == []

    @pytest.mark.parametrize(("crashes", "letters"), [(7, 0), (8, 1)])
    def test_a_look_that_crashes_its_workers_gives_the_pushes_up(self, crashes: int, letters: int) -> None:
        now = record({"web": container()}, inbox=(TWO,), timer=timer(0), count=1)
        desk = Desk(now, {"web": "acme/shop:1"})
        desk.handle(LIVE, crashes=crashes)
        assert [(each.code, each.detail, each.message) for each in desk.letters] == [
            ("WorkerCrash", CRASHED, TWO)
        ] * letters
        assert (desk.images == {"web": "acme/shop:2"}) == (not letters)
        if letters:
            assert desk.record.timer is None
            assert desk.settled == ["after poison send", "after complete"]

    def test_a_look_that_wrote_its_record_lately_is_not_taken_for_a_crash(self) -> None:
        desk = Desk(record(inbox=(TWO,), timer=timer(8 * LEASE - 100), count=1), {"web": "acme/shop:1"})
        desk.handle(LIVE, crashes=8)
        assert desk.letters == []
        assert desk.images == {"web": "acme/shop:2"}

    def test_while_the_records_are_down_a_look_is_not_taken_for_a_crash(self) -> None:
        desk = Desk(record(inbox=(TWO,), timer=timer(0), count=1))
        desk.on("load", *[RECORDS_DOWN] * 3)
        lines = desk.handle(LIVE, crashes=8)
        assert [line["event"] for line in lines] == ["message not settled, it will be delivered again"]
        assert desk.settled == []


class TestLooks:
    def test_a_look_is_carried_out(self) -> None:
        desk = Desk(record(inbox=(TWO,), timer=timer(0), count=1), {"web": "acme/shop:1"})
        desk.handle(LIVE)
        assert desk.images == {"web": "acme/shop:2"}
        assert desk.sent == [LIVE.model_copy(update={"dequeued": 1})]

    def test_a_look_whose_lease_runs_out_changes_nothing_and_is_left_to_others(self) -> None:
        desk = Desk(record(inbox=(TWO,), timer=timer(0), count=1), {"web": "acme/shop:1"})
        desk.on("get", lambda: desk.clock.advance(LEASE))
        lines = desk.handle(LIVE)
        assert desk.images == {"web": "acme/shop:1"}
        assert desk.settled == []
        assert lines[-1]["event"] == "lease lost, leaving the message to the worker that has it now"

    def test_a_look_just_before_the_end_of_its_lease_is_carried_out(self) -> None:
        desk = Desk(record(inbox=(TWO,), timer=timer(0), count=1), {"web": "acme/shop:1"})
        desk.on("get", lambda: desk.clock.advance(LEASE - 1))
        desk.handle(LIVE)
        assert desk.images == {"web": "acme/shop:2"}


class TestAwaitingRepair:
    UNREADABLE = RemoteError("records", None, "UnreadableRecord", "foreign", 0)

    def test_messages_that_wait_for_the_repair_of_a_record_are_counted_once_each(self) -> None:
        desk = Desk()
        handler = desk.handler()
        for of in (TWO, LIVE, TWO):
            desk.on("load", *[self.UNREADABLE] * 3)
            with capture_logs():
                handler.handle([desk.lease(of)])
        assert handler.awaiting_repair == 3
        desk.clock.advance(9999)
        desk.on("load", *[self.UNREADABLE] * 9)
        with capture_logs():
            handler.handle(desk.updates.receive(32))
        assert handler.awaiting_repair == 3

    def test_after_the_repair_none_is_counted(self) -> None:
        desk = Desk()
        handler = desk.handler()
        desk.on("load", *[self.UNREADABLE] * 3)
        with capture_logs():
            handler.handle([desk.lease(TWO)])
            desk.clock.advance(9999)
            handler.handle(desk.updates.receive(32))
        assert (handler.awaiting_repair, [each.id for each in desk.record.inbox]) == (0, ["2"])

    def test_messages_that_wait_for_anything_else_are_not_counted(self) -> None:
        desk = Desk()
        handler = desk.handler()
        desk.on("load", *[RECORDS_DOWN] * 3)
        with capture_logs():
            handler.handle([desk.lease(TWO)])
        assert handler.awaiting_repair == 0


def test_each_worker_has_its_own_random_numbers_by_default() -> None:
    desk = Desk()
    handlers = [Handler(desk.ports(), RULES, RETRY, lease=LEASE) for _ in range(2)]
    assert {type(each._chance) for each in handlers} == {random.Random}
    assert handlers[0]._chance.random() != handlers[1]._chance.random()


def test_leases_are_measured_by_the_monotonic_clock_by_default() -> None:
    desk = Desk()
    handler = Handler(desk.ports(), RULES, RETRY, lease=LEASE)
    handler.handle([desk.lease("not ours")])
    # The bench's clock shows the time of day, which is far ahead of the monotonic clock.
    assert len(desk.letters) == 1
