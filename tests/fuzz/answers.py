"""What must hold of every answer of the ingress, whatever the request was. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fuzz.deliveries import Fuzzed
from tests.ingress_harness import OLD_SECRET, OLD_TOKEN, SECRET, TOKEN

ALLOWED = frozenset({200, 202, 400, 401, 404, 405, 413, 414, 417, 431, 503})
"""What the ingress may answer. 503 is for its queue alone, and for bodies that come too slowly."""
_SECRETS = tuple(secret.encode() for secret in (TOKEN, OLD_TOKEN, SECRET, OLD_SECRET))


@dataclass(frozen=True)
class Answer:
    """One answer: `closes` says that the connection ends with it."""

    status: int
    fields: dict[str, str]
    body: bytes
    closes: bool


def split(data: bytes, *, head_only: bool = False) -> tuple[Answer | None, bytes]:
    """The first answer in the bytes that came, None if more have to come, and what is behind it."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None, data
    line, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (item.partition(":") for item in lines)}
    status = int(line.split(" ")[1])
    if status == 100:
        return split(rest, head_only=head_only)
    length = 0 if head_only else int(fields.get("content-length", "0"))
    if len(rest) < length:
        return None, data
    return Answer(status, fields, rest[:length], fields.get("connection", "").lower() == "close"), rest[length:]


def breaches(request: Fuzzed, answer: Answer) -> Iterator[str]:
    """Why this may not be the answer."""
    if answer.status not in ALLOWED:
        yield f"STATUS: {answer.status}"
    if any(secret in answer.body for secret in _SECRETS):
        yield "SECRET: the answer says a secret"
    is_json = answer.fields.get("content-type", "").split(";")[0] in {"application/problem+json", "application/json"}
    content = _json(answer.body) if is_json and answer.body else None
    if answer.status >= 400 and answer.body:
        if answer.fields.get("content-type") != "application/problem+json" or not isinstance(content, dict):
            yield f"NO PROBLEM: {answer.status} without its details"
        elif content.get("status") != answer.status:
            yield f"NO PROBLEM: {answer.status} that says {content.get('status')}"
    if answer.status == 503 and "retry-after" not in answer.fields:
        yield "NO RETRY-AFTER: 503"
    if answer.status == 202 and not request.may_be_taken:
        yield "TAKEN: queued without a proof"
    if answer.status == 202 and not (isinstance(content, dict) and content.get("pushes")):
        yield "STATUS: 202 that names no push"


def pushes_of(answer: Answer) -> int:
    """How many pushes were queued by this answer."""
    content = _json(answer.body) if answer.status == 202 else None
    return len(content["pushes"]) if isinstance(content, dict) else 0


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None
