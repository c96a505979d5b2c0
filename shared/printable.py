"""What outside systems say, made safe to look at: no control or escape sequence reaches a terminal. Pure.

Such a sequence can rewrite what stands on a screen, or send keys; marks of writing direction let one text pass for
another (CVE-2021-42574).
"""

from __future__ import annotations

import re

# C0 (but for the tab and the newline) and C1 controls, DEL, separators of lines, marks of direction, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


# What programs write to colour their lines, to move in them and to name the window (ECMA-48): the sequences that begin
# with CSI, those that begin with OSC and end with BEL or ST, and the short ones. One may be cut short.
_CSI = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
_OSC = r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
_SEQUENCE = re.compile(rf"{_CSI}|{_OSC}|\x1b[ -/]*[0-~]?")


def plain(text: str) -> str:
    """The text as a terminal would leave it: without colours, and without any other unsafe character."""
    lines = _SEQUENCE.sub("", text).split("\n")
    # A progress bar writes over its own line again and again: only what it wrote last is left to be read.
    return _UNSAFE.sub(
        "", "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    )


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
