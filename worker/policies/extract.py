"""Extract: the part of a tag that decides its order, captured by the groups of a regular expression."""

from __future__ import annotations

import re
from dataclasses import dataclass

from worker.policies.compile import compile_regex

_DOTTED = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class Extract:
    """An RE2 pattern that must match the whole tag. What its groups capture is compared, in the order of the groups.

    Without groups the whole match is compared; with `only`, the group of that name. ValueError for a bad pattern.
    """

    pattern: str
    only: str | None = None

    def __post_init__(self) -> None:
        # For its ValueError: a value of this class has a pattern that compiles. The result is cached in compile.
        compile_regex(self.pattern)

    def parts(self, tag: str) -> tuple[str | None, ...] | None:
        """What each group captures, None for a group that did not take part; None for a tag that does not match."""
        match = compile_regex(self.pattern).fullmatch(tag)
        if match is None:
            return None
        if self.only:
            return (match.groupdict()[self.only],)
        groups: tuple[str | None, ...] = match.groups()
        return groups or (match[0],)

    def version(self, tag: str) -> str | None:
        """The parts joined into the text of a version: numbers by dots, anything else by a dash."""
        parts = [part for part in self.parts(tag) or () if part]
        text = ""
        for part in parts:
            text += _joint(text, part) + part
        return text or None

    def __str__(self) -> str:
        return self.pattern


def _joint(text: str, part: str) -> str:
    """What stands between a text and the part that follows it."""
    if not text:
        return ""
    # A dash between two numbers would make the second one a pre-release or a revision of the first.
    are_numbers = _DOTTED.fullmatch(text) and _DOTTED.fullmatch(part)
    return "." if are_numbers else "-"
