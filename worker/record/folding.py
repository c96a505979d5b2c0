"""Folding: several superseded pushes in a row are one outcome of a record's history. Pure."""

from __future__ import annotations

from worker.record.values import Outcome


def folded(outcome: Outcome, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """The history with one more outcome. Of several superseded pushes in a row, the newest stands for all."""
    # Without this, a burst of pushes would drive everything else out of the history.
    if outcomes and _may_be_folded(outcome, outcomes[0]):
        return (outcome.but(count=outcomes[0].count + outcome.count), *outcomes[1:])
    return (outcome, *outcomes)


def _may_be_folded(outcome: Outcome, before: Outcome) -> bool:
    both_superseded = outcome.result == before.result == "superseded"
    return both_superseded and outcome.containers == before.containers
