"""What a policy is and what it answers, and the two kinds that compare only the tags themselves.

Policies are pure values; worker.policies.parse reads them from text. No answer takes long: a tag has at most 128
characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from worker.policies.conditions import UNCONDITIONAL, Conditions

# A tag as the OCI distribution specification defines it, plus `+`, which some registries accept for build metadata:
# github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")


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
    """A value that answers for any two strings and never raises. Its `str` is its spelling."""

    @property
    def ordered(self) -> bool:
        """Whether it orders tags from low to high."""

    @property
    def conditions(self) -> Conditions:
        """What must be true besides the tag's place in the order."""

    def places(self, tag: str) -> bool:
        """Whether this tag has a place in the order. `latest` has none among versions. Without an order, all have."""

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Whether the tag `pushed` may replace the tag `running`, which is None if the image runs by digest."""

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """Whether `pushed` is the higher of two tags. None: the policy does not order these two, so time decides."""

    def prefers(self, running: str | None, first: str, second: str) -> bool | None:
        """Whether `first` is the better of two tags that may both replace `running`.

        None: time decides, as it does between two pushes of one tag.

        The policy's own order comes first, then the running tag's spelling. So the answer depends neither on the order
        of a list nor on which of them came first.
        """


class Unordered:
    """What policies without an order of tags have in common."""

    __slots__ = ()

    @property
    def ordered(self) -> bool:
        """No."""
        return False

    @property
    def conditions(self) -> Conditions:
        """None."""
        return UNCONDITIONAL

    def places(self, tag: str) -> bool:  # noqa: ARG002 (the protocol names it)
        """Yes."""
        return True

    def outranks(self, pushed: str, wanted: str) -> bool | None:  # noqa: ARG002 (the protocol names them)
        """Time decides."""
        return None

    def prefers(self, running: str | None, first: str, second: str) -> bool | None:  # noqa: ARG002 (as above)
        """Time decides."""
        return None


class Ordered:
    """What policies with an order of tags have in common."""

    __slots__ = ()

    @property
    def ordered(self) -> bool:
        """Yes."""
        return True

    @property
    def conditions(self) -> Conditions:
        """None."""
        return UNCONDITIONAL


@dataclass(frozen=True, slots=True)
class AnyTag(Unordered):
    """Follow every tag that is pushed."""

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update to any valid tag."""
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if pushed == running:
            return tag_moved(pushed)
        return Update(f"{pushed} was pushed, and any follows every tag")

    def __str__(self) -> str:
        return "any"


@dataclass(frozen=True, slots=True)
class SameTag(Unordered):
    """Follow only the running tag, when it moves to another image."""

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` is the running tag."""
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if pushed == running:
            return tag_moved(pushed)
        if running is None:
            return Skip(
                "the image runs by digest and its tag is not known: deploy the tag to follow once"
            )
        return Skip(
            f"{pushed} is not {shown(running)}, the running tag, and same-tag follows only that"
        )

    def __str__(self) -> str:
        return "same-tag"


def is_tag(text: str) -> bool:
    """Whether it could be a tag."""
    return bool(_TAG.fullmatch(text))


def tag_moved(tag: str) -> Update:
    """The running tag was pushed again."""
    return Update(f"the tag {tag} moved")


def not_a_tag(text: str) -> Skip:
    """The pushed text can't be a tag."""
    return Skip(f"{shown(text)} is not a tag")


def not_comparable(running: str, pushed: str, policy: object) -> str:
    """Why a policy with an order skips every push: the running tag has no place in it."""
    return (
        f"the running tag {shown(running)} has no place in the order ({policy}), so nothing can be compared with it: "
        f"deploy a tag such as {pushed} once, or write start: true in the long form of the policy"
    )


def shown(text: str) -> str:
    """`text` in a form that is safe in a message: unchanged if it could be a tag, else quoted, escaped and cut."""
    return text if is_tag(text) else repr(text[:80])
