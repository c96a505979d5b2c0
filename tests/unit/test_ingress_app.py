"""The application: answers to the letter, what it logs and counts, and that a defect is never a 500."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from flask import abort

from ingress.app import create_app
from ingress.openapi import describe
from ingress.outbox import Outbox
from shared.environment import read_settings
from shared.errors import RemoteError
from shared.message import UpdateMessage
from shared.readiness import Readiness
from shared.settings import SENDERS, IngressSettings
from tests.ingress_harness import SECRET, TOKEN, RecordingQueue, bearer, client_for, environment
from tests.samples import load

PUSH = load("dockerhub", "push")
DOWN = RemoteError("queue", None, "Unreachable", "there.example:443 refused the connection")


@pytest.fixture
def queue() -> RecordingQueue:
    return RecordingQueue()


def test_queued_to_the_letter(queue: RecordingQueue) -> None:
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    answer = client_for(queue).post(
        f"/webhooks/dockerhub/{TOKEN}", data=PUSH.body, headers={"traceparent": traceparent}
    )
    (message,) = queue.sent
    assert answer.status_code == 202
    assert answer.content_type == "application/json"
    assert answer.get_json() == {
        "status": "queued",
        "id": message.id,
        "pushes": [{"image": "docker.io/acme/shop:v2", "digest": None}],
    }
    assert (message.kind, message.traceparent, message.push.sender) == ("push", traceparent, "dockerhub")


def test_one_message_for_each_push(queue: RecordingQueue) -> None:
    body = load("quay", "several-tags").body
    answer = client_for(queue).post("/webhooks/quay", data=body, headers=bearer(TOKEN)(body))
    delivery_id = answer.get_json()["id"]
    assert [message.id for message in queue.sent] == [f"{delivery_id}.1", f"{delivery_id}.2"]
    assert len({message.received_at for message in queue.sent}) == 1
    assert len({message.traceparent for message in queue.sent}) == 1


def test_ignored_to_the_letter(queue: RecordingQueue) -> None:
    answer = client_for(queue).post(f"/webhooks/acr/{TOKEN}", data=load("acr", "ping").body)
    assert answer.status_code == 200
    assert answer.get_json() == {"status": "ignored", "reason": "action 'ping' is not an image push"}
    assert queue.sent == []


def test_event_grid_handshake(queue: RecordingQueue) -> None:
    answer = client_for(queue).post(f"/webhooks/acr/{TOKEN}", data=load("acr", "event-grid-validation").body)
    assert (answer.status_code, answer.get_json()) == (200, {"validationResponse": "5F2B1E0A-77"})


ORIGIN = {"WebHook-Request-Origin": "eventgrid.azure.net"}


def test_cloud_events_handshake(queue: RecordingQueue) -> None:
    answer = client_for(queue).options(f"/webhooks/acr/{TOKEN}", headers=ORIGIN)
    assert answer.status_code == 200
    assert answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert answer.headers["WebHook-Allowed-Rate"] == "*"
    assert set(answer.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert queue.sent == []


@pytest.mark.parametrize("path", ["/webhooks/acr/a-wrong-token-0123", "/webhooks/acr"])
def test_the_cloud_events_handshake_asks_for_a_secret(queue: RecordingQueue, path: str) -> None:
    answer = client_for(queue).options(path, headers=ORIGIN)
    assert (answer.status_code, answer.content_type) == (401, "application/problem+json")
    assert "WebHook-Allowed-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/webhooks/acr/{TOKEN}", {}),
        (f"/webhooks/acr/{TOKEN}", {"WebHook-Request-Origin": "no host name"}),
        (f"/webhooks/harbor/{TOKEN}", ORIGIN),
    ],
)
def test_no_other_request_for_the_options_is_a_handshake(
    queue: RecordingQueue, path: str, headers: dict[str, str]
) -> None:
    answer = client_for(queue).options(path, headers=headers)
    assert answer.status_code == 200
    assert "WebHook-Allowed-Origin" not in answer.headers


def test_an_invalid_traceparent_begins_a_new_trace(queue: RecordingQueue) -> None:
    client_for(queue).post(f"/webhooks/dockerhub/{TOKEN}", data=PUSH.body, headers={"traceparent": "00-zz"})
    assert str(queue.sent[0].traceparent).startswith("00-")
    assert queue.sent[0].traceparent != "00-zz"


def test_a_secret_is_asked_for_before_the_body_is_parsed(queue: RecordingQueue) -> None:
    answer = client_for(queue).post("/webhooks/generic", data=b"\xff{")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="aci-hooks"'
    assert answer.content_type == "application/problem+json"
    assert answer.get_json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "no valid secret; it may be given as the token in the URL, or as Authorization: Bearer, "
        "or as the HMAC in X-Hub-Signature-256",
    }


def test_503_while_the_queue_is_away_and_202_when_it_is_back(queue: RecordingQueue) -> None:
    client = client_for(queue)
    queue.failure = DOWN
    answer = client.post(f"/webhooks/dockerhub/{TOKEN}", data=PUSH.body)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.get_json()["status"] == 503
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200
    assert "there.example" not in client.get("/readyz").get_data(as_text=True)
    queue.failure = None
    assert client.post(f"/webhooks/dockerhub/{TOKEN}", data=PUSH.body).status_code == 202
    assert client.get("/readyz").get_json() == {"status": "ready"}


def test_readiness_is_remembered_for_a_second(queue: RecordingQueue) -> None:
    now, looks = 1000.0, 0

    def check() -> None:
        nonlocal looks
        looks += 1
        queue.count()

    readiness = Readiness(check, lambda: now)
    assert [readiness.trouble() for _ in range(5)] == [None] * 5
    queue.failure = DOWN
    now += 0.9
    assert (readiness.trouble(), looks) == (None, 1)
    now += 0.1
    assert [readiness.trouble() for _ in range(5)] == ["Unreachable"] * 5
    assert looks == 2
    readiness.used(works=True)  # nothing newer is known than a delivery that was sent
    assert (readiness.trouble(), looks) == (None, 2)
    readiness.used(works=False)
    assert (readiness.trouble(), looks) == ("Unreachable", 3)


@pytest.mark.parametrize("served", ["ghcr,generic", "generic"])
def test_a_sender_that_is_not_served_is_not_there(queue: RecordingQueue, served: str) -> None:
    client = client_for(queue, ACI_HOOKS_SENDERS=served)
    answer = client.post(f"/webhooks/dockerhub/{TOKEN}", data=PUSH.body)
    assert (answer.status_code, queue.sent) == (404, [])
    assert answer.get_json()["detail"].endswith(f"senders are {served.replace(',', ', ')}")
    assert client.post(f"/webhooks/generic/{TOKEN}", data=load("generic", "all-fields").body).status_code == 202
    paths = client.get("/openapi.json").get_json()["paths"]
    assert paths["/webhooks/{sender}"]["parameters"][0]["schema"]["enum"] == served.split(",")


def test_a_defect_of_ours_is_a_503_without_a_stack_trace(
    queue: RecordingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(_text: str) -> None:
        raise ZeroDivisionError("an inner secret")

    monkeypatch.setattr(queue, "send", break_down)
    with structlog.testing.capture_logs() as lines:
        answer = client_for(queue).post(f"/webhooks/dockerhub/{TOKEN}", data=PUSH.body)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert "inner secret" not in answer.get_data(as_text=True)
    assert any(line["event"] == "unexpected error" and line["log_level"] == "error" for line in lines)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", f"/webhooks/dockerhub/{TOKEN}", 405, "OPTIONS, POST"),
        ("HEAD", "/webhooks/dockerhub", 405, "OPTIONS, POST"),
        ("PUT", "/webhooks/dockerhub", 405, "OPTIONS, POST"),
        ("BREW", "/webhooks/dockerhub", 405, "OPTIONS, POST"),
        ("OPTIONS", "/webhooks/dockerhub", 200, "OPTIONS, POST"),
        ("POST", "/healthz", 405, "GET, HEAD, OPTIONS"),
        ("HEAD", "/healthz", 200, None),
        ("POST", "/webhooks/dockerhubs/x", 404, None),
        ("GET", "/webhooks/unknown/x", 404, None),
        ("POST", "/webhooks", 404, None),
        ("POST", "/webhooks/", 404, None),
        ("POST", "//webhooks/dockerhub", 404, None),
        ("GET", "/", 404, None),
        ("GET", "/../../etc/passwd", 404, None),
    ],
)
def test_methods_and_paths(queue: RecordingQueue, method: str, path: str, status: int, allow: str | None) -> None:
    answer = client_for(queue).open(path, method=method, data=PUSH.body)
    assert answer.status_code == status
    if allow:
        assert ", ".join(sorted(answer.headers["Allow"].split(", "))) == allow
    if status >= 400:
        assert answer.content_type == "application/problem+json"
        assert method == "HEAD" or answer.get_json()["status"] == status
    assert queue.sent == []


def test_a_slash_at_the_end_is_no_redirect(queue: RecordingQueue) -> None:
    headers = bearer(TOKEN)(b"")
    assert client_for(queue).post("/webhooks/dockerhub/", data=PUSH.body, headers=headers).status_code == 202


def test_a_slash_behind_the_token_is_none_of_it(queue: RecordingQueue) -> None:
    assert client_for(queue).post(f"/webhooks/dockerhub/{TOKEN}/", data=PUSH.body).status_code == 202
    assert client_for(queue).post(f"/webhooks/dockerhub/{TOKEN}//", data=PUSH.body).status_code == 401


def test_a_token_may_hold_slashes_and_other_letters(queue: RecordingQueue) -> None:
    client = client_for(queue, ACI_HOOKS_WEBHOOK_TOKENS="a/token+with=slashes, schlüssel-für-die-tür")
    for written in ("a/token+with=slashes", "a%2Ftoken%2Bwith%3Dslashes", "schl%C3%BCssel-f%C3%BCr-die-t%C3%BCr"):
        assert client.post(f"/webhooks/dockerhub/{written}", data=PUSH.body).status_code == 202


@pytest.mark.parametrize(("size", "status"), [(999, 400), (1000, 400), (1001, 413), (100_000, 413)])
def test_the_body_may_have_as_many_bytes_as_the_limit(queue: RecordingQueue, size: int, status: int) -> None:
    client = client_for(queue, ACI_HOOKS_MAX_BODY="1000")
    assert client.post(f"/webhooks/generic/{TOKEN}", data=b" " * size).status_code == status


class Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise ValueError("a chunk of no size")


@pytest.mark.parametrize(
    ("stream", "length", "status"),
    [
        (io.BytesIO(b" " * 1001), "", 413),
        (io.BytesIO(b" " * 10), "20", 400),
        (Broken(), "", 400),
    ],
)
def test_a_body_that_is_not_as_announced(queue: RecordingQueue, stream: io.BytesIO, length: str, status: int) -> None:
    client = client_for(queue, ACI_HOOKS_MAX_BODY="1000")
    path = f"/webhooks/generic/{TOKEN}"
    answer = client.post(path, environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": length})
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_the_time_that_a_body_takes_is_not_the_queues(queue: RecordingQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal now
            now += 9
            return super().read(size)

    monkeypatch.setattr("ingress.app.time", SimpleNamespace(monotonic=lambda: now))
    app = create_app(read_settings(IngressSettings, environment()), Outbox(queue, lambda: now))
    with structlog.testing.capture_logs() as lines:
        answer = app.test_client().post(
            f"/webhooks/dockerhub/{TOKEN}",
            environ_overrides={"wsgi.input": Slow(PUSH.body), "CONTENT_LENGTH": str(len(PUSH.body))},
        )
    assert answer.status_code == 202
    assert [line["seconds"] for line in lines] == [9.0]


def test_a_defect_of_the_framework_is_a_503(queue: RecordingQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_for(queue)
    monkeypatch.setitem(client.application.view_functions, "service.healthz", lambda: abort(500))
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")


def test_the_log_has_one_line_and_never_a_secret(queue: RecordingQueue) -> None:
    client = client_for(queue)
    with structlog.testing.capture_logs() as lines:
        client.post(f"/webhooks/dockerhub/{TOKEN}", data=PUSH.body)
        client.post("/webhooks/ecr", data=b"{}", headers={"X-Api-Key": SECRET})
        client.post(f"/webhooks/{TOKEN}", data=PUSH.body)
        client.get(f"/webhooks/dockerhub/{TOKEN}")
        client.put("/webhooks/quay")
    assert [(line["event"], line["sender"], line["outcome"], line["status"]) for line in lines] == [
        ("delivery", "dockerhub", "queued", 202),
        ("delivery", "ecr", "malformed", 400),
        ("delivery", "unknown", "refused", 404),
        ("delivery", "dockerhub", "refused", 405),
        ("delivery", "quay", "refused", 405),
    ]
    assert lines[0]["images"] == ["docker.io/acme/shop:v2"]
    assert lines[0]["id"] == queue.sent[0].id
    paths = [
        "/webhooks/dockerhub/***",
        "/webhooks/ecr",
        "/webhooks/unknown",
        "/webhooks/dockerhub/***",
        "/webhooks/quay",
    ]
    assert [line["path"] for line in lines] == paths
    assert lines[0]["trace_id"] == str(queue.sent[0].traceparent).split("-")[1]
    assert TOKEN not in repr(lines)
    assert SECRET not in repr(lines)


def test_metrics_count_by_sender_and_outcome(queue: RecordingQueue) -> None:
    client = client_for(queue)
    client.post(f"/webhooks/quay/{TOKEN}", data=load("quay", "several-tags").body)
    client.post(f"/webhooks/quay/{TOKEN}", data=load("quay", "build").body)
    client.post("/webhooks/quay/wrong", data=b"")
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain")
    lines = answer.get_data(as_text=True).splitlines()
    assert 'aci_hooks_deliveries_total{outcome="queued",sender="quay"} 1.0' in lines
    assert 'aci_hooks_deliveries_total{outcome="ignored",sender="quay"} 1.0' in lines
    assert 'aci_hooks_deliveries_total{outcome="unauthorized",sender="quay"} 1.0' in lines
    assert 'aci_hooks_pushes_enqueued_total{sender="quay"} 2.0' in lines
    assert "aci_hooks_enqueue_seconds_count 1.0" in lines
    assert TOKEN not in "\n".join(lines)


def test_openapi_is_served_and_names_every_path(queue: RecordingQueue) -> None:
    client = client_for(queue)
    document: dict[str, Any] = client.get("/openapi.json").get_json()
    assert document == json.loads(json.dumps(describe(SENDERS)))
    assert document["openapi"].startswith("3.1")
    rules = {str(rule.rule) for rule in client.application.url_map.iter_rules()}
    assert len(document["paths"]) == len(rules)


def test_a_secret_that_its_sender_cannot_send_is_pointed_out(queue: RecordingQueue) -> None:
    with structlog.testing.capture_logs() as lines:
        client_for(queue, ACI_HOOKS_SECRET_QUAY="w" * 16, ACI_HOOKS_SECRET_GCR="w" * 16)
    assert {line["sender"] for line in lines if line["event"] == "unused setting"} == {"quay", "gcr"}


def test_a_repeated_event_header_is_refused(queue: RecordingQueue) -> None:
    headers = [("X-GitHub-Event", "package"), ("X-GitHub-Event", "package")]
    answer = client_for(queue).post(f"/webhooks/ghcr/{TOKEN}", data=load("ghcr", "push").body, headers=headers)
    assert answer.status_code == 400
    assert "X-GitHub-Event" in answer.get_json()["detail"]


def test_messages_survive_their_encoding(queue: RecordingQueue) -> None:
    client_for(queue).post(f"/webhooks/generic/{TOKEN}", data=load("generic", "all-fields").body)
    assert isinstance(queue.sent[0], UpdateMessage)
    assert queue.sent[0].push.pusher == "Jenkins ß"
