"""The span of a webhook: a child of its sender's, the parent of its messages, and without the token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from werkzeug.test import Client

from ingress.app import create_app
from ingress.outbox import Outbox
from ingress.traced import Traced
from shared.environment import read_settings
from shared.errors import RemoteError
from shared.settings import IngressSettings
from tests.ingress_harness import TOKEN, RecordingQueue, environment
from tests.samples import load
from tests.spans import Spans, ids_of, parent_of, recording

PUSH, SEVERAL = load("dockerhub", "push"), load("quay", "several-tags")
TRACE, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECEIVED = {"traceparent": f"00-{TRACE}-{SENDER}-01"}
PATH = f"/webhooks/dockerhub/{TOKEN}"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recording() as recorded:
        yield recorded


@pytest.fixture
def queue() -> RecordingQueue:
    return RecordingQueue()


@pytest.fixture
def client(queue: RecordingQueue) -> Client:
    settings = read_settings(IngressSettings, environment())
    return Client(Traced(create_app(settings, Outbox(queue)), settings.senders))


def said(spans: Spans, name: str) -> dict[str, Any]:
    return dict(spans.one(name).attributes or {})


def test_a_webhook_is_a_child_of_its_senders_span_and_the_parent_of_its_message(
    client: Client, queue: RecordingQueue, spans: Spans
) -> None:
    assert client.post(PATH, data=PUSH.body, headers=RECEIVED).status_code == 202
    webhook, sending = spans.one("POST /webhooks/dockerhub"), spans.one("send push")
    assert (ids_of(webhook)[0], parent_of(webhook), webhook.kind) == (TRACE, SENDER, SpanKind.SERVER)
    assert (parent_of(sending), sending.kind) == (ids_of(webhook)[1], SpanKind.PRODUCER)
    (message,) = queue.sent
    assert message.traceparent == f"00-{TRACE}-{ids_of(sending)[1]}-01"
    about = said(spans, "POST /webhooks/dockerhub")
    assert (about["http.response.status_code"], about["aci_hooks.outcome"]) == (202, "queued")
    assert about["http.route"] == about["url.path"] == "/webhooks/dockerhub"
    assert said(spans, "send push")["aci_hooks.push.id"] == message.id
    assert not any(TOKEN in span.to_json() for span in spans.all())


@pytest.mark.parametrize("received", [{}, {"traceparent": "00-zz"}])
def test_without_a_senders_span_it_begins_a_trace(
    client: Client, queue: RecordingQueue, spans: Spans, received: dict[str, str]
) -> None:
    client.post(f"/webhooks/quay/{TOKEN}", data=SEVERAL.body, headers=received)
    webhook = spans.one("POST /webhooks/quay")
    assert parent_of(webhook) is None
    assert {str(message.traceparent).split("-")[1] for message in queue.sent} == {ids_of(webhook)[0]}
    assert said(spans, "send push")["messaging.batch.message_count"] == 2


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("POST", "/webhooks/dockerhub/wrong-token-of-16", "POST /webhooks/dockerhub", 401),
        ("POST", f"/webhooks/nobody/{TOKEN}", "POST /webhooks/{sender}", 404),
        ("GET", PATH, "GET /webhooks/dockerhub", 405),
        ("BREW", PATH, "_OTHER /webhooks/dockerhub", 405),
    ],
)
def test_a_senders_mistake_is_no_failure_of_ours(
    client: Client, spans: Spans, method: str, path: str, name: str, status: int
) -> None:
    assert client.open(path, method=method, data=PUSH.body).status_code == status
    (span,) = spans.all()
    assert (span.name, said(spans, name)["http.response.status_code"]) == (name, status)
    assert span.status.status_code is StatusCode.UNSET


def test_a_queue_that_is_down_fails_the_span(client: Client, queue: RecordingQueue, spans: Spans) -> None:
    queue.failure = RemoteError("queue", 403, "AuthorizationFailure", "no")
    assert client.post(PATH, data=PUSH.body).status_code == 503
    assert spans.one("POST /webhooks/dockerhub").status.status_code is StatusCode.ERROR
    assert said(spans, "send push")["error.type"] == "AuthorizationFailure"


def test_what_is_no_webhook_is_no_span(client: Client, spans: Spans) -> None:
    assert client.get("/healthz").status_code == 200
    assert spans.all() == []


def test_it_wants_the_bodies_that_the_application_wants(queue: RecordingQueue) -> None:
    settings = read_settings(IngressSettings, environment())
    app = create_app(settings, Outbox(queue))
    environs = [
        {"PATH_INFO": path, "REQUEST_METHOD": "POST"} for path in (PATH, "/webhooks/dockerhub/wrong-token-of-16")
    ]
    assert [Traced(app, settings.senders).wants_body(environ) for environ in environs] == [True, False]
