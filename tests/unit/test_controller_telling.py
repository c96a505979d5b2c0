"""Telling how pushes ended: to the dead letters, the log, the metrics and people."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, get_args

import pytest
import structlog
from structlog.testing import capture_logs

from shared.dead_letter import DeadLetter
from shared.errors import RemoteError
from shared.message import UpdateMessage
from tests.unit.builders import ADDRESS, SHOP, at, message, record
from tests.unit.controller_builders import QUEUE_DOWN, Bench, counted
from worker.controller.telling import Telling, context_of
from worker.ports import Notice
from worker.record.trace import End
from worker.record.values import AddressChange, Ending, Result

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MOVED = {"ip": "20.50.0.9"}
Line = MutableMapping[str, Any]


def ending(of: str | UpdateMessage = "2", result: Result = "updated", code: str | None = None) -> Ending:
    of = message(of) if isinstance(of, str) else of
    return Ending(message=of, result=result, detail="so it was", code=code, at=at(9))


def told(bench: Bench, *endings: Ending, addresses: tuple[AddressChange, ...] = ()) -> list[Line]:
    """The log after these were told."""
    with capture_logs() as logs:
        Telling(bench.ports()).tell(record(outbox=endings, address_changes=addresses))
    return logs


class TestDeadLetters:
    @pytest.mark.parametrize("result", ["failed", "rolled-back"])
    def test_a_failed_push_gets_a_dead_letter_with_its_message(self, result: Result) -> None:
        bench = Bench()
        of = message("2", pushed=3, attempts=2)
        told(bench, ending(of, result, "CrashLoop").but(attempts=4))
        assert bench.letters == [
            DeadLetter(
                reason="the rollout failed",
                code="CrashLoop",
                detail="so it was",
                attempts=4,
                first_received_at=at(3),
                dead_lettered_at=at(9),
                message=of,
            )
        ]

    def test_the_last_lines_of_the_crashed_container_are_in_it_and_in_the_notification(self) -> None:
        bench = Bench()
        told(bench, ending("2", "rolled-back", "CrashLoop").but(log="boom"), ending("3", "failed", "CrashLoop"))
        assert [letter.log for letter in bench.letters] == ["boom", None]
        assert [notice.log for notice in bench.told] == ["boom", None]

    @pytest.mark.parametrize("result", ["updated", "unchanged", "superseded", "ignored"])
    def test_a_push_that_did_not_fail_gets_none(self, result: Result) -> None:
        bench = Bench()
        told(bench, ending("2", result))
        assert bench.letters == []

    def test_an_end_has_one_attempt_and_no_code_by_default(self) -> None:
        bench = Bench()
        told(bench, ending("2", "failed"))
        assert [(letter.attempts, letter.code) for letter in bench.letters] == [(1, "")]

    def test_a_queue_that_is_down_for_a_moment_gets_the_dead_letter_all_the_same(self) -> None:
        bench = Bench()
        bench.on("poison send", QUEUE_DOWN)
        told(bench, ending("2", "failed", "C"))
        assert len(bench.letters) == 1

    def test_an_end_that_was_told_before_gets_no_second_dead_letter(self) -> None:
        # Regression: where a worker died, or storage failed, after sending, one push got up to three dead letters.
        bench = Bench()
        for _ in range(2):
            told(bench, ending("2", "failed", "C"))
            bench.clock.advance(60)
        assert len(bench.letters) == 1
        told(bench, ending("2", "failed", "C").but(at=at(10)))
        assert len(bench.letters) == 2

    def test_if_the_dead_letter_can_not_be_sent_nothing_is_told(self) -> None:
        bench = Bench()
        bench.on("poison send", *[QUEUE_DOWN] * 3)
        with pytest.raises(RemoteError, match=r"^queue: ServerBusy"):
            told(bench, ending("2", "failed", "C"))
        assert (bench.letters, bench.told) == ([], [])


class TestPeople:
    @pytest.mark.parametrize("result", get_args(Result))
    def test_people_are_told_of_every_end_and_choose_for_themselves(self, result: Any) -> None:
        bench = Bench()
        told(bench, ending("2", result, "C"))
        (notice,) = bench.told
        assert (notice.outcome, notice.image, notice.target) == (result, "docker.io/acme/shop:2", "web/shop")
        assert (notice.detail, notice.code, notice.group, notice.id) == ("so it was", "C", SHOP, "2")

    def test_a_changed_address_is_told_with_the_push_that_changed_it(self) -> None:
        bench = Bench()
        before = counted("aci_hooks_address_changes_total")
        lines = told(bench, addresses=(AddressChange(message=message("2"), before=MOVED, after=ADDRESS),))
        detail = str(AddressChange(before=MOVED, after=ADDRESS))
        when = bench.clock.now()
        notice = Notice("address changed", "docker.io/acme/shop:2", "web/shop", detail, group=SHOP, id="2", at=when)
        assert bench.told == [notice]
        assert counted("aci_hooks_address_changes_total") == before + 1
        assert lines == [
            {
                "event": "THE ADDRESS OF THE GROUP CHANGED",
                "log_level": "error",
                "before": MOVED,
                "after": ADDRESS,
            }
        ]

    def test_an_address_that_changed_without_a_push_is_only_logged(self) -> None:
        bench = Bench()
        assert len(told(bench, addresses=(AddressChange(before=MOVED, after=ADDRESS),))) == 1
        assert bench.told == []

    def test_everything_in_the_outbox_is_told_in_its_order(self) -> None:
        bench = Bench()
        moved = AddressChange(message=message("4"), before=MOVED, after=ADDRESS)
        told(bench, ending("2", "failed", "C"), ending("3"), addresses=(moved,))
        assert [(notice.outcome, notice.image.rpartition(":")[2]) for notice in bench.told] == [
            ("failed", "2"),
            ("updated", "3"),
            ("address changed", "4"),
        ]


class TestLogAndMetrics:
    def test_a_line_says_how_each_push_ended_and_its_code_if_any(self) -> None:
        lines = told(Bench(), ending("2", "failed", "CrashLoop"), ending("3"))
        plain = {"event": "ended", "log_level": "info", "detail": "so it was"}
        ended = {"outcome": "failed", "code": "CrashLoop", "log_level": "error"}
        letter = {"event": "dead letter", "code": "CrashLoop", "attempts": 1, "log_level": "error"}
        assert lines == [plain | ended, plain | letter, plain | {"outcome": "updated"}]

    @pytest.mark.parametrize(
        ("result", "level", "letters"),
        [
            ("failed", "error", 1),
            ("rolled-back", "warning", 1),
            ("updated", "info", 0),
            ("unchanged", "info", 0),
            ("superseded", "info", 0),
            ("ignored", "info", 0),
        ],
    )
    def test_what_somebody_should_see_to_is_no_info(self, result: Result, level: str, letters: int) -> None:
        ended, *more = told(Bench(), ending("2", result, "C"))
        assert ended["log_level"] == level
        assert [(line["event"], line["log_level"]) for line in more] == [("dead letter", "error")] * letters

    @pytest.mark.parametrize("of", [message("2"), None])
    def test_an_address_that_changed_is_an_error_that_says_whose(self, of: UpdateMessage | None) -> None:
        moved = AddressChange(message=of, before=MOVED, after=ADDRESS)
        with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
            Telling(Bench().ports()).tell(record(address_changes=(moved,)))
        (line,) = lines
        assert (line["log_level"], line["target"], line.get("id")) == ("error", "web/shop", of.id if of else None)

    def test_every_end_is_counted(self) -> None:
        before = {each: counted("aci_hooks_outcomes_total", outcome=each) for each in ("unchanged", "failed")}
        told(Bench(), ending("2", "failed", "C"), ending("3", "unchanged"), ending("4", "unchanged"))
        assert counted("aci_hooks_outcomes_total", outcome="unchanged") == before["unchanged"] + 2
        assert counted("aci_hooks_outcomes_total", outcome="failed") == before["failed"] + 1

    def test_a_push_that_concerns_no_target_is_counted_and_logged_as_ignored(self) -> None:
        before = counted("aci_hooks_outcomes_total", outcome="ignored")
        traces: list[End] = []
        with capture_logs() as lines:
            bench = Bench()
            Telling(bench.ports(leave_trace=traces.append)).ignored(message("2", pushed=-7), "nobody runs it")
        (trace,) = traces
        assert (trace.target, trace.outcome.id, trace.outcome.result) == (None, "2", "ignored")
        assert (trace.outcome.detail, trace.outcome.seconds) == ("nobody runs it", 7)
        assert [(item.outcome, item.target, item.group, item.detail) for item in bench.told] == [
            ("ignored", "", None, "nobody runs it")
        ]
        assert lines == [{"event": "ended", "log_level": "info", "outcome": "ignored", "detail": "nobody runs it"}]
        assert counted("aci_hooks_outcomes_total", outcome="ignored") == before + 1


class TestGivenUp:
    def test_what_failed_before_a_record_was_reached_leaves_a_trace_too(self) -> None:
        traces: list[End] = []
        bench = Bench()
        Telling(bench.ports(leave_trace=traces.append)).given_up(message("2"), "WorkerCrash", "so it was")
        (trace,) = traces
        assert (trace.target, trace.outcome.result, trace.outcome.detail) == (SHOP, "failed", "so it was")
        assert [(item.outcome, item.target, item.code) for item in bench.told] == [
            ("failed", "web/shop", "WorkerCrash")
        ]

    def test_storage_that_fails_keeps_no_letter_from_being_sent(self) -> None:
        def down(_end: End) -> None:
            raise QUEUE_DOWN

        with capture_logs() as lines:
            Telling(Bench().ports(leave_trace=down)).given_up(message("2"), "WorkerCrash", "so it was")
        assert [(line["event"], line["outcome"]) for line in lines] == [("ended", "failed")]


class TestContext:
    OF = message("2").model_copy(update={"traceparent": TRACE})

    def test_every_line_says_which_push_it_is_about(self) -> None:
        assert context_of(self.OF) == {
            "id": "2",
            "image": "docker.io/acme/shop:2",
            "target": "web/shop",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
        }

    def test_a_push_without_a_target_or_a_trace_names_none(self) -> None:
        of = message("2").model_copy(update={"kind": "push", "target": None})
        assert context_of(of) == {"id": "2", "image": "docker.io/acme/shop:2"}
        assert context_of(of, SHOP)["target"] == "web/shop"
