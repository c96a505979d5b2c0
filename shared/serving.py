"""uvicorn around an ASGI application: one process, a deadline at each stage of a connection, exit 0 after SIGTERM."""

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

# A slow client costs others nothing, but it occupies a file descriptor. So each stage has a limit in seconds:
_HEAD_LIMIT = 5.0
"""For the head of the first request, counted from the connection's acceptance."""
_REQUEST_LIMIT = 20.0
"""For the body, which front.py limits further, and the answer."""
_KEEP_ALIVE = 15
"""For the head of another request, or the end of the connection."""

_GRACE = 20
"""Seconds for unfinished requests after SIGTERM: more than they can need. docker-compose.yml waits longer."""
_LAST_CALL = 3.0
"""Seconds after SIGTERM in which the rest of a body may still arrive."""
_BACKLOG = 2048
_MOST_FILES = 65536
_LARGEST_HEAD = 16 * 1024

_log = structlog.get_logger()


class Connection(H11Protocol):
    """A connection with a deadline. Its client may close its side first, as HTTP allows (RFC 9112 §9.6)."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Any,
        app_state: dict[str, Any],
        _loop: Any = None,
    ) -> None:
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
        """The client has closed its side. True: it can still be answered."""
        self._ended = True
        self._wait_no_longer_than(0.0)
        return self._busy

    def shutdown(self) -> None:
        """The server is ending. Unfinished requests are answered, but their bodies must arrive soon."""
        super().shutdown()
        self._stopping = True
        self._wait_no_longer_than(_LAST_CALL)

    @contextmanager
    def request(self) -> Iterator[float]:
        """While a request is processed: the time of the first one counts from the connection's acceptance."""
        started, self._accepted = self._accepted or time.monotonic(), None
        self._busy = True
        self._has(_REQUEST_LIMIT)
        try:
            yield started
        finally:
            self._busy = False
            self._has(_KEEP_ALIVE)
            # Not at once: another request may have arrived directly after this one, and must begin first.
            self.loop.call_soon(self._close_if_ended)

    @contextmanager
    def waiting(self, timeout: asyncio.Timeout) -> Iterator[None]:
        """While the current request waits for its body."""
        self._waiting = timeout
        if self._ended:
            self._wait_no_longer_than(0.0)
        try:
            yield
        finally:
            self._waiting = None

    @property
    def is_leaving(self) -> bool:
        """Whether the client has closed its side, or the server is stopping. Then a stream should end."""
        return self._ended or self._stopping

    def allow(self, seconds: float) -> None:
        """Allow the current request this many seconds from now: a stream has no end to wait for."""
        self._has(seconds)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP."""
        _log.warning("refused a request", detail=msg)
        self.transport.write(_response(Problem(400, "not a valid HTTP request")))
        self.transport.close()

    def _close_if_ended(self) -> None:
        if self._ended and not self._busy:
            self.transport.close()

    def _wait_no_longer_than(self, seconds: float) -> None:
        # A wait is only ever shortened: what was due earlier stays so.
        if self._waiting and not self._waiting.expired():
            self._waiting.reschedule(
                min(self._waiting.when() or math.inf, self.loop.time() + seconds)
            )

    def _has(self, seconds: float) -> None:
        if self._deadline:
            self._deadline.cancel()
        # The connection is aborted and not closed: closing waits until the client has taken all data, which may be
        # never.
        self._deadline = self.loop.call_later(seconds, self.transport.abort)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError."""
    bare = host.strip("[]")
    listener = socket.create_server(
        (bare, port),
        family=socket.AF_INET6 if ":" in bare else socket.AF_INET,
        backlog=_BACKLOG,
    )
    # asyncio sets this option itself, but not for connections of a listener that it did not create.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: Any, listener: socket.socket) -> None:
    """Serve until SIGTERM; then finish the unfinished requests.

    One process is fast enough for a queue, and its metrics are complete.
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
            access_log=False,  # its lines would contain the token
            proxy_headers=False,  # nothing here depends on the client's address or scheme
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
    )
    # After its shutdown uvicorn raises the signal again for the previous handler. This one makes the exit code 0.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run([listener])


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # This is not logged in the signal handler, which may run in the middle of another log line.
        _log.info("stopping")
        await super().shutdown(sockets)


def _allow_many_connections() -> None:
    """Raise the limit of open files: there may be more slow clients than the usual 1024."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    if few < wanted:
        with suppress(OSError, ValueError):  # some systems have a further limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _response(problem: Problem) -> bytes:
    body = problem.body()
    head = f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return f"HTTP/1.1 {problem.status} {problem.title}\r\n{head}".encode("ascii") + body
