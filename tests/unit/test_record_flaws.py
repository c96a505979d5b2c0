"""What no worker writes into a record is told as such, with how to mend it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import RemoteError
from tests.unit.builders import SHOP, at, candidate, change, container, good, message, record, timer
from worker.adapters.record_blobs.flaws import flaw_of
from worker.adapters.record_blobs.texts import read_record
from worker.ports import UNREADABLE
from worker.record.record import Record
from worker.record.values import Flight, Outcome, Patience

END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
OUTCOME = Outcome.of(message("3"), "updated", "", ("web",), at(0))
FULL = record(
    {"web": container(candidate(message("1"), looked_up_at=at(0)), candidate(message("2")), goods=(good(),))},
    timer=timer(),
    flights=(Flight(generation=1, sent_at=at(0)),),
    change=change(before=change()),
    stuck=Patience(looked_at=at(0)),
    outcomes=(OUTCOME, OUTCOME.but(seconds=None)),
)


def test_what_workers_write_has_no_flaw() -> None:
    assert flaw_of(Record(target=SHOP)) is None
    assert flaw_of(FULL) is None
    odd = container(repository="not an image !!", followed=False, goods=(good(),))
    assert flaw_of(record({"web": odd})) is None


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"timer": timer().but(due=END)}, "timer.due: 9999-12-31 23:59:59"),
        ({"timer": timer().but(due=BEGINNING)}, "timer.due: 0001-01-01 00:00:00"),
        ({"flights": (Flight(generation=1, sent_at=END),)}, "flights.sent_at: 9999"),
        ({"change": change().but(began_at=END)}, "change.began_at: 9999"),
        ({"change": change(before=change().but(began_at=BEGINNING))}, "change.began_at: 0001"),
        ({"change": change().but(patience=Patience(looked_at=END))}, "change.patience.looked_at: 9999"),
        (
            {"change": change().but(patience=Patience(looked_at=at(0), waited=float("inf")))},
            "change.patience.waited: inf",
        ),
        ({"stuck": Patience(looked_at=at(0), waited=float("nan"))}, "stuck.waited: nan"),
        ({"stuck": Patience(looked_at=END)}, "stuck.looked_at: 9999"),
        ({"outcomes": (OUTCOME.but(seconds=float("nan")),)}, "outcomes.seconds: nan"),
        ({"containers": {"web": container(goods=())}}, "containers.web.goods: there is no good image"),
        ({"containers": {"web": container(repository="acme/shop:1")}}, "containers.web.repository: is no repository"),
        ({"containers": {"web": container(repository="%%%")}}, "containers.web.repository: is no repository"),
        (
            {"containers": {"web": container(candidate(message("1"), looked_up_at=END))}},
            "containers.web.looked_up_at: 9999",
        ),
    ],
)
def test_each_flaw_is_told_with_its_place(changes: dict[str, Any], flaw: str) -> None:
    assert (flaw_of(FULL.but(**changes)) or "").startswith(flaw)


def test_a_record_with_a_flaw_can_not_be_read_and_says_how_to_mend_it() -> None:
    text = json.loads(FULL.model_dump_json(exclude_none=True))
    text["containers"]["web"]["goods"] = []
    with pytest.raises(RemoteError, match="delete the blob to start afresh") as told:
        read_record(json.dumps(text), SHOP)
    assert told.value.code == UNREADABLE
    assert f"groups/{SHOP.key}.json can't be read (containers.web.goods" in told.value.message
