"""The tracer of OpenTelemetry, which sends spans by OTLP, to Azure Monitor, or to both.

The one importer of OpenTelemetry, imported only where traces are configured (shared.tracing.start).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib import import_module
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
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
from opentelemetry.util.re import parse_env_headers

from shared.errors import RemoteError
from shared.printable import printable
from shared.telemetry import Redaction
from shared.time_limit import OutOfTime, within
from shared.tracing import Attributes, Kind
from shared.tracing_settings import TracingSettings, secrets_in

LONGEST_DETAIL = 500
_INSTRUMENTATION_KEY = re.compile(r"InstrumentationKey=([^;]+)", re.IGNORECASE)
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_log = structlog.get_logger()
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


class LastWord(logging.Handler):
    """Keeps the last thing that exporters have logged, and nothing else of it.

    They warn of every try, several times a minute while a collector is down.
    """

    text = ""

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.text = record.getMessage()


class Outgoing(SpanExporter):
    """Hides every known secret in what is said of spans, has `exporter` send them, and says once if it can't."""

    def __init__(
        self, exporter: SpanExporter, redaction: Redaction, last_word: LastWord
    ) -> None:
        self._exporter = exporter
        self._redaction = redaction
        self._last_word = last_word
        self._works = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans."""
        result = self._exporter.export([self._masked(span) for span in spans])
        works = result is SpanExportResult.SUCCESS
        if self._works and not works:
            _log.warning(
                "spans can't be sent, so traces have gaps", detail=self._last_word.text
            )
        elif works and not self._works:
            _log.info("spans are sent again")
        self._works = works
        return result

    def shutdown(self) -> None:
        """The program ends."""
        self._exporter.shutdown()

    def _masked(self, span: ReadableSpan) -> ReadableSpan:
        status = span.status
        if status.description:
            status = Status(
                status.status_code, self._redaction.text(status.description)
            )
        return ReadableSpan(
            name=self._redaction.text(span.name),
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes=self._attributes(span.attributes),
            events=[
                Event(one.name, self._attributes(one.attributes), one.timestamp)
                for one in span.events
            ],
            links=span.links,
            kind=span.kind,
            status=status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _attributes(self, attributes: Mapping[str, Any] | None) -> dict[str, Any]:
        return dict(self._redaction(None, "", dict(attributes or {})))


def open_tracer(
    settings: TracingSettings, service: str, redaction: Redaction
) -> OtelTracer:
    """A tracer that sends to wherever the settings say. Raises ImportError, and whatever exporters make of them."""
    last_word = LastWord(
        "opentelemetry.exporter", "azure.monitor.opentelemetry.exporter"
    )
    exporters = list(_exporters(settings, redaction))
    provider = TracerProvider(
        resource=_resource(settings, service), shutdown_on_exit=False
    )
    for exporter in exporters:
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


def _exporters(
    settings: TracingSettings, redaction: Redaction
) -> Iterator[SpanExporter]:
    # Each package is imported only if it is asked for.
    if settings.otlp_url:
        # Liberal as the exporter itself is: `Bearer x` with a plain space is what people write.
        headers = parse_env_headers(settings.otlp_header_text, liberal=True)
        for secret in secrets_in(headers):
            redaction.learn(secret)
        yield _otlp_exporter(settings.otlp_url, headers, grpc=settings.speaks_grpc)
    if settings.application_insights:
        from azure.monitor.opentelemetry.exporter import AzureMonitorTraceExporter

        connection = settings.application_insights.get_secret_value()
        if key := _INSTRUMENTATION_KEY.search(connection):
            redaction.learn(key[1])
        # Spans that can't be sent are not worth files that somebody would have to clean up.
        yield AzureMonitorTraceExporter(
            connection_string=connection, disable_offline_storage=True
        )


def _otlp_exporter(url: str, headers: Mapping[str, str], *, grpc: bool) -> SpanExporter:
    # gRPC is not among the packages of the extra: it is larger than all of them together.
    module = import_module(
        f"opentelemetry.exporter.otlp.proto.{'grpc' if grpc else 'http'}.trace_exporter"
    )
    exporter: SpanExporter = module.OTLPSpanExporter(
        endpoint=url, headers=dict(headers)
    )
    return exporter


def _context_of(traceparent: str) -> Context:
    """The context of a traceparent; an empty one if it is none, so that a new trace begins."""
    return _W3C.extract({"traceparent": traceparent}, Context())


def _of(traceparent: str) -> SpanContext:
    return trace.get_current_span(_context_of(traceparent)).get_span_context()


def _known(attributes: Attributes) -> dict[str, str | int | float | bool]:
    # Half a surrogate pair, which JSON can hold, is no UTF-8: the exporter would lose every span that it sends with it.
    known = {name: value for name, value in attributes.items() if value is not None}
    return {
        name: printable(value) if isinstance(value, str) else value
        for name, value in known.items()
    }


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
