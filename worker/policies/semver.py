"""The order `semver`: follow higher versions within a bound, and never go down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from worker.policies.changes import (
    describe_change,
    spell_variant,
    why_not_higher,
    why_not_of_line,
)
from worker.policies.extract import Extract
from worker.policies.policy import (
    Decision,
    Ordered,
    Skip,
    Update,
    is_tag,
    not_a_tag,
    not_comparable,
    shown,
    tag_moved,
)
from worker.policies.ranges import Range, parse_range
from worker.policies.spelling import is_closer
from worker.policies.version_grammar import parse_version
from worker.policies.versions import Version

Level = Literal["major", "minor", "patch"]
_FLOATING = frozenset(
    {"latest", "stable", "current", "lts", "mainline", "edge", "release"}
)
LEVELS: tuple[Level, ...] = ("major", "minor", "patch")
FEW = 1000
"""From this value on, a single number is probably a build or a year."""


@dataclass(frozen=True, slots=True)
class SemVer(Ordered):
    """Follow higher versions of the running line, and never go down: up to a change of `bound`, or within a range.

    With `extract` the version is what it captures, and tags of one version are its builds, between which time
    decides. `named` is what messages call the policy.
    """

    bound: Level | Range = "major"
    pre_releases: bool = False
    extract: Extract | None = None
    named: str = field(default="", compare=False)

    def places(self, tag: str) -> bool:
        """Whether it is a version."""
        return self._version(tag) is not None

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` is a version, admitted by the bound, and higher than the running one or the same tag."""
        new = self._version(pushed)
        if new is None:
            return self._not_a_version(pushed)
        if running is None:
            return self._without_another(
                new, "the image runs by digest", variants=[""], below=0
            )
        old = self._version(running)
        if old is None:
            return Skip(not_comparable(running, pushed, self))
        if problem := self._why_not(new, old):
            return Skip(problem)
        if pushed == running:
            return tag_moved(pushed)
        if new.precedence == old.precedence:
            return Update(
                f"{pushed} is another build of the same version as {running}, by {self}"
            )
        if self.extract:
            return Update(f"{pushed} is higher than {running}, by {self}")
        return Update(f"{pushed} is {describe_change(new, old)} {running}")

    def start(self, running: str, pushed: str) -> Decision:
        """Whether a container whose tag has no place in the order may start with `pushed`."""
        new = self._version(pushed)
        if new is None:
            return self._not_a_version(pushed)
        return self._without_another(
            new, f"{shown(running)} runs", variants=_variants(running), below=FEW
        )

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """By precedence. False between two lines; None for the same tag or version, or if `wanted` is not a version."""
        new, old = self._version(pushed), self._version(wanted)
        if old is None or pushed == wanted:
            return None
        if new is None or new.line != old.line:
            return False
        # With a pattern, tags of one version are builds of it, and time decides between those.
        if self.extract and new.precedence == old.precedence:
            return None
        return new.precedence > old.precedence

    def prefers(self, running: str | None, first: str, second: str) -> bool | None:
        """By precedence, whatever the lines: the versions that may start a container can be of several lines."""
        new, old = self._version(first), self._version(second)
        if new is None or old is None or first == second:
            return None
        # latest-alpine is followed by 1.4.2-alpine rather than by a 1.5.0 of the plain image.
        if running and self.extract is None and not self.places(running):
            meant = _variants(running)[0]
            if (new.variant == meant) != (old.variant == meant):
                return new.variant == meant
        if new.precedence != old.precedence:
            return new.precedence > old.precedence
        return None if self.extract else is_closer(running, first, second)

    def _version(self, tag: str) -> Version | None:
        if not is_tag(tag):
            return None
        text = self.extract.version(tag) if self.extract else tag
        version = parse_version(text) if text else None
        # Messages show the whole tag, and not what was extracted from it.
        return replace(version, text=tag) if version else None

    def _not_a_version(self, pushed: str) -> Skip:
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if self.extract is None:
            return Skip(f"{pushed} is not a version, and {self} follows only versions")
        if self.extract.parts(pushed) is None:
            return Skip(f"{pushed} does not match {self.extract}")
        return Skip(f"what {self.extract} captures in {pushed} is not a version")

    def _why_not(self, new: Version, old: Version) -> str | None:
        """Why `new` may not follow `old`; None if it may. The same tag may."""
        # The line is compared before the order: neither of two lines is higher, whatever their numbers suggest. And a
        # stray is told as that: `higher` would let it pass, and `too far` would not say what is odd about it.
        return (
            self._outside(new)
            or why_not_of_line(new, old, str(self))
            or self._why_stray(new, old)
            or why_not_higher(new, old, str(self))
            or self._why_the_same(new, old)
            or self._too_far(new, old)
            or self._pre_release_unasked(new, old)
        )

    def _outside(self, new: Version) -> str | None:
        if isinstance(self.bound, Range) and new not in self.bound:
            return f"{new} is outside {self.bound.text}"
        return None

    def _why_stray(self, new: Version, old: Version) -> str | None:
        """A stray number can't exceed the upper end of a range, and the author of a pattern knows what it captures."""
        if self._has_upper_end or self.extract or not new.is_stray(old):
            return None
        return f"{new} is probably a year or a build, not a version after {old}: it is over ten times as high"

    def _why_the_same(self, new: Version, old: Version) -> str | None:
        if self.extract or new.text == old.text or new.precedence != old.precedence:
            return None
        return f"{new} is the same version as {old}, in another spelling"

    def _too_far(self, new: Version, old: Version) -> str | None:
        if isinstance(self.bound, Range):
            return None
        # How many leading numbers an update must keep: none, the first, or the first two.
        kept = LEVELS.index(self.bound)
        if new.shares(kept, old):
            return None
        line = ".".join(str(number) for number in old.numbers[:kept])
        return f"{new} is {describe_change(new, old)} {old}, and {self} stays within {line}"

    def _pre_release_unasked(self, new: Version, old: Version | None) -> str | None:
        runs_pre_release = old is not None and bool(old.pre_release)
        if not new.pre_release or self.pre_releases or runs_pre_release:
            return None
        return f"{new} is a pre-release, and none runs here: deploy one once, or write {self._with_pre_releases()}"

    def _without_another(
        self, new: Version, why: str, *, variants: Sequence[str], below: int
    ) -> Decision:
        """What a container that runs no version may start with. Nothing can be higher, so only a clear version may.

        A single number is a version only if it is less than `below`. With `start` somebody has asked for it. An image
        by digest may have any tag, and the full version of a release is often pushed at the same moment.
        """
        problem = self._outside(new) or self._pre_release_unasked(new, None)
        if problem:
            return Skip(problem)
        # Whoever wrote a pattern knows what it captures: it is taken for what it says.
        is_whole_tag = self.extract is None
        is_bounded = self._has_upper_end
        if is_whole_tag and not is_bounded and new.may_be_a_build(below):
            return Skip(
                f"{new} may be a build or a date: deploy such a number once if it is meant as a version"
            )
        if is_whole_tag and new.variant not in variants:
            return Skip(
                f"{new} is {spell_variant(new)}, and {why}: deploy a tag of its variant once"
            )
        return Update(
            f"{new} is a version, and {why}, with no version to compare it with"
        )

    @property
    def _has_upper_end(self) -> bool:
        return isinstance(self.bound, Range) and self.bound.high is not None

    def _with_pre_releases(self) -> str:
        if self.named:  # the long form
            return "pre_releases: true"
        return str(replace(self, pre_releases=True))

    def __str__(self) -> str:
        if self.named:
            return self.named
        bound = self.bound.text if isinstance(self.bound, Range) else self.bound
        kind = "semver" if bound == "major" else f"semver:{bound}"
        return f"{kind}+pre" if self.pre_releases else kind


def _variants(running: str) -> list[str]:
    """The variants that a tag without a version may mean, the likeliest first: `alpine` for latest-alpine.

    `alpine` itself may be a variant, or the name of a branch whose images are plain.
    """
    word, _, variant = running.partition("-")
    return [variant] if variant and word.lower() in _FLOATING else [running, ""]


def parse_bound(text: str) -> Level | Range:
    """How far semver goes; ValueError says what is wrong with the text."""
    for level in LEVELS:
        if text == level:
            return level
    try:
        return parse_range(text)
    except ValueError as error:
        raise ValueError(
            f"semver takes major, minor, patch or a range, and {error}"
        ) from error
