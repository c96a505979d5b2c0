"""A corpus of deliveries, one file a sender, each with the vendor's page behind it. All in our own words.

A row of `deliveries` is a change of one of the file's `bodies` (the body `push` if it names none), and what is right:

- `page`: which of the file's `pages` documents it
- `set`, `drop`: places of the body that have another value, or are gone
- `take`, `repeat`: a part of the body in its place, a list of the body twice
- `wrap`, `text`, `bytes`: the body, a text, or bytes in base64 are published to Pub/Sub
- `form`: the field of a form that holds the body; `raw`: another body altogether
- `headers`: beside those of the file; `settings`: where images are pulled from
- `status`, and for 202 its `pushes` (an image, or an image and its digest), for 200 a part of the `reason` or the whole
  `answer`, for 400 a part of the `detail`
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

_ROOT = Path(__file__).parent


@dataclass(frozen=True)
class CorpusDelivery:
    """One delivery and its right answer; `settings` are the registries' hosts that are configured."""

    sender: str
    case: str
    page: str
    headers: dict[str, str]
    body: bytes
    status: int
    pushes: list[tuple[str, str | None]] = field(default_factory=list)
    reason: str = ""
    detail: str = ""
    answer: Any = None
    settings: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.sender}: {self.case}"


@cache
def corpus() -> tuple[CorpusDelivery, ...]:
    """All of it."""
    return tuple(delivery for path in sorted(_ROOT.glob("*.yaml")) for delivery in _read(path))


def _read(path: Path) -> Iterator[CorpusDelivery]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    for row in document["deliveries"]:
        yield CorpusDelivery(
            path.stem,
            row["case"],
            document["pages"][row["page"]],
            {**document["headers"], **row.get("headers", {})},
            _body(row, document["bodies"]),
            row["status"],
            [(push, None) if isinstance(push, str) else (push[0], push[1]) for push in row.get("pushes", [])],
            **{key: row[key] for key in ("reason", "detail", "answer", "settings") if key in row},
        )


def _body(row: dict[str, Any], bodies: dict[str, Any]) -> bytes:
    if "raw" in row:
        return str(row["raw"]).encode()
    if "text" in row:
        return _published(str(row["text"]).encode(), bodies["envelope"])
    if "bytes" in row:
        return _published(base64.b64decode(row["bytes"]), bodies["envelope"])
    body = json.dumps(_changed(row, bodies[row.get("body", "push")])).encode()
    if "form" in row:
        return urlencode({row["form"]: body}).encode()
    return _published(body, bodies["envelope"]) if row.get("wrap") else body


def _changed(row: dict[str, Any], body: Any) -> Any:
    body = copy.deepcopy(body)
    for place in row.get("take", []):
        body = body[place]
    if "repeat" in row:
        body[row["repeat"]] += copy.deepcopy(body[row["repeat"]])
    for place, value in row.get("set", {}).items():
        parent, key = _at(body, place)
        if isinstance(parent, list) and key == len(parent):
            parent.append(value)
        else:
            parent[key] = value
    for place in row.get("drop", []):
        parent, key = _at(body, place)
        del parent[key]
    return body


def _at(body: Any, place: str) -> tuple[Any, Any]:
    """What holds one place of a document, such as `events.0.target.tag`, and the place's key or index there."""
    *parents, last = (int(key) if key.isdigit() else key for key in place.split("."))
    for key in parents:
        body = body[key]
    return body, last


def _published(data: bytes, envelope: dict[str, Any]) -> bytes:
    message = {**envelope["message"], "data": base64.b64encode(data).decode()}
    return json.dumps({**envelope, "message": message}).encode()
