"""Where a URL leads: to a service of Apprise in its own form, or to anybody's webhook as plain JSON.

- `https://` at a host of a known service (Teams workflows, Slack, Discord, Google Chat and others), as it is copied
  from there: that service.
- Any other `https://`, and `http://` at a local host: plain JSON. `json+https://` is plain JSON whatever the host: a
  Logic App has the same URL as a workflow of Teams.
- Every other URL: the service of Apprise of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from worker.adapters.notifications.content import Content
from worker.adapters.notifications.plain import is_acceptable, post_json
from worker.adapters.notifications.rendering import as_json
from worker.adapters.notifications.services import Unfit, native_service, service_of

Post = Callable[[str, Mapping[str, Any]], int]
_PLAIN = ("json+https://", "json+http://")


class Destination(Protocol):
    """Whatever takes a content."""

    @property
    def name(self) -> str:
        """What people call it."""

    def send(self, content: Content) -> str | None:
        """Bring the content there; why it did not arrive, or None. May raise anything, and take any time."""


class PlainJson:
    """Anybody's webhook."""

    name = "plain JSON"

    def __init__(self, url: str, post: Post = post_json) -> None:
        self._url = url
        self._post = post

    def send(self, content: Content) -> str | None:
        """Post it."""
        status = self._post(self._url, as_json(content))
        return None if 200 <= status < 300 else f"answered {status}"


def destination_of(url: str) -> Destination:
    """Where the URL leads. Raises Unfit, which says why it leads nowhere."""
    lowered = url.lower()
    if "://" not in url:
        raise Unfit("it is not a URL")
    if lowered.startswith(_PLAIN):
        return _plain(url[len("json+") :])
    if not lowered.startswith(("https://", "http://")):
        return service_of(url)
    return (native_service(url) if lowered.startswith("https://") else None) or _plain(
        url
    )


def _plain(url: str) -> PlainJson:
    if not is_acceptable(url):
        raise Unfit("it is not https")
    return PlainJson(url)
