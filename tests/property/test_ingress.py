"""No request at all, whatever its path, headers, body and proof, makes the application answer 5xx."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.settings import SENDERS
from tests.ingress_harness import (
    SECRET,
    TOKEN,
    KeyIssuer,
    RecordingQueue,
    bearer,
    client_for,
    key_server,
    ways,
)
from tests.samples import all_samples

BOUNDED = settings(max_examples=150)

SAMPLES = {sender: [sample for sample in all_samples() if sample.sender == sender] for sender in SENDERS}
ANSWERS = frozenset({200, 202, 400, 401, 404, 405, 413})

octets = st.text(st.characters(max_codepoint=255), max_size=60)
header_names = st.sampled_from(
    [
        "AUTHORIZATION",
        "X_HUB_SIGNATURE_256",
        "X_GITHUB_EVENT",
        "X_GITHUB_DELIVERY",
        "X_JFROG_EVENT_AUTH",
        "X_NEXUS_WEBHOOK_SIGNATURE",
        "X_API_KEY",
        "TRACEPARENT",
        "CONTENT_ENCODING",
        "TRANSFER_ENCODING",
        "EXPECT",
        "HOST",
        "X_FORWARDED_HOST",
        "COOKIE",
        "ACCEPT",
        "RANGE",
    ]
)
header_values = octets | st.sampled_from(
    [
        f"Bearer {TOKEN}",
        f"Bearer {TOKEN},Bearer {TOKEN}",  # how a server joins a repeated header
        "Bearer ",
        "Basic ",
        "Basic Og==",
        SECRET,
        "sha256=",
        "sha256=" + "0" * 64,
        "package",
        "ping",
        "chunked",
        "[::1",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImZpcnN0In0.e30.AA",
        "Bearer " + "W1tb" * 1000 + ".e30.e30",
    ]
)
headers = st.dictionaries(header_names, header_values, max_size=5)
content_types = octets | st.sampled_from(
    ["application/json", "application/json; charset=bogus", "application/x-www-form-urlencoded; charset=\xff", ""]
)
lengths = octets | st.sampled_from(["", "-1", "0", "1", "9" * 30, "1e3", "+5", "\u00b2", " 12 ", "5,5"])
methods = st.sampled_from(
    ["POST", "POST", "POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "P\xd6ST"]
)
paths = octets.map(lambda tail: f"/webhooks/{tail}") | st.builds(
    lambda sender, tail: f"/webhooks/{sender}{tail}",
    st.sampled_from(SENDERS),
    st.sampled_from(["", "/", f"/{TOKEN}"]) | octets.map(lambda tail: f"/{tail}"),
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[KeyIssuer]:
    with key_server() as served:
        yield served


@pytest.fixture(scope="module")
def queue() -> RecordingQueue:
    return RecordingQueue()


@pytest.fixture(scope="module")
def app(issuer: KeyIssuer, queue: RecordingQueue) -> Flask:
    return client_for(queue, jwks_url=issuer.url).application


def call(app: Flask, environ: dict[str, Any], body: bytes) -> tuple[int, dict[str, str], bytes]:
    """The answer to a WSGI request, given as a server might: with latin-1 text for every octet."""
    whole = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **environ,
    }
    response = Response.from_app(app, whole)
    return response.status_code, dict(response.headers), response.get_data()


def check(answer: tuple[int, dict[str, str], bytes], method: str = "POST") -> int:
    status, fields, content = answer
    assert status in ANSWERS, content
    if status >= 400:
        assert fields["Content-Type"] == "application/problem+json"
        assert method == "HEAD" or json.loads(content)["status"] == status
    assert TOKEN.encode() not in content
    return status


@BOUNDED
@given(method=methods, path=paths, query=octets, fields=headers, kind=content_types, length=lengths, body=st.binary())
@example("POST", "/webhooks/dockerhub/\xff\xfe", "\xff", {"HOST": "\xff"}, "\xff", "\xb2", b"\xff")
def test_any_request_gets_a_proper_answer(
    app: Flask,
    queue: RecordingQueue,
    method: str,
    path: str,
    query: str,
    fields: dict[str, str],
    kind: str,
    length: str,
    body: bytes,
) -> None:
    before = len(queue.sent)
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": length,
        **{f"HTTP_{name}": value for name, value in fields.items()},
    }
    check(call(app, environ, body), method)
    assert len(queue.sent) == before


@pytest.mark.parametrize("sender", SENDERS)
@settings(BOUNDED, max_examples=25)
@given(fields=headers, kind=content_types, data=st.data())
def test_real_bodies_with_any_headers(
    app: Flask, queue: RecordingQueue, sender: str, fields: dict[str, str], kind: str, data: st.DataObject
) -> None:
    sample = data.draw(st.sampled_from(SAMPLES[sender]))
    before = len(queue.sent)
    environ = {
        "PATH_INFO": f"/webhooks/{sender}",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(sample.body)),
        **{f"HTTP_{name}": value for name, value in fields.items()},
    }
    status = check(call(app, environ, sample.body))
    is_proved = fields.get("AUTHORIZATION") in {f"Bearer {TOKEN}", SECRET} or SECRET in fields.values()
    # A Host header that names no host is a malformed request, and is refused before anything else is looked at.
    refusals = {400, 401} if "HOST" in fields else {401}
    assert is_proved or (status in refusals and len(queue.sent) == before)


@pytest.mark.parametrize("sender", SENDERS)
@settings(BOUNDED, max_examples=25)
@given(body=st.binary(max_size=300), data=st.data())
def test_any_body_proved_in_every_way(
    app: Flask, issuer: KeyIssuer, sender: str, body: bytes, data: st.DataObject
) -> None:
    proofs = {"bearer": bearer(TOKEN), **ways(sender, SECRET)}
    if sender == "gcr":
        proofs["OIDC"] = bearer(issuer.token())
    proof = data.draw(st.sampled_from(sorted(proofs)))
    proved = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in proofs[proof](body).items()}
    environ = {"PATH_INFO": f"/webhooks/{sender}", "CONTENT_LENGTH": str(len(body)), **proved}
    assert check(call(app, environ, body)) in {200, 400}


@pytest.mark.parametrize("sender", SENDERS)
@settings(BOUNDED, max_examples=25)
@given(position=st.integers(0, 10_000), replacement=st.integers(0, 255), data=st.data())
def test_a_changed_byte_breaks_every_signature(
    app: Flask, queue: RecordingQueue, sender: str, position: int, replacement: int, data: st.DataObject
) -> None:
    body = next(sample for sample in SAMPLES[sender] if sample.case == "push").body
    changed = bytearray(body)
    changed[position % len(body)] = replacement
    signatures = {name: proof for name, proof in ways(sender, SECRET).items() if name.startswith("HMAC")}
    for proof in signatures.values():
        before = len(queue.sent)
        proved = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in proof(body).items()}
        environ = {"PATH_INFO": f"/webhooks/{sender}", "CONTENT_LENGTH": str(len(body)), **proved}
        status = check(call(app, environ, bytes(changed)))
        assert bytes(changed) == body or (status == 401 and len(queue.sent) == before)
