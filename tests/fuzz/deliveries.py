"""Requests to the ingress, each drawn from a seed and its number: mutations of the corpus's real deliveries. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Literal
from urllib.parse import parse_qs, quote_from_bytes, urlencode

from shared.settings import SENDERS
from tests.fuzz.mutation import damaged, encoded, mutated, spoilt, written
from tests.hostile_requests import REQUESTS
from tests.ingress_harness import OLD_SECRET, OLD_TOKEN, SECRET, TOKEN, ways
from tests.samples import all_samples
from tests.samples.corpus import corpus

Kind = Literal["whole", "torn", "pipelined", "spoilt"]
"""How a request comes: as HTTP has it; with its end missing; several at a time; or as bytes that may be no HTTP."""

LARGE = 1_048_576 + 1
"""Bytes of a body that is too large."""
_METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT", "PATCH", "FOO", "post")
_OTHER_PATHS = ("/", "/healthz", "/metrics", "/openapi.json", "/webhooks", "/webhooks/", "//webhooks/ghcr", "*")
_TYPES = (
    "application/json", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "text/plain", "",
    "*/*", "multipart/form-data; boundary=x", "application/cloudevents+json; charset=utf-8", "application/json;" * 40,
)  # fmt: skip
_FIELDS = (
    "Authorization", "X-Hub-Signature-256", "X-GitHub-Event", "X-GitHub-Delivery", "X-JFrog-Event-Auth", "X-Api-Key",
    "X-Nexus-Webhook-Signature", "X-Nexus-Webhook-Id", "aeg-event-type", "ce-type", "traceparent", "Content-Encoding",
    "Host", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "Cookie", "Accept", "Range", "Expect", "Connection",
    "Upgrade", "Origin", "WebHook-Request-Origin", "Content-Length", "Transfer-Encoding", "X_Api_Key",
)  # fmt: skip
_VALUES = (
    "", " ", "a" * 7000, "a" * 9000, "0", "-1", "9" * 30, "chunked", "gzip", "100-continue", "close", "h2c",
    "push", "package", "registry_package", "ping", "Notification", "SubscriptionValidation", "sha256=", "sha256=0",
    "Bearer ", "Bearer e30.e30.e30", "Basic Og==", "Basic \xe9", "bytes=0-1", "\xe4\xff", "00-" + "0" * 32 + "-0-01",
)  # fmt: skip
_SLOW_HEADERS = frozenset({"expect", "content-length", "transfer-encoding", "connection", "upgrade", "http2-settings"})
"""Headers of which a random value may say that the request is another one than it seems."""
_PROOFS = {sender: list(ways(sender, SECRET).values()) + list(ways(sender, OLD_SECRET).values()) for sender in SENDERS}


@dataclass(frozen=True)
class Fuzzed:
    """A request as it goes over the wire. `count`: how many requests the bytes hold, if they are proper ones.

    `may_be_taken`: a secret is in it that proves it, or nobody can tell; without one it may never be queued.
    """

    number: int
    kind: Kind
    wire: bytes
    count: int = 1
    method: str = "POST"
    may_be_taken: bool = True
    body: int = 0


@dataclass(frozen=True)
class _Base:
    sender: str
    headers: dict[str, str]
    body: bytes
    document: str | None
    """The body's JSON text if it has one."""
    form: str | None = None


def draw(seed: int, number: int, tokens: tuple[str, ...] = ()) -> Fuzzed:
    """The request of this number. `tokens` are signed tokens that Google's sender takes."""
    dice = Random(f"{seed}:{number}")
    throw = dice.random()
    if throw < 0.93:
        return _one(dice, number, tokens)
    if throw < 0.95:
        whole = _one(dice, number, tokens)
        return Fuzzed(number, "torn", whole.wire[: dice.randrange(1, len(whole.wire))], 1, whole.method)
    if throw < 0.97:
        # All by one method, so that it is known which answers have a body.
        several = [_one(dice, number, tokens, "POST") for _ in range(dice.randrange(2, 6))]
        return Fuzzed(number, "pipelined", b"".join(item.wire for item in several), len(several), "several")
    whole = _one(dice, number, tokens, "POST")
    head, _, body = whole.wire.partition(b"\r\n\r\n")
    return Fuzzed(number, "spoilt", damaged(dice, head) + b"\r\n\r\n" + body, 1, whole.method)


def _one(dice: Random, number: int, tokens: tuple[str, ...], method: str = "") -> Fuzzed:
    base = dice.choice(_bases())
    body = _body(dice, base)
    proof, path, proven = _proof(dice, base.sender, body, tokens)
    method = method or ("POST" if dice.random() < 0.97 else dice.choice(_METHODS))
    fields = _fields(dice, base, body)
    spoils = {name.lower() for name, _ in fields} & _SLOW_HEADERS
    fields += proof.items()
    if dice.random() < 0.03:
        path, proven = dice.choice((*_OTHER_PATHS, f"{path}?{quote_from_bytes(dice.randbytes(9))}")), True
    wire = _wire(dice, method, path, fields, body)
    # A line break within a header may end the head, and what is behind it is another request.
    is_odd = spoils or method in {"CONNECT", "HEAD", "post"} or path == "*" or any("\n" in value for _, value in fields)
    kind: Kind = "spoilt" if is_odd else "whole"
    return Fuzzed(number, kind, wire, 1, method, proven or bool(spoils), len(body))


def _body(dice: Random, base: _Base) -> bytes:
    throw = dice.random()
    if base.document is None:
        return base.body if throw < 0.5 else damaged(dice, base.body)
    if throw < 0.05:
        return base.body
    if throw < 0.06:
        return damaged(dice, base.body)
    if throw < 0.062:
        return b" " * dice.choice((LARGE - 1, LARGE, 2 * LARGE))
    if throw < 0.065:
        return encoded(dice, written(dice, [json.loads(base.document)] * dice.choice((60, 201, 400))))
    text = written(dice, mutated(dice, json.loads(base.document)))
    if base.form and dice.random() < 0.9:
        return urlencode({base.form: text.encode("utf-8", "surrogatepass")}).encode()
    return encoded(dice, text)


def _proof(dice: Random, sender: str, body: bytes, tokens: tuple[str, ...]) -> tuple[dict[str, str], str, bool]:
    """Headers, a path, and whether they prove the delivery."""
    path = f"/webhooks/{sender}"
    own = _PROOFS[sender]
    throw = dice.random()
    if throw < 0.5:
        return {}, f"{path}/{dice.choice((TOKEN, OLD_TOKEN))}", True
    if throw < 0.6:
        return {"Authorization": f"Bearer {TOKEN}"}, path, True
    if throw < 0.8 and own:
        return dice.choice(own)(body), path, True
    if throw < 0.8 and sender == "gcr" and tokens:
        return {"Authorization": f"Bearer {dice.choice(tokens)}"}, path, True
    if throw < 0.84 and own:
        headers = dice.choice(own)(body + b" ")
        # What is no signature proves any body.
        return headers, path, True
    if throw < 0.88:
        return {"Authorization": spoilt(dice, f"Bearer {TOKEN}").encode("ascii", "replace").decode()}, path, True
    if throw < 0.93:
        wrong = dice.choice(
            ("wrong", TOKEN[:-1], TOKEN.upper(), SECRET, f"{TOKEN}x", "%ff%fe", f"{TOKEN}%00", "a" * 3000)
        )
        return {}, f"{path}/{wrong}", False
    other = dice.choice(("docker", sender.upper(), "x" * 200, "%2e%2e", "", f"{sender}%20"))
    return ({}, path, False) if throw < 0.98 else ({}, f"/webhooks/{other}/{TOKEN}", False)


def _fields(dice: Random, base: _Base, body: bytes) -> list[tuple[str, str]]:
    fields = [("Host", "ingress.test"), *base.headers.items()]
    while dice.random() < 0.15:
        fields.append((dice.choice(_FIELDS), dice.choice(_VALUES)))
    if dice.random() < 0.05:
        fields.append(("Content-Type", dice.choice(_TYPES)))
    if dice.random() < 0.05:
        del fields[dice.randrange(len(fields))]
    if dice.random() < 0.005:
        fields += [(f"X-{number}", "a") for number in range(dice.choice((80, 101, 400)))]
    return fields


def _wire(dice: Random, method: str, path: str, fields: list[tuple[str, str]], body: bytes) -> bytes:
    if chunked := dice.random() < 0.04:
        fields = [*fields, ("Transfer-Encoding", "chunked")]
    else:
        fields = [*fields, ("Content-Length", str(len(body)))]
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
    return head.encode("latin-1", "replace") + b"\r\n" + (b"".join(_chunks(dice, body)) if chunked else body)


def _chunks(dice: Random, body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        size = min(len(body) - at, dice.choice((1, 17, 900, 70_000)) if len(body) < 20_000 else 70_000)
        yield b"%x\r\n%s\r\n" % (size, body[at : at + size])
        at += size
    yield b"0\r\n\r\n"


@cache
def _bases() -> tuple[_Base, ...]:
    """What is mutated: every delivery of the corpus, every sample, and the hostile requests' bodies."""
    bases = [_base(corpu.sender, corpu.headers, corpu.body) for corpu in corpus()]
    bases += [_base(all_sample.sender, all_sample.headers, all_sample.body) for all_sample in all_samples()]
    for hostile in REQUESTS:
        sender = hostile.path.split("/")[2] if hostile.path.count("/") > 1 else ""
        if sender in SENDERS and len(hostile.body) < 60_000:
            bases.append(_base(sender, hostile.headers, hostile.body))
    return tuple(bases)


def _base(sender: str, headers: dict[str, str], body: bytes) -> _Base:
    # Each request has a proof of its own, or none.
    kept = {name: value for name, value in headers.items() if name.lower() not in {"authorization", "content-length"}}
    is_form = "x-www-form-urlencoded" in headers.get("Content-Type", "")
    if is_form and body.startswith(b"payload="):
        text = parse_qs(body.decode())["payload"][0]
        return _Base(sender, kept, body, text if _is_json(text) else None, "payload")
    text = body.decode("utf-8", "replace")
    return _Base(sender, kept, body, text if _is_json(text) else None)


def _is_json(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict | list)
