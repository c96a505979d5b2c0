"""gunicorn around the application: threads, limits, and answers of our own to what is no proper HTTP."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from ingress import problems
from ingress.problems import Problem

_THREADS = 32
_READ_LIMIT = 10.0
"""Seconds that a request may take to arrive, beyond which its connection is shut: a thread waits for it meanwhile."""
_GRACE = 20
"""Seconds that requests in hand have after SIGTERM."""

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
    """The threaded worker, with a limit on how slowly a request may arrive, and with problems for error pages."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._arriving: dict[TConn, float] = {}
        self._arriving_lock = threading.Lock()

    def handle(self, conn: TConn) -> Any:
        """Serve one request of a connection, in a thread."""
        with self._arriving_lock:
            self._arriving[conn] = time.monotonic() + _READ_LIMIT
        try:
            return super().handle(conn)
        finally:
            with self._arriving_lock:
                self._arriving.pop(conn, None)

    def murder_pending(self) -> None:
        """Called about once a second. Also ends the reading of requests that are overdue, as gunicorn does not."""
        super().murder_pending()
        now = time.monotonic()
        with self._arriving_lock:
            overdue = [conn for conn, deadline in self._arriving.items() if now > deadline]
        for conn in overdue:
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)  # its thread reads the end; the answer can still be written

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
