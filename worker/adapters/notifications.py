"""Notifications: tell a chat or any webhook how a push ended. Best effort, in the background, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache

import httpx
import structlog

from shared.errors import RemoteError
from shared.settings import is_local
from worker.ports import Notice

CAPACITY = 100
DRAIN_SECONDS = 2.0
_TIMEOUT = httpx.Timeout(5.0, connect=2.0)
_LONGEST_TEXT = 3000
"""Characters: Slack cuts a text off at 40,000, other chats much earlier."""
_ICONS = {"updated": "✅", "rolled-back": "↩️", "failed": "❌", "address changed": "⚠️"}

log = structlog.get_logger()


def render(notice: Notice, hide: Callable[[str], str] = str) -> dict[str, str]:
    """The JSON to post: `text` for a chat, and the notice's own fields for programs. `hide` masks the known secrets.

    In `text`, & < > are escaped: Slack would take <!channel> for a call to everybody, and details hold what others
    wrote. See docs.slack.dev/messaging/formatting-message-text.
    """
    fields = {
        "outcome": notice.outcome,
        "image": hide(notice.image),
        "target": hide(notice.target),
        "detail": hide(notice.detail)[:_LONGEST_TEXT],
    }
    text = "{outcome}: {image} on {target}: {detail}".format_map(fields)
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, escaped)
    return {"text": f"{_ICONS[notice.outcome]} {text}", **fields}


def is_acceptable(url: str) -> bool:
    """May a notice be posted there: is it https, or http at a local host?"""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return False
    return bool(parts.host) and (parts.scheme == "https" or (parts.scheme == "http" and is_local(parts.host)))


def post_json(url: str, body: Mapping[str, str]) -> int:
    """Post it and return the status; the answer is not read, redirects are not followed. Raises httpx.HTTPError."""
    with _client().stream("POST", url, json=body) as response:
        return response.status_code


@cache
def _client() -> httpx.Client:
    # Reading the certificates is the slow part, so that is done once; no connection is worth keeping. A local host
    # is asked without the environment's proxy.
    return httpx.Client(timeout=_TIMEOUT, mounts={"http://": None}, limits=httpx.Limits(max_keepalive_connections=0))


class Notifier:
    """Posts every notice to every URL, from a thread of its own. Any number of threads may tell it.

    `urls` is asked for each notice, in that thread, and so is `read`, which turns each of them into the URL itself: it
    may read secrets, and they may change. The URLs are secrets: the log knows them by their place in the targets file.
    """

    def __init__(
        self,
        urls: Callable[[], list[str]],
        post: Callable[[str, Mapping[str, str]], int] = post_json,
        *,
        read: Callable[[str], str] = str,
        hide: Callable[[str], str] = str,
        capacity: int = CAPACITY,
    ) -> None:
        self._urls = urls
        self._post = post
        self._read = read
        self._hide = hide
        self._capacity = capacity
        self._waiting: deque[Notice] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        # At INFO httpx logs the URL of every request.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    def tell(self, notice: Notice) -> None:
        """Have it posted soon; dropped, with a warning, if too many wait. Returns at once and raises nothing."""
        with self._changed:
            dropped = self._closed or len(self._waiting) >= self._capacity
            if not dropped:
                self._waiting.append(notice)
                self._start()
                self._changed.notify()
        if dropped:
            log.warning("notification dropped", outcome=notice.outcome, target=notice.target)

    def try_each(self, notice: Notice) -> list[tuple[str, str | None]]:
        """Post it to each URL now, for a person who waits: by its place in the targets file, why it did not arrive."""
        body = render(notice, self._hide)
        return [(f"notify[{number}]", self._trouble(url, body)) for number, url in enumerate(self._urls())]

    def close(self, seconds: float = DRAIN_SECONDS) -> None:
        """Take no more, and give those that wait up to `seconds` to be posted."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread:
            self._thread.join(seconds)
        if left := len(self._waiting):
            log.warning("notifications dropped at shutdown", count=left)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while notice := self._next():
            try:
                self._deliver(notice)
            except Exception as error:
                log.warning("notification not delivered", outcome=notice.outcome, why=_why(error))

    def _next(self) -> Notice | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return self._waiting.popleft() if self._waiting else None

    def _deliver(self, notice: Notice) -> None:
        body = render(notice, self._hide)
        for number, url in enumerate(self._urls()):
            if why := self._trouble(url, body):
                log.warning("notification not delivered", outcome=notice.outcome, source=f"notify[{number}]", why=why)

    def _trouble(self, source: str, body: Mapping[str, str]) -> str | None:
        try:
            url = self._read(source)
            if not is_acceptable(url):
                return "it is not https"
            status = self._post(url, body)
        except Exception as error:
            return _why(error)
        return None if 200 <= status < 300 else f"answered {status}"


def _why(error: Exception) -> str:
    # A secret that can't be read is told by its source; the text of any other error may hold a URL.
    return error.message if isinstance(error, RemoteError) else type(error).__name__
