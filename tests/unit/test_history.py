"""The history over all groups: newest first, filtered, and as programs get it."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.builders import SHOP, at, container, message, record
from worker.record.history import all_ends, chosen, entry
from worker.record.trace import End, Trace
from worker.record.values import Outcome

OTHER = SHOP.model_copy(update={"container_group": "other"})
SHOPS = record({"web": container()}).end(message("2"), "updated", "fine", ("web",), at(10))
SHOPS = SHOPS.end(message("3"), "rolled-back", "it crashes", ("web",), at(30))
OTHERS = record().but(target=OTHER).end(message("4"), "failed", "no", ("web",), at(20))
TRACE = Trace(ends=(End(outcome=Outcome.of(message("5"), "ignored", "nobody", (), at(25))),))
ENDS = all_ends([SHOPS, OTHERS], TRACE)


def ids(ends: list[End]) -> list[str]:
    return [end.outcome.id for end in ends]


def test_the_newest_is_first_over_all_groups_and_the_trace() -> None:
    assert ids(ENDS) == ["3", "5", "4", "2"]
    assert [end.target for end in ENDS] == [SHOP, None, OTHER, SHOP]


def test_the_filters() -> None:
    assert ids(chosen(ENDS)) == ["3", "5", "4", "2"]
    assert ids(chosen(ENDS, failed=True)) == ["3", "4"]
    assert ids(chosen(ENDS, since=at(20))) == ["3", "5", "4"]
    assert ids(chosen(ENDS, limit=2)) == ["3", "5"]
    assert ids(chosen(ENDS, failed=True, since=at(20) + timedelta(seconds=1), limit=5)) == ["3"]


def test_an_end_as_programs_get_it() -> None:
    newest = ENDS[0]
    assert entry(newest.target, newest.outcome) == {
        "at": at(30).isoformat(),
        "id": "3",
        "target": SHOP.model_dump(),
        "image": "docker.io/acme/shop:3",
        "from": {"web": "acme/shop:1"},
        "containers": ["web"],
        "result": "rolled-back",
        "detail": "it crashes",
        "pusher": None,
        "by": None,
        "seconds": 30.0,
        "count": 1,
    }
    assert entry(None, TRACE.ends[0].outcome)["target"] is None
