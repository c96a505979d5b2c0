"""What is answered where the framework refuses a request before or inside a view: as problems, like all our errors."""

from __future__ import annotations

from collections.abc import Iterable

from werkzeug.exceptions import (
    BadHost,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
)

from ingress import problems
from ingress.heads import WEBHOOKS
from shared.problem import Problem


def problem_of(
    error: HTTPException, path: str, senders: Iterable[str]
) -> Problem | None:
    """The problem to answer with; None if the error comes from a bug here."""
    status = error.code or 503
    if isinstance(error, NotFound):
        # Whoever set up a webhook has most likely misspelt the sender, or it is not among ACI_HOOKS_SENDERS.
        is_webhook = path.startswith(WEBHOOKS)
        known = f"; senders are {', '.join(senders)}" if is_webhook else ""
        return Problem(404, f"no such path{known}")
    if isinstance(error, MethodNotAllowed):
        # RFC 9110 §15.5.6 requires the header Allow in every 405.
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return Problem(405, f"the method must be one of: {allowed}", {"Allow": allowed})
    if isinstance(error, BadHost):
        return Problem(400, "the Host header is not a valid host name")
    if isinstance(error, RequestEntityTooLarge):
        return Problem(413, "the body has more bytes than ACI_HOOKS_MAX_BODY allows")
    if isinstance(error, ServiceUnavailable):
        return problems.unavailable(str(error.description))
    # Any other error that is not the client's comes from a bug here. That includes redirects, which werkzeug raises as
    # errors as well: no route asks for one.
    if status >= 500 or status < 400:
        return None
    return Problem(status, error.description or "the request cannot be served")
