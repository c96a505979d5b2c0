"""Reads policies from text. The modules policy, patterns, keys and semver contain what they decide."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from worker.policies.compile import LONGEST_PATTERN
from worker.policies.patterns import Glob, Regex
from worker.policies.policy import AnyTag, Decision, Policy, SameTag, Skip, Update
from worker.policies.semver import LEVELS, SemVer, parse_bound

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
_UNBOUNDED = ("any", "same-tag")
_ALONE = (*_UNBOUNDED, "semver")
_KINDS = (*_ALONE, "glob", "regex")
_BOUNDS = (*LEVELS, *(f"{level}+pre" for level in LEVELS))

# Ranges of versions as people write them elsewhere: 1.x, 1.4.*, v1.4.
_LINE = re.compile(r"v?([0-9]+(?:\.[0-9]+){0,2})(?:\.[x*])*", re.IGNORECASE)


class InvalidPolicy(ValueError):
    """The text is not a policy: `problem` says why, `suggestion` is the nearest valid text, if any is near."""

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
    """The policy; raises ValueError with what is wrong with the text."""
    # A resource tag on Azure may hold any text, and everything below costs in proportion to its length, or more.
    if len(text) > LONGEST_POLICY or not (text.isascii() and text.isprintable()):
        raise ValueError(
            f"tags are printable ASCII, and a policy has at most {LONGEST_POLICY} characters"
        )
    text = text.strip()
    kind, colon, pattern = text.partition(":")
    match kind:
        case "any" if not colon:
            return AnyTag()
        case "same-tag" if not colon:
            return SameTag()
        case "semver":
            return _read_semver(text)
        case "semver+pre" if not colon:
            return SemVer(pre_releases=True)
        case "glob":
            return Glob(pattern)
        case "regex":
            return Regex(pattern)
        case _:
            raise ValueError(
                "write any, same-tag, semver, semver:<bound>, glob:<pattern> or regex:<pattern>"
            )


def _read_semver(text: str) -> SemVer:
    """`semver` or `semver:<bound>`, with or without `+pre` at its end."""
    # At the end of the whole text, since a range may contain several comparators: semver:>=1.4 <2+pre.
    without_pre = text.removesuffix("+pre")
    pre_releases = without_pre != text
    _, colon, bound = without_pre.partition(":")
    if not colon:
        return SemVer(pre_releases=pre_releases)
    return SemVer(parse_bound(bound), pre_releases)


def _nearest(text: str) -> str | None:
    """A valid spelling near `text`; never one that admits more than the bound after its colon."""
    # What is cut from a pattern that is too long may be a pattern, but not the one that was meant.
    if len(text) > LONGEST_POLICY:
        return None
    return next((guess for guess in _guesses(text.strip()) if _is_policy(guess)), None)


def _guesses(text: str) -> Iterator[str]:
    """What may have been meant, the likeliest first. Not every candidate is a valid policy."""
    kind, colon, rest = text.partition(":")
    levels = _guessed_levels(text)
    yield re.sub(r"[,\s]+", " ", text)  # semver:>=1.4, <2
    if _is_like_semver(text):
        yield from levels
    for known in get_close_matches(kind.lower(), _KINDS):  # semvar:>=1.4, Regex:.*
        yield known + colon + rest
    yield from levels  # minor
    line = _LINE.fullmatch(rest or kind)
    if line:  # 1.4.x
        yield f"semver:~{line[1]}"
    yield f"semver:{text}"  # >=1.4
    # Never suggest plain semver for semver:<something>: without the bound it would admit more.
    yield from get_close_matches(kind.lower(), _UNBOUNDED if rest else _ALONE)


def _words(text: str) -> list[str]:
    """The words of a policy in whatever punctuation and case: semver and minor of Semver=MINOR."""
    return re.split(r"[^a-z+]+", text.lower())


def _is_like_semver(text: str) -> bool:
    return bool(get_close_matches(_words(text)[0], ["semver"]))


def _guessed_levels(text: str) -> list[str]:
    """The levels that the second word, or the only word, resembles."""
    word, *others = _words(text)
    bound = ":".join(others) or word
    return [f"semver:{level}" for level in get_close_matches(bound, _BOUNDS)]


def _is_policy(text: str) -> bool:
    try:
        _read(text)
    except ValueError:
        return False
    return True
