"""What the workers keep beside the records: whose turn it is to report for all, and when something was done last."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from shared.errors import RemoteError
from tests.site import Site

ONE, TWO = (str(uuid.UUID(int=number)) for number in (1, 2))


def test_one_worker_at_a_time_has_the_turn_until_it_gives_it_back(site: Site) -> None:
    turns = site.records.turns
    assert turns.take("gauges", ONE, 15)
    assert not turns.take("gauges", TWO, 15)
    assert turns.take("gauges", ONE, 15)
    turns.end("gauges", ONE)
    assert turns.take("gauges", TWO, 15)
    assert not turns.take("gauges", ONE, 15)


def test_a_turn_that_is_not_one_s_own_can_not_be_given_back(site: Site) -> None:
    assert site.records.turns.take("gauges", ONE, 15)
    with pytest.raises(RemoteError):
        site.records.turns.end("gauges", TWO)
    assert not site.records.turns.take("gauges", TWO, 15)


def test_the_time_of_something_is_remembered(site: Site) -> None:
    now = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
    assert site.records.turns.noted_time("swept") is None
    site.records.turns.note_time("swept", now)
    assert site.records.turns.noted_time("swept") == now
    site.write_blob("swept.json", "nonsense")
    assert site.records.turns.noted_time("swept") is None


def test_a_time_without_a_zone_counts_as_none(site: Site) -> None:
    site.write_blob("swept.json", "2026-11-27T03:00:00")
    assert site.records.turns.noted_time("swept") is None
