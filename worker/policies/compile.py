"""Patterns over tags, matched by RE2, which needs bounded memory and linear time whatever the pattern is.

The grammar: https://github.com/google/re2/wiki/Syntax. It has neither look-around nor back-references.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

LONGEST_PATTERN = 512
"""Characters."""
_MEMORY = (
    1 << 20
)  # bytes for one compiled pattern; RE2 refuses a pattern that needs more
# A set in brackets, whose first member may be a ], or any other character by itself.
_GLOB_PART = re.compile(r"\[!?\]?[^\]]*\]|[^\[]", re.DOTALL)
# How RE2 speaks of look-around and of back-references.
_LACKING = re.compile(r"perl operator: \(\?<?[=!]|escape sequence: \\[1-9k]")
_WILDCARDS = {"*": ".*", "?": "."}
_OF_TAGS = re.compile(r"[A-Za-z0-9_.+-]+")


def compile_regex(pattern: str) -> Any:
    """The compiled pattern, with `fullmatch` as in `re`; ValueError says what is wrong with the pattern."""
    _check(pattern)
    return _compile(pattern)


def compile_glob(pattern: str) -> Any:
    """The same for a shell pattern: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`. RE2 can't compile fnmatch's own."""
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
        raise ValueError(
            f"tags are ASCII, and a pattern has at most {LONGEST_PATTERN} characters"
        )


def _check_part(part: str) -> None:
    if part.startswith("[^"):
        raise ValueError("write [!abc] for any character except these")
    if part in _WILDCARDS:
        return
    foreign = _OF_TAGS.sub("", _members(part))
    if foreign:
        raise ValueError(
            f"no tag contains {foreign[0]!r}; alternatives such as a or b are written regex:(a|b)"
        )


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY
    # RE2 would write to stderr what is wrong, beside the log; the exception says the same.
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode(errors="replace")
        # A pattern that was written for another engine. RE2's own words do not say that it lacks this altogether.
        is_lacking = _LACKING.search(said)
        lacking = (
            "; RE2 has neither look-around nor back-references" if is_lacking else ""
        )
        raise ValueError(f"RE2 says: {said}{lacking}") from error


def _translate(part: str) -> str:
    if part in _WILDCARDS:
        return _WILDCARDS[part]
    if not _is_set(part):
        return re.escape(part)
    # Only characters of tags have passed the check, and between brackets those mean the same to RE2 and to a shell.
    members = _members(part)
    return f"[^{members}]" if part.startswith("[!") else f"[{members}]"


def _is_set(part: str) -> bool:
    return len(part) > 1


def _members(part: str) -> str:
    """The characters between the brackets of a set; any other part is its own single member."""
    return part[1:-1].removeprefix("!") if _is_set(part) else part
