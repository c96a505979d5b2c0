"""The long form of a policy: which tags count, what orders them, and what else must hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from worker.policies.conditions import UNCONDITIONAL, Conditions, spell_age
from worker.policies.extract import Extract
from worker.policies.keys import ByKey
from worker.policies.patterns import Matcher
from worker.policies.policy import (
    AnyTag,
    Decision,
    Skip,
    Update,
    is_tag,
    not_a_tag,
    tag_moved,
)
from worker.policies.ranges import Range
from worker.policies.semver import Level, SemVer

Order = AnyTag | SemVer | ByKey
ORDERS = ("semver", "number", "text", "pushed")


@dataclass(frozen=True, slots=True)
class LongForm:
    """A policy of several parts. AnyTag as `order` is `pushed`: the later push wins.

    `start`: may a running tag without a place in the order (`latest`) be replaced by one that has it?
    """

    order: Order
    match: tuple[Matcher, ...] = ()
    exclude: tuple[Matcher, ...] = ()
    start: bool = False
    conditions: Conditions = UNCONDITIONAL

    @property
    def ordered(self) -> bool:
        """Whether its order is one of tags."""
        return self.order.ordered

    def places(self, tag: str) -> bool:
        """Whether its order has a place for it. A running tag that `match` leaves out is still compared."""
        return self.order.places(tag)

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` counts and its order admits it."""
        if not is_tag(pushed):
            return not_a_tag(pushed)
        if problem := self._does_not_count(pushed):
            return Skip(problem)
        if isinstance(self.order, AnyTag):
            if pushed == running:
                return tag_moved(pushed)
            return Update(f"{pushed} counts, and the latest push wins")
        if self.start and running is not None and not self.places(running):
            return self.order.start(running, pushed)
        return self.order.decide(running, pushed)

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """As its order says; with `start`, a tag that has a place is higher than one that has none."""
        # The order itself has no answer then, and time would decide between 1.4.2 and a `latest` that waits beside it.
        if self.start and not self.places(wanted):
            return self.places(pushed)
        return self.order.outranks(pushed, wanted)

    def prefers(self, running: str | None, first: str, second: str) -> bool | None:
        """As its order says."""
        return self.order.prefers(running, first, second)

    def _does_not_count(self, tag: str) -> str | None:
        if self.match and not any(matcher.matches(tag) for matcher in self.match):
            return f"{tag} matches none of {_listed(self.match)}"
        for matcher in self.exclude:
            if matcher.matches(tag):
                return f"{tag} is excluded by {matcher}"
        return None

    def __str__(self) -> str:
        return f"{{{', '.join(self._parts())}}}"

    def _parts(self) -> Iterator[str]:
        order = self.order
        yield f"order: {_name(order)}"
        if isinstance(order, SemVer):
            yield f"within: {order.bound.text if isinstance(order.bound, Range) else order.bound}"
            yield f"pre_releases: {str(order.pre_releases).lower()}"
        if not isinstance(order, AnyTag) and order.extract:
            yield f"extract: {order.extract}"
        if self.match:
            yield f"match: [{_listed(self.match)}]"
        if self.exclude:
            yield f"exclude: [{_listed(self.exclude)}]"
        if self.conditions.platform:
            yield f"platform: {self.conditions.platform}"
        if self.conditions.min_age is not None:
            yield f"min_age: {spell_age(self.conditions.min_age)}"
        if self.start:
            yield "start: true"


def order_of(
    name: str,
    bound: Level | Range | None = None,
    extract: Extract | None = None,
    *,
    pre_releases: bool = False,
) -> Order:
    """The order of this name. Options that only semver has are ignored for the others."""
    if name == "semver":
        # Its reasons must hold for the whole policy, so they name it rather than a short form, which says nothing of
        # the pattern that made the difference.
        named = "" if extract is None else "order: semver"
        return SemVer(bound or "major", pre_releases, extract, named)
    if name == "number":
        return ByKey("number", extract)
    if name == "text":
        return ByKey("text", extract)
    return AnyTag()


def _name(order: Order) -> str:
    if isinstance(order, ByKey):
        return order.kind
    return "semver" if isinstance(order, SemVer) else "pushed"


def _listed(matchers: tuple[Matcher, ...]) -> str:
    return ", ".join(str(matcher) for matcher in matchers)
