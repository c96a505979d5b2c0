"""uvicorn around an ASGI application: one process, deadlines for every connection, and exit 0 after SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import math
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.problem import CONTENT_TYPE, Problem

# A slow client costs others nothing, but it holds a file descriptor. So it has so many seconds:
_HEAD_LIMIT = 5.0
"""To send the head of the first request, from the connection's acceptance."""
_REQUEST_LIMIT = 20.0
"""To send the body, for which front.py has a limit, and to take the answer."""
_KEEP_ALIVE = 15
"""To send the head of another request, or to close the connection."""

_GRACE = 20
"""Seconds that requests in hand have after SIGTERM: more than they can need. docker-compose.yml waits for longer."""
_LAST_CALL = 3.0
"""Seconds after SIGTERM in which the rest of a body may still arrive."""
_BACKLOG = 2048
_MOST_FILES = 65536
_LARGEST_HEAD = 16 * 1024

_log = structlog.get_logger()


class Connection(H11Protocol):
    """A connection with a deadline, whose client may end its side first, as it may in HTTP (RFC 9112 §9.6)."""

    def __init__(self, config: uvicorn.Config, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, {**app_state, "line": self}, _loop)
        self._accepted: float | None = time.monotonic()
        self._busy = self._ended = self._stopping = False
        self._waiting: asyncio.Timeout | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accepted."""
        super().connection_made(transport)
        self._has(_HEAD_LIMIT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whichever side."""
        super().connection_lost(exc)
        if self._deadline:
            self._deadline.cancel()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends nothing more. True: it can still be answered."""
        self._ended = True
        self._wait_no_longer_than(0.0)
        return self._busy

    def shutdown(self) -> None:
        """The server ends. What is in hand is answered, but a body must come soon."""
        super().shutdown()
        self._stopping = True
        self._wait_no_longer_than(_LAST_CALL)

    @contextmanager
    def request(self) -> Iterator[float]:
        """While a request is in hand: the first one's time counts from the connection's acceptance."""
        started, self._accepted = self._accepted or time.monotonic(), None
        self._busy = True
        self._has(_REQUEST_LIMIT)
        try:
            yield started
        finally:
            self._busy = False
            self._has(_KEEP_ALIVE)
            # Not at once: another request may have come right behind this one, and begins before that.
            self.loop.call_soon(self._close_if_ended)

    @contextmanager
    def waiting(self, timeout: asyncio.Timeout) -> Iterator[None]:
        """While the request in hand waits for its body."""
        self._waiting = timeout
        if self._ended:
            self._wait_no_longer_than(0.0)
        try:
            yield
        finally:
            self._waiting = None

    @property
    def is_leaving(self) -> bool:
        """Has the client ended its side, or the server begun to stop? Then a stream has nobody to go on for."""
        return self._ended or self._stopping

    def allow(self, seconds: float) -> None:
        """Give the request in hand so many seconds from now: a stream has no end that could be waited for."""
        self._has(seconds)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        _log.warning("refused a request", detail=msg)
        self.transport.write(_response(Problem(400, "not a proper HTTP request")))
        self.transport.close()

    def _close_if_ended(self) -> None:
        if self._ended and not self._busy:
            self.transport.close()

    def _wait_no_longer_than(self, seconds: float) -> None:
        if self._waiting and not self._waiting.expired():
            self._waiting.reschedule(min(self._waiting.when() or math.inf, self.loop.time() + seconds))

    def _has(self, seconds: float) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError."""
    bare = host.strip("[]")
    listener = socket.create_server(
        (bare, port), family=socket.AF_INET6 if ":" in bare else socket.AF_INET, backlog=_BACKLOG
    )
    # asyncio sets it itself, but not on the connections of a listener that it did not make.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: Any, listener: socket.socket) -> None:
    """Serve until SIGTERM; then finish what is in hand.

    One process is enough for a queue's pace, and its metrics are the whole truth.
    """
    _allow_many_connections()
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = _Server(
        uvicorn.Config(
            app,
            http=Connection,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # a line of it would hold the token
            proxy_headers=False,  # nothing here depends on the client's address or scheme
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
    )
    # Once it has ended in order, uvicorn raises the signal again, for whoever had a handler before.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run([listener])


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Not where the signal is handled: that may be in the middle of another line of the log.
        _log.info("stopping")
        await super().shutdown(sockets)


def _allow_many_connections() -> None:
    """Raise the limit of open files: the usual 1024 are fewer than the slow clients that there may be."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    if few < wanted:
        with suppress(OSError, ValueError):  # some systems have yet another limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _response(problem: Problem) -> bytes:
    body = problem.body()
    head = f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return f"HTTP/1.1 {problem.status} {problem.title}\r\n{head}".encode("ascii") + body
