"""Messages of the queue, each drawn from a seed and its number: mutations of those that the project sends. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.fuzz.mutation import HOSTILE, damaged, encoded, mutated, spoilt, written

MOST = 48 * 1024
"""Bytes that the queue takes, about: a longer text is cut."""
_TIMES = (
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00Z",
    "9990-01-01T00:00:00+14:00",
    -1,
    10**18,
    "2026-01-01",
    "now",
    0,
)
_COUNTS = (-1, 0, 1, 8, 2**31, 2**63, 10**30, 0.5, 1e308, "7", None, True)
_POOL = (
    *HOSTILE,
    *_TIMES,
    *_COUNTS,
    "push",
    "rollout",
    "look",
    "aci-hooks/1",
    "aci-hooks/2",
    "aci-hooks/dead-letter/1",
)
_TARGETS: tuple[Any, ...] = (
    "a/b/c", ["a", "b", "c"], {}, {"subscription": "..", "resource_group": "..", "container_group": ".."},
    {"subscription": "a" * 128, "resource_group": "b", "container_group": "\u202e"}, {"container_group": "shop"},
)  # fmt: skip


def draw_message(seed: int, number: int, target: dict[str, str], pushed: Sequence[str]) -> str:
    """The text of this message, for a queue whose worker has this target. `pushed`: repositories, as docker.io/a/b."""
    dice = Random(f"{seed}:message:{number}")
    message = _plain(dice, number, dict(target), pushed)
    throw = dice.random()
    if throw < 0.04:
        return base64.b64encode(dice.randbytes(dice.choice((0, 1, 30, 3000)))).decode()
    if throw < 0.08:
        return _printable(
            dice.choice((json.dumps(message), "=", "====", " ", "\u2028", "a" * 5001, "e30", "\ufeffe30="))
        )
    if throw < 0.20:
        return _in_base64(json.dumps(message).encode())
    if throw < 0.40:
        place = dice.choice(
            ("received_at", "attempts", "dequeued", "count", "waited", "target", "schema", "kind", "id")
        )
        message[place] = dice.choice(_TARGETS if place == "target" else _TIMES if place == "received_at" else _COUNTS)
        return _in_base64(json.dumps(message).encode())
    if throw < 0.43:
        return _in_base64(damaged(dice, json.dumps(message).encode()))
    text = _in_base64(encoded(dice, written(dice, mutated(dice, message, _POOL))))
    return text if throw < 0.97 else _printable(spoilt(dice, text))


def _plain(dice: Random, number: int, target: dict[str, str], pushed: Sequence[str]) -> dict[str, Any]:
    """A message as the ingress or a worker sends it."""
    schema = {"schema": "aci-hooks/1"}
    if dice.random() < 0.3:
        token = f"token-{number}"
        return {**schema, "kind": "look", "target": target, "token": token, "count": dice.choice((0, 1, 2, 10**9))}
    registry, _, repository = dice.choice(pushed).partition("/")
    push = {"sender": "generic", "registry": registry, "repository": repository, "tag": f"f{number}", "digest": None}
    push |= {"pushed_at": "2026-01-01T00:00:00Z", "pusher": "ada", "proof": dice.choice(("own", "token", "operator"))}
    message = {**schema, "id": f"fuzzed-{number}", "push": push, "received_at": "2026-01-01T00:00:01Z"}
    if dice.random() < 0.5:
        return {**message, "kind": "push", "traceparent": f"00-{number:032x}-{number:016x}-01"}
    return {**message, "kind": "rollout", "target": target, "attempts": 0, "dequeued": 0}


def _in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()[:MOST]


def _printable(text: str) -> str:
    """What XML, in which the queue takes and gives its messages, can hold."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\t ")[:MOST] or "-"
