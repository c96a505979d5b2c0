"""Recipients: who is told of which outcomes, of which groups."""

from __future__ import annotations

from typing import get_args

import pytest

from worker.ports import Noticed
from worker.record.values import Result
from worker.targets.recipients import OUTCOMES, TOLD, Recipient


def test_every_outcome_of_the_project_can_be_told() -> None:
    words = {word for form in get_args(Noticed) for word in (get_args(form) or (form,))}
    assert words == set(OUTCOMES)
    assert set(get_args(Result)) < words
    assert set(OUTCOMES) > TOLD


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_without_more_a_recipient_is_told_what_was_done_and_what_failed(outcome: str) -> None:
    is_told = outcome in {"updated", "rolled-back", "failed", "address changed"}
    assert Recipient("env:A").wants(outcome, "web/shop") is is_told
    assert Recipient("env:A").wants(outcome, "") is is_told


def test_a_recipient_may_want_some_outcomes_alone() -> None:
    recipient = Recipient("env:A", frozenset({"failed", "unchanged"}))
    assert [word for word in OUTCOMES if recipient.wants(word, "web/shop")] == ["failed", "unchanged"]


@pytest.mark.parametrize(
    ("groups", "group", "wanted"),
    [
        (["web/*"], "web/shop", True),
        (["web/*"], "WEB/Shop", True),
        (["Web/Shop"], "web/shop", True),
        (["web/*"], "webs/shop", False),
        (["web/*"], "", False),
        (["*/shop"], "web/shop", True),
        (["*/shop"], "web/shop-2", False),
        (["web/shop-?"], "web/shop-2", True),
        (["web/shop-?"], "web/shop-22", False),
        (["a.b/*"], "aXb/shop", False),
        (["w**"], "web/shop", True),
        (["**/s*"], "web/shop", True),
        (["batch/*", "web/shop"], "web/shop", True),
        (["batch/*", "web/shop"], "web/api", False),
    ],
)
def test_a_recipient_may_want_some_groups_alone(groups: list[str], group: str, wanted: bool) -> None:
    assert Recipient("env:A", groups=tuple(groups)).wants("failed", group) is wanted
