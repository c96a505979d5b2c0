"""Azure Container Registry: its own webhooks, and its events through Event Grid.

learn.microsoft.com/azure/container-registry/container-registry-webhook-reference and
learn.microsoft.com/azure/event-grid/event-schema-container-registry. An Event Grid delivery is an array of events, and
a new subscription is confirmed by giving its code back
(learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema).
"""

from __future__ import annotations

from datetime import datetime

from ingress.authentication import Bearer, FixedHeader
from ingress.delivery import Delivery, Handshake, Ignored, Malformed, Outcome
from ingress.payload import Node, read_json
from ingress.pushes import is_chart, is_manifest, push_of_tag, settled
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
        return Ignored(f"action {action[:40]!r} is no image push")
    return settled([_push(delivery.sender, body, body["timestamp"].time())])


def _event_grid(sender: str, events: list[Node]) -> Outcome:
    for event in events:
        if event["eventType"].optional_text() == _VALIDATION:
            return Handshake({"validationResponse": event["data"]["validationCode"].text()})
    return settled([_event(sender, event) for event in events])


def _event(sender: str, event: Node) -> Push | Ignored:
    kind = event["eventType"].text()
    if kind != _PUSHED:
        return Ignored(f"event type {kind[:80]!r} is no image push")
    try:
        return _push(sender, event["data"], event["eventTime"].time())
    except Malformed as odd:  # the other events of the batch still count
        return Ignored(f"an event that is none of a registry: {odd}")


def _push(sender: str, event: Node, pushed_at: datetime | None) -> Push | Ignored:
    target = event["target"]
    media_type = target["mediaType"].label()
    if is_chart(media_type):
        return Ignored("a Helm chart")
    if not is_manifest(media_type):
        return Ignored(f"media type {str(media_type)[:80]!r} is no image")
    return push_of_tag(
        sender,
        event["request"]["host"].text(),
        target["repository"].text(),
        target["tag"].optional_text(),
        digest=target["digest"].optional_text(),
        pushed_at=pushed_at,
    )
