"""What no worker writes into a record is told as such, with how to repair it."""

from __future__ import annotations

import json
import math
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
        (
            {"containers": {"web": container(repository="acme/shop:1")}},
            "containers.web.repository: not a repository",
        ),
        ({"containers": {"web": container(repository="%%%")}}, "containers.web.repository: not a repository"),
        (
            {"containers": {"web": container(candidate(message("1"), looked_up_at=END))}},
            "containers.web.looked_up_at: 9999",
        ),
    ],
)
def test_each_flaw_is_told_with_its_place(changes: dict[str, Any], flaw: str) -> None:
    assert (flaw_of(FULL.but(**changes)) or "").startswith(flaw)


def test_a_record_with_a_flaw_can_not_be_read_and_says_how_to_repair_it() -> None:
    text = json.loads(FULL.model_dump_json(exclude_none=True))
    text["containers"]["web"]["goods"] = []
    with pytest.raises(RemoteError, match="delete the blob to start afresh") as told:
        read_record(json.dumps(text), SHOP)
    assert told.value.code == UNREADABLE
    assert f"groups/{SHOP.key}.json can't be read (containers.web.goods" in told.value.message


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        ({"timer": timer().but(due=END)}, f"timer.due: {END} is not a time that a worker writes"),
        ({"stuck": Patience(looked_at=at(0), waited=math.nan)}, "stuck.waited: nan is not a number of seconds"),
        ({"outcomes": (OUTCOME.but(seconds=math.inf),)}, "outcomes.seconds: inf is not a number of seconds"),
    ],
)
def test_a_flaw_is_a_sentence(changes: dict[str, Any], flaw: str) -> None:
    assert flaw_of(FULL.but(**changes)) == flaw


@pytest.mark.parametrize(("year", "is_flaw"), [(1969, True), (1970, False), (9000, False), (9001, True)])
def test_only_years_near_the_ends_of_the_calendar_are_flaws(year: int, *, is_flaw: bool) -> None:
    now = FULL.but(timer=timer().but(due=datetime(year, 7, 1, tzinfo=UTC)))
    assert (flaw_of(now) is not None) == is_flaw
