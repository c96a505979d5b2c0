"""The deadlines of a connection, on a clock and an event loop that a test turns by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
from uvicorn.server import ServerState

from shared import serving
from shared.serving import Connection


class Loop:
    """An event loop that only notes what is to be called later, and when."""

    def __init__(self) -> None:
        self.now = 500.0
        self.later: list[float] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, _call: Callable[[], object]) -> Any:
        self.later.append(seconds)
        return SimpleNamespace(cancel=lambda: None)

    def call_soon(self, call: Callable[[], object]) -> None:
        call()


class Transport:
    def __init__(self) -> None:
        self.closed = False

    def get_extra_info(self, _name: str) -> None:
        return None

    def abort(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class Timeout:
    """Stands for asyncio.Timeout."""

    def __init__(self, when: float) -> None:
        self.until = when

    def expired(self) -> bool:
        return False

    def when(self) -> float:
        return self.until

    def reschedule(self, when: float) -> None:
        self.until = when


class Client:
    """A connection that was accepted at 100.0, and what stands around it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.loop, self.transport = Loop(), Transport()
        monkeypatch.setattr(serving, "time", SimpleNamespace(monotonic=lambda: self.now))
        config = uvicorn.Config(cast("Any", lambda: None), log_config=None)
        self.connection = Connection(config, ServerState(), {}, self.loop)
        self.connection.connection_made(cast("Any", self.transport))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    return Client(monkeypatch)


def test_a_first_requests_seconds_count_from_the_connections_acceptance(client: Client) -> None:
    client.now = 102.0
    with client.connection.request() as started:
        assert started == 100.0
    client.now = 110.0
    with client.connection.request() as started:
        assert started == 110.0


def test_each_time_of_a_connection_has_its_deadline(client: Client) -> None:
    assert client.loop.later == [5.0]  # to send a head
    with client.connection.request():
        assert client.loop.later[1:] == [20.0]  # to send the body and take the answer
    assert client.loop.later[2:] == [15.0]  # to send another request


def test_a_body_must_come_soon_once_the_server_ends(client: Client) -> None:
    timeout = Timeout(510.0)
    with client.connection.request(), client.connection.waiting(cast("Any", timeout)):
        client.connection.shutdown()
        assert timeout.until == 503.0


def test_a_body_is_not_waited_for_once_the_client_sends_nothing_more(client: Client) -> None:
    timeout = Timeout(510.0)
    with client.connection.request(), client.connection.waiting(cast("Any", timeout)):
        can_still_be_answered = client.connection.eof_received()
        assert can_still_be_answered
        assert timeout.until == 500.0
    assert client.transport.closed


def test_a_deadline_is_never_put_off(client: Client) -> None:
    timeout = Timeout(501.0)
    with client.connection.request(), client.connection.waiting(cast("Any", timeout)):
        client.connection.shutdown()
        assert timeout.until == 501.0
