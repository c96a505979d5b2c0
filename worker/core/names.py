"""What to call container groups. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.message import TargetId


def names_of(targets: Iterable[TargetId]) -> Callable[[TargetId], str]:
    """What to call each of these: with its subscription if several share a resource group and a name."""
    several = Counter(str(target).lower() for target in set(targets))
    return lambda target: (
        f"{target.subscription}/{target}"
        if several[str(target).lower()] > 1
        else str(target)
    )
