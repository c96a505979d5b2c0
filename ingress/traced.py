"""A span for each webhook: a child of its sender's, if that sent a traceparent, and the parent of all that follows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ingress.front import Application
from shared import tracing
from shared.telemetry import trace_id
from shared.tracing import Attributes, Span

_PREFIX = "/webhooks/"


class Traced:
    """The application, of which each webhook is a span. Other paths, such as /healthz, are none."""

    def __init__(self, app: Application, senders: Iterable[str]) -> None:
        self._app = app
        self._senders = frozenset(senders)

    def wants_body(self, environ: dict[str, Any]) -> bool:
        """As the application says."""
        return self._app.wants_body(environ)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        path, method = str(environ["PATH_INFO"]), str(environ["REQUEST_METHOD"])
        if not path.startswith(_PREFIX):
            return self._app(environ, start_response)
        sender = path.removeprefix(_PREFIX).partition("/")[0]
        route = f"{_PREFIX}{sender if sender in self._senders else '{sender}'}"
        received = environ.get("HTTP_TRACEPARENT")
        parent = received if trace_id(received) else None
        attributes = _attributes(environ, route)
        with tracing.span(f"{_known_method(method)} {route}", "server", attributes, parent=parent) as span:
            return self._app(environ, _noting(span, start_response))


def _noting(span: Span, start_response: Any) -> Any:
    """`start_response`, which says in the span what the answer is."""

    def start(line: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
        status = int(line[:3])
        span.note({"http.response.status_code": status})
        # A 4xx is the sender's mistake, and none of ours (opentelemetry.io/docs/specs/semconv/http/http-spans).
        if status >= 500:
            span.fail(str(status), line)
        return start_response(line, headers, error)

    return start


def _attributes(environ: dict[str, Any], route: str) -> Attributes:
    """What the conventions ask for (opentelemetry.io/docs/specs/semconv/http/http-spans). The path may hold a token."""
    return {
        "http.request.method": _known_method(environ["REQUEST_METHOD"]),
        "http.route": route,
        "url.path": route,
        "url.scheme": environ["wsgi.url_scheme"],
        "server.address": environ["SERVER_NAME"],
        "network.protocol.version": str(environ["SERVER_PROTOCOL"]).removeprefix("HTTP/"),
        "user_agent.original": environ.get("HTTP_USER_AGENT"),
    }


def _known_method(method: str) -> str:
    # Anybody may send any word as a method; each would be another name of a span.
    return method if method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"} else "_OTHER"
