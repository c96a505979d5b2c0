"""How a record's history grows: superseded pushes in a row are one outcome, and the oldest outcomes go. Pure."""

from __future__ import annotations

from worker.record.values import DEAD, Outcome

OUTCOMES_KEPT, CHANGES_KEPT = 50, 25
"""How many outcomes the history keeps, and how many of those that changed the group, or failed to, stay in any case."""


def folded(outcome: Outcome, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """The history with one more outcome. Of several superseded pushes in a row, the newest stands for all."""
    # Without this, a burst of pushes would drive everything else out of the history.
    if outcomes and _may_be_folded(outcome, outcomes[0]):
        return (outcome.but(count=outcomes[0].count + outcome.count), *outcomes[1:])
    return (outcome, *outcomes)


def shortened(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """The history with as many outcomes as are kept, the newest first.

    A burst of pushes that changed nothing, such as old tags that the policy ignores, does not drive out what did.
    """
    changes = [
        index
        for index, outcome in enumerate(outcomes)
        if outcome.result == "updated" or outcome.result in DEAD
    ]
    staying = changes[:CHANGES_KEPT]
    others = [index for index in range(len(outcomes)) if index not in staying]
    kept = sorted([*staying, *others[: OUTCOMES_KEPT - len(staying)]])
    return tuple(outcomes[index] for index in kept)


def _may_be_folded(outcome: Outcome, before: Outcome) -> bool:
    both_superseded = outcome.result == before.result == "superseded"
    return both_superseded and outcome.containers == before.containers
