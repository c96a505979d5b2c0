"""A registry on loopback that knows the tags that were pushed so far, and nothing of what the hostile tell of it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Registry:
    """Serves on `host` from `with` to its end. Its images are all of one platform."""

    def __init__(self, host: str) -> None:
        name, _, port = host.rpartition(":")
        self._server = _Server((name, int(port)), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def push(self, repository: str, tag: str, digest: str) -> None:
        """From now on the tag points at this digest."""
        self._server.tags[repository, tag] = digest

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

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.tags: dict[tuple[str, str], str] = {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _answer(self) -> None:
        # /v2/acme/shop/manifests/v1, or /v2/acme/shop/tags/list
        repository, kind, last = self.path.partition("?")[0].removeprefix("/v2/").rsplit("/", 2)
        known = {tag: digest for (name, tag), digest in list(self.server.tags.items()) if name == repository}
        if kind == "tags":
            return self._say(200, {"name": repository, "tags": sorted(known)})
        digest = last if last in known.values() else known.get(last)
        if digest is None:
            return self._say(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})
        return self._say(200, {}, digest)

    def _say(self, status: int, content: object, digest: str | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json" if digest else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_GET = do_HEAD = _answer  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in http.server
        """Nobody reads it."""
