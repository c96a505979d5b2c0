"""gunicorn around the application: threads, limits, and answers of our own to what is no proper HTTP."""

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
# Seconds that a client may take, as a thread waits for it meanwhile: to send the head of a request once it began to, to
# send the body, to take the answer after that (the outbox's time limit included), and to close its end.
_HEAD_LIMIT, _BODY_LIMIT, _ANSWER_LIMIT, _FAREWELL = 3.0, 10.0, 6.0, 2.0
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
        self._address = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
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
            if name in self.cfg.settings:  # releases differ in the last of them
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
        """Give the connection to a thread, a new one not before something came: gunicorn has threads wait for that."""
        if conn.initialized or conn.data_ready:
            super().enqueue_req(conn)
            return
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
        if not self.alive:
            self._last_call = min(self._last_call, now + _LAST_CALL)
            for conn in self.pending_conns:
                conn.timeout = min(conn.timeout or 0.0, self._last_call)
        super().murder_pending()
        with self._deadlines_lock:
            deadlines = [(conn, min(deadline, self._last_call)) for conn, deadline in self._deadlines.items()]
        for conn, deadline in deadlines:
            if now > deadline:
                # First its thread reads the end, and can still answer; one that is stuck in answering gets an error.
                way = socket.SHUT_RDWR if now > deadline + _ANSWER_LIMIT else socket.SHUT_RD
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(way)

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:
        """Answer what gunicorn could not parse, or what failed outside the application, with a problem."""
        del req, addr
        if isinstance(exc, errors.ParseException):
            status = next((code for kind, code in _STATUSES.items() if isinstance(exc, kind)), 400)
            problem = Problem(status, f"not a proper HTTP request: {type(exc).__name__}")
            self.log.warning("refused a request: %s", type(exc).__name__)
        else:
            problem = problems.unavailable("the request cannot be served now")
            self.log.error("unexpected error", exc_info=exc)
        with contextlib.suppress(OSError):
            client.sendall(_response(problem))


def _drain(sock: socket.socket) -> None:
    """Wait until the client closes too, as bytes of it that nobody read would cost it the answer (RFC 9112 §9.6).

    gunicorn does that in its main loop, which serves nobody meanwhile; after this it finds nothing left to wait for.
    """
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass


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
