"""A queue as a role sees it: a proxy in front of Azurite that enforces Microsoft's table of queue actions.

    with Azurite() as azurite, RoleProxy(azurite.connection_string, LEAST) as proxy:
        WorkerSettings(connection_string=proxy.connection_string)

Azurite knows no roles: whoever has the key may do everything. What an operation needs, by Microsoft's table:
learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory#permissions-for-queue-service-operations
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.http_server import LoopbackServer, QuietHandler

LEAST = frozenset({"queues/read", "messages/read", "messages/add/action", "messages/process/action", "messages/write"})
"""The least that a worker does with, on both queues."""
PROCESSOR_AND_SENDER = frozenset({"messages/read", "messages/process/action", "messages/add/action"})
"""The built-in roles Storage Queue Data Message Processor and Message Sender together."""

_ENDPOINT = re.compile(r"QueueEndpoint=http://127\.0\.0\.1:(\d+)/")
_QUEUE = re.compile(r"/[^/]+/[^/]+")
_MESSAGES = re.compile(r"/[^/]+/[^/]+/messages")
_MESSAGE = re.compile(r"/[^/]+/[^/]+/messages/[^/]+")
# As many as are enough, each on its own: sets of actions that must all be there.
Needs = tuple[frozenset[str], ...]


def _any_of(*alternatives: str) -> Needs:
    """Each alternative is one action, or several joined by ` + `."""
    return tuple(frozenset(alternative.split(" + ")) for alternative in alternatives)


_OF_MESSAGES = {
    "POST": _any_of("messages/add/action", "messages/write"),
    "GET": _any_of("messages/process/action", "messages/delete + messages/read"),
    "DELETE": _any_of("messages/delete"),
}
_OF_A_MESSAGE = {
    "PUT": _any_of("messages/write"),
    "DELETE": _any_of("messages/process/action", "messages/delete"),
}
_OF_A_QUEUE = {"GET": _any_of("queues/read"), "PUT": _any_of("queues/write"), "DELETE": _any_of("queues/delete")}


def needs(method: str, target: str) -> Needs:
    """What an operation needs, by its method and path with query."""
    parts = urlsplit(target)
    if _MESSAGES.fullmatch(parts.path):
        if method == "GET" and parse_qs(parts.query).get("peekonly") == ["true"]:
            return _any_of("messages/read")
        return _OF_MESSAGES[method]
    if _MESSAGE.fullmatch(parts.path):
        return _OF_A_MESSAGE[method]
    return _OF_A_QUEUE["GET" if not _QUEUE.fullmatch(parts.path) or method == "HEAD" else method]


class RoleProxy:
    """Lets through what a role of these actions allows, until `close`. `refused` names the rest."""

    def __init__(self, connection_string: str, actions: Iterable[str]) -> None:
        found = _ENDPOINT.search(connection_string)
        assert found is not None
        self.actions = frozenset(actions)
        self.refused: list[str] = []
        self._server = LoopbackServer(_handler(self, int(found[1])))
        endpoint = f"QueueEndpoint=http://127.0.0.1:{self._server.server_port}/"
        self.connection_string = _ENDPOINT.sub(endpoint, connection_string)
        self._server.start()

    def allows(self, method: str, target: str) -> bool:
        """Does the role allow this operation?"""
        return any(enough <= self.actions for enough in needs(method, target))

    def close(self) -> None:
        """End it."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_REFUSAL = b"""<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>\
This request is not authorized to perform this operation using this permission.
RequestId:00000000-0000-0000-0000-000000000000</Message></Error>"""
_OF_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


def _handler(proxy: RoleProxy, port: int) -> type[QuietHandler]:
    class Handler(QuietHandler):
        def serve(self) -> None:
            body = self.read_body()
            if proxy.allows(self.command, self.path):
                self._pass_on(body)
            else:
                proxy.refused.append(f"{self.command} {self.path}")
                headers = {"x-ms-error-code": "AuthorizationPermissionMismatch", "Content-Type": "application/xml"}
                self.answer(403, headers, _REFUSAL)

        def _pass_on(self, body: bytes) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(body)
                response = connection.getresponse()
                kept = [
                    (name, value) for name, value in response.getheaders() if name.lower() not in _OF_ONE_CONNECTION
                ]
                self.answer(response.status, kept, response.read())
            finally:
                connection.close()

    return Handler
