"""The small base of the tests' HTTP servers: a port of loopback, a thread a connection, and no words about it.

    class Handler(QuietHandler):
        def serve(self) -> None:
            self.answer(200, {"X-Asked": self.path}, self.read_body())

    with LoopbackServer(Handler) as server:
        ...server.url

A server that only answers what a function says is a tests.stub_server.StubServer.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_POLL = 0.02
"""Seconds that a server may take to notice that it is to end."""


class QuietHandler(BaseHTTPRequestHandler, ABC):
    """Calls `serve` for every request, whatever its method."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @abstractmethod
    def serve(self) -> None:
        """Read the body, and answer."""

    def do_GET(self) -> None:
        """All of them."""
        self.serve()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - names that http.server looks for

    def read_body(self) -> bytes:
        """The request's whole body."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(
        self, status: int, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        """Send an answer. Its Content-Length is added unless a header gives one, and the body is left out for HEAD."""
        fields = list(headers.items() if isinstance(headers, Mapping) else headers)
        self.send_response_only(status)
        for name, value in fields:
            self.send_header(name, value)
        has_length = any(name.lower() == "content-length" for name, _ in fields)
        if status != 204 and not has_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class LoopbackServer(ThreadingHTTPServer):
    """Serves within a `with` block, or from `start` to `close`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[QuietHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self.serve_forever, args=(_POLL,), name="test server", daemon=True)

    def start(self) -> None:
        """Serve, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """End it, and the port is free again."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""
