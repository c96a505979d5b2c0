"""Which records the status page reads again, and when."""

from __future__ import annotations

from tests.unit.builders import SHOP
from worker.dashboard.versions import LONGEST_PAUSE, SHORTEST_PAUSE, Versions


def test_a_version_is_read_once() -> None:
    versions = Versions()
    assert versions.is_due(SHOP, "1", 0)
    versions.read(SHOP, "1")
    assert not versions.is_due(SHOP, "1", 1000)
    assert versions.is_due(SHOP, "2", 1000)
    assert versions.known == {SHOP}


def test_one_that_could_not_be_read_is_tried_after_pauses_that_grow_up_to_a_limit() -> None:
    versions, now, pauses = Versions(), 0.0, []
    for _ in range(8):
        versions.failed(SHOP, "1", now)
        pause = next(seconds for seconds in range(1, 1000) if versions.is_due(SHOP, "1", now + seconds))
        pauses.append(pause)
        now += pause
    assert pauses[:3] == [SHORTEST_PAUSE, 2 * SHORTEST_PAUSE, 4 * SHORTEST_PAUSE]
    assert pauses[-2:] == [LONGEST_PAUSE, LONGEST_PAUSE]
    assert versions.known == frozenset()


def test_another_version_is_tried_at_once_and_begins_with_the_shortest_pause() -> None:
    versions = Versions()
    for _ in range(5):
        versions.failed(SHOP, "1", 0)
    assert versions.is_due(SHOP, "2", 0)
    versions.failed(SHOP, "2", 0)
    assert not versions.is_due(SHOP, "2", 0)
    assert versions.is_due(SHOP, "2", SHORTEST_PAUSE)


def test_what_was_read_after_all_or_is_gone_has_no_pause() -> None:
    versions = Versions()
    versions.failed(SHOP, "1", 0)
    versions.read(SHOP, "1")
    assert not versions.is_due(SHOP, "1", 1000)
    versions.failed(SHOP, "2", 0)
    versions.forget(SHOP)
    assert versions.is_due(SHOP, "2", 0)
    assert versions.known == frozenset()
