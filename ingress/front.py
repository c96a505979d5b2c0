"""The application behind an ASGI server: a request takes a thread only once it has arrived completely.

An ASGI server passes on a head as soon as it arrives, and the body piece by piece. So a request whose head has no
valid secret is refused before its body is read, and each slow client costs only a task and what it has sent.
"""

from __future__ import annotations

import asyncio
import io
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, Protocol

import structlog

from ingress import problems
from shared.problem import CONTENT_TYPE, Problem
from shared.wsgi import (
    Answer,
    Receive,
    Scope,
    Send,
    answer_of,
    environ_of,
    unacceptable,
)

ARRIVED = "aci_hooks.arrived"
"""The environ's key for the time (monotonic clock) from which the seconds for an answer count."""

_THREADS = 32
_BODY_LIMIT = 10.0
"""Seconds for sending the body, counted from its head."""
_IN_GOOD_TIME = 3.0
"""A sender whose body takes longer than this has used up its five seconds itself: the queue still gets one."""
_ROOM = 64 * 1024 * 1024
"""The most bytes of unfinished bodies. Above it the largest body is dropped, so that other webhooks don't suffer."""


_log = structlog.get_logger()


class NoRoom(Exception):
    """The body was dropped because too many others arrived slowly, too."""


class Line(Protocol):
    """The connection that a request came over: `scope["state"]["line"]`."""

    def request(self) -> AbstractContextManager[float]:
        """While a request is processed; gives the time from which its seconds count."""

    def waiting(self, timeout: asyncio.Timeout) -> AbstractContextManager[None]:
        """While the request waits for its body. The line may end the wait early if no more can arrive."""


class Application(Protocol):
    """A WSGI application that can tell from a head, without blocking, whether it would read the body."""

    def wants_body(self, environ: dict[str, Any]) -> bool: ...

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any: ...


class Front:
    """The ASGI application around the WSGI one."""

    def __init__(self, app: Application, max_body: int) -> None:
        self._app = app
        self._max_body = max_body
        self._threads = ThreadPoolExecutor(_THREADS, "request")
        self._unfinished: dict[asyncio.Timeout, bytearray] = {}
        self._unfinished_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        line: Line = scope["state"]["line"]
        with line.request() as started:
            if problem := unacceptable(scope):
                status, headers, content = _told(problem)
            else:
                status, headers, content = await self._ask(
                    scope, started, receive, line
                )
            fields = [
                (name.encode("latin-1"), value.encode("latin-1"))
                for name, value in headers
            ]
            await send(
                {"type": "http.response.start", "status": status, "headers": fields}
            )
            await send({"type": "http.response.body", "body": content})

    async def _ask(
        self, scope: Scope, started: float, receive: Receive, line: Line
    ) -> Answer:
        """The application's answer. A bug is answered with a 503, so that the sender tries again."""
        try:
            environ = environ_of(scope)
            # On the event loop, which serves every connection: hence the application must answer this without blocking.
            if self._app.wants_body(environ):
                environ["wsgi.input"] = await self._body(receive, line)
            # The five seconds count from the acceptance, since that is when a sender starts its own clock. But a body
            # may arrive for ten: without this the queue would have no time left, and the push could never be taken.
            environ[ARRIVED] = max(started, time.monotonic() - _IN_GOOD_TIME)
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, answer_of, self._app, environ
            )
        except Exception as error:
            _log.error("unexpected error", exc_info=error)
            return _told(problems.unavailable("the request cannot be served now"))

    async def _body(self, receive: Receive, line: Line) -> io.IOBase:
        """The body up to its limit; or a stream that raises why there is none."""
        # The timeout is also the key by which `_make_room` finds a body and wakes whoever waits for the rest of it.
        timeout, body = asyncio.timeout(_BODY_LIMIT), bytearray()
        self._unfinished[timeout] = body
        try:
            async with timeout:
                with line.waiting(timeout):
                    await self._fill(body, receive)
        except TimeoutError as error:
            # Either the time is over, or `_make_room` has ended it, and has removed the body by then.
            was_dropped = timeout not in self._unfinished
            return _Broken(NoRoom() if was_dropped else error)
        except ConnectionError as error:
            # The application is still called, so that the delivery is logged and counted like every other one.
            return _Broken(error)
        finally:
            self._unfinished.pop(timeout, None)
            self._unfinished_bytes -= len(body)
        return io.BytesIO(body)

    async def _fill(self, body: bytearray, receive: Receive) -> None:
        more = True
        # One byte too many is enough to know that a body without a Content-Length is too large.
        while more and len(body) <= self._max_body:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ConnectionError("the client is gone")
            body += event["body"]
            self._unfinished_bytes += len(event["body"])
            more = event["more_body"]
            if self._unfinished_bytes > _ROOM:
                self._make_room()

    def _make_room(self) -> None:
        """Drop the largest body, unless all of them are dropped already."""
        if self._unfinished:
            largest = max(
                self._unfinished, key=lambda timeout: len(self._unfinished[timeout])
            )
            # Its bytes are given back in `_body`, once its task has run. Removing it now keeps the next call from
            # choosing the same one again meanwhile.
            del self._unfinished[largest]
            largest.reschedule(asyncio.get_running_loop().time())


class _Broken(io.RawIOBase):
    """A body that can't be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, _size: int = -1) -> bytes:
        raise self._error


def _told(problem: Problem) -> Answer:
    body = problem.body()
    fields = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        **problem.headers,
    }
    return problem.status, list(fields.items()), body
