"""The application behind an ASGI server: a request takes a thread only once it has arrived completely.

An ASGI server passes on a head as soon as it arrives, and the body piece by piece. So a request whose head has no
valid secret is refused before its body is read, and each slow client costs only a task and what it has sent.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import structlog

from ingress import problems
from ingress.problems import Problem

ARRIVED = "aci_hooks.arrived"
"""The environ's key for the time (monotonic clock) from which the seconds for an answer count."""

_THREADS = 32
_BODY_LIMIT = 10.0
"""Seconds for sending the body, counted from its head."""
_IN_GOOD_TIME = 3.0
"""A sender whose body takes longer than this has used up its five seconds itself: the queue still gets one."""
_ROOM = 64 * 1024 * 1024
"""The most bytes of unfinished bodies. Above it the largest body is dropped, so that other webhooks don't suffer."""
_LONGEST_TARGET, _LONGEST_FIELD, _MOST_FIELDS = 4094, 8190, 100

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Answer = tuple[int, list[tuple[str, str]], bytes]

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
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        line: Line = scope["state"]["line"]
        with line.request() as started:
            if problem := unacceptable(scope):
                status, headers, content = _told(problem)
            else:
                status, headers, content = await self._ask(scope, started, receive, line)
            fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            await send({"type": "http.response.start", "status": status, "headers": fields})
            await send({"type": "http.response.body", "body": content})

    async def _ask(self, scope: Scope, started: float, receive: Receive, line: Line) -> Answer:
        """The application's answer. A bug is answered with a 503, so that the sender tries again."""
        try:
            environ = environ_of(scope)
            if self._app.wants_body(environ):
                environ["wsgi.input"] = await self._body(receive, line)
            environ[ARRIVED] = max(started, time.monotonic() - _IN_GOOD_TIME)
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, environ)
        except Exception as error:
            _log.error("unexpected error", exc_info=error)
            return _told(problems.unavailable("the request cannot be served now"))

    async def _body(self, receive: Receive, line: Line) -> io.IOBase:
        """The body up to its limit; or a stream that raises why there is none."""
        timeout, body = asyncio.timeout(_BODY_LIMIT), bytearray()
        self._unfinished[timeout] = body
        try:
            async with timeout:
                with line.waiting(timeout):
                    await self._fill(body, receive)
        except TimeoutError as error:
            return _Broken(error if timeout in self._unfinished else NoRoom())
        except ConnectionError as error:
            return _Broken(error)
        finally:
            self._unfinished.pop(timeout, None)
            self._held -= len(body)
        return io.BytesIO(body)

    async def _fill(self, body: bytearray, receive: Receive) -> None:
        more = True
        while more and len(body) <= self._max_body:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ConnectionError("the client is gone")
            body += event["body"]
            self._held += len(event["body"])
            more = event["more_body"]
            if self._held > _ROOM:
                self._make_room()

    def _make_room(self) -> None:
        """Drop the largest body, unless all of them are dropped already."""
        if self._unfinished:
            largest = max(self._unfinished, key=lambda timeout: len(self._unfinished[timeout]))
            del self._unfinished[largest]
            largest.reschedule(asyncio.get_running_loop().time())

    def _answer(self, environ: dict[str, Any]) -> Answer:
        """Run the application, in a thread."""
        status, fields = 503, list[tuple[str, str]]()

        def start_response(line: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            nonlocal status, fields
            status, fields = int(line[:3]), headers

        with closing(self._app(environ, start_response)) as chunks:
            content = b"".join(chunks)
        return status, fields, content


class _Broken(io.RawIOBase):
    """A body that can't be read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self, _size: int = -1) -> bytes:
        raise self._error


def unacceptable(scope: Scope) -> Problem | None:
    """What is wrong with a head, whatever it means; None if nothing is. Sizes are checked first."""
    fields: list[tuple[bytes, bytes]] = scope["headers"]
    if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_TARGET:
        return Problem(414, f"the URL has more than {_LONGEST_TARGET} characters")
    if len(fields) > _MOST_FIELDS:
        return Problem(431, f"there are more than {_MOST_FIELDS} headers")
    if any(len(name) + len(value) > _LONGEST_FIELD for name, value in fields):
        return Problem(431, f"a header has more than {_LONGEST_FIELD} characters")
    # A proxy in front may use the other header, and see two requests where we see one (RFC 9112 §6.1).
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in fields}:
        return Problem(400, "both Content-Length and Transfer-Encoding are given")
    if scope["http_version"] not in {"1.0", "1.1"}:
        return Problem(400, "HTTP version not supported; use 1.0 or 1.1")
    if any(name == b"expect" and value.lower() != b"100-continue" for name, value in fields):
        return Problem(417, "the only supported expectation is 100-continue")
    return None


def environ_of(scope: Scope) -> dict[str, Any]:
    """The head as a WSGI environ (PEP 3333), with an empty body."""
    host, port = scope["server"] or ("", None)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(_path(scope["raw_path"])).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name:  # in WSGI X_A would be the same as X-A: a client could forge a proxy's header
            continue
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _path(target: bytes) -> bytes:
    """The path of a request's target, which may be a whole URL (RFC 9112 §3.2.2)."""
    scheme, _, rest = target.partition(b"://")
    if scheme not in {b"http", b"https"}:
        return target
    return b"/" + rest.partition(b"/")[2]


def _told(problem: Problem) -> Answer:
    body = problem.body()
    fields = {"Content-Type": problems.CONTENT_TYPE, "Content-Length": str(len(body)), **problem.headers}
    return problem.status, list(fields.items()), body
