"""Where spans go: by OTLP, to Azure Monitor, or to both, with every known secret hidden in them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import structlog
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.re import parse_env_headers

from shared.telemetry import Redaction
from shared.tracing_settings import TracingSettings, secrets_in

_INSTRUMENTATION_KEY = re.compile(r"InstrumentationKey=([^;]+)", re.IGNORECASE)
_log = structlog.get_logger()


class LastWord(logging.Handler):
    """Keeps the last thing that exporters have logged, and nothing else of it.

    They warn of every try, several times a minute while a collector is down.
    """

    text = ""

    def __init__(self, *names: str) -> None:
        super().__init__()
        for name in names:
            logger = logging.getLogger(name)
            # If its lines were passed on, each would appear in the program's own log as well.
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
                Event(event.name, self._attributes(event.attributes), event.timestamp)
                for event in span.events
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


def exporters(
    settings: TracingSettings, redaction: Redaction
) -> Iterator[SpanExporter]:
    """Those that the settings ask for. Raises ImportError, and whatever they make of the settings."""
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
