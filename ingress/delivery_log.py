"""One line in the log and one count in the metrics for each delivery, whatever became of it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import structlog
from werkzeug.wrappers import Response

from ingress.heads import WEBHOOKS
from ingress.metrics import REFUSALS, UNKNOWN, Metrics
from ingress.receiver import Reply
from shared import tracing
from shared.telemetry import trace_id

_log = structlog.get_logger()


def record_delivery(
    response: Response,
    reply: Reply | None,
    *,
    path: str,
    traceparent: str | None,
    seconds: float,
    metrics: Metrics,
    senders: Collection[str],
) -> None:
    """Log and count a delivery once. `reply` is None if it was refused. Its path is logged without the token."""
    # The sender is taken from the path because a request with a wrong method reaches no view.
    named, _, token = path.removeprefix(WEBHOOKS).partition("/")
    sender = named if named in senders else UNKNOWN
    outcome = reply.outcome if reply else REFUSALS.get(response.status_code, "refused")
    metrics.deliveries.labels(sender, outcome).inc()
    tracing.current().note({"aci_hooks.sender": sender, "aci_hooks.outcome": outcome})
    _log.info(
        "delivery",
        sender=sender,
        outcome=outcome,
        status=response.status_code,
        path=f"{WEBHOOKS}{sender}{'/***' if token else ''}",
        trace_id=trace_id(traceparent),
        seconds=seconds,
        **_facts(response, reply),
    )


def _facts(response: Response, reply: Reply | None) -> dict[str, Any]:
    if reply is None:
        # Read from the answer, because a refusal may come from the receiver, the framework or the handler of bugs.
        return {"detail": json.loads(response.get_data()).get("detail")}
    if reply.outcome != "queued":
        return {"reason": reply.body.get("reason")}
    facts: dict[str, Any] = {
        "id": reply.body["id"],
        "images": [push["image"] for push in reply.body["pushes"]],
    }
    if reply.passed_over:
        facts["passed_over"] = list(reply.passed_over)
    return facts
