"""A span for each webhook of a proven sender: a child of the sender's span, and the parent of all that follows.

Strangers get no span. Whoever finds the URL could send as many requests as they like, and hosted collectors charge for
each span. A sampler would not help: it decides at the beginning of a span, before anything is proven, and one that
follows the sender's traceparent lets the stranger decide. What was refused is in the log and in the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from ingress.front import Application
from ingress.heads import WEBHOOKS
from shared import tracing
from shared.telemetry import trace_id
from shared.tracing import Attributes, Span

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})

PROVEN = "aci_hooks.proven"
"""The environ's key for what the application calls once the sender is proven: the span then begins, in that thread."""


class Traced:
    """The application, of which each webhook of a proven sender is a span. Other paths, such as /healthz, are none."""

    def __init__(
        self,
        app: Application,
        senders: Iterable[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._app = app
        self._senders = frozenset(senders)
        self._now = now

    def wants_body(self, environ: dict[str, Any]) -> bool:
        """As the application says."""
        return self._app.wants_body(environ)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer a request."""
        path = str(environ["PATH_INFO"])
        if not path.startswith(WEBHOOKS) or not tracing.is_on():
            return self._app(environ, start_response)
        sender = path.removeprefix(WEBHOOKS).partition("/")[0]
        # Of few values, as the conventions want a route, and without the token that may follow.
        route = f"{WEBHOOKS}{sender if sender in self._senders else '{sender}'}"
        with ExitStack() as open_spans:
            request = _Request(environ, route, self._now(), open_spans)
            return self._app(
                {**environ, PROVEN: request.begin_span},
                _noting(request, start_response),
            )


class _Request:
    """A request that becomes a span when its sender is proven."""

    def __init__(
        self,
        environ: dict[str, Any],
        route: str,
        began_at: datetime,
        open_spans: ExitStack,
    ) -> None:
        self._environ = environ
        self._route = route
        self._began_at = began_at
        self._open_spans = open_spans
        self.span: Span | None = None

    def begin_span(self) -> None:
        """The sender is proven."""
        # An invalid traceparent is left out, as W3C Trace Context §3.2 asks for: the span then begins a new trace.
        received = self._environ.get("HTTP_TRACEPARENT")
        self.span = self._open_spans.enter_context(
            tracing.span(
                f"{_known_method(self._environ['REQUEST_METHOD'])} {self._route}",
                "server",
                _attributes(self._environ, self._route),
                parent=received if trace_id(received) else None,
                started=self._began_at,
            )
        )


def _noting(request: _Request, start_response: Any) -> Callable[..., Any]:
    """`start_response`, which says in the span, if there is one, what the answer is."""

    def start(line: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
        status = int(line[:3])
        if request.span:
            request.span.note({"http.response.status_code": status})
            # A 4xx is the sender's mistake, and none of ours (opentelemetry.io/docs/specs/semconv/http/http-spans).
            if status >= 500:
                request.span.fail(str(status), line)
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
        "network.protocol.version": str(environ["SERVER_PROTOCOL"]).removeprefix(
            "HTTP/"
        ),
        "user_agent.original": environ.get("HTTP_USER_AGENT"),
    }


def _known_method(method: str) -> str:
    # Anybody may send any word as a method; each would be another name of a span. `_OTHER` is the conventions' word.
    return method if method in _METHODS else "_OTHER"
