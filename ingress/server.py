"""gunicorn around the application: threads, limits, and our own answers to requests that are not proper HTTP."""

from __future__ import annotations

import contextlib
import logging
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from ingress import problems
from ingress.problems import Problem

_THREADS = 32

# While a client takes its time, one of those threads waits for it. So it has so many seconds:
_HEAD_LIMIT = 3.0
"""To send the head of a request, from its first byte."""
_BODY_LIMIT = 10.0
"""To send the body after that."""
_ANSWER_LIMIT = 6.0
"""To take the answer after that, which the outbox may need four seconds for."""
_FAREWELL = 2.0
"""To close its end of the connection."""

_LAST_CALL = 3.0
"""Seconds after SIGTERM in which requests may still arrive."""
_GRACE = 20
"""Seconds that requests in hand have after SIGTERM. docker-compose.yml waits for longer."""

_STATUSES: dict[type[Exception], int] = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.ExpectationFailed: 417,
}


class Server(BaseApplication):
    """Serves what `load` builds, in one worker process, until SIGTERM; then finishes what is in hand and exits 0.

    One process is enough for a queue's pace, and its metrics are the whole truth. `load` runs in that process, after
    the fork, because neither threads nor connections survive one.
    """

    def __init__(self, load: Callable[[], Any], host: str, port: int, when_ready: Callable[[], None]) -> None:
        self._load = load
        self._when_ready = when_ready
        is_bare_ipv6 = ":" in host and not host.startswith("[")
        self._address = f"[{host}]:{port}" if is_bare_ipv6 else f"{host}:{port}"
        super().__init__()

    def load_config(self) -> None:
        """Called by BaseApplication; nothing is taken from files or the environment."""
        settings = {
            "bind": [self._address],
            "workers": 1,
            "worker_class": Worker,
            "threads": _THREADS,
            "keepalive": 15,
            "timeout": 60,
            "graceful_timeout": _GRACE,
            "limit_request_line": 4094,
            "limit_request_fields": 100,
            "limit_request_field_size": 8190,
            "preload_app": False,
            "accesslog": None,
            "logger_class": Log,
            "proc_name": "aci-hooks-ingress",
            # No proxy is believed: nothing here depends on the client's address or scheme.
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "secure_scheme_headers": {},
            "control_socket_disable": True,
            "when_ready": lambda _arbiter: self._when_ready(),
        }
        for name, value in settings.items():
            if name in self.cfg.settings:  # not every release of gunicorn has all of them
                self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI application."""
        return self._load()


class Log(Logger):
    """gunicorn's warnings through the program's own logging, which masks secrets; none of its handlers."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)

    def access(self, *_: Any) -> None:
        """Nothing: a line of it would hold the token."""


class Worker(ThreadWorker):
    """The threaded worker, which no slow client can hold up, and with problems for error pages.

    Threads are few and connections are many, so a thread is given to one only when something came over it, and has
    deadlines from then on. They are kept by the main loop, which shuts the socket that a thread waits at.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadlines: dict[TConn, float] = {}
        self._deadlines_lock = threading.Lock()
        self._last_call = math.inf

    def enqueue_req(self, conn: TConn) -> None:
        """Give the connection to a thread, a new one not before something came over it.

        gunicorn hands new connections over at once, and a few that send nothing would occupy every thread.
        """
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
        # As gunicorn itself waits for the next request of a connection that it keeps alive.
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.cfg.keepalive
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: TConn) -> Any:
        """Serve one request of a connection, in a thread."""
        self._set_deadline(conn, _HEAD_LIMIT)
        try:
            stays_open = super().handle(conn)
            if not stays_open:
                self._set_deadline(conn, _FAREWELL)
                _drain(conn.sock)
            return stays_open
        finally:
            with self._deadlines_lock:
                self._deadlines.pop(conn, None)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer a request, whose head has arrived."""
        self._set_deadline(conn, _BODY_LIMIT)
        return super().handle_request(req, conn)

    def _set_deadline(self, conn: TConn, seconds: float) -> None:
        with self._deadlines_lock:
            self._deadlines[conn] = time.monotonic() + seconds

    def murder_pending(self) -> None:
        """Called about once a second, during shutdown too. Ends every wait that is overdue."""
        now = time.monotonic()
        is_stopping = not self.alive
        if is_stopping:
            self._shorten_waits(now + _LAST_CALL)
        super().murder_pending()
        with self._deadlines_lock:
            deadlines = [(conn, min(deadline, self._last_call)) for conn, deadline in self._deadlines.items()]
        for conn, deadline in deadlines:
            # First its thread reads the end of the stream, and can still answer that the client was too slow. If it is
            # stuck in answering, it gets an error some seconds later.
            if now > deadline + _ANSWER_LIMIT:
                _shut(conn.sock, socket.SHUT_RDWR)
            elif now > deadline:
                _shut(conn.sock, socket.SHUT_RD)

    def _shorten_waits(self, last_call: float) -> None:
        """Let no connection wait for longer than until the last call; the first one that was set stands."""
        self._last_call = min(self._last_call, last_call)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout or 0.0, self._last_call)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what gunicorn could not parse, or what failed outside the application, with a problem."""
        del req, addr
        if isinstance(exc, errors.ParseException):
            statuses = (status for kind, status in _STATUSES.items() if isinstance(exc, kind))
            problem = Problem(next(statuses, 400), f"not a proper HTTP request: {type(exc).__name__}")
            self.log.warning("refused a request: %s", type(exc).__name__)
        else:
            problem = problems.unavailable("the request cannot be served now")
            self.log.error("unexpected error", exc_info=exc)
        with contextlib.suppress(OSError):
            client.sendall(_response(problem))


def _drain(sock: socket.socket) -> None:
    """Wait until the client closes too: closing before all that it sent is read may cost it the answer (RFC 9112 §9.6).

    gunicorn does that in its main loop, which serves nobody meanwhile; after this it finds nothing left to wait for.
    """
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass


def _shut(sock: socket.socket, way: int) -> None:
    with contextlib.suppress(OSError):  # it may be closed by now
        sock.shutdown(way)


def _response(problem: Problem) -> bytes:
    body = problem.body()
    fields = {
        "Content-Type": problems.CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **problem.headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {problem.status} {problem.title}\r\n{head}\r\n".encode("ascii") + body
