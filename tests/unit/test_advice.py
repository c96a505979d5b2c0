"""What to do about a dead letter is said for every code that docs/operations.md explains."""

from __future__ import annotations

from shared.cloud import CLOUDS
from tests.unit.test_operations_page import CODE, documented
from worker.failures.advice import ADVICE, what_to_do

# Of a target that is none any more: its letters explain themselves.
NOT_IN_THE_TABLES = {"TargetRemoved"}


def test_every_code_of_the_page_has_advice_and_the_other_way_round() -> None:
    codes = {word for word in documented() if CODE.fullmatch(word)} - {name for name in CLOUDS if CODE.fullmatch(name)}
    assert ADVICE.keys() - NOT_IN_THE_TABLES == codes


def test_any_other_code_is_explained_by_its_detail() -> None:
    assert "detail" in what_to_do("SomethingNew")
    assert what_to_do("CrashLoop") == ADVICE["CrashLoop"]
