"""Azure Container Registry: its own webhooks, and its events through Event Grid.

learn.microsoft.com/azure/container-registry/container-registry-webhook-reference and
learn.microsoft.com/azure/event-grid/event-schema-container-registry. An Event Grid delivery is an array of events, and
a new subscription is confirmed by giving its code back
(learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema).
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from ingress.authentication import Bearer, FixedHeader
from ingress.delivery import Delivery, Handshake, Ignored, Outcome
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, settled, settled_batch, why_no_image
from shared.push import Push

ACCEPTS = (Bearer(), FixedHeader("Authorization"))

_VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
_PUSHED = "Microsoft.ContainerRegistry.ImagePushed"


def parse(delivery: Delivery) -> Outcome:
    """The push of `request.host`/`target.repository`:`target.tag`, or those of an Event Grid array."""
    body = read_json(delivery.body)
    if isinstance(body.value, list):
        return _event_grid(delivery.sender, body.items())
    action = body["action"].text()
    if action != "push":
        return Ignored(f"action {action[:40]!r} is not an image push")
    return settled([_push(delivery.sender, body, body["timestamp"].time())])


def _event_grid(sender: str, events: list[Node]) -> Outcome:
    for event in events:
        if isinstance(event.value, dict) and event.value.get("eventType") == _VALIDATION:
            return Handshake({"validationResponse": event["data"]["validationCode"].text()})
    return settled_batch(events, partial(_event, sender))


def _event(sender: str, event: Node) -> Push | Ignored:
    kind = event["eventType"].text()
    if kind != _PUSHED:
        return Ignored(f"event type {kind[:80]!r} is not an image push")
    return _push(sender, event["data"], event["eventTime"].time())


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
