"""What `aci-hooks check` has found about one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shared.errors import RemoteError

State = Literal["ok", "HELD", "missing", "hint", "FAILED"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Only FAILED is a failure: a hold is intended, what is missing gets created, and a hint is good to know.
    """

    what: str
    detail: str = ""
    state: State = "ok"


def finding_of(what: str, look: Callable[[], tuple[str, State]]) -> Finding:
    """What `look` finds; an outside system that does not answer is a failure of this one thing."""
    try:
        return Finding(what, *look())
    except RemoteError as error:
        return Finding(what, str(error), "FAILED")
