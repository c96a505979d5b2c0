"""The policies that match tags against a pattern: `glob` and `regex`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from worker.policies.compile import compile_glob, compile_regex
from worker.policies.policy import Decision, Skip, Unordered, Update, is_tag, moved, not_a_tag, not_comparable
from worker.policies.versions import Version, outranks, parse_version, why_not_higher


@dataclass(frozen=True, slots=True)
class Glob(Unordered):
    """Follow the tags that a shell pattern (`*`, `?`, `[abc]`, `[!abc]`) matches in full; ValueError for a bad one."""

    pattern: str

    def __post_init__(self) -> None:
        compile_glob(self.pattern)

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` matches, whatever runs."""
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if not compile_glob(self.pattern).fullmatch(pushed):
            return Skip(f"{pushed} does not match {self}")
        return moved(pushed) if pushed == running else Update(f"{pushed} matches {self}")

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
        for name in compile_regex(self.pattern).groupindex:
            if name != "version" and name.lower() == "version":
                raise ValueError(f"a group that orders the tags is named version, not {name}")

    @property
    def ordered(self) -> bool:
        """With a group `version`."""
        return "version" in compile_regex(self.pattern).groupindex

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` matches and, with a group `version`, is higher than the running tag."""
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if not compile_regex(self.pattern).fullmatch(pushed):
            return Skip(f"{pushed} does not match {self}")
        if self.ordered:
            return self._compare(running, pushed)
        return moved(pushed) if pushed == running else Update(f"{pushed} matches {self}")

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """By the group `version`, as SemVer does; None without one, and for two tags of one version."""
        new, old = self._version(pushed), self._version(wanted)
        if new and old and _same(new, old):
            return None
        return outranks(new, old)

    def _compare(self, running: str | None, pushed: str) -> Decision:
        new, old = self._version(pushed), self._version(running)
        if new is None:
            return Skip(f"what the group version of {self} captures in {pushed} is not a version")
        if pushed == running:
            return moved(pushed)
        if running is None:
            return Update(f"{pushed} matches {self}")
        if old is None:
            return Skip(not_comparable(running, pushed, self))
        if _same(new, old):
            return Update(f"{pushed} is another build of the version of {running}, by {self}")
        problem = why_not_higher(new, old, str(self))
        return Skip(problem) if problem else Update(f"{pushed} is higher than {running}, by {self}")

    def _version(self, tag: str | None) -> Version | None:
        if tag is None or not is_tag(tag):
            return None
        match = compile_regex(self.pattern).fullmatch(tag)
        captured = match.groupdict().get("version") if match else None
        if not captured:
            return None
        version = parse_version(captured)
        return replace(version, text=tag) if version else None  # messages show the whole tag

    def __str__(self) -> str:
        return f"regex:{self.pattern}"


def _same(new: Version, old: Version) -> bool:
    return new.variant == old.variant and new.precedence == old.precedence
