"""Azure Storage's queue service as the SDK meets it on the wire, without a network: every answer is scripted.

The real client is above it, so what is tested is what is really sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure.core.pipeline.transport import HttpResponse, HttpTransport
from azure.storage.queue import QueueClient

CONNECTION = "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=a2V5;EndpointSuffix=core.windows.net"
"""Nobody checks the key, which only has to be base64."""


Scripted = tuple[int, dict[str, str], str]
"""Status, headers and body."""


class Answer(HttpResponse):
    """What the service answers."""

    def __init__(self, request: Any, status: int, headers: dict[str, str], body: str) -> None:
        super().__init__(request, None)
        self.status_code, self.reason = status, "reason"
        self.headers = {"content-type": "application/xml", **headers}
        self.content_type = "application/xml"
        self._body = body.encode()

    def body(self) -> bytes:
        """The bytes of it."""
        return self._body

    def stream_download(self, *_: Any, **__: Any) -> Iterator[bytes]:
        """The same, in one piece."""
        return iter([self._body])


class Wire(HttpTransport[Any, Any]):
    """Answers the requests in their order, and remembers each as (method, path, query, body)."""

    def __init__(self, *answers: Scripted | Exception) -> None:
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.answers = list(answers)
        self.meanwhile: Callable[[], None] = lambda: None

    def send(self, request: Any, **_: Any) -> Any:
        """Answer one."""
        url = urlsplit(request.url)
        body = request.content if hasattr(request, "content") else request.data
        text = body.decode() if isinstance(body, bytes) else str(body or "")
        self.requests.append((request.method, url.path, dict(parse_qsl(url.query)), text))
        self.meanwhile()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Answer(request, *answer)

    def open(self) -> None:
        """It is."""

    def close(self) -> None:
        """There is nothing to close."""

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""


def client(wire: Wire, name: str = "updates") -> QueueClient:
    """The SDK's client, whose requests go to this wire."""
    return QueueClient.from_connection_string(CONNECTION, name, transport=wire, retry_total=0)


def done(receipt: str = "receipt-2") -> Scripted:
    """An update was carried out."""
    return 204, {"x-ms-popreceipt": receipt, "x-ms-time-next-visible": "Thu, 01 Jan 2026 12:00:30 GMT"}, ""


def refused(status: int, code: str) -> Scripted:
    """An error of the service."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>why\nRequestId:1</Message></Error>"
    return status, {"x-ms-error-code": code}, body


def messages(*texts: str, dequeued: int = 1) -> Scripted:
    """What a receive gives."""
    when = datetime(2026, 1, 1, 12, tzinfo=UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    found = "".join(
        f"<QueueMessage><MessageId>id-{number}</MessageId><InsertionTime>{when}</InsertionTime>"
        f"<ExpirationTime>{when}</ExpirationTime><PopReceipt>receipt-1</PopReceipt>"
        f"<TimeNextVisible>{when}</TimeNextVisible><DequeueCount>{dequeued}</DequeueCount>"
        f"<MessageText>{text}</MessageText></QueueMessage>"
        for number, text in enumerate(texts, start=1)
    )
    return 200, {}, f"<?xml version='1.0'?><QueueMessagesList>{found}</QueueMessagesList>"
