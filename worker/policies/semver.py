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
        problem = self._out_of_reach(new, old) or self._not_asked_for(new, old)
        if problem:
            return Skip(problem)
        if old is None:
            return Update(f"{pushed} is a version, and the image runs by digest, with no tag to compare it with")
        if pushed == running:
            return moved(pushed)
        return Update(f"{pushed} is {describe_change(new, old)} {running}")

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """By precedence. False between variants; None for one tag twice, or where `wanted` is no version."""
        return outranks(_version(pushed), _version(wanted))

    def _out_of_reach(self, new: Version, old: Version | None) -> str | None:
        """Why `new` is outside the bound, or not higher than `old`; None if it is neither."""
        if isinstance(self.bound, Range) and new not in self.bound:
            return f"{new} is outside {self.bound.text}"
        if old is None:
            return None
        problem = why_not_higher(new, old, str(self))
        if problem or isinstance(self.bound, Range):
            return problem
        # How many of the numbers an update leaves as they are: none, the first, the first two.
        kept = LEVELS.index(self.bound)
        if new.shares(kept, old):
            return None
        line = ".".join(str(number) for number in (*old.numbers, 0)[:kept])
        return f"{new} is {describe_change(new, old)} {old}, and {self} stays within {line}"

    def _not_asked_for(self, new: Version, old: Version | None) -> str | None:
        """Why `new` is of a kind that must be asked for, by running one or by the policy; None if it is not.

        A range with an upper end asks for builds and dates: they can't leap over it.
        """
        has_upper_end = isinstance(self.bound, Range) and self.bound.high is not None
        if new.may_be_a_build(old) and not has_upper_end:
            return f"{new} may be a build or a date: such a number is a version for those who run one"
        runs_pre_release = old is not None and bool(old.pre_release)
        if new.pre_release and not (self.pre_releases or runs_pre_release):
            return f"{new} is a pre-release: they are for those who run one, or say {replace(self, pre_releases=True)}"
        if new.variant and old is None:
            return f"{new} is the variant {new.variant}, and the image runs by digest: deploy a tag of its variant once"
        return None

    def __str__(self) -> str:
        bound = self.bound.text if isinstance(self.bound, Range) else self.bound
        kind = "semver" if bound == "major" else f"semver:{bound}"
        return f"{kind}+pre" if self.pre_releases else kind


def _version(tag: str | None) -> Version | None:
    """The version of at most three numbers that `tag` is."""
    version = parse_version(tag) if tag else None
    if version is None or len(version.numbers) > len(LEVELS):
        return None
    return version
