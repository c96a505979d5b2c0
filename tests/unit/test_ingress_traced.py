"""The span of a webhook: a child of its sender's, the parent of its messages, without the token; none for strangers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs
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


@pytest.mark.parametrize("traceparent", [{}, RECEIVED], ids=["untraced", "traced"])
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/webhooks/dockerhub/wrong-token-of-16", PUSH.body, 401),
        ("POST", "/webhooks/dockerhub", PUSH.body, 401),
        ("POST", f"/webhooks/nobody/{TOKEN}", PUSH.body, 404),
        ("POST", PATH, b" " * (1 << 21), 413),
        ("POST", "/webhooks/generic", b"{", 401),
        ("GET", PATH, b"", 405),
        ("BREW", PATH, b"", 405),
        ("OPTIONS", PATH, b"", 200),
        ("OPTIONS", "/webhooks/acr/wrong-token-of-16", b"", 401),
    ],
)
def test_what_no_sender_has_proven_is_no_span(
    client: Client, spans: Spans, traceparent: dict[str, str], method: str, path: str, body: bytes, status: int
) -> None:
    headers = {**traceparent, "WebHook-Request-Origin": "eventgrid.azure.net", "X-Hub-Signature-256": "sha256=00"}
    assert client.open(path, method=method, data=body, headers=headers).status_code == status
    assert spans.all() == []


def test_an_unproven_request_is_in_the_log_with_its_senders_trace(client: Client, spans: Spans) -> None:
    with capture_logs() as lines:
        client.post("/webhooks/dockerhub/wrong-token-of-16", data=PUSH.body, headers=RECEIVED)
    assert [(line["outcome"], line["trace_id"]) for line in lines] == [("unauthorized", TRACE)]


def test_the_log_names_the_trace_that_begins_with_a_webhook(client: Client, spans: Spans) -> None:
    with capture_logs() as lines:
        client.post(PATH, data=PUSH.body)
    (line,) = (line for line in lines if line["event"] == "delivery")
    assert line["trace_id"] == ids_of(spans.one("POST /webhooks/dockerhub"))[0]


def test_the_time_before_the_proof_belongs_to_the_span(queue: RecordingQueue, spans: Spans) -> None:
    settings, arrived = read_settings(IngressSettings, environment()), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    traced = Traced(create_app(settings, Outbox(queue)), settings.senders, now=lambda: arrived)
    assert Client(traced).post(PATH, data=PUSH.body).status_code == 202
    assert spans.one("POST /webhooks/dockerhub").start_time == int(arrived.timestamp()) * 10**9


def test_a_proven_senders_mistake_is_no_failure_of_ours(client: Client, spans: Spans) -> None:
    assert client.post(PATH, data=b"{").status_code == 400
    (span,) = spans.all()
    about = said(spans, "POST /webhooks/dockerhub")
    assert (about["http.response.status_code"], about["aci_hooks.outcome"]) == (400, "malformed")
    assert span.status.status_code is StatusCode.UNSET


def test_the_handshake_of_a_proven_sender_is_a_span(client: Client, spans: Spans) -> None:
    origin = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    assert client.options(f"/webhooks/acr/{TOKEN}", headers=origin).status_code == 200
    assert said(spans, "OPTIONS /webhooks/acr")["http.response.status_code"] == 200


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
