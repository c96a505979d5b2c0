"""Background work is done after each pause, whatever happens, until the worker stops."""

from __future__ import annotations

import threading

from structlog.testing import capture_logs

from shared.errors import RemoteError
from worker.controller.background import run_every

LONG = 10.0
"""Seconds to wait for a thread at most: enough on a busy machine, too."""


class Stopping(threading.Event):
    """An event whose `wait` returns at once. It remembers the timeouts, and what was done in between."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.steps: list[str | float] = []
        self._rounds = rounds

    def wait(self, timeout: float | None = None) -> bool:
        self.steps.append(timeout or 0.0)
        self._rounds -= 1
        if self._rounds < 0:
            self.set()
        return self.is_set()


def joined(name: str) -> None:
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(LONG)
            assert not thread.is_alive()


def test_the_work_is_done_after_each_pause_until_the_worker_stops() -> None:
    stopping, pauses = Stopping(3), iter([7.0, 8.0, 9.0, 10.0])
    run_every("pausing", stopping, lambda: next(pauses), lambda: stopping.steps.append("work"))
    joined("pausing")
    assert stopping.steps == [7.0, "work", 8.0, "work", 9.0, "work", 10.0]


def test_no_failure_ends_the_thread_and_each_is_logged() -> None:
    stopping = Stopping(3)
    errors: list[Exception] = [RemoteError("arm", 503, "Busy", "later"), ValueError("unforeseen")]

    def work() -> None:
        stopping.steps.append("work")
        if errors:
            raise errors.pop(0)

    with capture_logs() as lines:
        run_every("failing", stopping, lambda: 0.0, work)
        joined("failing")
    assert stopping.steps.count("work") == 3
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("failing failed, retrying later", "warning"),
        ("failing failed, retrying later", "error"),
    ]
    assert lines[0]["error"] == "arm: Busy (503): later"
    assert lines[1]["exc_info"]


def test_a_worker_that_stops_during_the_first_pause_does_no_work() -> None:
    stopping = Stopping(0)
    run_every("stopped", stopping, lambda: 5.0, lambda: stopping.steps.append("work"))
    joined("stopped")
    assert stopping.steps == [5.0]
