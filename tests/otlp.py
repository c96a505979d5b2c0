"""A receiver of OTLP over HTTP: what a collector is sent, decoded. It takes what is meant for Azure Monitor, too."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.stub_server import Answer, Headers, StubServer


@dataclass(frozen=True)
class Received:
    """A span as it came; ids in hex, times in nanoseconds."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[str, ...]
    started: int
    ended: int
    attributes: dict[str, Any]
    error: str | None
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        """The program, and which of its processes."""
        return f"{self.resource['service.name']} {self.resource['service.instance.id']}"


@dataclass
class Collector:
    """What has come so far."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    requests: list[tuple[str, Headers]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    envelopes: list[dict[str, Any]] = field(default_factory=list)
    """What has come in Azure Monitor's own form."""

    @property
    def settings(self) -> dict[str, str]:
        """What sends a program's spans here, soon after each has ended."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def named(self, name: str) -> list[Received]:
        """The spans of a name, in the order in which they began."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.started)

    def take(self, _method: str, path: str, headers: Headers, body: bytes) -> Answer:
        """One export."""
        content = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.requests.append((path, headers))
        self.raw.append(content)
        if path == "/v2.1/track":
            envelopes = json.loads(content)
            self.envelopes += envelopes
            answer = {"itemsReceived": len(envelopes), "itemsAccepted": len(envelopes), "errors": []}
            return 200, {"Content-Type": "application/json"}, json.dumps(answer).encode()
        self.spans += _decoded(ExportTraceServiceRequest.FromString(content))
        return 200, {"Content-Type": "application/x-protobuf"}, b""


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on loopback."""
    collector = Collector()
    with StubServer(lambda *_: (404, {}, b""), full=collector.take) as server:
        collector.url = server.url
        yield collector


def _decoded(request: ExportTraceServiceRequest) -> Iterator[Received]:
    for of_resource in request.resource_spans:
        resource = _values(of_resource.resource.attributes)
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield Received(
                    name=span.name,
                    kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    links=tuple(link.trace_id.hex() for link in span.links),
                    started=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    attributes=_values(span.attributes),
                    error=span.status.message or None if span.status.code == span.status.STATUS_CODE_ERROR else None,
                    resource=resource,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {attribute.key: getattr(attribute.value, attribute.value.WhichOneof("value")) for attribute in attributes}
