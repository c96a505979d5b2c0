r"""Unescaping: what a text says behind the escapes of JSON, URLs and HTML, and where each character of it stood. Pure.

Encoders differ in what they escape, and how: `+` is `\u002B` to .NET, `/` is `\/` to PHP, `&` is `\u0026` to Go, and
`%2f` is `%2F`. Read backwards, all of them say the same.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair of surrogates
    r"|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[\"'\\/bfnrt]"
    r"|%[0-9a-fA-F]{2}(?:%[89abAB][0-9a-fA-F])*"  # UTF-8: what follows the first byte of a character is 80 to BF
    r"|&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos);"
)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Unescaped:
    """A text without one layer of escapes. `places[i]` is where its character i began, the last one where it ended."""

    text: str
    places: list[int]


def unescaped(text: str) -> Unescaped | None:
    """The text without one layer of escapes; None if it has none."""
    pieces: list[str] = []
    places: list[int] = []
    end = 0
    for found in _ESCAPE.finditer(text):
        said = _said(found[0])
        pieces += (text[end : found.start()], said)
        places += range(end, found.start())
        # Of an escape that stands for several characters, each is the whole of it: no part of it can be taken out.
        places += [found.start()] * len(said)
        end = found.end()
    if not pieces:
        return None
    pieces.append(text[end:])
    places += range(end, len(text) + 1)
    return Unescaped("".join(pieces), places)


def _said(escape: str) -> str:
    """What an escape stands for. Total: what is no character stands for the replacement character."""
    if escape.startswith("%"):
        return bytes.fromhex(escape.replace("%", "")).decode(errors="replace")
    if escape.startswith("&"):
        return html.unescape(escape)
    kind, rest = escape[1], escape[2:]
    if kind == "x":
        return chr(int(rest, 16))
    if kind == "u":
        units = bytes.fromhex(rest.replace("\\u", ""))
        return units.decode("utf-16-be", errors="replace")
    return _LETTERS.get(kind, kind)
