"""Tracing: spans, their parents and their ends, what the log says of them, and nothing at all where it is off."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import structlog
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from structlog.testing import capture_logs

from shared import tracing
from shared.environment import read_settings
from shared.errors import RemoteError
from shared.otel_export import LastWord, Outgoing
from shared.otel_tracer import OtelSpan, OtelTracer
from shared.settings import Settings
from shared.telemetry import Redaction, new_traceparent
from shared.time_limit import within
from tests.spans import Spans, ids_of, links_of, parent_of, recording
from tests.unit.builders import at

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECEIVED = f"00-{TRACE}-{PARENT}-01"
OTHER = "0af7651916cd43dd8448eb211c80319c"
SECRET = "hunter2-the-second"


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recording() as recorded:
        yield recorded


def test_a_span_is_a_child_of_a_traceparent_and_the_parent_of_what_is_in_it(spans: Spans) -> None:
    links = [f"00-{OTHER}-{PARENT}-01", "nonsense"]
    with tracing.span("look", "consumer", {"a": 1, "b": None}, parent=RECEIVED, links=links) as look:
        look.note({"c": True})
        with tracing.span("inner") as inner:
            assert tracing.current().traceparent == inner.traceparent
        assert tracing.current().traceparent == look.traceparent
    assert tracing.current().traceparent is None
    outer, child = spans.one("look"), spans.one("inner")
    assert (ids_of(outer)[0], parent_of(outer), outer.kind) == (TRACE, PARENT, SpanKind.CONSUMER)
    assert (dict(outer.attributes or {}), links_of(outer)) == ({"a": 1, "c": True}, [OTHER])
    assert (ids_of(child)[0], parent_of(child)) == (TRACE, ids_of(outer)[1])
    assert look.traceparent == f"00-{TRACE}-{ids_of(outer)[1]}-01"


@pytest.mark.parametrize("parent", [None, "", "nonsense", f"00-{'0' * 32}-{PARENT}-01"])
def test_what_is_no_traceparent_begins_a_trace(spans: Spans, parent: str | None) -> None:
    with tracing.span("look", parent=parent):
        pass
    assert parent_of(spans.one("look")) is None


def test_what_is_not_sampled_stays_so(spans: Spans) -> None:
    with tracing.span("look", parent=f"00-{TRACE}-{PARENT}-00") as look:
        assert str(look.traceparent).startswith(f"00-{TRACE}-")
        assert str(look.traceparent).endswith("-00")
    assert spans.all() == []


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (RemoteError("arm", 409, "Conflict", "busy"), {"error.type": "Conflict", "http.response.status_code": 409}),
        (RemoteError("arm", None, "Unreachable", "gone"), {"error.type": "Unreachable"}),
        (ValueError("no"), {"error.type": "ValueError"}),
    ],
)
def test_what_leaves_it_fails_it(spans: Spans, error: Exception, attributes: Mapping[str, Any]) -> None:
    with pytest.raises(type(error)), tracing.span("arm put"):
        raise error
    failed = spans.one("arm put")
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, str(error))
    assert (dict(failed.attributes or {}), failed.events) == (attributes, ())


def test_what_is_no_unicode_loses_no_other_span(spans: Spans) -> None:
    with tracing.span("look", attributes={"aci_hooks.detail": "half \ud83d"}) as look:
        look.note({"more": "half \ud83d"})
        look.fail("Conflict", "half \ud83d")
    looked = spans.one("look")
    assert encode_spans([looked]).ByteSize()
    assert dict(looked.attributes or {}) == {
        "aci_hooks.detail": r"half \ud83d",
        "more": r"half \ud83d",
        "error.type": "Conflict",
    }


def test_a_call_is_a_span_within_a_step_only(spans: Spans) -> None:
    with tracing.call("arm list") as call:
        assert call.traceparent is None
    with tracing.span("look"), tracing.call("arm get", {"http.request.method": "GET"}):
        pass
    assert [span.name for span in spans.all()] == ["arm get", "look"]
    assert spans.one("arm get").kind is SpanKind.CLIENT


def test_a_step_goes_on_while_another_thread_stops_the_tracer(spans: Spans) -> None:
    class Stopped(OtelTracer):
        """Is stopped by another thread in the middle of each call."""

        def __bool__(self) -> bool:
            tracing.use(None)
            return True

        def current(self) -> OtelSpan | None:
            tracing.use(None)
            return super().current()

    tracer = Stopped(TracerProvider(shutdown_on_exit=False))
    for begin in (tracing.span, tracing.call):
        with tracing.span("step"):
            tracing.use(tracer)
            with begin("arm get"):
                pass
    tracing.use(tracer)
    assert tracing.current().traceparent is None
    tracing.use(tracer)
    assert tracing.past("rollout", at(0), at(1), {}, RECEIVED).traceparent


def test_a_span_of_a_time_that_is_over(spans: Spans) -> None:
    tracing.past("rollout", at(10), at(70), {"aci_hooks.result": "updated"}, RECEIVED)
    tracing.past("rollback", at(80), at(70), {"error.type": "CrashLoop", "aci_hooks.detail": "again"}, RECEIVED)
    rollout, rollback = spans.one("rollout"), spans.one("rollback")
    assert (ids_of(rollout)[0], parent_of(rollout)) == (TRACE, PARENT)
    assert (rollout.end_time or 0) - (rollout.start_time or 0) == 60 * 10**9
    assert rollout.status.status_code is StatusCode.UNSET
    # Two clocks may differ, but no span ends before it begins.
    assert (rollback.end_time or 0) > (rollback.start_time or 0)
    assert rollback.status.description == "again"


def test_a_new_traceparent_is_that_of_the_span_under_way(spans: Spans) -> None:
    with tracing.span("push by hand") as span:
        assert new_traceparent(RECEIVED) == span.traceparent
    assert new_traceparent(RECEIVED) == RECEIVED


def test_lines_of_the_log_name_the_span(spans: Spans) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars, tracing.name_span]) as lines:
        log = structlog.get_logger()
        log.info("outside")
        with tracing.span("look", parent=RECEIVED):
            log.info("inside")
            log.info("of another push", trace_id=OTHER)
            within(5, lambda: log.info("in a thread"), "thread")
    span_id = ids_of(spans.one("look"))[1]
    named = {line["event"]: (line.get("trace_id"), line.get("span_id")) for line in lines}
    assert named == {
        "outside": (None, None),
        "inside": (TRACE, span_id),
        "of another push": (OTHER, None),
        "in a thread": (TRACE, span_id),
    }


class Collector(SpanExporter):
    """Takes spans, or not."""

    def __init__(self, *results: SpanExportResult) -> None:
        self.spans: list[ReadableSpan] = []
        self.results = list(results)
        self.closed = False

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        return self.results.pop(0)

    def shutdown(self) -> None:
        self.closed = True


def test_secrets_leave_in_no_part_of_a_span(spans: Spans) -> None:
    said: dict[str, str | int] = {"url": f"https://there/?sig={SECRET}", "tries": 3}
    with pytest.raises(RemoteError), tracing.span(f"get {SECRET}", "client", said, parent=RECEIVED):
        raise RemoteError("arm", 400, "BadRequest", f"no {SECRET}")
    collector = Collector(SpanExportResult.SUCCESS)
    outgoing = Outgoing(collector, Redaction([SECRET]), LastWord())
    outgoing.export(spans.all())
    outgoing.shutdown()
    (sent,) = collector.spans
    (made,) = spans.all()
    assert SECRET not in sent.to_json()
    assert (sent.name, dict(sent.attributes or {})["tries"]) == ("get ***", 3)
    kept = ("context", "parent", "kind", "links", "resource", "start_time", "end_time", "instrumentation_scope")
    assert [getattr(sent, name) for name in kept] == [getattr(made, name) for name in kept]
    assert collector.closed


def test_a_collector_that_fails_is_told_once_until_it_works(spans: Spans) -> None:
    good, bad = SpanExportResult.SUCCESS, SpanExportResult.FAILURE
    last_word = LastWord("tests.exporter")
    outgoing = Outgoing(Collector(bad, bad, good, good, bad), Redaction(), last_word)
    logging.getLogger("tests.exporter").error("refused: %s", 401)
    with capture_logs() as lines:
        for _ in range(5):
            outgoing.export([])
    assert [(line["event"], line.get("detail")) for line in lines] == [
        ("spans can't be sent, so traces have gaps", "refused: 401"),
        ("spans are sent again", None),
        ("spans can't be sent, so traces have gaps", "refused: 401"),
    ]


def test_nothing_is_done_where_nothing_is_traced() -> None:
    assert not tracing.is_on()
    steps = [tracing.span("look", parent=RECEIVED), tracing.call("arm get")]
    for step in steps:
        with step as span:
            span.note({"a": 1})
            span.fail("code", "detail")
            assert (span.traceparent, tracing.current().traceparent) == (None, None)
    assert tracing.past("rollout", at(0), at(1), {}, RECEIVED).traceparent is None
    assert steps[0] is steps[1]
    tracing.stop()


def settings(**variables: str) -> Settings:
    return read_settings(Settings, {"AZURE_STORAGE_ACCOUNT": "acme7", **variables})


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, None),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            ("traces are off: a package is missing", "pip install 'opentelemetry-exporter-otlp-proto-grpc'"),
        ),
        (
            {"APPLICATIONINSIGHTS_CONNECTION_STRING": "no connection string"},
            ("traces are off: spans can't be sent", None),
        ),
    ],
)
def test_what_is_wrong_with_traces_is_a_warning(variables: dict[str, str], line: tuple[str, str | None] | None) -> None:
    with capture_logs() as lines, tracing.traced(settings(**variables), "tests", Redaction()):
        assert not tracing.is_on()
    assert [(item["event"], item.get("install")) for item in lines] == ([line] if line else [])


def test_without_the_packages_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python marks what can't be imported (docs.python.org/3/reference/import.html, "The module cache").
    monkeypatch.setitem(sys.modules, "shared.otel_tracer", None)
    with capture_logs() as lines:
        tracing.start(settings(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1"), "tests", Redaction())
    assert not tracing.is_on()
    assert [line["install"] for line in lines] == ["pip install 'aci-hooks[traces]'"]


def test_the_last_spans_hold_up_the_end_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for_ever = threading.Event()

    class Hanging(Collector):
        def export(self, spans: Any) -> SpanExportResult:
            for_ever.wait(60)
            return SpanExportResult.FAILURE

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Hanging()))
    monkeypatch.setattr(tracing, "FLUSH", 0.05)
    tracing.use(OtelTracer(provider))
    with tracing.span("look"):
        pass
    tracing.stop()
    assert not for_ever.is_set()
    for_ever.set()
