"""Gauging: what all workers share is read from the queues, the records and the targets."""

from __future__ import annotations

import pytest

from shared.errors import RemoteError
from shared.message import TargetId
from tests.fakes import FixedTargets
from tests.unit.builders import HOLD, SHOP, TWO, at, record, target
from tests.unit.controller_builders import Bench
from worker.controller.gauging import Gauging
from worker.ports import UNREADABLE, Listed
from worker.record.overview import Overview


class Tagged(FixedTargets):
    """A catalogue whose list shows SHOP with a hold tag."""

    def listed(self) -> dict[TargetId, Listed]:
        return {SHOP: Listed({}, held=True)}


def test_the_queues_and_the_records_are_read() -> None:
    bench = Bench(record=record(inbox=(TWO,)))
    bench.poison.send("a letter")
    gauges = Gauging(bench.ports(), lambda: at(7)).read()
    assert gauges.messages == {"updates": 0, "updates-poison": 1}
    assert (gauges.dead_letters, gauges.unreadable, gauges.last_sweep) == (1, 0, at(7))
    assert gauges.overview == Overview(targets=1, pushes=1, oldest=at(0))


def test_a_hold_tag_is_seen_in_the_list() -> None:
    bench = Bench(record=record())
    gauges = Gauging(bench.ports(targets=Tagged(target())), lambda: None).read()
    assert (gauges.overview.held_by_owner, gauges.last_sweep) == (1, None)


def test_only_what_has_changed_is_read_again() -> None:
    bench = Bench(record=record())
    gauging = Gauging(bench.ports(), lambda: None)
    gauging.read()
    bench.calls.clear()
    gauging.read()
    assert "before load" not in bench.calls
    bench.rewrite(lambda before: before.but(hold=HOLD))
    assert gauging.read().overview.held_by_hand == 1
    assert bench.calls.count("before load") == 1


def test_a_record_that_can_not_be_read_is_counted() -> None:
    bench = Bench(record=record())
    bench.on("load", *[RemoteError("records", None, UNREADABLE, "another version")] * 3)
    gauging = Gauging(bench.ports(), lambda: None)
    assert gauging.read().unreadable == 1
    assert gauging.read().unreadable == 1


def test_other_trouble_with_a_record_is_raised() -> None:
    bench = Bench(record=record())
    bench.on("load", *[RemoteError("records", 403, "AuthorizationFailure", "no")] * 9)
    with pytest.raises(RemoteError, match="AuthorizationFailure"):
        Gauging(bench.ports(), lambda: None).read()
