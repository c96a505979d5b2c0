"""The ingress over HTTP: routes, limits and answers. The one importer of Flask.

What a delivery means is decided in ingress.receiver, which knows no HTTP. ingress.front stands before this application
and gives it whole requests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.datastructures import EnvironHeaders
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    ServiceUnavailable,
)

from ingress import problems
from ingress.composition import receiver_of
from ingress.delivery import Delivery
from ingress.delivery_log import record_delivery
from ingress.front import ARRIVED, NoRoom
from ingress.heads import WEBHOOKS, head_of, is_too_large
from ingress.keys import KeyServer
from ingress.metrics import CONTENT_TYPE as METRICS_TYPE
from ingress.openapi import describe
from ingress.outbox import Outbox
from ingress.receiver import Receiver, Reply
from ingress.receivers import Limits
from ingress.refusals import problem_of
from ingress.senders import acr
from ingress.traced import PROVEN
from shared.problem import CONTENT_TYPE, Problem
from shared.readiness import Readiness
from shared.settings import IngressSettings
from shared.telemetry import new_traceparent

_log = structlog.get_logger()


class Ingress(Flask):
    """The WSGI application. It can tell from a request's head whether it would read the body."""

    def __init__(self, receiver: Receiver, max_body: int) -> None:
        super().__init__("ingress", static_folder=None)
        # A redirect to a normalised path would put the token into a Location header.
        self.url_map.strict_slashes = False
        self.url_map.merge_slashes = False
        self._receiver = receiver
        self._max_body = max_body

    def wants_body(self, environ: dict[str, Any]) -> bool:
        """Whether it is a delivery, not too large, whose head may prove it. Quick: it needs no other server."""
        path: str = environ["PATH_INFO"]
        is_delivery = environ["REQUEST_METHOD"] == "POST" and path.startswith(WEBHOOKS)
        if not is_delivery:
            return False
        sender, _, token = path.removeprefix(WEBHOOKS).partition("/")
        is_served = sender in self._receiver.senders
        length = environ.get("CONTENT_LENGTH")
        if not is_served or is_too_large(length, self._max_body):
            return False
        # A signature can be checked only with the body; a head without one, or with a wrong token, is refused now.
        # PATH_INFO holds the path's bytes as Latin-1 (PEP 3333); a view gets the same decoded as UTF-8.
        head = head_of(sender, EnvironHeaders(environ), token.encode("latin-1"))
        return self._receiver.refusal(head) is None


def create_app(
    settings: IngressSettings,
    outbox: Outbox,
    keys: KeyServer | None = None,
    limits: Limits | None = None,
) -> Ingress:
    """The WSGI application. It reads no environment, and uses only the outbox and, for gcr, the key server."""
    receiver = receiver_of(settings, outbox, keys, limits)
    app = Ingress(receiver, settings.max_body)
    app.register_blueprint(_webhooks(receiver, settings.max_body))
    app.register_blueprint(_service(outbox.readiness, receiver))
    app.register_error_handler(
        HTTPException, lambda error: _refuse(error, receiver.senders)
    )
    app.register_error_handler(Exception, _give_up)
    app.before_request(_begin)
    app.after_request(lambda response: _record(response, receiver))
    return app


def _webhooks(receiver: Receiver, max_body: int) -> Blueprint:
    routes = Blueprint("webhooks", __name__)
    path = f"{WEBHOOKS}<any({','.join(receiver.senders)}):sender>"
    # The token has the converter `path`, because it may contain slashes.
    path_with_token = f"{path}/<path:token>"

    # Flask would answer OPTIONS for each of these routes itself, before `consent` is asked.
    @routes.post(path, provide_automatic_options=False)
    @routes.post(path_with_token, provide_automatic_options=False)
    def receive(sender: str, token: str | None = None) -> Response:
        answer = _answer(receiver, max_body, sender, token)
        g.answer = answer
        if isinstance(answer, Problem):
            return _problem(answer)
        return _json(answer.status, answer.body)

    @routes.route(path, methods=["OPTIONS"])
    @routes.route(path_with_token, methods=["OPTIONS"])
    def consent(sender: str, token: str | None = None) -> Response:
        head = _head(sender, token)
        headers = acr.consent(head)
        # Any other OPTIONS request learns only which methods there are, so it needs no secret.
        if headers and not receiver.knows(head):
            return _problem(problems.unauthorized(["the token in the URL"]))
        if headers:
            _begin_trace()
        answer = current_app.make_default_options_response()
        answer.headers.update(headers)
        return answer

    return routes


def _answer(
    receiver: Receiver, max_body: int, sender: str, token: str | None
) -> Reply | Problem:
    """The answer to the delivery that Flask holds at present. The head is judged before the body is read."""
    if is_too_large(request.headers.get("Content-Length"), max_body):
        raise RequestEntityTooLarge
    head = _head(sender, token)
    if refusal := receiver.refusal(head):
        return refusal
    delivery = head.with_body(_read_body(max_body), received_at=datetime.now(UTC))
    # Only the front says when a request arrived; a test's client calls the application without it.
    arrived = request.environ.get(ARRIVED) or time.monotonic()
    return receiver.receive(delivery, arrived, _begin_trace)


def _head(sender: str, token: str | None) -> Delivery:
    return head_of(sender, request.headers, (token or "").encode("utf-8", "replace"))


def _service(readiness: Readiness, receiver: Receiver) -> Blueprint:
    routes = Blueprint("service", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        return _json(200, {"status": "ok"})

    @routes.get("/readyz")
    def readyz() -> Response:
        if code := readiness.trouble():
            return _problem(
                problems.unavailable(f"the queue cannot be reached ({code})")
            )
        return _json(200, {"status": "ready"})

    @routes.get("/metrics")
    def exposition() -> Response:
        return Response(receiver.metrics.exposition(), content_type=METRICS_TYPE)

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return _json(200, describe(list(receiver.senders)))

    return routes


def _read_body(limit: int) -> bytes:
    """The raw body, never more than a byte beyond `limit` of it; raises HTTPException.

    Not by `request.data`: where there is no Content-Length, as in a chunked request, werkzeug gives an empty body
    unless the server promises to end the stream (werkzeug.wsgi.get_input_stream). Good deliveries would be malformed.
    """
    try:
        body: bytes = request.environ["wsgi.input"].read(limit + 1)
    except NoRoom as error:
        raise ServiceUnavailable("too many slow requests; send it again") from error
    except Exception as error:  # whatever the server raises: the client is too slow, or the connection has ended
        raise BadRequest("the body is incomplete") from error
    if len(body) > limit:
        raise RequestEntityTooLarge
    # The parser would most likely refuse it as well, but would blame the JSON.
    if len(body) < (request.content_length or 0):
        raise BadRequest("the body is shorter than its Content-Length")
    return body


def _begin() -> None:
    g.started = time.monotonic()
    # Every request gets a trace id for its line in the log, also one that never becomes a span.
    g.traceparent = new_traceparent(request.headers.get("traceparent"))


def _begin_trace() -> str:
    """Begin a span, if anything is traced: the sender is proven, so the request is worth one. Gives the traceparent."""
    if begin_span := request.environ.get(PROVEN):
        begin_span()
        # Made again: from now on it continues the span that has just begun.
        g.traceparent = new_traceparent(request.headers.get("traceparent"))
    return str(g.traceparent)


def _refuse(error: HTTPException, senders: Iterable[str]) -> Response:
    problem = problem_of(error, request.path, senders)
    return _problem(problem) if problem else _give_up(error)


def _give_up(error: Exception) -> Response:
    # A bug in aci-hooks. A 503 makes senders try again, and by then it may be fixed.
    _log.error("unexpected error", exc_info=error)
    return _problem(problems.unavailable("the request cannot be served now"))


def _record(response: Response, receiver: Receiver) -> Response:
    # After every request, not in the view: a wrong method or an unknown sender never reaches one.
    is_delivery = request.path.startswith(WEBHOOKS) and request.method != "OPTIONS"
    if not is_delivery:
        return response
    answer = g.get("answer")
    record_delivery(
        response,
        answer if isinstance(answer, Reply) else None,
        path=request.path,
        traceparent=g.get("traceparent"),
        seconds=round(time.monotonic() - g.started, 4),
        metrics=receiver.metrics,
        senders=receiver.senders,
    )
    return response


def _json(status: int, body: Any) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json")


def _problem(problem: Problem) -> Response:
    return Response(
        problem.body(),
        problem.status,
        headers=dict(problem.headers),
        content_type=CONTENT_TYPE,
    )
