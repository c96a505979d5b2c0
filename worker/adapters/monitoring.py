"""/healthz, /readyz and /metrics of a running worker, on a port of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


def serve_monitoring(port: int, ready: Callable[[], str | None]) -> ThreadingHTTPServer:
    """Serve in a background thread; `ready` says why the worker is not ready, None if it is. Port 0: any free one.

    Raises OSError if the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            """Answer the three paths."""
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
            elif self.path == "/healthz":
                self._answer_json(200, {"status": "ok"})
            elif self.path == "/readyz":
                why = ready()
                self._answer_json(
                    503 if why else 200, {"status": "unavailable", "detail": why} if why else {"status": "ok"}
                )
            else:
                self._answer_json(404, {"status": "not found", "detail": "try /healthz, /readyz or /metrics"})

        def log_message(self, *_: object) -> None:
            """Requests for health are not worth a line."""

        def _answer_json(self, status: int, body: dict[str, str]) -> None:
            self._answer(status, "application/json", json.dumps(body).encode())

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("", port), Handler)
    Thread(target=server.serve_forever, name="monitoring", daemon=True).start()
    return server
