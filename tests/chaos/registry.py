"""A registry on loopback that knows the tags that were pushed so far, and nothing of what the hostile tell of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Self

from tests.http_server import LoopbackServer, QuietHandler


class Registry:
    """Serves on `host` from `with` to its end. Its images are all of one platform."""

    def __init__(self, host: str) -> None:
        self._tags: dict[tuple[str, str], str] = {}
        handler = type("Handler", (_Handler,), {"tags": self._tags})
        self._server = LoopbackServer(handler, int(host.rpartition(":")[2]))

    def push(self, repository: str, tag: str, digest: str) -> None:
        """From now on the tag points at this digest."""
        self._tags[repository, tag] = digest

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()


class _Handler(QuietHandler):
    tags: Mapping[tuple[str, str], str]
    """What each tag of each repository points at."""

    def known(self, repository: str) -> dict[str, str]:
        """The tags of a repository, each with what it points at."""
        # A copy first, because a push may add a tag meanwhile.
        return {tag: digest for (name, tag), digest in list(self.tags.items()) if name == repository}

    def serve(self) -> None:
        """Answer /v2/acme/shop/manifests/v1 and /v2/acme/shop/tags/list."""
        repository, kind, last = self.path.partition("?")[0].removeprefix("/v2/").rsplit("/", 2)
        known = self.known(repository)
        if kind == "tags":
            return self._say(200, {"name": repository, "tags": sorted(known)})
        digest = last if last in known.values() else known.get(last)
        if digest is None:
            return self._say(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]})
        return self._say(200, {}, digest)

    def _say(self, status: int, content: object, digest: str | None = None) -> None:
        kind = "application/vnd.oci.image.manifest.v1+json" if digest else "application/json"
        named = {"Docker-Content-Digest": digest} if digest else {}
        self.answer(status, {**named, "Content-Type": kind}, json.dumps(content).encode())
