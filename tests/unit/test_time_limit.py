"""Calls that may hang: what they return or raise comes through, and a slot is always given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from shared.errors import RemoteError
from shared.time_limit import NoThread, OutOfTime, TimeLimit, within


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What a call may wait for that is to hang until the test is over."""
    over = threading.Event()
    yield over
    over.set()


def fail() -> None:
    raise TimeoutError("the call's own")


def test_within_returns_or_raises_what_the_call_does() -> None:
    assert within(60, lambda: 1, "test") == 1
    with pytest.raises(TimeoutError, match="the call's own") as raised:
        within(60, fail, "test")
    assert not isinstance(raised.value, OutOfTime)


def test_within_abandons_a_call_that_is_late(hang: threading.Event) -> None:
    with pytest.raises(OutOfTime):
        within(0.01, hang.wait, "test")


def test_an_abandoned_thread_has_a_name_and_does_not_hold_up_the_process(hang: threading.Event) -> None:
    with pytest.raises(OutOfTime):
        within(0.01, hang.wait, "a test of its own")
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "a test of its own"]
    assert thread.daemon


def test_a_late_call_is_a_remote_error_of_its_service(hang: threading.Event) -> None:
    limit = TimeLimit("queue", slots=1)
    with pytest.raises(RemoteError) as raised:
        limit.run(hang.wait, time.monotonic() + 0.01)
    assert (raised.value.service, raised.value.code) == ("queue", "Timeout")


def test_what_a_limited_call_raises_reaches_the_caller() -> None:
    limit = TimeLimit("queue", slots=1)
    with pytest.raises(TimeoutError, match="the call's own"):
        limit.run(fail, time.monotonic() + 60)
    assert limit.run(lambda: 7, time.monotonic() + 60) == 7


def test_a_burst_waits_for_its_turn() -> None:
    # On a clock that stands still no slot counts as stuck, however long the machine takes.
    limit = TimeLimit("queue", slots=2, clock=lambda: 0.0)
    all_have_started = threading.Event()
    results: list[int] = []

    def take_a_while(number: int) -> int:
        all_have_started.wait(60)
        return number

    def work(number: int) -> None:
        results.append(limit.run(lambda: take_a_while(number), deadline=60.0))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    assert results == []
    all_have_started.set()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(32))


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_no_thread_left_gives_the_slot_back(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    limit = TimeLimit("queue", slots=1)

    def refuse(_thread: threading.Thread) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(NoThread, match="thread"):
            limit.run(lambda: 7, time.monotonic() + 60)
    assert limit.run(lambda: 7, time.monotonic() + 60) == 7


def test_a_runtime_error_of_the_call_is_no_lack_of_threads() -> None:
    def fail() -> None:
        raise RuntimeError("the call's own")

    with pytest.raises(RuntimeError, match="the call's own") as raised:
        within(60, fail, "test")
    assert not isinstance(raised.value, NoThread)
