"""Spans in memory: what the project's tracer makes, without a collector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from shared import tracing
from shared.otel_tracer import OtelTracer


class Spans:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def all(self) -> list[ReadableSpan]:
        """All of them, in the order in which they ended."""
        return list(self.exporter.get_finished_spans())

    def one(self, name: str) -> ReadableSpan:
        """The only span of a name."""
        (found,) = [span for span in self.all() if span.name == name]
        return found


@contextmanager
def recording() -> Iterator[Spans]:
    """Trace into memory."""
    spans = Spans()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans.exporter))
    tracing.use(OtelTracer(provider))
    try:
        yield spans
    finally:
        tracing.use(None)


def ids_of(span: ReadableSpan) -> tuple[str, str]:
    """The trace's id and the span's."""
    context = span.get_span_context()
    assert context
    return format_trace_id(context.trace_id), format_span_id(context.span_id)


def parent_of(span: ReadableSpan) -> str | None:
    """The id of its parent."""
    return format_span_id(span.parent.span_id) if span.parent else None


def links_of(span: ReadableSpan) -> list[str]:
    """The ids of the traces that it names besides its own."""
    return [format_trace_id(link.context.trace_id) for link in span.links]
