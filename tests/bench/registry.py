"""A registry that has every image, on loopback: workers ask it for digests, and it counts how often."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.arm_simulator.images import default_digest


class Registry:
    """Serves from `with` to its end. An image has the digest that the ARM simulator takes it to have."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def requests(self) -> int:
        """How many there were."""
        return self._server.requests

    def image(self, name: str, tag: str = "v1") -> str:
        """An image of the repository `acme/<name>`."""
        return f"127.0.0.1:{self._server.server_port}/acme/{name}:{tag}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    requests = 0

    def count(self) -> None:
        with _COUNTING:
            self.requests += 1


_COUNTING = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _answer(self) -> None:
        self.server.count()
        body = b"{}"
        # /v2/acme/shop/manifests/v1, or /v2/acme/shop/tags/list
        repository, kind, tag = self.path.partition("?")[0].removeprefix("/v2/").rsplit("/", 2)
        self.send_response(200)
        if kind == "manifests":
            digest = tag if ":" in tag else default_digest(f"127.0.0.1:{self.server.server_port}/{repository}:{tag}")
            self.send_header("Docker-Content-Digest", digest)
        else:
            body = json.dumps({"name": repository, "tags": []}).encode()
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD = _answer  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
        """Nobody reads it."""
