"""The server around the page: answers take a thread, streams of events take none, and there is room for so many.

A stream tells a viewer the number of the newest state. Whoever shows another one asks for the page again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from shared.problem import CONTENT_TYPE, Problem
from shared.serving import Connection
from shared.wsgi import (
    Answer,
    Receive,
    Scope,
    Send,
    answer_of,
    environ_of,
    unacceptable,
)
from worker.dashboard.app import EVENTS
from worker.dashboard.reader import Reader

STREAMS = 200
"""Viewers that get events at a time. Whoever comes later is told to come again, and sees the page all the same."""
_THREADS = 16
_STEP = 0.5
_HEARTBEAT = 5.0
"""Seconds after which a viewer hears that it is still connected, and when the state was read."""
_PATIENCE = 30.0
"""Seconds in which a viewer must take what it is sent."""

log = structlog.get_logger()


class Front:
    """The ASGI application around the WSGI one."""

    def __init__(
        self, app: Callable[..., Any], reader: Reader, streams: int = STREAMS
    ) -> None:
        self._app = app
        self._reader = reader
        self._streams_left = streams
        self._threads = ThreadPoolExecutor(_THREADS, "request")

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        line: Connection = scope["state"]["line"]
        with line.request():
            # The application decides who may look, for a stream as for a page.
            status, headers, content = await self._answer(scope)
            if _is_stream(status, headers) and scope["method"] == "GET":
                if self._streams_left > 0:
                    await self._stream(headers, line, send)
                    return
                status, headers, content = _told(
                    Problem(
                        503, "too many viewers; try again later", {"Retry-After": "30"}
                    )
                )
            await send(_start(status, headers))
            await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope) -> Answer:
        if problem := unacceptable(scope):
            return _told(problem)
        try:
            environ = environ_of(scope)
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, answer_of, self._app, environ
            )
        except Exception:
            log.exception("unexpected error")
            return _told(
                Problem(503, "the page cannot be shown now", {"Retry-After": "5"})
            )

    async def _stream(
        self, headers: list[tuple[str, str]], line: Connection, send: Send
    ) -> None:
        # The application has answered with an empty body, and the length of that.
        without_length = [
            field for field in headers if field[0].lower() != "content-length"
        ]
        self._streams_left -= 1
        try:
            await send(_start(200, without_length))
            async for event in self._events(line):
                # A viewer that takes nothing any more, such as a laptop that sleeps, must not keep its place.
                line.allow(_PATIENCE)
                await send(
                    {"type": "http.response.body", "body": event, "more_body": True}
                )
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._streams_left += 1

    async def _events(self, line: Connection) -> AsyncIterator[bytes]:
        told, heard_at = 0, float("-inf")
        # Milliseconds after which a browser connects again (html.spec.whatwg.org/multipage/server-sent-events.html).
        yield b"retry: 5000\n\n"
        while not (line.is_leaving or line.transport.is_closing()):
            # A page that stays open counts as somebody who looks, so that reading goes on.
            self._reader.asked()
            if told != self._reader.version:
                told = self._reader.version
                yield _event("state", {"version": told})
            # Also where nothing changes: proxies close connections on which nothing is sent, and a viewer must be able
            # to tell a quiet fleet from a page that is no longer read.
            if time.monotonic() - heard_at >= _HEARTBEAT:
                heard_at = time.monotonic()
                read_at = self._reader.state.last_read()
                shown = read_at.isoformat(timespec="seconds") if read_at else None
                yield _event("read", {"at": shown})
            await asyncio.sleep(_STEP)


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def _is_stream(status: int, headers: list[tuple[str, str]]) -> bool:
    types = [value for name, value in headers if name.lower() == "content-type"]
    return status == 200 and any(value.startswith(EVENTS) for value in types)


def _start(status: int, headers: list[tuple[str, str]]) -> dict[str, Any]:
    fields = [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers
    ]
    return {"type": "http.response.start", "status": status, "headers": fields}


def _told(problem: Problem) -> Answer:
    body = problem.body()
    fields = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    return problem.status, list({**fields, **problem.headers}.items()), body
