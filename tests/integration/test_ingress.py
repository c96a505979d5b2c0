"""The real process on the real queue: a push's way, a queue that is away, shutdown, settings, and hostile HTTP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile_requests import REQUESTS
from tests.ingress_harness import OLD_TOKEN, SECRET, TOKEN, bearer, environment, key_server, ways
from tests.ingress_process import COMMAND, PATIENT, Answer, IngressProcess, Line, ingress_process, queue_address
from tests.processes import PATIENCE, wait_until
from tests.samples import load

PUSH = load("dockerhub", "push").body
PATH = f"/webhooks/dockerhub/{TOKEN}"
GUARD = 60.0
"""Seconds after which a test fails rather than waits on; the ingress's own limits are all far below."""


@pytest.fixture(scope="module")
def ingress(azurite: Any) -> Iterator[IngressProcess]:
    with ingress_process(environment(), azurite.connection_string, command=PATIENT) as process:
        yield process


@pytest.fixture
def line(azurite: Any) -> Iterator[Line]:
    line = Line(queue_address(azurite.connection_string))
    yield line
    line.restore()
    line.cut()


def says_try_again(answer: Answer) -> bool:
    return answer.status == 503 and answer.headers["Retry-After"] == "5"


def test_a_push_is_on_the_queue_when_202_is_said(ingress: IngressProcess) -> None:
    for path, headers in ((PATH, {}), ("/webhooks/dockerhub", bearer(OLD_TOKEN)(b""))):
        answer = ingress.ask("POST", path, PUSH, headers)
        assert answer.status == 202
        (message,) = ingress.received()
        assert json.loads(answer.body) == {
            "status": "queued",
            "id": message.id,
            "pushes": [{"image": "docker.io/acme/shop:v2", "digest": None}],
        }
        assert (message.kind, message.push.sender, message.push.tag) == ("push", "dockerhub", "v2")
    assert ingress.ask("GET", "/readyz").status == 200


def test_a_signed_push_and_a_signed_token(azurite: Any) -> None:
    with key_server() as issuer, ingress_process(environment(issuer.url), azurite.connection_string) as process:
        body = load("ghcr", "push").body
        proof = {"X-GitHub-Event": "package", **ways("ghcr", SECRET)["HMAC-SHA256"](body)}
        assert process.ask("POST", "/webhooks/ghcr", body, proof).status == 202
        assert process.ask("POST", "/webhooks/ghcr", body + b" ", proof).status == 401
        body = load("gcr", "push").body
        assert process.ask("POST", "/webhooks/gcr", body, bearer(issuer.token())(body)).status == 202
        assert process.ask("POST", "/webhooks/gcr", body, bearer(issuer.token(email="x@y"))(body)).status == 401
        assert [message.push.sender for message in process.received()] == ["ghcr", "gcr"]


def test_every_push_of_a_burst_is_queued(ingress: IngressProcess) -> None:
    with ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(lambda _: ingress.ask("POST", PATH, PUSH), range(150)))
    assert {answer.status for answer in answers} == {202}
    assert {json.loads(answer.body)["id"] for answer in answers} == {message.id for message in ingress.received()}


def test_a_queue_that_is_away_and_comes_back(azurite: Any, line: Line) -> None:
    with ingress_process(environment(), azurite.connection_string, line, PATIENT) as process:
        assert process.ask("POST", PATH, PUSH).status == 202
        line.cut()
        assert says_try_again(process.ask("POST", PATH, PUSH))
        assert says_try_again(process.ask("GET", "/readyz"))
        assert process.ask("GET", "/healthz").status == 200
        line.restore()
        assert process.ask("POST", PATH, PUSH).status == 202
        assert process.ask("GET", "/readyz").status == 200
        assert len(process.received()) == 2


def test_a_sender_is_told_while_the_queue_still_stalls(azurite: Any, line: Line) -> None:
    with ingress_process(environment(), azurite.connection_string, line) as process:
        line.stall()
        assert says_try_again(process.ask("POST", PATH, PUSH))
        assert says_try_again(process.ask("GET", "/readyz"))
        line.restore()
        wait_until(lambda: process.ask("POST", PATH, PUSH).status == 202, GUARD, "a push is taken again")


def test_a_queue_that_stalls_under_load_holds_ten_requests_and_no_more(azurite: Any, line: Line) -> None:
    with ingress_process(environment(), azurite.connection_string, line, PATIENT) as process:
        assert process.ask("POST", PATH, PUSH).status == 202
        line.stall()
        with ThreadPoolExecutor(60) as pool:
            posts = [pool.submit(process.ask, "POST", PATH, PUSH) for _ in range(60)]
            wait_until(lambda: sum(post.done() for post in posts) == 50, GUARD, "fifty of the sixty are answered")
            assert all(says_try_again(post.result()) for post in posts if post.done())
            assert process.ask("GET", "/healthz").status == 200
            hanging = [post for post in posts if not post.done()]
            assert len(hanging) == 10
            line.restore()
            assert {post.result().status for post in hanging} == {202}


def test_an_ingress_that_starts_without_its_queue(azurite: Any, line: Line) -> None:
    line.cut()
    with ingress_process(environment(), azurite.connection_string, line, PATIENT) as process:
        assert says_try_again(process.ask("POST", PATH, PUSH))
        line.restore()
        assert process.ask("POST", PATH, PUSH).status == 202


def test_sigterm_finishes_what_is_in_hand(azurite: Any, line: Line) -> None:
    with ingress_process(environment(), azurite.connection_string, line, PATIENT) as process:
        assert process.ask("POST", PATH, PUSH).status == 202
        line.stall()
        with ThreadPoolExecutor(1) as pool:
            in_hand = pool.submit(process.ask, "POST", PATH, PUSH)
            assert line.holds_bytes.wait(GUARD)
            process.program.signal(signal.SIGTERM)
            process.program.wait_for_log("stopping", GUARD)
            line.restore()
            assert process.program.wait(GUARD) == 0
            assert in_hand.result().status == 202
        assert TOKEN not in process.program.output()


def test_every_settings_error_at_once() -> None:
    wrong = {
        "ACI_HOOKS_WEBHOOK_TOKENS": "short",
        "PORT": "eighty",
        "ACI_HOOKS_MAX_BODY": "0",
        "ACI_HOOKS_QUEUE": "No_Queue",
        "ACI_HOOKS_SECRET_DOCKER": "whose",
        "AZURE_CLOUD": "Azure",
        "ACI_HOOKS_NEXUS_REGISTRY": "https://nexus.example.test",
    }
    ended = subprocess.run([COMMAND], env=wrong, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 2
    for name in (*wrong, "AZURE_STORAGE_CONNECTION_STRING"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_help_needs_no_settings() -> None:
    ended = subprocess.run([COMMAND, "--help"], env={}, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode == 0
    assert "--port" in ended.stdout


def test_hostile_requests(ingress: IngressProcess) -> None:
    answers = {
        str(hostile): ingress.ask("POST", hostile.path, hostile.body, hostile.headers).status for hostile in REQUESTS
    }
    assert answers == {str(hostile): hostile.status for hostile in REQUESTS}
    assert ingress.received() == []


HEAD = f"POST {PATH} HTTP/1.1\r\nHost: a\r\n".encode()
SIZE = f"Content-Length: {len(PUSH)}\r\n".encode()
RAW = {
    "no HTTP": (400, b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n"),
    "half a request line": (400, f"POST {PATH}\r\n\r\n".encode()),
    "another version": (400, f"POST {PATH} HTTP/9.9\r\n\r\n".encode()),
    "a method of small letters": (400, f"post {PATH} HTTP/1.1\r\nHost: a\r\n\r\n".encode()),
    "a path with bytes": (400, b"POST /webhooks/dockerhub/\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a path of 9000 letters": (414, b"POST /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a header without a colon": (400, HEAD + b"oops\r\n\r\n"),
    "a header with a NUL": (400, HEAD + b"X-Api-Key: a\0b\r\n\r\n"),
    "a folded header": (400, HEAD + b"X-A: b\r\n c\r\n\r\n"),
    "a name with a space": (400, HEAD + b"X A: b\r\n\r\n"),
    "200 headers": (431, HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(200)) + b"\r\n"),
    "a header of 9000 letters": (431, HEAD + b"X-A: " + b"b" * 9000 + b"\r\n\r\n"),
    "two lengths": (400, HEAD + SIZE + b"Content-Length: 1\r\n\r\n" + PUSH),
    "a length of letters": (400, HEAD + b"Content-Length: five\r\n\r\n" + PUSH),
    "a negative length": (400, HEAD + b"Content-Length: -1\r\n\r\n" + PUSH),
    "a length with a sign": (400, HEAD + b"Content-Length: +5\r\n\r\n" + PUSH),
    "a length beyond the body": (400, HEAD + b"Content-Length: 5000\r\n\r\n" + PUSH),
    "a length beyond all limits": (400, HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + PUSH),
    "a length beyond the limit": (413, HEAD + b"Content-Length: 99999999999\r\n\r\n" + PUSH),
    "a length and chunks": (400, HEAD + SIZE + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "an unknown coding": (400, HEAD + b"Transfer-Encoding: bogus\r\n\r\n" + PUSH),
    "chunked twice": (400, HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "a chunk of no size": (400, HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"),
    "a chunk that ends early": (400, HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc"),
    "chunks beyond the limit": (
        413,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b" " * 65536 + b"\r\n") * 17 + b"0\r\n\r\n",
    ),
    "an expectation": (417, HEAD + b"Expect: the-unexpected\r\n" + SIZE + b"\r\n" + PUSH),
    "another proxy's path": (202, HEAD + b"SCRIPT_NAME: /evil\r\nPATH_INFO: /evil\r\n" + SIZE + b"\r\n" + PUSH),
    "a repeated bearer": (
        401,
        b"POST /webhooks/dockerhub HTTP/1.1\r\nHost: a\r\n"
        + f"Authorization: Bearer {TOKEN}\r\n".encode() * 2
        + SIZE
        + b"\r\n"
        + PUSH,
    ),
}


@pytest.mark.parametrize("what", RAW)
def test_broken_http_is_refused_and_does_no_harm(ingress: IngressProcess, what: str) -> None:
    status, request = RAW[what]
    answer = ingress.exchange(request)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert len(ingress.received()) == (1 if status == 202 else 0)
    if status != 202:
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status


@settings(max_examples=300)
@given(
    st.binary(max_size=200)
    | st.binary(max_size=80).map(lambda raw: HEAD + raw + b"\r\n\r\n")
    | st.binary(max_size=80).map(lambda raw: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + raw)
    | st.binary(max_size=80).map(lambda raw: HEAD + b"Content-Type: " + raw + b"\r\nContent-Length: 2\r\n\r\n{}")
)
def test_no_bytes_make_a_5xx(ingress: IngressProcess, request_bytes: bytes) -> None:
    answer = ingress.exchange(request_bytes)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 2")), answer


def test_a_sender_that_dawdles_is_told(ingress: IngressProcess) -> None:
    with slow_client(ingress.port, HEAD + SIZE + b"\r\n" + PUSH[:10]) as slow:
        slow.settimeout(GUARD)
        assert slow.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "sent", [b"", b"P", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nG"], ids=["nothing", "a letter", "a second"]
)
def test_a_client_that_sends_no_head_is_cut_off(ingress: IngressProcess, sent: bytes) -> None:
    with slow_client(ingress.port, sent) as slow:
        slow.settimeout(GUARD)
        with suppress(ConnectionResetError):
            while slow.recv(65536):
                pass


def test_requests_follow_each_other_on_one_connection(ingress: IngressProcess) -> None:
    whole = HEAD + SIZE + b"\r\n" + PUSH
    assert ingress.exchange(whole * 3).count(b"HTTP/1.1 202 ") == 3
    assert len(ingress.received()) == 3


WRONG = b"POST /webhooks/dockerhub/a-token-of-nobody HTTP/1.1\r\nHost: a\r\n"
SIGNED = b"POST /webhooks/ghcr HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n"
CLIENTS = {  # what they send at first; some go on with a byte now and then
    "that say nothing": b"",
    "that say one letter": b"P",
    "that keep their end open": b"GET /healthz HTTP/1.0\r\n\r\n",
    "that send half a head": b"POST /webhooks/dockerhub HTTP/1.1\r\nX-A: ",
    "that send half a body with a wrong token": WRONG + b"Content-Length: 100000\r\n\r\n{",
    "that send half a body with a signature": SIGNED + b"Content-Length: 100000\r\n\r\n{",
    "that send half a body with a good token": HEAD + b"Content-Length: 100000\r\n\r\n{",
    "that send chunks for ever": HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n",
}


def slow_client(port: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(sent)
    return connection


@contextmanager
def a_thousand_slow_clients(port: int) -> Iterator[None]:
    """Of every kind; each sends a space now and then, and comes again when it is cut off."""
    kinds = list(CLIENTS.values())
    clients = [slow_client(port, kinds[number % len(kinds)]) for number in range(1000)]
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(0.5):
            for number, client in enumerate(clients):
                try:
                    client.send(b" ")
                except OSError:
                    client.close()
                    clients[number] = slow_client(port, kinds[number % len(kinds)])

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for client in clients:
            client.close()


def test_a_webhook_is_queued_while_a_thousand_slow_clients_are_connected(azurite: Any) -> None:
    with ingress_process(environment(), azurite.connection_string, command=PATIENT) as process:
        with a_thousand_slow_clients(process.port), ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: process.ask("POST", PATH, PUSH), range(80)))
        assert {answer.status for answer in answers} == {202}
        assert len(process.received()) == 80


def test_a_wrong_secret_is_refused_before_the_body_is_there(ingress: IngressProcess) -> None:
    with slow_client(ingress.port, WRONG + b"Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n") as client:
        client.settimeout(GUARD)
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")  # whoever waits for the body answers 400
    with slow_client(ingress.port, HEAD + SIZE + b"Expect: 100-continue\r\n\r\n") as client:
        client.settimeout(GUARD)
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(PUSH)
        assert client.recv(100).startswith(b"HTTP/1.1 202 ")
    assert len(ingress.received()) == 1


@pytest.mark.parametrize("sent", [b"", b"P", HEAD + SIZE + b"\r\n" + PUSH[:10]], ids=["nothing", "a letter", "half"])
def test_sigterm_waits_for_no_slow_client(azurite: Any, sent: bytes) -> None:
    with ingress_process(environment(), azurite.connection_string) as process, slow_client(process.port, sent):
        # The client never ends its side, nor sends the rest.
        assert process.program.terminate(GUARD) == 0


def test_the_processs_log_holds_no_secret(ingress: IngressProcess) -> None:
    assert ingress.ask("POST", PATH, PUSH).status == 202
    assert len(ingress.received()) == 1
    ingress.exchange(f"POST {PATH} {SECRET}\r\n\r\n".encode())
    ingress.exchange(f"POST {PATH} HTTP/1.1\r\n{SECRET}\r\n\r\n".encode())
    log = ingress.program.output()
    assert '"event": "serving"' in log
    assert '"outcome": "queued"' in log
    for secret in (TOKEN, OLD_TOKEN, SECRET):
        assert secret not in log
    for text in log.splitlines():
        json.loads(text)


def test_the_service_is_what_its_openapi_description_says(ingress: IngressProcess, tmp_path: Path) -> None:
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
        "response_schema_conformance,unsupported_method,allow_header_conformance"
    )
    ended = subprocess.run(
        [
            COMMAND.with_name("schemathesis"),
            "run",
            f"http://127.0.0.1:{ingress.port}/openapi.json",
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--checks", checks),
            *("--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "10"),
            *("--seed", "1"),
            *("--request-timeout", "10"),
            "--no-color",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=tmp_path,  # it keeps notes of its runs
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ingress.received()
