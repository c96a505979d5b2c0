"""The policies that match tags against a pattern, `glob` and `regex`, and the matchers of the long form.

A pattern is compiled when its policy is made, for the error alone, and again at each use: worker.policies.compile keeps
what it has compiled. So a policy stays a plain value, which can be compared and hashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.policies.compile import compile_glob, compile_regex
from worker.policies.conditions import UNCONDITIONAL, Conditions
from worker.policies.extract import Extract
from worker.policies.policy import (
    Decision,
    Skip,
    Unordered,
    Update,
    is_tag,
    not_a_tag,
    tag_moved,
)
from worker.policies.semver import SemVer


@dataclass(frozen=True, slots=True)
class Matcher:
    """What `match` and `exclude` list: `glob:P` (the whole tag), `regex:P` (anywhere in it), or a tag as it is."""

    kind: Literal["glob", "regex", "tag"]
    pattern: str

    def __post_init__(self) -> None:
        if self.kind == "glob":
            compile_glob(self.pattern)
        elif self.kind == "regex":
            compile_regex(self.pattern)
        elif not is_tag(self.pattern):
            raise ValueError(
                "neither a tag nor a pattern: a pattern is written glob:1.* or regex:^v"
            )

    def matches(self, tag: str) -> bool:
        """Whether the tag matches."""
        if self.kind == "glob":
            return bool(compile_glob(self.pattern).fullmatch(tag))
        # Anywhere, unlike the policy `regex:`. `exclude` mostly names a part of a tag, such as -rc, and whoever forgets
        # the anchors there excludes too much. The policy would admit too much.
        if self.kind == "regex":
            return bool(compile_regex(self.pattern).search(tag))
        return tag == self.pattern

    def __str__(self) -> str:
        return self.pattern if self.kind == "tag" else f"{self.kind}:{self.pattern}"


def parse_matcher(text: str) -> Matcher:
    """Read one entry of `match` or `exclude`; ValueError says what is wrong with it."""
    kind, _, pattern = text.partition(":")
    if kind == "glob":
        return Matcher("glob", pattern)
    if kind == "regex":
        return Matcher("regex", pattern)
    return Matcher("tag", text)


@dataclass(frozen=True, slots=True)
class Glob(Unordered):
    """Follow the tags that a shell pattern (`*`, `?`, `[abc]`, `[!abc]`) matches; ValueError for a bad pattern."""

    pattern: str

    def __post_init__(self) -> None:
        compile_glob(self.pattern)

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` matches, whatever runs."""
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if not compile_glob(self.pattern).fullmatch(pushed):
            return Skip(f"{pushed} does not match {self}")
        return (
            tag_moved(pushed)
            if pushed == running
            else Update(f"{pushed} matches {self}")
        )

    def __str__(self) -> str:
        return f"glob:{self.pattern}"


@dataclass(frozen=True, slots=True)
class Regex:
    """Follow the tags that an RE2 pattern matches as a whole; ValueError for a bad one.

    Where the pattern has a group named `version`, what it captures orders the tags, and no update goes down. Tags of
    one version are ordered by time: they are its builds.
    """

    pattern: str

    def __post_init__(self) -> None:
        # A group named Version would be any group: the tags would have no order, and an update could go down.
        for name in compile_regex(self.pattern).groupindex:
            if name != "version" and name.lower() == "version":
                raise ValueError(
                    f"a group that orders the tags is named version, not {name}"
                )

    @property
    def ordered(self) -> bool:
        """With a group `version`."""
        return self._order is not None

    @property
    def conditions(self) -> Conditions:
        """None."""
        return UNCONDITIONAL

    def places(self, tag: str) -> bool:
        """With a group `version`, whether it captures a version."""
        return self._order is None or self._order.places(tag)

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` matches and, with a group `version`, is higher than the running tag."""
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if not compile_regex(self.pattern).fullmatch(pushed):
            return Skip(f"{pushed} does not match {self}")
        if self._order:
            return self._order.decide(running, pushed)
        return (
            tag_moved(pushed)
            if pushed == running
            else Update(f"{pushed} matches {self}")
        )

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """By the group `version`, as SemVer does; None without one, and for two tags of one version."""
        return self._order.outranks(pushed, wanted) if self._order else None

    def prefers(self, running: str | None, first: str, second: str) -> bool | None:
        """Likewise."""
        return self._order.prefers(running, first, second) if self._order else None

    @property
    def _order(self) -> SemVer | None:
        """The pattern itself decides which pre-releases match, so there is no separate rule for them."""
        if "version" not in compile_regex(self.pattern).groupindex:
            return None
        return SemVer(
            pre_releases=True, extract=Extract(self.pattern, "version"), named=str(self)
        )

    def __str__(self) -> str:
        return f"regex:{self.pattern}"
