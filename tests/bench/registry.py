"""A registry that has every image, on loopback: workers ask it for digests, and it counts how often."""

from __future__ import annotations

import json
import threading
from typing import Self

from tests.arm_simulator.images import default_digest
from tests.http_server import LoopbackServer, QuietHandler


class Registry:
    """Serves from `with` to its end. An image has the digest that the ARM simulator takes it to have."""

    def __init__(self) -> None:
        self._server = _Server(_Handler)

    @property
    def requests(self) -> int:
        """How many there were."""
        return self._server.requests

    def image(self, name: str, tag: str = "v1") -> str:
        """An image of the repository `acme/<name>`."""
        return f"{self._server.host}/acme/{name}:{tag}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()


class _Server(LoopbackServer):
    requests = 0

    def count(self) -> None:
        with _COUNTING:
            self.requests += 1


_COUNTING = threading.Lock()


class _Handler(QuietHandler):
    server: _Server

    def serve(self) -> None:
        self.server.count()
        headers = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
        # /v2/acme/shop/manifests/v1, or /v2/acme/shop/tags/list
        repository, kind, tag = self.path.partition("?")[0].removeprefix("/v2/").rsplit("/", 2)
        if kind == "manifests":
            headers["Docker-Content-Digest"] = (
                tag if ":" in tag else default_digest(f"{self.server.host}/{repository}:{tag}")
            )
            self.answer(200, headers, b"{}")
        else:
            self.answer(200, headers, json.dumps({"name": repository, "tags": []}).encode())
