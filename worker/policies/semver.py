"""The policy `semver`: higher versions, as far as it goes, and never down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from worker.policies.policy import Decision, Skip, Update, is_tag, moved, not_a_tag, not_comparable
from worker.policies.versions import Range, Version, describe_change, outranks, parse_version, why_not_higher

Level = Literal["major", "minor", "patch"]
LEVELS: tuple[Level, ...] = ("major", "minor", "patch")


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
        if not is_tag(pushed):
            return not_a_tag(pushed)
        new, old = _version(pushed), _version(running)
        if new is None:
            return Skip(f"{pushed} is not a version, and {self} follows versions alone")
        if running is not None and old is None:
            return Skip(not_comparable(running, pushed, self))
        problem = self._out_of_reach(new, old) or self._not_for_all(new, old)
        if problem:
            return Skip(problem)
        if old is None:
            return Update(f"{pushed} is a version, and the image runs by digest, with no tag to compare it with")
        return moved(pushed) if pushed == running else Update(f"{pushed} is {describe_change(new, old)} {running}")

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """By precedence. False between variants; None for one tag twice, or where `wanted` is no version."""
        return outranks(_version(pushed), _version(wanted))

    def _out_of_reach(self, new: Version, old: Version | None) -> str | None:
        if isinstance(self.bound, Range) and new not in self.bound:
            return f"{new} is outside {self.bound.text}"
        if old is None:
            return None
        problem = why_not_higher(new, old, str(self))
        fixed = 0 if isinstance(self.bound, Range) else LEVELS.index(self.bound)
        if problem or new.shares(fixed, old):
            return problem
        line = ".".join(str(one) for one in (*old.numbers, 0)[:fixed])
        return f"{new} is {describe_change(new, old)} {old}, and {self} stays within {line}"

    def _not_for_all(self, new: Version, old: Version | None) -> str | None:
        closed = isinstance(self.bound, Range) and self.bound.high is not None
        if new.may_be_a_build(old) and not closed:
            return f"{new} may be a build or a date: such a number is a version for those who run one"
        if new.pre_release and not self.pre_releases and not (old and old.pre_release):
            return f"{new} is a pre-release: they are for those who run one, or say {replace(self, pre_releases=True)}"
        if new.variant and old is None:
            return f"{new} is the variant {new.variant}, and the image runs by digest: deploy a tag of its variant once"
        return None

    def __str__(self) -> str:
        bound = self.bound.text if isinstance(self.bound, Range) else self.bound
        return f"semver{'' if bound == 'major' else f':{bound}'}{'+pre' if self.pre_releases else ''}"


def _version(tag: str | None) -> Version | None:
    """The version of at most three numbers that `tag` is."""
    version = parse_version(tag) if tag else None
    return version if version and len(version.numbers) <= len(LEVELS) else None
