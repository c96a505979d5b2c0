"""The metrics that all workers share: one worker reports them, and none waits for a storage that hangs."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from tests.unit.builders import at
from worker.adapters import monitoring
from worker.adapters.monitoring import TURN, SharedGauges, Turn, serve_monitoring
from worker.commands.run import _readiness
from worker.ports import Gauges
from worker.record.overview import Overview

SEEN = Gauges(
    messages={"updates": 3, "updates-poison": 2},
    dead_letters=2,
    overview=Overview(targets=9, held_by_hand=1, held_by_owner=2, pushes=4, pushes_held=5, oldest=at(-60), changing=1),
    unreadable=1,
    last_sweep=at(-3600),
)
DOWN = RemoteError("records", None, "Unreachable", "no answer")


class Lease:
    """Gives the turn or not, and remembers that it was given back."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.ended = 0

    def take(self) -> bool:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def give(self) -> None:
        self.ended += 1


def its_turn() -> Turn:
    lease = Lease(True)
    turn = Turn(lease.take, lease.give)
    turn.renew()
    return turn


def samples(read: Callable[[], Gauges], turn: Turn | None = None) -> dict[str, float]:
    """Each series with its value, as one would write it in a query."""
    gauges = SharedGauges(its_turn() if turn is None else turn, read, lambda: at(0))
    found = [sample for family in gauges.collect() for sample in family.samples]
    return {
        item.name + "".join(f"{{{name}={value}}}" for name, value in item.labels.items()): item.value for item in found
    }


class TestTurn:
    """Whether this worker is the one that reports."""

    def test_it_lasts_until_it_is_not_renewed(self) -> None:
        now = [0.0]
        lease = Lease(True, True)
        turn = Turn(lease.take, lease.give, lambda: now[0])
        assert not turn
        turn.renew()
        now[0] = TURN - 1.0
        assert turn
        turn.renew()
        now[0] = TURN + 1.0
        assert turn
        now[0] = 2 * TURN
        assert not turn

    def test_another_worker_may_have_it_or_take_it_over(self) -> None:
        lease = Lease(False, True, False)
        turn = Turn(lease.take, lease.give)
        held = []
        for _ in range(3):
            turn.renew()
            held.append(bool(turn))
        assert held == [False, True, False]

    def test_where_storage_is_down_at_the_start_it_comes_later(self) -> None:
        lease = Lease(DOWN, True)
        turn = Turn(lease.take, lease.give)
        turn.try_to_renew()
        assert not turn
        turn.try_to_renew()
        assert turn

    def test_at_the_end_it_is_given_back_if_this_worker_has_it(self) -> None:
        lease = Lease(True)
        turn = Turn(lease.take, lease.give)
        turn.end()
        assert lease.ended == 0
        turn.renew()
        turn.end()
        assert (lease.ended, bool(turn)) == (1, False)

    def test_a_storage_that_is_down_holds_up_no_end(self) -> None:
        def fail() -> None:
            raise DOWN

        turn = Turn(lambda: True, fail)
        turn.renew()
        turn.end()
        assert not turn

    def test_a_storage_that_hangs_holds_up_no_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(monitoring, "LONGEST_GOODBYE", 0.01)
        answer = threading.Event()

        def hang() -> None:
            answer.wait()

        turn = Turn(lambda: True, hang)
        turn.renew()
        turn.end()
        answer.set()
        assert not turn


class TestSharedGauges:
    """What is reported."""

    def test_everything_is_told(self) -> None:
        assert samples(lambda: SEEN) == {
            "aci_hooks_queue_messages{queue=updates}": 3,
            "aci_hooks_queue_messages{queue=updates-poison}": 2,
            "aci_hooks_dead_letters": 2,
            "aci_hooks_targets": 9,
            "aci_hooks_targets_held{by=hand}": 1,
            "aci_hooks_targets_held{by=owner}": 2,
            "aci_hooks_targets_changing": 1,
            "aci_hooks_pushes{state=under-way}": 4,
            "aci_hooks_pushes{state=held}": 5,
            "aci_hooks_oldest_push_age_seconds": 60,
            "aci_hooks_unreadable_records": 1,
            "aci_hooks_last_sweep_timestamp_seconds": at(-3600).timestamp(),
        }

    def test_without_a_push_its_age_is_0_and_without_a_sweep_there_is_no_time(self) -> None:
        told = samples(lambda: Gauges(messages={}, dead_letters=0, overview=Overview()))
        assert told["aci_hooks_oldest_push_age_seconds"] == 0
        assert "aci_hooks_last_sweep_timestamp_seconds" not in told

    def test_a_push_from_a_clock_that_is_ahead_is_not_younger_than_0(self) -> None:
        ahead = Gauges(messages={}, dead_letters=0, overview=Overview(oldest=at(5)))
        assert samples(lambda: ahead)["aci_hooks_oldest_push_age_seconds"] == 0

    def test_a_worker_whose_turn_it_is_not_reads_and_tells_nothing(self) -> None:
        def read() -> Gauges:
            raise AssertionError("nothing is to be read")

        assert samples(read, Turn(lambda: False, lambda: None)) == {}

    @pytest.mark.parametrize(("error", "level"), [(DOWN, "warning"), (KeyError("a defect of ours"), "error")])
    def test_what_can_not_be_read_is_left_out_and_said(self, error: Exception, level: str) -> None:
        def read() -> Gauges:
            raise error

        with capture_logs() as lines:
            assert samples(read) == {}
        assert [(line["event"], line["log_level"]) for line in lines] == [("metrics not complete", level)]

    def test_a_storage_that_hangs_holds_up_no_scrape_and_takes_one_thread(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(monitoring, "LONGEST_READ", 0.01)
        answer, reads = threading.Event(), list[int]()

        def read() -> Gauges:
            reads.append(1)
            answer.wait()
            return SEEN

        gauges = SharedGauges(its_turn(), read)
        with capture_logs() as lines:
            assert [list(gauges.collect()), list(gauges.collect())] == [[], []]
        assert (len(reads), [line["error"] for line in lines]) == (1, ["storage gave no answer in time"])
        monkeypatch.setattr(monitoring, "LONGEST_READ", 30.0)
        answer.set()
        assert list(gauges.collect())

    def test_a_machine_without_a_free_thread_costs_one_scrape_and_not_all_later_ones(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        gauges = SharedGauges(its_turn(), lambda: SEEN)

        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with capture_logs() as lines, monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            assert list(gauges.collect()) == []
        assert [line["error"] for line in lines] == ["can't start new thread"]
        assert list(gauges.collect())

    def test_a_runtime_error_of_the_read_lets_go_once(self) -> None:
        reads = list[int]()

        def read() -> Gauges:
            reads.append(1)
            if len(reads) == 1:
                raise RuntimeError("a defect of ours")
            return SEEN

        gauges = SharedGauges(its_turn(), read)
        with capture_logs():
            assert list(gauges.collect()) == []
        assert list(gauges.collect())

    def test_a_machine_without_a_free_thread_holds_up_no_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        turn = its_turn()

        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            turn.end()
        assert not turn

    def test_nothing_is_read_when_it_is_registered(self) -> None:
        def read() -> Gauges:
            raise AssertionError("nothing is to be read")

        assert SharedGauges(its_turn(), read).describe() == []


def asked(url: str) -> tuple[int, dict[str, str]]:
    """The status and the JSON of an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


class TestReadiness:
    """/readyz of the worker, which needs no secret."""

    def test_it_asks_the_queue_once_a_second_and_names_no_host(self) -> None:
        asks = 0

        def count() -> int:
            nonlocal asks
            asks += 1
            raise RemoteError("queue", None, "Unreachable", "host='acme7.queue.core.windows.net', port=443: refused")

        readiness = _readiness(count)
        readiness._clock = lambda: 0.0  # nothing is forgotten as long as no time passes
        readiness._good_until = 0.0
        server = serve_monitoring("127.0.0.1", 0, readiness.trouble)
        try:
            url = f"http://127.0.0.1:{server.server_port}/readyz"
            assert [asked(url) for _ in range(3)] == [(503, {"status": "unavailable", "detail": "Unreachable"})] * 3
        finally:
            server.shutdown()
            server.server_close()
        assert asks == 1

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]"])
    def test_it_listens_where_it_is_told_to(self, host: str) -> None:
        server = serve_monitoring(host, 0, lambda: None)
        try:
            assert server.server_address[0] == host.strip("[]")
            assert (
                asked(f"http://{'127.0.0.1' if host == '127.0.0.1' else '[::1]'}:{server.server_port}/readyz")[0] == 200
            )
        finally:
            server.shutdown()
            server.server_close()
