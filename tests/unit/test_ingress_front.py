"""The front: what it asks of the application, what becomes of slow bodies, and heads as WSGI has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from ingress import front as front_module
from ingress.front import ARRIVED, Front, NoRoom
from shared.wsgi import Event, environ_of, unacceptable


@dataclass
class Line:
    """A connection whose first request counts from `started`."""

    started: float = 0.0
    timeout: asyncio.Timeout | None = None

    @contextmanager
    def request(self) -> Iterator[float]:
        yield self.started

    @contextmanager
    def waiting(self, timeout: asyncio.Timeout) -> Iterator[None]:
        self.timeout = timeout
        yield


@dataclass
class Application:
    """Notes the environs that it was called with and their bodies, and answers 202."""

    wants: bool = True
    environs: list[dict[str, Any]] = field(default_factory=list)
    bodies: list[bytes | Exception] = field(default_factory=list)

    def wants_body(self, _environ: dict[str, Any]) -> bool:
        return self.wants

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        self.environs.append(environ)
        try:
            self.bodies.append(environ["wsgi.input"].read())
        except Exception as error:
            self.bodies.append(error)
        start_response("202 ACCEPTED", [("X-A", "b")])
        return Closing([b"on the ", b"queue"])


class Closing(list[bytes]):
    def close(self) -> None:
        self.clear()


def scope(*headers: tuple[bytes, bytes], line: Line | None = None, **changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "raw_path": b"/webhooks/quay/a%20token",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 8080),
        "headers": list(headers),
        "state": {"line": line or Line()},
        **changes,
    }


async def events(*chunks: bytes, more: bool = False) -> AsyncIterator[Event]:
    for number, chunk in enumerate(chunks, 1):
        yield {"type": "http.request", "body": chunk, "more_body": more or number < len(chunks)}
    await asyncio.Event().wait()


async def ask(front: Front, given: dict[str, Any], source: AsyncIterator[Event]) -> tuple[int, bytes]:
    sent: list[Event] = []

    async def send(event: Event) -> None:
        sent.append(event)

    await front(given, source.__anext__, send)
    return sent[0]["status"], sent[1]["body"]


def test_the_application_has_the_whole_body() -> None:
    app = Application()
    assert asyncio.run(ask(Front(app, 100), scope(), events(b"one ", b"two"))) == (202, b"on the queue")
    assert app.bodies == [b"one two"]


def test_a_body_that_is_not_wanted_is_not_waited_for() -> None:
    app = Application(wants=False)
    assert asyncio.run(ask(Front(app, 100), scope(), events(b"one", more=True)))[0] == 202
    assert app.bodies == [b""]


def test_nothing_is_read_beyond_the_limit() -> None:
    app = Application()
    asyncio.run(ask(Front(app, 5), scope(), events(b"123", b"456", b"789", more=True)))
    assert app.bodies == [b"123456"]


def test_a_client_that_goes_away() -> None:
    app = Application()

    async def gone() -> AsyncIterator[Event]:
        yield {"type": "http.disconnect"}

    asyncio.run(ask(Front(app, 5), scope(), gone()))
    assert isinstance(app.bodies[0], ConnectionError)


def test_a_body_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "_BODY_LIMIT", 0.01)
    app = Application()
    asyncio.run(ask(Front(app, 5), scope(), events(b"1", more=True)))
    assert isinstance(app.bodies[0], TimeoutError)


def test_where_there_is_no_room_the_largest_body_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front_module, "_ROOM", 10)
    large, small = Application(), Application()

    async def both() -> None:
        front = Front(large, 100)
        greedy = asyncio.create_task(ask(front, scope(), events(b"1" * 8, more=True)))
        await asyncio.sleep(0)
        front._app = small
        await ask(front, scope(), events(b"2" * 2, b"3" * 2))
        await greedy
        assert (front._unfinished_bytes, front._unfinished) == (0, {})

    asyncio.run(both())
    assert small.bodies[0] == b"2233"
    assert isinstance(small.bodies[1], NoRoom)


@pytest.mark.parametrize(("accepted", "counted_from"), [(99.0, 99.0), (97.0, 97.0), (40.0, 97.0)])
def test_seconds_count_from_the_acceptance_but_for_a_slow_body(
    monkeypatch: pytest.MonkeyPatch, accepted: float, counted_from: float
) -> None:
    monkeypatch.setattr(front_module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    app = Application()
    asyncio.run(ask(Front(app, 100), scope(line=Line(accepted)), events(b"1")))
    assert app.environs[0][ARRIVED] == counted_from


@pytest.mark.parametrize("where", ["wants_body", "__call__"])
def test_a_defect_of_the_application_is_a_503(where: str) -> None:
    def break_down(*_: Any) -> Any:
        raise ZeroDivisionError("an inner secret")

    Broken = type("Broken", (Application,), {where: break_down})  # noqa: N806 - a class
    status, body = asyncio.run(ask(Front(Broken(), 5), scope(), events(b"1")))
    assert status == 503
    assert b"inner" not in body


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (scope(), None),
        (scope((b"expect", b"100-Continue")), None),
        (scope((b"content-length", b"1")), None),
        (scope(raw_path=b"/" + b"a" * 4094), 414),
        (scope(query_string=b"a" * 4094), 414),
        (scope(*[(b"x-%d" % number, b"") for number in range(101)]), 431),
        (scope((b"x-a", b"a" * 8190)), 431),
        (scope((b"content-length", b"1"), (b"transfer-encoding", b"chunked")), 400),
        (scope(http_version="9.9"), 400),
        (scope((b"expect", b"the-unexpected")), 417),
    ],
)
def test_heads_that_nobody_looks_into(given: dict[str, Any], status: int | None) -> None:
    problem = unacceptable(given)
    assert (problem.status if problem else None) == status
    app = Application()
    assert asyncio.run(ask(Front(app, 5), given, events(b"1")))[0] == (status or 202)
    assert len(app.bodies) == (0 if status else 1)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/healthz", "/healthz"),
        (b"http://hooks.test/webhooks/quay/a", "/webhooks/quay/a"),
        (b"https://hooks.test", "/"),
        (b"*", "*"),
        (b"/http://a/b", "/http://a/b"),
    ],
)
def test_a_target_may_be_a_whole_url(target: bytes, path: str) -> None:
    assert environ_of(scope(raw_path=target))["PATH_INFO"] == path


def test_a_head_as_wsgi_has_it() -> None:
    environ = environ_of(
        scope(
            (b"content-type", b"text/plain"),
            (b"x-api-key", b"caf\xe9"),
            (b"x_api_key", b"a proxy's"),
            (b"authorization", b"one"),
            (b"authorization", b"two"),
            raw_path=b"/webhooks/quay/%ff%2F",
            query_string=b"a=b",
            server=None,
        )
    )
    assert environ["PATH_INFO"] == "/webhooks/quay/\xff/"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["HTTP_X_API_KEY"] == "caf\xe9"
    assert environ["HTTP_AUTHORIZATION"] == "one,two"
    assert (environ["QUERY_STRING"], environ["SERVER_NAME"]) == ("a=b", "")
