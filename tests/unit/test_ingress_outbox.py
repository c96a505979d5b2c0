"""The outbox: one quick retry, an answer in time whatever hangs, and no pile of stuck threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from ingress import outbox as outbox_module
from ingress.outbox import Outbox
from shared.errors import RemoteError
from shared.message import UpdateMessage
from shared.push import Push
from tests.ingress_harness import RecordingQueue
from tests.processes import wait_until

BUSY = RemoteError("queue", 503, "ServerBusy", "too much")


def message(number: int = 1) -> UpdateMessage:
    push = Push(sender="generic", registry="docker.io", repository="acme/shop", tag=f"v{number}")
    return UpdateMessage(id=f"d.{number}", kind="push", push=push, received_at=datetime(2026, 1, 1, tzinfo=UTC))


class FlakyQueue(RecordingQueue):
    """Fails as told, one entry a call: an error, or None for success."""

    def __init__(self, *failures: RemoteError | None) -> None:
        super().__init__()
        self.failures = list(failures)
        self.calls = 0

    def send(self, text: str) -> None:
        self.calls += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure:
            raise failure
        super().send(text)


@pytest.mark.parametrize(
    "failure",
    [
        BUSY,
        RemoteError("queue", None, "Unreachable", "reset"),
        RemoteError("queue", 429, "TooManyRequests", "slow down"),
    ],
    ids=lambda error: error.code,
)
def test_one_failure_that_may_pass_is_retried_at_once(failure: RemoteError) -> None:
    queue = FlakyQueue(None, failure)
    Outbox(queue).send([message(1), message(2), message(3)], time.monotonic())
    assert [sent.id for sent in queue.sent] == ["d.1", "d.2", "d.3"]
    assert queue.calls == 4


def test_two_failures_are_too_many() -> None:
    queue = FlakyQueue(BUSY, BUSY)
    with pytest.raises(RemoteError, match="ServerBusy"):
        Outbox(queue).send([message()], time.monotonic())
    assert queue.calls == 2


def test_a_failure_that_cannot_pass_is_not_retried() -> None:
    queue = FlakyQueue(RemoteError("queue", 403, "AuthenticationFailed", "no"))
    with pytest.raises(RemoteError, match="AuthenticationFailed"):
        Outbox(queue).send([message()], time.monotonic())
    assert queue.calls == 1


@pytest.mark.parametrize(
    ("failure", "is_ready"),
    [
        (None, True),
        (RemoteError("queue", 403, "AuthorizationPermissionMismatch", "may only send"), True),
        (RemoteError("queue", 403, "AuthenticationFailed", "wrong key"), False),
        (BUSY, False),
    ],
)
def test_check(failure: RemoteError | None, is_ready: bool) -> None:
    queue = RecordingQueue()
    queue.failure = failure
    if is_ready:
        Outbox(queue).check()
    else:
        with pytest.raises(RemoteError):
            Outbox(queue).check()


class HangingQueue(RecordingQueue):
    """Hangs until released, as a name lookup does."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.entered = 0

    def send(self, text: str) -> None:
        self.entered += 1
        assert self.released.wait(60)
        super().send(text)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SlowQueue(RecordingQueue):
    """Takes 1.5 seconds for every message."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def send(self, text: str) -> None:
        super().send(text)
        self.clock.now += 1.5


@pytest.fixture
def hanging() -> Iterator[HangingQueue]:
    queue = HangingQueue()
    yield queue
    queue.released.set()


def error_of(call: Callable[[], object]) -> RemoteError:
    """The error that it raises. A queue that hangs lets nothing go before the test is over, so it was given up."""
    with pytest.raises(RemoteError) as raised:
        call()
    return raised.value


def test_a_queue_that_hangs_is_given_up_in_time(hanging: HangingQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "TIME_LIMIT", 0.3)
    error = error_of(lambda: Outbox(hanging).send([message()], time.monotonic()))
    assert error.code == "Timeout"


def test_what_hangs_holds_few_threads_and_then_fails_at_once(
    hanging: HangingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "TIME_LIMIT", 1.5)
    outbox = Outbox(hanging)
    codes: list[str] = []

    def send() -> None:
        codes.append(error_of(lambda: outbox.send([message()], time.monotonic())).code)

    threads = [threading.Thread(target=send) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes.count("Timeout"), codes.count("Busy")) == (10, 20)
    assert hanging.entered == 10
    error = error_of(lambda: outbox.send([message()], time.monotonic()))
    assert error.code == "Busy"

    monkeypatch.undo()
    hanging.released.set()
    wait_until(lambda: len(hanging.sent) == 10, 60, "the ten that hung are sent")
    outbox.send([message()], time.monotonic() + 60)
    assert len(hanging.sent) == 11


def test_messages_are_not_sent_after_the_sender_has_been_answered() -> None:
    clock = Clock()
    queue = SlowQueue(clock)
    error = error_of(lambda: Outbox(queue, clock).send([message(number) for number in range(50)], clock()))
    assert error.code == "Timeout"
    for thread in threading.enumerate():
        if thread.name == "queue":  # it may go on after it was given up
            thread.join()
    assert [sent.id for sent in queue.sent] == ["d.0", "d.1", "d.2"]  # begun at 0, 1.5 and 3 of the four seconds
