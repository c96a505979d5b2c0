"""The ingress over HTTP: routes, limits and answers. The one importer of Flask."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.datastructures import EnvironHeaders, Headers
from werkzeug.exceptions import (
    BadHost,
    BadRequest,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
)

from ingress import problems
from ingress.authentication import Oidc
from ingress.authority import authorities_of
from ingress.delivery import Delivery
from ingress.front import ARRIVED, NoRoom
from ingress.keys import KeyServer
from ingress.metrics import CONTENT_TYPE as METRICS_TYPE
from ingress.metrics import REFUSALS, UNKNOWN, Metrics
from ingress.openapi import describe
from ingress.outbox import Outbox
from ingress.readiness import Readiness
from ingress.receiver import Receiver, Reply
from ingress.receivers import Limits
from ingress.senders import acr, all_senders
from ingress.traced import PROVEN
from shared import tracing
from shared.problem import CONTENT_TYPE, Problem
from shared.settings import SENDERS_WITHOUT_SECRETS, IngressSettings
from shared.telemetry import new_traceparent, trace_id

_log = structlog.get_logger()
_PREFIX = "/webhooks/"
_LONGEST_LENGTH = 18
"""Digits of a Content-Length that are read as a number."""


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
        is_delivery = environ["REQUEST_METHOD"] == "POST" and path.startswith(_PREFIX)
        if not is_delivery:
            return False
        sender, _, token = path.removeprefix(_PREFIX).partition("/")
        if sender not in self._receiver.senders or is_too_large(
            environ.get("CONTENT_LENGTH"), self._max_body
        ):
            return False
        # A signature can be checked only with the body; a head without one, or with a wrong token, is refused now.
        head = head_of(sender, EnvironHeaders(environ), token.encode("latin-1"))
        return self._receiver.refusal(head) is None


def create_app(
    settings: IngressSettings,
    outbox: Outbox,
    keys: KeyServer | None = None,
    limits: Limits | None = None,
) -> Ingress:
    """The WSGI application. It reads no environment, and uses only the outbox and, for gcr, the key server."""
    oidc = Oidc(
        issuers=settings.gcr_issuer,
        audiences=settings.gcr_audience,
        emails=settings.gcr_email,
        find_key=(keys or KeyServer(settings.gcr_jwks_url)).find,
    )
    for name in sorted(settings.sender_secrets.keys() & SENDERS_WITHOUT_SECRETS):
        _log.warning(
            "unused setting",
            sender=name,
            detail="this sender has no secret of its own; use a token",
        )
    known = all_senders(oidc, settings.nexus_registry, settings.artifactory_registry)
    senders = {name: known[name] for name in settings.senders}
    metrics = Metrics(senders)
    tokens = [token.get_secret_value().encode() for token in settings.webhook_tokens]
    authorities = {}
    for name, sender in senders.items():
        secrets = [
            secret.get_secret_value().encode()
            for secret in settings.sender_secrets.get(name, ())
        ]
        limits_of_sender = (limits or {}).get(name, ())
        authorities[name] = authorities_of(
            sender.accepts, tokens, secrets, limits_of_sender
        )
    receiver = Receiver(
        senders=senders, authorities=authorities, outbox=outbox, metrics=metrics
    )
    app = Ingress(receiver, settings.max_body)
    app.register_blueprint(_webhooks(receiver, settings.max_body))
    app.register_blueprint(_service(outbox.readiness, metrics, list(senders)))
    app.register_error_handler(HTTPException, lambda error: _refuse(error, senders))
    app.register_error_handler(Exception, _give_up)
    app.before_request(_begin)
    app.after_request(lambda response: _record(response, metrics, senders))
    return app


def _webhooks(receiver: Receiver, max_body: int) -> Blueprint:
    routes = Blueprint("webhooks", __name__)
    path = f"{_PREFIX}<any({','.join(receiver.senders)}):sender>"

    @routes.post(path, provide_automatic_options=False)
    @routes.post(f"{path}/<path:token>", provide_automatic_options=False)
    def receive(sender: str, token: str | None = None) -> Response:
        if is_too_large(request.headers.get("Content-Length"), max_body):
            raise RequestEntityTooLarge
        head = head_of(
            sender, request.headers, (token or "").encode("utf-8", "replace")
        )
        answer: Reply | Problem | None = receiver.refusal(head)
        if answer is None:
            delivery = head.with_body(
                _read_body(max_body), received_at=datetime.now(UTC)
            )
            arrived = request.environ.get(ARRIVED) or time.monotonic()
            answer = receiver.receive(delivery, arrived, _begin_trace)
        g.answer = answer
        return (
            _problem(answer)
            if isinstance(answer, Problem)
            else _json(answer.status, answer.body)
        )

    @routes.route(path, methods=["OPTIONS"])
    @routes.route(f"{path}/<path:token>", methods=["OPTIONS"])
    def consent(sender: str, token: str | None = None) -> Response:
        head = head_of(
            sender, request.headers, (token or "").encode("utf-8", "replace")
        )
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


def head_of(sender: str, headers: Headers, token: bytes) -> Delivery:
    """The delivery before its body is read."""
    fields = [(name, value.encode("latin-1", "replace")) for name, value in headers]
    # Some senders add a slash at the URL's end. No token ends with one.
    return Delivery.of(
        sender, fields, b"", datetime.now(UTC), token.removesuffix(b"/") or None
    )


def is_too_large(length: str | None, limit: int) -> bool:
    """Whether a Content-Length announces a body of more bytes than the limit."""
    digits = (length or "").strip()
    is_number = digits.isascii() and digits.isdigit()
    # Measured before it is read: Python takes its time over a number of thousands of digits, or refuses it.
    return is_number and (len(digits) > _LONGEST_LENGTH or int(digits) > limit)


def _service(readiness: Readiness, metrics: Metrics, senders: list[str]) -> Blueprint:
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
        return Response(metrics.exposition(), content_type=METRICS_TYPE)

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return _json(200, describe(senders))

    return routes


def _read_body(limit: int) -> bytes:
    """The raw body, never more than a byte beyond `limit` of it; raises HTTPException."""
    try:
        body: bytes = request.environ["wsgi.input"].read(limit + 1)
    except NoRoom as error:
        raise ServiceUnavailable("too many slow requests; send it again") from error
    except Exception as error:  # whatever the server raises: the client is too slow, or the connection has ended
        raise BadRequest("the body is incomplete") from error
    if len(body) > limit:
        raise RequestEntityTooLarge
    if len(body) < (request.content_length or 0):
        raise BadRequest("the body is shorter than its Content-Length")
    return body


def _begin() -> None:
    g.started = time.monotonic()
    g.traceparent = new_traceparent(request.headers.get("traceparent"))


def _begin_trace() -> str:
    """The sender is proven, so the request is worth a span, if anything is traced; gives the traceparent of both."""
    if begin_span := request.environ.get(PROVEN):
        begin_span()
        g.traceparent = new_traceparent(request.headers.get("traceparent"))
    return str(g.traceparent)


def _refuse(error: HTTPException, senders: Mapping[str, Any]) -> Response:
    status = error.code or 503
    if isinstance(error, NotFound):
        known = (
            f"; senders are {', '.join(senders)}"
            if request.path.startswith(_PREFIX)
            else ""
        )
        return _problem(Problem(404, f"no such path{known}"))
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return _problem(
            Problem(405, f"the method must be one of: {allowed}", {"Allow": allowed})
        )
    if isinstance(error, BadHost):
        return _problem(Problem(400, "the Host header is not a valid host name"))
    if isinstance(error, RequestEntityTooLarge):
        return _problem(
            Problem(413, "the body has more bytes than ACI_HOOKS_MAX_BODY allows")
        )
    if isinstance(error, ServiceUnavailable):
        return _problem(problems.unavailable(str(error.description)))
    # Any other error that is not the client's comes from a bug here.
    if status >= 500 or status < 400:
        return _give_up(error)
    return _problem(
        Problem(status, error.description or "the request cannot be served")
    )


def _give_up(error: Exception) -> Response:
    # A bug in aci-hooks. A 503 makes senders try again, and by then it may be fixed.
    _log.error("unexpected error", exc_info=error)
    return _problem(problems.unavailable("the request cannot be served now"))


def _record(
    response: Response, metrics: Metrics, senders: Mapping[str, Any]
) -> Response:
    """Log and count a delivery once, whatever its result. Its path is logged without the token."""
    if not request.path.startswith(_PREFIX) or request.method == "OPTIONS":
        return response
    # The sender is taken from the path because a request with a wrong method reaches no view.
    named, _, token = request.path.removeprefix(_PREFIX).partition("/")
    sender = named if named in senders else UNKNOWN
    answered = g.get("answer")
    answer = answered if isinstance(answered, Reply) else None
    outcome = (
        answer.outcome if answer else REFUSALS.get(response.status_code, "refused")
    )
    metrics.deliveries.labels(sender, outcome).inc()
    tracing.current().note({"aci_hooks.sender": sender, "aci_hooks.outcome": outcome})
    _log.info(
        "delivery",
        sender=sender,
        outcome=outcome,
        status=response.status_code,
        path=f"{_PREFIX}{sender}{'/***' if token else ''}",
        trace_id=trace_id(g.get("traceparent")),
        seconds=round(time.monotonic() - g.started, 4),
        **_facts(response, answer),
    )
    return response


def _facts(response: Response, answer: Reply | None) -> dict[str, Any]:
    if answer is None:
        return {"detail": json.loads(response.get_data()).get("detail")}
    body = answer.body
    if answer.outcome == "queued":
        passed_over = (
            {"passed_over": list(answer.passed_over)} if answer.passed_over else {}
        )
        return {
            "id": body["id"],
            "images": [push["image"] for push in body["pushes"]],
            **passed_over,
        }
    return {"reason": body.get("reason")}


def _json(status: int, body: Any) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json")


def _problem(problem: Problem) -> Response:
    return Response(
        problem.body(),
        problem.status,
        headers=dict(problem.headers),
        content_type=CONTENT_TYPE,
    )
