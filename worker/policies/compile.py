"""Patterns over tags, matched by RE2: in time linear in the tag's length whatever the pattern is, in bounded memory.

The grammar: https://github.com/google/re2/wiki/Syntax. It has neither look-around nor back-references.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

LONGEST_PATTERN = 512
"""Characters."""
_MEMORY = 1 << 20  # bytes for one compiled pattern; RE2 refuses a pattern that needs more
_GLOB_PART = re.compile(r"\[!?\]?[^\]]*\]|[^\[]", re.DOTALL)
_LACKING = re.compile(r"perl operator: \(\?<?[=!]|escape sequence: \\[1-9k]")
_WILDCARDS = {"*": ".*", "?": "."}


def compile_regex(pattern: str) -> Any:
    """The compiled pattern, with `fullmatch` as in `re`; ValueError says what is wrong with the pattern."""
    _check(pattern)
    return _compile(pattern)


def compile_glob(pattern: str) -> Any:
    """The same of a shell pattern: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`. fnmatch's translation uses what RE2 lacks."""
    _check(pattern)
    parts = _GLOB_PART.findall(pattern)
    if "".join(parts) != pattern:
        raise ValueError("a [ is never closed")
    for part in parts:
        _check_part(part)
    return _compile("".join(_translate(part) for part in parts))


def _check(pattern: str) -> None:
    if not pattern:
        raise ValueError("the pattern is missing")
    if len(pattern) > LONGEST_PATTERN or not pattern.isascii():
        raise ValueError(f"tags are ASCII, and a pattern has at most {LONGEST_PATTERN} characters")


def _check_part(part: str) -> None:
    if part.startswith("[^"):
        raise ValueError("write [!abc] for any character but these")
    members = part[1:-1].removeprefix("!") if len(part) > 1 else part
    if never := "" if part in _WILDCARDS else re.sub(r"[A-Za-z0-9_.+-]", "", members):
        raise ValueError(f"no tag holds {never[0]!r}; alternatives such as a or b are written regex:(a|b)")


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode(errors="replace")
        lacking = "; RE2 has neither look-around nor back-references" if _LACKING.search(said) else ""
        raise ValueError(f"RE2 says: {said}{lacking}") from error


def _translate(part: str) -> str:
    if part in _WILDCARDS:
        return _WILDCARDS[part]
    if len(part) == 1:
        return re.escape(part)
    negated = part[1] == "!"
    members = re.sub(r"([\\\[\]^])", r"\\\1", part[2 if negated else 1 : -1])
    return f"[{'^' if negated else ''}{members}]"
