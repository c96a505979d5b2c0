"""Azure Container Registry: its own webhooks, and its events through Event Grid in either schema.

learn.microsoft.com/azure/container-registry/container-registry-webhook-reference and
learn.microsoft.com/azure/event-grid/event-schema-container-registry. Event Grid sends an array of events in its own
schema, and one event or an array as CloudEvents 1.0. A new subscription is confirmed by giving its code back in the one
case (learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema), and by an OPTIONS request in
the other (learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial

from ingress.authentication import Bearer, FixedHeader
from ingress.delivery import Delivery, Handshake, Ignored, Parsed
from ingress.media_types import why_no_image
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_of_events, pushes_or_reason
from shared.push import Push

# The registry's webhook sends whatever custom headers its owner has set: `Bearer <secret>`, or the secret alone.
ACCEPTS = (Bearer(), FixedHeader("Authorization"))

_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
# An older page of Microsoft's documentation omits the prefix of `eventType`.
_PREFIX = "Microsoft.ContainerRegistry."
_PUSHED = "ImagePushed"
_HOST_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")


def parse(delivery: Delivery) -> Parsed:
    """The push of `request.host`/`target.repository`:`target.tag`, or those of Event Grid's events."""
    body = read_json(delivery.body)
    if isinstance(body.value, list):
        return _event_grid(delivery.sender, body.items())
    if _is_event(body):
        return _event_grid(delivery.sender, [body])
    action = body["action"].text()
    if action != "push":
        return Ignored(f"action {action[:40]!r} is not an image push")
    return pushes_or_reason([_push(delivery.sender, body, body["timestamp"].time())])


def consent(delivery: Delivery) -> Mapping[str, str]:
    """The headers that let the asking origin send CloudEvents here; none if the request is not that handshake.

    It asks with OPTIONS: github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection. Whoever
    knows the secret may have any origin send, as the clouds of Azure have origins of their own.
    """
    origin = delivery.header("WebHook-Request-Origin")
    if delivery.sender != "acr" or origin is None or not _HOST_NAME.fullmatch(origin):
        return {}
    return {
        "WebHook-Allowed-Origin": origin.decode("ascii"),
        "WebHook-Allowed-Rate": "*",
    }


def _is_event(body: Node) -> bool:
    """Whether it is a single event in an Event Grid envelope. The registry's own webhook has an action and a target."""
    envelope = body.value if isinstance(body.value, dict) else {}
    has_event_type = "eventType" in envelope or "type" in envelope
    return has_event_type and "action" not in envelope


def _event_grid(sender: str, events: list[Node]) -> Parsed:
    for event in events:
        if _is_validation(event):
            code = event["data"]["validationCode"].text()
            return Handshake({"validationResponse": code})
    # Event Grid does not send a batch again that was answered 400, but drops it
    # (learn.microsoft.com/azure/event-grid/delivery-and-retry), so one odd event must not take the others with it.
    return pushes_of_events(events, partial(_event, sender))


def _is_validation(event: Node) -> bool:
    return isinstance(event.value, dict) and event.value.get("eventType") == _VALIDATION


def _event(sender: str, event: Node) -> Push | Ignored:
    kind = event["eventType"].optional_text() or event["type"].text()
    if kind.removeprefix(_PREFIX) != _PUSHED:
        return Ignored(f"event type {kind[:80]!r} is not an image push")
    return _push(
        sender, event["data"], event["eventTime"].time() or event["time"].time()
    )


def _push(sender: str, event: Node, pushed_at: datetime | None) -> Push | Ignored:
    target = event["target"]
    return why_no_image(target["mediaType"].label()) or push_of_tag(
        sender,
        event["request"]["host"].text(),
        target["repository"].text(),
        target["tag"].optional_text(),
        digest=target["digest"].optional_text(),
        pushed_at=pushed_at,
    )
