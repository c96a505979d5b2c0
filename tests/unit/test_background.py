"""Background work goes on whatever happens, until the worker stops."""

from __future__ import annotations

import threading

from shared.errors import RemoteError
from worker.controller.background import run_every


def test_the_work_goes_on_after_failures_and_ends_with_the_worker() -> None:
    stopping, errors = threading.Event(), [RemoteError("arm", 503, "Busy", "later"), ValueError("unforeseen")]
    done = []

    def work() -> None:
        done.append(len(errors))
        if errors:
            raise errors.pop()
        stopping.set()

    run_every("work", stopping, lambda: 0.001, work)
    assert stopping.wait(10)
    for thread in threading.enumerate():
        if thread.name == "work":
            thread.join(10)
    assert done == [2, 1, 0]
