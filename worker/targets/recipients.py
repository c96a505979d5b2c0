"""Recipients: who is told of which outcomes, of which groups. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from shared.globs import glob_pattern

OUTCOMES = (
    "updated",
    "rolled-back",
    "failed",
    "address changed",
    "unchanged",
    "superseded",
    "ignored",
)
"""Every outcome that somebody can be told of."""
TOLD = frozenset({"updated", "rolled-back", "failed", "address changed"})
"""The outcomes that are told where the targets file names none: what was done to a group, and what was not."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who is told. `source` is where the URL is read from; without `groups`, every group concerns them."""

    source: str
    on: frozenset[str] = TOLD
    groups: tuple[str, ...] = ()

    def wants(self, outcome: str, group: str) -> bool:
        """Is this recipient told of such an outcome? `group` is `resource group/container group`, empty if none."""
        if outcome not in self.on:
            return False
        # A push that no target runs is of no group, so only a recipient without `groups` is told of it.
        if not self.groups:
            return True
        return any(_pattern(glob).fullmatch(group) for glob in self.groups)


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    # Azure's names are equal in every spelling.
    return glob_pattern(glob, ignore_case=True)
