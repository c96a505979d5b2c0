"""Steps as values: what a change carries, and what must not be told on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.builders import at, container, message, record, rollout, wanted
from worker.steps import Apply, Finish, GiveUp, Moved, RollBack, Step, Wait, redacted

TWO = message("2")
SAID = record({"web": container(wanted(TWO, began=0))}, rollout=rollout()).fail(TWO, {"web": ("C", "hunter2")}, at(60))


def hide(text: str) -> str:
    return text.replace("hunter2", "***")


@pytest.mark.parametrize(
    "step",
    [
        Apply(SAID, unsent=SAID),
        RollBack(SAID, unsent=SAID),
        Wait(SAID, timedelta(0), "hunter2 again"),
        Finish(SAID, "updated", "hunter2 again"),
        GiveUp(SAID, "C", "hunter2 again"),
    ],
)
def test_nothing_that_is_hidden_stays_anywhere_in_it(step: Step) -> None:
    assert "hunter2" in repr(step)
    assert "hunter2" not in repr(redacted(step, hide))
    assert type(redacted(step, hide)) is type(step)


def test_a_change_carries_its_rollout() -> None:
    assert Apply(SAID, unsent=SAID).rollout == rollout()
    with pytest.raises(ValueError, match="a change has its intent in the record"):
        _ = RollBack(record(), unsent=record()).rollout


def test_an_address_that_moved_ends_a_sentence() -> None:
    assert f"done{Moved({'ip': '1'}, {'ip': '2'})}" == "done; THE ADDRESS CHANGED from {'ip': '1'} to {'ip': '2'}"
