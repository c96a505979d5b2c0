"""What outside systems say, made safe to look at: no control or escape sequence reaches a terminal. Pure.

Such a sequence can rewrite what stands on a screen, or send keys; marks of writing direction let one text pass for
another (CVE-2021-42574).
"""

from __future__ import annotations

import re

# C0 (but for the tab and the newline) and C1 controls, DEL, separators of lines, marks of direction, lone surrogates.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    r"""The text with each unsafe character as its escape: `\x1b`, `\u202e`."""
    return _UNSAFE.sub(_escape, text)


def printable_line(text: str) -> str:
    r"""The same in one line: a newline is an escape, too, so that nobody can forge the next line of a log."""
    return printable(text).replace("\n", "\\n")


def printable_json(text: str) -> str:
    """A JSON document with each unsafe character as JSON escapes it: it means the same."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
