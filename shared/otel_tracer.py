"""The tracer of OpenTelemetry. It makes spans; shared.otel_export sends them.

These two alone import OpenTelemetry, and are imported only where traces are configured (shared.tracing.start).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    format_span_id,
    format_trace_id,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.errors import RemoteError
from shared.otel_export import LastWord, Outgoing, exporters
from shared.printable import printable
from shared.telemetry import Redaction
from shared.time_limit import OutOfTime, within
from shared.tracing import Attributes, Kind
from shared.tracing_settings import TracingSettings

LONGEST_DETAIL = 500
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_W3C = TraceContextTextMapPropagator()


class OtelSpan:
    """A span of OpenTelemetry."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """The span as a parent of others."""
        of = self._span.get_span_context()
        return f"00-{format_trace_id(of.trace_id)}-{format_span_id(of.span_id)}-{of.trace_flags:02x}"

    def note(self, attributes: Attributes) -> None:
        """Say something of the step."""
        self._span.set_attributes(_known(attributes))

    def fail(self, code: str, detail: str) -> None:
        """Say that the step has failed, and why."""
        self._span.set_attribute("error.type", code)
        self._span.set_status(
            Status(StatusCode.ERROR, printable(detail)[:LONGEST_DETAIL])
        )


class OtelTracer:
    """Makes spans and has `provider` send them, for many threads at once."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("aci-hooks", version("aci-hooks"))

    @contextmanager
    def span(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        parent: str | None,
        links: Sequence[str],
        started: datetime | None = None,
    ) -> Iterator[OtelSpan]:
        """A span for as long as the block runs."""
        with self._tracer.start_as_current_span(
            name,
            context=_context_of(parent) if parent else None,
            kind=_KINDS[kind],
            attributes=_known(attributes),
            links=[Link(_of(link)) for link in links if _of(link).is_valid],
            start_time=_nanoseconds(started) if started else None,
            # The stack of an exception may hold anything. What we know of its text is said by `fail`.
            record_exception=False,
            set_status_on_exception=False,
        ) as begun:
            span = OtelSpan(begun)
            try:
                yield span
            except RemoteError as error:
                span.note({"http.response.status_code": error.status})
                span.fail(error.code, str(error))
                raise
            except Exception as error:
                span.fail(type(error).__qualname__, str(error))
                raise

    def past(
        self,
        name: str,
        started: datetime,
        ended: datetime,
        attributes: Attributes,
        parent: str,
    ) -> OtelSpan:
        """A span of a time that is over."""
        # Two clocks may have written the two times.
        begin, end = sorted((_nanoseconds(started), _nanoseconds(ended)))
        span = self._tracer.start_span(
            name,
            context=_context_of(parent),
            attributes=_known(attributes),
            start_time=begin,
        )
        result = OtelSpan(span)
        if code := attributes.get("error.type"):
            result.fail(str(code), str(attributes.get("aci_hooks.detail") or ""))
        span.end(end)
        return result

    def current(self) -> OtelSpan | None:
        """The span that the running step is in."""
        span = trace.get_current_span()
        return OtelSpan(span) if span.get_span_context().is_valid else None

    def close(self, seconds: float) -> None:
        """Send what is left."""
        # The provider itself waits for up to 30 seconds, longer than a platform waits for the program's end.
        with suppress(OutOfTime):
            within(seconds, self._provider.shutdown, "last spans")


def open_tracer(
    settings: TracingSettings, service: str, redaction: Redaction
) -> OtelTracer:
    """A tracer that sends to wherever the settings say. Raises ImportError, and whatever exporters make of them."""
    last_word = LastWord(
        "opentelemetry.exporter", "azure.monitor.opentelemetry.exporter"
    )
    outside = list(exporters(settings, redaction))
    # `close` ends the provider. The interpreter's exit would do so without a limit of time.
    provider = TracerProvider(
        resource=_resource(settings, service), shutdown_on_exit=False
    )
    for exporter in outside:
        provider.add_span_processor(
            BatchSpanProcessor(Outgoing(exporter, redaction, last_word))
        )
    # For whatever else is instrumented: with AZURE_TRACING_ENABLED=true, every request of Azure's SDKs is a span.
    trace.set_tracer_provider(provider)
    return OtelTracer(provider)


def _resource(settings: TracingSettings, service: str) -> Resource:
    """What every span says of this process. What the environment says of it wins."""
    ours = {
        "service.name": service,
        "service.version": version("aci-hooks"),
        "service.instance.id": uuid4().hex,
    }
    named = {"service.name": settings.service_name} if settings.service_name else {}
    return Resource.create(
        {**ours, **OTELResourceDetector().detect().attributes, **named}
    )


def _context_of(traceparent: str) -> Context:
    """The context of a traceparent; an empty one if it is none, so that a new trace begins."""
    return _W3C.extract({"traceparent": traceparent}, Context())


def _of(traceparent: str) -> SpanContext:
    return trace.get_current_span(_context_of(traceparent)).get_span_context()


def _known(attributes: Attributes) -> dict[str, str | int | float | bool]:
    # Half a surrogate pair, which JSON can contain, is not valid UTF-8: the exporter would lose the whole batch.
    known = {name: value for name, value in attributes.items() if value is not None}
    return {
        name: printable(value) if isinstance(value, str) else value
        for name, value in known.items()
    }


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
