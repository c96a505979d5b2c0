"""Leases on the real queue client: until when one is held counts from before the call that takes it.

Azure's clock runs from when it answers at the latest. Whoever counted from when the answer came in would believe
to hold a message that somebody else has already: after a slow answer, by as much as that took.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from azure.core.pipeline.transport import HttpTransport
from azure.storage.queue import QueueClient

from shared.queue import Queue
from tests.fakes import Clock

LEASE = 30
SLOW = 7.0
"""Seconds that each answer takes."""
CONNECTION = "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"
MESSAGE = """<?xml version="1.0" encoding="utf-8"?><QueueMessagesList><QueueMessage><MessageId>m1</MessageId>
<InsertionTime>Thu, 01 Jan 2026 12:00:00 GMT</InsertionTime>
<ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime>
<PopReceipt>r1</PopReceipt><TimeNextVisible>Thu, 01 Jan 2026 12:00:30 GMT</TimeNextVisible>
<DequeueCount>1</DequeueCount><MessageText>hello</MessageText></QueueMessage></QueueMessagesList>"""


class Answer:
    """An answer of the queue service, as the SDK's pipeline reads it."""

    def __init__(self, request: Any, status: int, body: str, headers: dict[str, str]) -> None:
        self.request = self.http_request = request
        self.status_code = status
        self.reason = "OK"
        self.headers = {"Content-Type": "application/xml", **headers}
        self.content_type = "application/xml"
        self.internal_response = self
        self._body = body

    def body(self) -> bytes:
        return self._body.encode()

    def text(self, encoding: str | None = None) -> str:
        return self._body

    def raise_for_status(self) -> None:
        assert self.status_code < 400


class SlowQueue(HttpTransport[Any, Any]):
    """A connection to the queue service on which each answer takes some time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked: list[str] = []

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """There is none."""

    def __exit__(self, *args: object) -> None:
        """There is none."""

    def send(self, request: Any, **options: Any) -> Answer:
        self.asked.append(request.method)
        self._clock.advance(SLOW)
        if request.method == "GET":
            return Answer(request, 200, MESSAGE, {})
        visible = "Thu, 01 Jan 2026 12:01:00 GMT"
        return Answer(request, 204, "", {"x-ms-popreceipt": "r2", "x-ms-time-next-visible": visible})


def queue(clock: Clock) -> Queue:
    client = QueueClient.from_connection_string(CONNECTION, "updates", transport=SlowQueue(clock), retry_total=0)
    return Queue(client, LEASE, clock.seconds)


def test_the_scripted_server_speaks_a_protocol_that_the_client_understands() -> None:
    assert ElementTree.fromstring(MESSAGE).findtext("QueueMessage/MessageText") == "hello"
    (leased,) = queue(Clock()).receive(1)
    assert (leased.id, leased.text, leased.dequeue_count) == ("m1", "hello", 1)


def test_the_lease_of_a_received_message_counts_from_before_the_request() -> None:
    clock = Clock()
    asked_at = clock.seconds()
    (leased,) = queue(clock).receive(1)
    assert clock.seconds() == asked_at + SLOW
    assert leased.expires == asked_at + LEASE
    clock.advance(LEASE - SLOW - 1)
    assert leased.lease_holds(clock.seconds)
    clock.advance(1)
    assert not leased.lease_holds(clock.seconds)


def test_a_renewed_lease_counts_from_before_the_request() -> None:
    clock = Clock()
    updates = queue(clock)
    (leased,) = updates.receive(1)
    clock.advance(10)
    asked_at = clock.seconds()
    updates.renew(leased)
    assert clock.seconds() == asked_at + SLOW
    assert leased.expires == asked_at + LEASE


def test_a_lease_wants_renewal_shortly_before_its_end_unless_it_is_settled_or_lost() -> None:
    clock = Clock()
    (leased,) = queue(clock).receive(1)
    clock.advance(LEASE / 2 - SLOW)
    assert not leased.wants_renewal(LEASE / 2, clock.seconds)
    clock.advance(1)
    assert leased.wants_renewal(LEASE / 2, clock.seconds)
    for state in ("settled", "lost"):
        setattr(leased, state, True)
        assert not leased.wants_renewal(LEASE / 2, clock.seconds)
        setattr(leased, state, False)
