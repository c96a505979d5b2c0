"""A tripwire: an HTTP proxy that lets everything pass, and acts once, right before or after one chosen request.

It stands between a real worker and a real server, so that a crash can be placed to the request:

    with Tripwire(arm.url, lambda method, path: method == "PUT", before=worker.kill) as wire:
        ...ACI_HOOKS_ARM_ENDPOINT=wire.url
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.client import HTTPConnection
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.http_server import LoopbackServer, QuietHandler
from tests.processes import PATIENCE

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host"})


class Tripwire:
    """Passes requests on to `upstream`; the first that `matches` (method, path) runs `before` or `after` it once.

    With `before`, that request never reaches the upstream; with `after`, its answer never reaches the client.
    """

    def __init__(
        self,
        upstream: str,
        matches: Callable[[str, str], bool],
        *,
        before: Callable[[], None] | None = None,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._upstream = urlsplit(upstream)
        self._matches = matches
        self._before, self._after = before, after
        self._lock = threading.Lock()
        self.tripped = threading.Event()
        self._server = LoopbackServer(self._handler())
        self._server.start()

    @property
    def url(self) -> str:
        """Where the client is to connect."""
        return self._server.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()

    def _trips(self, method: str, path: str) -> bool:
        with self._lock:
            if self.tripped.is_set() or not self._matches(method, path):
                return False
            self.tripped.set()
            return True

    def _handler(wire) -> type[QuietHandler]:  # noqa: N805 - the handler's own self is another one
        class Handler(QuietHandler):
            def serve(self) -> None:
                body = self.read_body()
                trips = wire._trips(self.command, self.path)
                if trips and wire._before:
                    wire._before()
                    self.close_connection = True
                    return
                status, headers, answer = wire._forward(self.command, self.path, dict(self.headers.items()), body)
                if trips and wire._after:
                    wire._after()
                    self.close_connection = True
                    return
                left_out = HOP_BY_HOP | {"content-length"}
                kept = [(name, value) for name, value in headers if name.lower() not in left_out]
                self.answer(status, kept, answer)

        return Handler

    def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=PATIENCE)
        try:
            kept = {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
            connection.request(method, path, body or None, {**kept, "Host": self._upstream.netloc})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()
