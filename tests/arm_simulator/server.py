"""The simulator as an HTTP/1.1 server, in a thread of its own."""

import json
import logging
import socket
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from .client import SimulatorClient
from .messages import Answer, ArmError, Request
from .simulator import Simulator

_HANG_UP_AT_ONCE = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""`struct linger` with a linger time of zero: closing resets the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "arm-simulator"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True
    server: "_Server"

    def _serve(self) -> None:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self._send(Answer.of_error(ArmError(411, "LengthRequired", "A request body needs a Content-Length.")))
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self._answered(Request(self.command, unquote(parts.path), parts.query, headers, body))
        if answer is None:
            self._hang_up()
        else:
            self._send(answer)

    do_GET = do_PUT = do_PATCH = do_POST = do_DELETE = _serve  # noqa: N815 - names that http.server looks for

    def _answered(self, request: Request) -> Answer | None:
        try:
            return self.server.simulator.answer(request)
        except Exception:
            logging.exception("the simulator has a bug: %s %s", request.method, request.path)
            return Answer.of_error(ArmError(500, "SimulatorBug", "see the simulator's log"))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"x-ms-request-id": str(uuid4()), **answer.headers}.items():
            self.send_header(name, value)
        if answer.status == 204:
            self.end_headers()
            return
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP_AT_ONCE)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
        """The journal has it all."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], simulator: Simulator) -> None:
        self.simulator = simulator
        self._connections: set[socket.socket] = set()
        self._connections_lock = Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends the connections that clients keep alive, and with them their threads."""
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients of a chaos run come and go."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ArmSimulator:
    """Serves from construction to `close`, or for the length of a `with` block. Port 0 takes a free port.

    `clock` gives seconds since the epoch; a test that jumps over an hour gives one of its own.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, clock: Callable[[], float] = time.time) -> None:
        self._simulator = Simulator(clock)
        self._server = _Server((host, port), self._simulator)
        self.url = f"http://{host}:{self._server.server_port}"
        self.client = SimulatorClient(self.url)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="arm-simulator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops listening, and hangs up on every client."""
        self.client.close()
        self._simulator.close()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
