"""Tracing: one trace for each push, from its webhook to its end, over every process that works on it.

What there is to say of a step goes through here. Unless traces are configured, nothing of OpenTelemetry is imported,
and every function here does next to nothing.

    with tracing.span("look", parent=message.traceparent) as span:
        span.note({"aci_hooks.result": "updated"})

A span ends within its process. What takes longer, such as the wait between two looks, keeps no span open: every later
step names the push's traceparent (www.w3.org/TR/trace-context), which its message carries, as its parent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

import structlog
from structlog.typing import EventDict, WrappedLogger

from shared.tracing_settings import TracingSettings

if TYPE_CHECKING:
    from shared.telemetry import Redaction

EXTRA, GRPC = "aci-hooks[traces]", "opentelemetry-exporter-otlp-proto-grpc"
FLUSH = 2.0
"""Seconds that the last spans get to be sent when the program ends."""

Attributes = Mapping[str, str | int | float | bool | None]
"""What is said of a span; None is left out."""
Kind = Literal["internal", "server", "client", "producer", "consumer"]

_log = structlog.get_logger()


class Span(Protocol):
    """One step of a trace."""

    @property
    def traceparent(self) -> str | None:
        """The span as a parent of others, in other processes too; None if nothing is traced."""

    def note(self, attributes: Attributes) -> None:
        """Say something of the step."""

    def fail(self, code: str, detail: str) -> None:
        """Say that the step has failed, and why."""


class Tracer(Protocol):
    """What makes spans; shared.otel_tracer.OtelTracer, or Untraced."""

    def span(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        parent: str | None,
        links: Sequence[str],
        started: datetime | None = None,
    ) -> AbstractContextManager[Span]:
        """A span for as long as the block runs, and from `started` on. An exception that leaves the block fails it."""

    def past(
        self,
        name: str,
        started: datetime,
        ended: datetime,
        attributes: Attributes,
        parent: str,
    ) -> Span:
        """A span of a time that is over. It has ended already."""

    def current(self) -> Span | None:
        """The span that the running step is in."""

    def close(self, seconds: float) -> None:
        """Send what is left, for at most so many seconds."""


class NoSpan:
    """A step that nobody traces."""

    traceparent = None

    def note(self, attributes: Attributes) -> None:
        """Nothing."""

    def fail(self, code: str, detail: str) -> None:
        """Nothing."""

    def __enter__(self) -> NoSpan:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing."""


_NO_SPAN = NoSpan()
_tracer: Tracer | None = None


def start(settings: TracingSettings, service: str, redaction: Redaction) -> None:
    """Trace from now on, if the settings say where spans are to go. `service` is this program's name.

    Whatever is wrong with that is one line in the log and no more: it must not keep anything from being deployed.
    """
    if not settings.is_traced:
        return
    try:
        from shared.otel_tracer import open_tracer

        use(open_tracer(settings, service, redaction))
    except ImportError as error:
        # Platforms set these variables by themselves, so it is nobody's mistake if the packages are missing.
        package = GRPC if "grpc" in str(error) else EXTRA
        _log.warning(
            "traces are off: a package is missing",
            detail=str(error),
            install=f"pip install '{package}'",
        )
    except Exception as error:  # of exporters that we don't know
        _log.warning(
            "traces are off: spans can't be sent", detail=redaction.text(str(error))
        )


def use(tracer: Tracer | None) -> None:
    """Trace with this tracer from now on; with None, not at all."""
    global _tracer
    _tracer = tracer


def stop() -> None:
    """Send what is left; nothing is traced any more."""
    tracer = _tracer
    use(None)
    if tracer:
        tracer.close(FLUSH)


@contextmanager
def traced(
    settings: TracingSettings, service: str, redaction: Redaction
) -> Iterator[None]:
    """`start` and `stop` around a block."""
    start(settings, service, redaction)
    try:
        yield
    finally:
        stop()


def is_on() -> bool:
    """Is anything traced?"""
    return _tracer is not None


def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    started: datetime | None = None,
) -> AbstractContextManager[Span]:
    """A span for as long as the block runs: a child of `parent`, else of the current span.

    It began at `started` if that is given, else now. `parent` and `links`, the other pushes that it acts for, are
    traceparents. An exception that leaves the block fails the span.
    """
    tracer = _tracer  # once: another thread may stop it at any moment, as at the end of a worker whose steps go on
    if tracer is None:
        return _NO_SPAN
    return tracer.span(name, kind, attributes or {}, parent, links, started)


def call(
    name: str, attributes: Attributes | None = None
) -> AbstractContextManager[Span]:
    """A span of a call to an outside system, within a step. Outside of any step there is none.

    The lists of groups that a worker renews every few seconds would each be a trace of its own, and tell nothing.
    """
    tracer = _tracer
    if tracer is None or tracer.current() is None:
        return _NO_SPAN
    return tracer.span(name, "client", attributes or {}, None, ())


def past(
    name: str, started: datetime, ended: datetime, attributes: Attributes, parent: str
) -> Span:
    """A span of a time that is over, such as a rollout that several processes have watched."""
    tracer = _tracer
    return tracer.past(name, started, ended, attributes, parent) if tracer else _NO_SPAN


def current() -> Span:
    """The span that the running step is in."""
    tracer = _tracer
    return (tracer.current() if tracer else None) or _NO_SPAN


def name_span(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the current span in a line of the log (a structlog processor)."""
    parent = current().traceparent
    if parent is None:
        return event
    _, trace_id, span_id, _ = parent.split("-")
    # A line about another push than the one that the step acts for keeps that push's trace.
    if event.setdefault("trace_id", trace_id) == trace_id:
        event["span_id"] = span_id
    return event
