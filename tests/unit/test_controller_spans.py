"""The spans of a worker's steps: one trace for each push, whichever worker takes the next step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared import tracing
from shared.message import Look, UpdateMessage
from tests.fakes import FixedTargets
from tests.spans import Spans, ids_of, links_of, parent_of, recording
from tests.unit.builders import OLD, SHOP, THREE, TWO, candidate, container, record, timer
from tests.unit.controller_builders import DOWN, REFUSED, TARGET
from tests.unit.test_controller_handler import Desk
from worker.controller import spans as of_steps
from worker.record.record import Record

LIVE = Look(target=SHOP, token="live", count=1)
ENOUGH = 40
"""Steps of five seconds."""


def trace(letter: str) -> str:
    return letter * 32


def traced(message: UpdateMessage, letter: str) -> UpdateMessage:
    return message.model_copy(update={"traceparent": f"00-{trace(letter)}-{letter * 16}-01"})


A, B = traced(TWO, "a"), traced(THREE, "b")
PUSHED = A.model_copy(update={"kind": "push", "target": None})


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recording() as recorded:
        yield recorded


def work(desk: Desk, *messages: UpdateMessage) -> None:
    """Take every step until nothing is left, each by another worker."""
    for message in messages:
        desk.updates.send(message.encode())
    for _ in range(ENOUGH):
        for leased in desk.updates.receive(32):
            desk.handler().handle([leased])
        desk.clock.advance(5)
        if not desk.updates.texts:
            return
    raise AssertionError(desk.sent)


def attributes(span: Any) -> dict[str, Any]:
    return dict(span.attributes)


def test_a_push_is_one_trace_from_worker_to_worker(spans: Spans) -> None:
    desk = Desk(images=OLD)
    desk.targets = FixedTargets(TARGET)
    work(desk, PUSHED)
    assert desk.images == {"web": "acme/shop:2"}
    assert {ids_of(span)[0] for span in spans.all()} == {trace("a")}
    push, sent, received = (spans.one(name) for name in ("process push", "send rollout", "process rollout"))
    assert (parent_of(push), parent_of(sent)) == ("a" * 16, ids_of(push)[1])
    assert parent_of(received) == ids_of(sent)[1]
    looks = [span for span in spans.all() if span.name == "look"]
    assert len(looks) > 1
    assert {parent_of(span) for span in [*looks, spans.one("rollout")]} == {ids_of(sent)[1]}
    assert attributes(push)["messaging.destination.name"] == "updates"
    assert attributes(spans.one("rollout"))["aci_hooks.target"] == "web/shop"


def test_nothing_is_noted_of_a_trace_where_none_is_made() -> None:
    desk = Desk(images=OLD)
    work(desk, PUSHED)
    (outcome,) = desk.record.outcomes
    assert outcome.result == "updated"


def test_pushes_that_are_received_together_are_a_span_of_the_newest_with_links_to_the_others(spans: Spans) -> None:
    desk = Desk(images=OLD)
    desk.handle(A, B)
    received = spans.one("process rollout")
    assert (ids_of(received)[0], links_of(received)) == (trace("b"), [trace("a")])
    assert attributes(received)["messaging.batch.message_count"] == 2
    # The record keeps each with its own trace, for whoever takes the next step.
    assert {message.traceparent for message in desk.record.inbox} == {A.traceparent, B.traceparent}


def looked(record: Record, spans: Spans) -> Any:
    Desk(record, images=OLD).handle(LIVE)
    return next(span for span in spans.all() if span.name == "look")


def test_a_look_is_a_span_of_the_push_that_it_acts_for(spans: Spans) -> None:
    waiting = container(candidate(B), candidate(A))
    look = looked(record({"web": waiting}, timer=timer(), count=1), spans)
    assert (ids_of(look)[0], links_of(look)) == (trace("b"), [trace("a")])
    assert attributes(look)["aci_hooks.pushes"] == 2


def test_a_look_for_no_push_is_a_trace_of_its_own(spans: Spans) -> None:
    look = looked(record({"web": container()}, timer=timer(), count=1), spans)
    assert (parent_of(look), links_of(look)) == (None, [])


def test_a_group_that_waits_for_its_owner_does_not_fill_a_pushs_trace(spans: Spans) -> None:
    look = looked(record({"web": container(candidate(A))}, timer=timer(owner=True), count=1), spans)
    assert (parent_of(look), links_of(look)) == (None, [trace("a")])


def test_a_push_without_a_trace_has_the_same_one_everywhere() -> None:
    bare, broken = (TWO.model_copy(update={"traceparent": text}) for text in (None, "nonsense"))
    assert of_steps.parent_of(bare) == of_steps.parent_of(broken) != of_steps.parent_of(THREE)
    assert of_steps.parent_of(A) == A.traceparent


def test_a_push_that_can_not_be_sent_on_fails_its_span(spans: Spans) -> None:
    desk = Desk(images=OLD)
    desk.on("send", DOWN, DOWN, DOWN)
    desk.handle(PUSHED)
    assert attributes(spans.one("process push"))["error.type"] == "ServiceUnavailable"


def test_what_is_logged_of_a_look_that_fails_names_its_span(spans: Spans) -> None:
    desk = Desk(record({"web": container(candidate(A))}, timer=timer(), count=1), images=OLD)
    desk.on("get", DOWN, DOWN, DOWN)
    with capture_logs(processors=[tracing.name_span]) as lines:
        desk.handler().handle([desk.lease(LIVE)])
    look = spans.one("look")
    assert attributes(look)["error.type"] == "ServiceUnavailable"
    (line,) = lines
    assert (line["event"], line["trace_id"], line["span_id"]) == ("look failed", *ids_of(look))


def test_a_change_that_azure_refuses_fails_the_look(spans: Spans) -> None:
    desk = Desk(images=OLD)
    desk.on("put", REFUSED)
    work(desk, PUSHED)
    codes = [attributes(span).get("error.type") for span in spans.all() if span.name == "look"]
    assert codes.count("InvalidRequestContent") == 1


def test_what_is_no_message_is_no_span(spans: Spans) -> None:
    Desk(images=OLD).handle("nonsense")
    assert spans.all() == []
