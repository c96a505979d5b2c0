"""gcr's OpenID Connect tokens, against a key server of the tests' own."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ingress.keys import KeyServer
from shared.errors import RemoteError
from tests.ingress_harness import AUDIENCE, EMAIL, ISSUER, TOKEN, KeyIssuer, RecordingQueue, client_for, key_server
from tests.samples import load

PUSH = load("gcr", "push").body
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def issuer() -> Iterator[KeyIssuer]:
    with key_server() as served:
        yield served


def status(issuer: KeyIssuer, authorization: str | None, **settings: str) -> tuple[int, int]:
    """The answer's status, and how many pushes it put onto the queue."""
    queue = RecordingQueue()
    client = client_for(queue, jwks_url=issuer.url, **settings)
    headers = {"Authorization": authorization} if authorization else {}
    return client.post("/webhooks/gcr", data=PUSH, headers=headers).status_code, len(queue.sent)


def test_a_token_of_the_service_account_is_let_in(issuer: KeyIssuer) -> None:
    assert status(issuer, f"Bearer {issuer.token()}") == (202, 1)
    assert status(issuer, f"bearer {issuer.token(aud=[AUDIENCE, 'https://other.example.test'])}") == (202, 1)
    assert issuer.fetches == 2  # one for each application


def test_the_common_token_needs_no_keys(issuer: KeyIssuer) -> None:
    assert status(issuer, f"Bearer {TOKEN}") == (202, 1)
    assert issuer.fetches == 0


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://accounts.elsewhere.test"},
        {"iss": None},
        {"aud": "https://other.example.test"},
        {"aud": None},
        {"aud": []},
        {"aud": {"a": AUDIENCE}},
        {"email": "somebody@else.iam.gserviceaccount.test"},
        {"email": None},
        {"email": [EMAIL]},
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "true"},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iat": None},
        {"nbf": int(time.time()) + 3600},
    ],
    ids=lambda claims: " ".join(claims),  # not their values: the times are others for each process of the tests
)
def test_a_token_with_other_claims_is_not(issuer: KeyIssuer, claims: dict[str, Any]) -> None:
    assert status(issuer, f"Bearer {issuer.token(**claims)}") == (401, 0)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_a_token_that_the_issuer_did_not_sign_is_not(issuer: KeyIssuer) -> None:
    good = issuer.token()
    head, claims, signature = good.split(".")
    public_key = issuer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hs256_head = encoded(json.dumps({"alg": "HS256", "kid": issuer.key_id}).encode())
    hs256 = encoded(hmac.digest(public_key, f"{hs256_head}.{claims}".encode(), "sha256"))
    forged = {
        "another key": issuer.token(key=STRANGER),
        "unknown key id": issuer.token(key_id="second"),
        "no signature": f"{head}.{claims}.",
        "algorithm none": jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCE, "email": EMAIL, "email_verified": True}, "", "none"
        ),
        "public key as HMAC secret": f"{hs256_head}.{claims}.{hs256}",
        "claims replaced": f"{head}.{encoded(b'{}')}.{signature}",
        "not a token": "a.b.c",
        "one part": "abc",
        "not base64": "%.%.%",
        "non-ASCII": "caf\u00e9.caf\u00e9.caf\u00e9",
    }
    answers = {name: status(issuer, f"Bearer {token}") for name, token in forged.items()}
    assert answers == dict.fromkeys(forged, (401, 0))


def test_nothing_is_accepted_unless_audience_and_email_are_configured(issuer: KeyIssuer) -> None:
    settings = {"ACI_HOOKS_GCR_AUDIENCE": "", "ACI_HOOKS_GCR_EMAIL": ""}
    assert status(issuer, f"Bearer {issuer.token()}", **settings) == (401, 0)
    assert issuer.fetches == 0


def test_keys_are_cached_and_a_strangers_token_fetches_none(issuer: KeyIssuer) -> None:
    queue = RecordingQueue()
    client = client_for(queue, jwks_url=issuer.url)
    for _ in range(3):
        client.post("/webhooks/gcr", data=PUSH, headers={"Authorization": f"Bearer {issuer.token()}"})
    for number in range(5):
        token = issuer.token(key_id=f"made-up-{number}")
        client.post("/webhooks/gcr", data=PUSH, headers={"Authorization": f"Bearer {token}"})
        token = issuer.token(iss="https://accounts.elsewhere.test")
        client.post("/webhooks/gcr", data=PUSH, headers={"Authorization": f"Bearer {token}"})
    assert len(queue.sent) == 3
    assert issuer.fetches == 1


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_rotated_key_is_found_after_a_pause(issuer: KeyIssuer) -> None:
    clock = Clock()
    keys = KeyServer(issuer.url, clock)
    assert keys.find("first")
    issuer.key_id = "second"
    assert keys.find("second") is None
    clock.now += 31
    assert keys.find("second")
    assert keys.find("first") is None


def test_the_token_in_the_url_is_enough_while_the_keys_are_away(issuer: KeyIssuer) -> None:
    issuer.answer = (500, b"")
    queue = RecordingQueue()
    client = client_for(queue, jwks_url=issuer.url)
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    assert client.post(f"/webhooks/gcr/{TOKEN}", data=PUSH, headers=headers).status_code == 202
    assert [item.push.proof for item in queue.sent] == ["token"]
    assert client.post("/webhooks/gcr/another-token", data=PUSH, headers=headers).status_code == 503


def test_a_known_key_is_found_while_another_is_fetched(issuer: KeyIssuer) -> None:
    clock = Clock()
    keys = KeyServer(issuer.url, clock)
    assert keys.find("first")
    clock.now += 31
    fetching, go_on = threading.Event(), threading.Event()

    def answer() -> bytes:
        fetching.set()
        assert go_on.wait(10)
        return b""

    issuer.document = answer  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        forged = pool.submit(keys.find, "made-up")
        assert fetching.wait(10)
        known = pool.submit(keys.find, "first")
        try:
            assert known.result(1)  # a fetch is given three seconds
            assert not forged.done()
        finally:
            go_on.set()
        with pytest.raises(RemoteError):
            forged.result()


@pytest.mark.parametrize(
    "document",
    [
        b'{"keys": [' + b" " * 300_000 + b"]}",
        b'{"keys": [' + b'{"kty": "none", "kid": "k"},' * 200 + b'{"kty": "none"}]}',
    ],
    ids=["bytes", "keys"],
)
def test_a_key_document_is_bounded(issuer: KeyIssuer, document: bytes) -> None:
    issuer.answer = (200, document)
    with pytest.raises(RemoteError, match=r"more than 262144 bytes|at most 100 keys"):
        KeyServer(issuer.url, Clock()).find("first")


ODD_KEYS: list[object] = [
    "x", None, 5, [], {}, {"kty": "RSA"}, {"kid": ["a"]}, {"kid": {"a": 1}}, {"use": ["sig"]},
    {"kty": "RSA", "kid": "a", "n": "!", "e": 5}, {"kty": "oct", "kid": "b", "k": 5},
    {"kty": "EC", "kid": "c", "crv": "P-256", "x": "", "y": ""},
]  # fmt: skip


def test_one_odd_key_does_not_take_the_others_with_it(issuer: KeyIssuer) -> None:
    (good,) = json.loads(issuer.document())["keys"]
    for odd in ODD_KEYS:
        issuer.answer = (200, json.dumps({"keys": [odd, good, {**good, "kid": "enc", "use": "enc"}]}).encode())
        assert status(issuer, f"Bearer {issuer.token()}") == (202, 1), odd
        assert status(issuer, f"Bearer {issuer.token(key_id='enc')}") == (401, 0)


@pytest.mark.parametrize("odd", ODD_KEYS, ids=str)
def test_a_document_of_nothing_else_is_fetched_once(issuer: KeyIssuer, odd: object) -> None:
    issuer.answer = (200, json.dumps({"keys": [odd]}).encode())
    keys = KeyServer(issuer.url, Clock())
    for _ in range(3):
        with pytest.raises(RemoteError, match="no key for signatures"):
            keys.find("a")
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "answer", [(500, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"keys": []}'), (302, b"")], ids=str
)
def test_a_key_server_in_trouble_is_a_503_and_not_a_refusal(issuer: KeyIssuer, answer: tuple[int, bytes]) -> None:
    issuer.answer = answer
    assert status(issuer, f"Bearer {issuer.token()}") == (503, 0)


def test_known_keys_stay_good_while_the_key_server_is_away(issuer: KeyIssuer) -> None:
    clock = Clock()
    keys = KeyServer(issuer.url, clock)
    assert keys.find("first")
    issuer.answer = (500, b"")
    clock.now += 7200
    assert keys.find("first")
    assert issuer.fetches == 2
    assert keys.find("first")
    assert issuer.fetches == 2  # no hammering
    with pytest.raises(RemoteError, match="key server"):
        keys.find("second")
    issuer.answer = None
    clock.now += 6
    assert keys.find("second") is None
