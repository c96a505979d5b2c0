"""The kinds of policies, each a pure value that decides about two tags. worker.policy reads them from text.

No answer takes long: a tag has at most 128 characters, and worker.pattern matches in linear time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from worker.pattern import compile_glob, compile_regex
from worker.semver import Range, Version, describe_change, outranks, parse_version, why_not_higher

# A tag by the OCI distribution specification, and `+`, which some registries let pass for build metadata.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
Level = Literal["major", "minor", "patch"]
LEVELS: tuple[Level, ...] = ("major", "minor", "patch")


@dataclass(frozen=True, slots=True)
class Update:
    """The pushed tag may replace the running one; `reason` is a sentence for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Skip:
    """The pushed tag is not for this container; `reason` is a sentence for people."""

    reason: str


Decision = Update | Skip


class Policy(Protocol):
    """A value that answers for any two strings and never raises; its `str` is its spelling."""

    @property
    def ordered(self) -> bool:
        """Does it put tags in an order of their own, higher and lower ones?"""

    def decide(self, running: str | None, pushed: str) -> Decision:
        """May the tag `pushed` replace the tag `running`? None: it runs by digest, and nobody knows its tag."""

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """Is `pushed` the higher one of two tags? None: the policy has no order for these two, so time decides."""


class _Unordered:
    """What the policies without an order of tags have in common."""

    __slots__ = ()

    @property
    def ordered(self) -> bool:
        """No."""
        return False

    def outranks(self, pushed: str, wanted: str) -> bool | None:  # noqa: ARG002 (the protocol names them)
        """Time decides."""
        return None


@dataclass(frozen=True, slots=True)
class AnyTag(_Unordered):
    """Follow every tag that is pushed."""

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update to whatever is a tag."""
        if not _TAG.fullmatch(pushed):
            return _not_a_tag(pushed)
        return _moved(pushed) if pushed == running else Update(f"{pushed} was pushed, and any follows every tag")

    def __str__(self) -> str:
        return "any"


@dataclass(frozen=True, slots=True)
class SameTag(_Unordered):
    """Follow the running tag alone, when it moves to another image."""

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` is the running tag."""
        if not _TAG.fullmatch(pushed):
            return _not_a_tag(pushed)
        if pushed == running:
            return _moved(pushed)
        if running is None:
            return Skip("the image runs by digest and its tag is not known: deploy the tag to follow once")
        return Skip(f"{pushed} is not {_shown(running)}, the running tag, which same-tag alone follows")

    def __str__(self) -> str:
        return "same-tag"


@dataclass(frozen=True, slots=True)
class Glob(_Unordered):
    """Follow the tags that a shell pattern (`*`, `?`, `[abc]`, `[!abc]`) matches in full; ValueError for a bad one."""

    pattern: str

    def __post_init__(self) -> None:
        compile_glob(self.pattern)

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` matches, whatever runs."""
        if not _TAG.fullmatch(pushed):
            return _not_a_tag(pushed)
        if not compile_glob(self.pattern).fullmatch(pushed):
            return Skip(f"{pushed} does not match {self}")
        return _moved(pushed) if pushed == running else Update(f"{pushed} matches {self}")

    def __str__(self) -> str:
        return f"glob:{self.pattern}"


@dataclass(frozen=True, slots=True)
class Regex:
    """Follow the tags that an RE2 pattern matches as a whole; ValueError for a bad one.

    Where the pattern has a group named `version`, what it captures orders the tags, and no update goes down.
    """

    pattern: str

    def __post_init__(self) -> None:
        compile_regex(self.pattern)

    @property
    def ordered(self) -> bool:
        """With a group `version`."""
        return "version" in compile_regex(self.pattern).groupindex

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` matches and, with a group `version`, is higher than the running tag."""
        if not _TAG.fullmatch(pushed):
            return _not_a_tag(pushed)
        match = compile_regex(self.pattern).fullmatch(pushed)
        if not match:
            return Skip(f"{pushed} does not match {self}")
        problem = self._problem(running, pushed) if self.ordered else None
        if problem:
            return Skip(problem)
        return _moved(pushed) if pushed == running else Update(f"{pushed} matches {self}")

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """By the group `version`, as SemVer does; None without one."""
        return outranks(self._version(pushed), self._version(wanted))

    def _problem(self, running: str | None, pushed: str) -> str | None:
        new, old = self._version(pushed), self._version(running)
        if new is None:
            return f"what the group version of {self} captures in {pushed} is not a version"
        if running is None:
            return None
        return why_not_higher(new, old, str(self)) if old else _not_comparable(running, pushed, self)

    def _version(self, tag: str | None) -> Version | None:
        if tag is None or not _TAG.fullmatch(tag):
            return None
        match = compile_regex(self.pattern).fullmatch(tag)
        captured = match.groupdict().get("version") if match else None
        version = parse_version(captured) if captured else None
        return replace(version, text=tag) if version else None

    def __str__(self) -> str:
        return f"regex:{self.pattern}"


@dataclass(frozen=True, slots=True)
class SemVer:
    """Follow higher versions of the running one's variant, never down: up to a change of `bound`, or within a range."""

    bound: Level | Range = "major"
    pre_releases: bool = False

    @property
    def ordered(self) -> bool:
        """Yes."""
        return True

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` is a version, admitted by the bound, and higher than the running one or the same tag."""
        if not _TAG.fullmatch(pushed):
            return _not_a_tag(pushed)
        new, old = _version(pushed), _version(running)
        if new is None:
            return Skip(f"{pushed} is not a version, and {self} follows versions alone")
        if running is not None and old is None:
            return Skip(_not_comparable(running, pushed, self))
        problem = self._not_admitted(new, old) or (self._too_far(new, old) if old else None)
        if problem:
            return Skip(problem)
        if old is None:
            return Update(f"{pushed} is a version, and the image runs by digest, with no tag to compare it with")
        return _moved(pushed) if pushed == running else Update(f"{pushed} is {describe_change(new, old)} {running}")

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """By precedence. False between variants; None for one tag twice, or where `wanted` is no version."""
        return outranks(_version(pushed), _version(wanted))

    def _not_admitted(self, new: Version, old: Version | None) -> str | None:
        if isinstance(self.bound, Range) and new not in self.bound:
            return f"{new} is outside {self.bound.text}"
        if len(new.numbers) == 1 and (old is None or len(old.numbers) > 1):
            return f"{new} may be a build or a date: a single number is a version for those who run one"
        if new.pre_release and not self.pre_releases and not (old and old.pre_release):
            return f"{new} is a pre-release: they are for those who run one, or say {replace(self, pre_releases=True)}"
        if new.variant and old is None:
            return f"{new} is the variant {new.variant}, and the image runs by digest: deploy a tag of its variant once"
        return None

    def _too_far(self, new: Version, old: Version) -> str | None:
        problem = why_not_higher(new, old, str(self))
        fixed = 0 if isinstance(self.bound, Range) else LEVELS.index(self.bound)
        if problem or new.shares(fixed, old):
            return problem
        line = ".".join(str(one) for one in (*old.numbers, 0)[:fixed])
        return f"{new} is {describe_change(new, old)} {old}, and {self} stays within {line}"

    def __str__(self) -> str:
        if self == SemVer():
            return "semver"
        bound = self.bound.text if isinstance(self.bound, Range) else self.bound
        return f"semver:{bound}{'+pre' if self.pre_releases else ''}"


def _version(tag: str | None) -> Version | None:
    """The version of at most three numbers that `tag` is."""
    version = parse_version(tag) if tag else None
    return version if version and len(version.numbers) <= len(LEVELS) else None


def _moved(tag: str) -> Update:
    return Update(f"the tag {tag} moved")


def _not_a_tag(text: str) -> Skip:
    return Skip(f"{_shown(text)} is not a tag")


def _not_comparable(running: str, pushed: str, policy: object) -> str:
    return (
        f"the running tag {_shown(running)} gives no version to compare {pushed} with: deploy one that does once, "
        f"or choose another policy than {policy}"
    )


def _shown(text: str) -> str:
    """`text` as a message may hold it: as it is if it could be a tag, else quoted, escaped and cut."""
    return text if _TAG.fullmatch(text) else repr(text[:80])
