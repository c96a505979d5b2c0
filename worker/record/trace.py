"""The trace of ended pushes that are in no group's record. Pure.

No target runs their repository, or they failed before a record was reached. It is one small blob beside the records.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.message import TargetId
from worker.record.values import Outcome, Value

TRACES_KEPT = 100


class End(Value):
    """How a push ended, and for which target, if one was known."""

    target: TargetId | None = None
    outcome: Outcome


class Trace(Value):
    """The ends of such pushes, newest first."""

    schema_: Literal["aci-hooks/trace/1"] = Field("aci-hooks/trace/1", alias="schema")
    ends: tuple[End, ...] = ()

    def with_end(self, end: End) -> Trace:
        """The trace with one more end. Messages may be delivered twice, but an end appears once."""
        new = (end.outcome.id, end.target)
        others = (
            other for other in self.ends if (other.outcome.id, other.target) != new
        )
        return Trace(ends=(end, *others)[:TRACES_KEPT])
