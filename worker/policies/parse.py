"""Policies read from text. What they decide is in policy_kinds, policy_pattern and policy_semver."""

from __future__ import annotations

import re
from difflib import get_close_matches

from worker.policies.compile import LONGEST_PATTERN
from worker.policies.patterns import Glob, Regex
from worker.policies.policy import AnyTag, Decision, Policy, SameTag, Skip, Update
from worker.policies.semver import LEVELS, SemVer
from worker.policies.versions import parse_range

__all__ = [
    "AnyTag",
    "Decision",
    "Glob",
    "InvalidPolicy",
    "Policy",
    "Regex",
    "SameTag",
    "SemVer",
    "Skip",
    "Update",
    "parse_policy",
]

LONGEST_POLICY = LONGEST_PATTERN + len("regex:")
"""Characters of a policy's spelling."""
_ALONE = ("any", "same-tag", "semver")
_KINDS = (*_ALONE, "glob", "regex")
_BOUNDS = (*LEVELS, *(f"{level}+pre" for level in LEVELS))

# Of versions, as people write it elsewhere: 1.x, 1.4.*, v1.4.
_LINE = re.compile(r"v?([0-9]+(?:\.[0-9]+){0,2})(?:\.[x*])*", re.IGNORECASE)


class InvalidPolicy(ValueError):
    """The text is no policy: `problem` says why, `suggestion` is the nearest text that is one, if any is near."""

    def __init__(self, text: str, problem: str, suggestion: str | None = None) -> None:
        super().__init__(text, problem, suggestion)
        self.text, self.problem, self.suggestion = text, problem, suggestion

    def __str__(self) -> str:
        hint = f"; did you mean `{self.suggestion}`?" if self.suggestion else ""
        return f"{self.text[:80]!r} is not a policy: {self.problem}{hint}"


def parse_policy(text: str) -> Policy:
    """Read `any | same-tag | semver[:major|minor|patch|<range>][+pre] | glob:P | regex:P`; raises InvalidPolicy."""
    try:
        return _read(text)
    except ValueError as error:
        raise InvalidPolicy(text, str(error), _nearest(text)) from error


def _read(text: str) -> Policy:
    if len(text) > LONGEST_POLICY or not (text.isascii() and text.isprintable()):
        raise ValueError(f"tags are printable ASCII, and a policy has at most {LONGEST_POLICY} characters")
    kind, colon, rest = text.strip().partition(":")
    match kind:
        case "any" | "same-tag" if not colon:
            return AnyTag() if kind == "any" else SameTag()
        case "semver":
            return _read_semver(text.strip())
        case "semver+pre" if not colon:
            return _read_semver(text.strip())
        case "glob":
            return Glob(rest)
        case "regex":
            return Regex(rest)
        case _:
            raise ValueError("write any, same-tag, semver, semver:<bound>, glob:<pattern> or regex:<pattern>")


def _read_semver(text: str) -> SemVer:
    plain = text.removesuffix("+pre")
    _, colon, bound = plain.partition(":")
    if not colon:
        return SemVer(pre_releases=plain != text)
    for level in LEVELS:
        if bound == level:
            return SemVer(level, plain != text)
    try:
        return SemVer(parse_range(bound), plain != text)
    except ValueError as error:
        raise ValueError(f"semver takes major, minor, patch or a range, and {error}") from error


def _nearest(text: str) -> str | None:
    """A spelling that is near `text` and valid; never one that admits more than what stands behind its colon."""
    text = text[:LONGEST_POLICY].strip()
    kind, colon, rest = text.partition(":")
    word, _, bound = re.sub(r"[^a-z+]+", ":", text.lower()).partition(":")  # of semver=minor or Semver:MINOR
    levels = [f"semver:{level}" for level in get_close_matches(bound or word, _BOUNDS)]
    guesses = [re.sub(r"[,\s]+", " ", text), *(levels if get_close_matches(word, ["semver"]) else [])]
    guesses += [*(near + colon + rest for near in get_close_matches(kind.lower(), _KINDS)), *levels]
    numbers = _LINE.fullmatch(rest or kind)
    guesses += [f"semver:~{numbers[1]}"] if numbers else []
    guesses += [f"semver:{text}", *get_close_matches(kind.lower(), _ALONE if not rest else ("any", "same-tag"))]
    return next((guess for guess in guesses if guess != text and _is_policy(guess)), None)


def _is_policy(text: str) -> bool:
    try:
        _read(text)
    except ValueError:
        return False
    return True
