"""The trace of pushes that no record tells of: newest first, once each, and not for ever."""

from __future__ import annotations

from tests.unit.builders import SHOP, at, message
from worker.record.trace import TRACES_KEPT, End, Trace
from worker.record.values import Outcome


def end(name: str, seconds: float = 0, detail: str = "") -> End:
    return End(outcome=Outcome.of(message("2", name=name), "ignored", detail, (), at(seconds)))


def test_the_newest_is_first_and_only_so_many_are_kept() -> None:
    trace = Trace()
    for number in range(TRACES_KEPT + 1):
        trace = trace.with_end(end(f"push-{number}", number))
    assert [item.outcome.id for item in trace.ends] == [f"push-{number}" for number in range(TRACES_KEPT, 0, -1)]


def test_a_push_that_ends_again_is_there_once_for_each_target() -> None:
    trace = Trace().with_end(end("a")).with_end(end("b"))
    trace = trace.with_end(end("a").but(target=SHOP)).with_end(end("a", detail="again"))
    ends = [(item.outcome.id, item.target, item.outcome.detail) for item in trace.ends]
    assert ends == [("a", None, "again"), ("a", SHOP, ""), ("b", None, "")]


def test_it_survives() -> None:
    trace = Trace().with_end(end("a").but(target=SHOP))
    assert Trace.model_validate_json(trace.model_dump_json(exclude_none=True)) == trace
