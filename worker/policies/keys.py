"""The orders `number` and `text`: of whole tags, or of what is extracted from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from worker.policies.extract import Extract
from worker.policies.policy import (
    Decision,
    Ordered,
    Skip,
    Update,
    is_tag,
    not_comparable,
    shown,
    tag_moved,
)
from worker.policies.spelling import is_closer

# What kind of part it is, its numbers, its text. Only one of the last two is in use, but both are there, since Python
# can't compare a number with a text.
Key = tuple[int, tuple[int, ...], str]
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_MISSING: Key = (-1, (), "")
"""The key of a group that did not take part: it comes before every number and every text."""


@dataclass(frozen=True, slots=True)
class ByKey(Ordered):
    """Follow tags that are higher as numbers, or later in the alphabet; never go down.

    A number may have dots, as the builds of Azure DevOps have (20230512.9, then 20230512.10): its parts are compared
    one after the other. With `extract`, what its groups capture is compared, each as a number if it is one. Tags that
    are equal in it are builds of one place, between which time decides.
    """

    kind: Literal["number", "text"]
    extract: Extract | None = None

    def places(self, tag: str) -> bool:
        """Whether the tag contains something to compare."""
        return self._key(tag) is not None

    def decide(self, running: str | None, pushed: str) -> Decision:
        """Update if `pushed` is higher than `running`, equal to it in what is ordered, or the same tag."""
        new = self._key(pushed)
        if new is None:
            return self._without_place(pushed)
        if running is None:
            return Update(
                f"{pushed} has a place in {self}, and the image runs by digest"
            )
        old = self._key(running)
        if old is None:
            return Skip(not_comparable(running, pushed, self))
        if pushed == running:
            return tag_moved(pushed)
        if new < old:
            return Skip(f"{pushed} is lower than {running}, and {self} never goes down")
        if new > old:
            return Update(f"{pushed} is higher than {running}, by {self}")
        # What was not captured, such as the build's own number or a commit, is what makes it another build.
        if self.extract:
            return Update(f"{pushed} ranks the same as {running}, by {self}")
        return Skip(f"{pushed} is the same number as {running}, in another spelling")

    def start(self, running: str, pushed: str) -> Decision:
        """Whether a container whose tag has no place in the order may start with `pushed`."""
        if not self.places(pushed):
            return self._without_place(pushed)
        return Update(
            f"{pushed} has a place in {self}, and {shown(running)}, which runs, has none"
        )

    def outranks(self, pushed: str, wanted: str) -> bool | None:
        """Whether it is higher. None if both have the same place, or `wanted` has none."""
        new, old = self._key(pushed), self._key(wanted)
        if old is None or new == old:
            return None
        return new is not None and new > old

    def prefers(self, running: str | None, first: str, second: str) -> bool | None:
        """As `outranks`; then by the running tag's spelling, where time does not decide."""
        is_same_place = first != second and self._key(first) == self._key(second)
        if self.extract is None and is_same_place:
            return is_closer(running, first, second)
        return self.outranks(first, second)

    def _key(self, tag: str) -> tuple[Key, ...] | None:
        if not is_tag(tag):
            return None
        if self.extract is None:
            return _whole(tag, self.kind)
        parts = self.extract.parts(tag)
        if parts is None:
            return None
        # Of the first part alone: what the other groups capture may be a word, and is compared as one.
        begins_with_number = _NUMBER.fullmatch(parts[0] or "") is not None
        if self.kind == "number" and not begins_with_number:
            return None
        return tuple(
            _MISSING if part is None else _number_or_text(part) for part in parts
        )

    def _without_place(self, pushed: str) -> Skip:
        if self.extract is None:
            return Skip(f"{pushed} is not a number, and {self} follows only numbers")
        if self.extract.parts(pushed) is None:
            return Skip(f"{pushed} does not match {self.extract}")
        return Skip(f"what {self.extract} captures first in {pushed} is not a number")

    def __str__(self) -> str:
        return f"order: {self.kind}"


def _whole(tag: str, kind: Literal["number", "text"]) -> tuple[Key, ...] | None:
    if kind == "text":
        return ((1, (), tag),)
    return (_number_or_text(tag),) if _NUMBER.fullmatch(tag) else None


def _number_or_text(part: str) -> Key:
    """Numbers come before texts, as in SemVer."""
    if not _NUMBER.fullmatch(part):
        return 1, (), part
    return 0, tuple(int(number) for number in part.split(".")), ""
