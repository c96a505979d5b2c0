"""Mutations of JSON documents and of bytes, drawn from dice. Pure."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

DEPTHS = (40, 900, 20_000)
_DEEP = "@@nested@@"
"""Stands in a document for what `json.dumps` could not write."""

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**64), 10**400, 0.1, -0.0, 1e308, float("nan"), float("inf"),
    253402300800, -62135596801, 1e18, 1765362245123,
    "", " ", "\0", "\n", "\x1b[31m", "\u202e", "\ud800", "\udfff\ud800", "\u0661", "\uff0f", "caf\u00e9", "\U0001f4a9",
    "a" * 129, "a" * 256, "a" * 5000, "../..", "a/../b", "/", "//", "@", ":", "v1@sha256:00", "%2e",
    "http://127.0.0.1/",
    "sha256:" + "0" * 64, "sha256:" + "F" * 64, "sha512:" + "a" * 128, "sha256:", "localhost:5000/a", "[::1]:5000/a",
    "169.254.169.254", "127.0.0.1:80", "evil.test/acme/shop", "docker.io/acme/shop:v2", "latest", "-", ".",
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00", "2026-13-45T99:99:99Z", "1e999",
    "2026-01-01T00:00:00.123456789123456789+23:59", "null", "true", "{}", "[]", "NaN", "true\r\nX-Header: 1",
    [], {}, [[]], [None], {"": ""}, [{}], ["a"] * 300, {"a": {"a": {"a": []}}}, {"__proto__": {}, "constructor": 1},
    _DEEP,
)  # fmt: skip
_NAMES = ("", "id", "type", "action", "push_data", "events", "tag", "digest", "\ud800", "a" * 300, "schema", "kind")


def mutated(dice: Random, document: Any, pool: Sequence[Any] = HOSTILE) -> Any:
    """The document with a few of its places changed. It is changed itself where it can be."""
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        document = _changed(dice, document, pool)
    return document


def _changed(dice: Random, document: Any, pool: Sequence[Any]) -> Any:
    places = list(_places(document))
    if not places or dice.random() < 0.02:
        return _value(dice, pool)
    holder, key = dice.choice(places)
    match dice.randrange(8):
        case 0:
            del holder[key]
        case 1:
            holder[key] = [holder[key]] * dice.choice((1, 2, 7))
        case 2:
            holder[key] = {dice.choice(_NAMES): holder[key]}
        case 3:
            other, at = dice.choice(places)
            # A holder must not come to hold itself: it is written as text, and taken as a value of its own.
            holder[key] = other[at] if not isinstance(other[at], dict | list) else json.dumps(other[at])
        case 4 if isinstance(holder, dict):
            holder[dice.choice(_NAMES)] = _value(dice, pool)
        case 5 if isinstance(holder[key], str):
            holder[key] = spoilt(dice, holder[key])
        case _:
            holder[key] = _value(dice, pool)
    return document


def _value(dice: Random, pool: Sequence[Any]) -> Any:
    # A copy: what is in two places could come to hold itself.
    return copy.deepcopy(dice.choice(pool))


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Every place in the document: what holds it, and by which key."""
    found, left = list[tuple[Any, Any]](), [document]
    while left:
        holder = left.pop()
        keys = holder.keys() if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            left.append(holder[key])
    return found


def spoilt(dice: Random, text: str) -> str:
    """A text that is nearly this one."""
    at = dice.randrange(len(text) + 1)
    odd = dice.choice(
        ("\0", "\n", "/", "@", ":", "..", "%00", "\u0130", "\ud800", " ", "A", "_", "\x7f", "'", '"', "\\")
    )
    return dice.choice((text[:at], text[at:], text[:at] + odd + text[at:], text * 2, text.upper(), text + odd * 200))


def written(dice: Random, document: Any) -> str:
    """The document as JSON text, in one of the ways in which it can be written; sometimes as text that is none."""
    ascii_only = dice.random() < 0.7
    text = json.dumps(document, ensure_ascii=ascii_only, indent=dice.choice((None, None, None, 1)))
    if _DEEP in text:
        depth = dice.choice(DEPTHS)
        text = text.replace(f'"{_DEEP}"', dice.choice(("[" * depth + "]" * depth, '{"a":' * depth + "0" + "}" * depth)))
    if dice.random() < 0.05:
        text = dice.choice(_TEXTS)(dice, text)
    return text


def _twice(dice: Random, text: str) -> str:
    """A name of an object twice."""
    at = text.find('"')
    end = text.find(",", at)
    return text[:at] + text[at : end + 1] + text[at:] if 0 <= at < end else text + text


_TEXTS: tuple[Callable[[Random, str], str], ...] = (
    _twice,
    lambda dice, text: text[: dice.randrange(len(text) + 1)],
    lambda dice, text: text + text,
    lambda dice, text: text.replace(":", ":\n\t ", 3) + " " * dice.choice((1, 9000)),
    lambda dice, text: text.replace('"', "'"),
    lambda dice, text: f"// a comment\n{text}",
    lambda dice, text: text.replace("0", "9" * dice.choice((20, 400, 5000)), 1),
    lambda dice, text: text.replace("}", ",}", 1),
)


def encoded(dice: Random, text: str) -> bytes:
    """The text as bytes, sometimes in another encoding, compressed, or damaged."""
    if dice.random() < 0.93:
        return text.encode("utf-8", "surrogatepass")
    plain = text.encode("utf-8", "replace")
    return dice.choice(_BYTES)(dice, plain)


def damaged(dice: Random, data: bytes) -> bytes:
    """The bytes with some of them flipped, gone, or more of them."""
    spoiling = bytearray(data)
    for _ in range(dice.choice((1, 1, 3, 20))):
        at = dice.randrange(len(spoiling) + 1)
        match dice.randrange(4):
            case 0:
                spoiling[at:at] = dice.randbytes(dice.choice((1, 2, 8)))
            case 1:
                del spoiling[at : at + dice.choice((1, 4, 64))]
            case 2:
                spoiling[at : at + 1] = bytes([dice.randrange(256)])
            case _:
                spoiling[at:at] = spoiling[max(0, at - 16) : at] * dice.choice((1, 3))
    return bytes(spoiling)


_BYTES: tuple[Callable[[Random, bytes], bytes], ...] = (
    damaged,
    damaged,
    lambda dice, data: data.decode().encode(dice.choice(("utf-16", "utf-16-le", "utf-32", "utf-7"))),
    lambda dice, data: b"\xef\xbb\xbf" + data,
    lambda dice, data: gzip.compress(data, 1, mtime=0),
    lambda dice, data: data[: dice.randrange(len(data) + 1)],
    lambda dice, data: dice.randbytes(dice.choice((0, 1, 7, 300))),
    lambda dice, data: data.replace(b'"', b"\xff", 2),
)
