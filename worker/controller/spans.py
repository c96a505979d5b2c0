"""The spans of a worker's steps (shared.tracing), as children of the pushes that they act for.

The names of attributes are OpenTelemetry's where it has one (opentelemetry.io/docs/specs/semconv/messaging, …/azure).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime

from shared import tracing
from shared.message import Look, TargetId, UpdateMessage
from shared.telemetry import trace_id
from shared.tracing import Attributes, Span
from worker.record.acting import acts_for, stretches
from worker.record.record import Record

MOST_LINKS = 32
"""How many other pushes a span names: a burst may be of hundreds."""


def parent_of(message: UpdateMessage) -> str:
    """The traceparent of a push. One without any, such as a sweep's, gets one that is the same in every process."""
    if message.traceparent and trace_id(message.traceparent):
        return message.traceparent
    digest = hashlib.sha256(message.id.encode()).hexdigest()
    # The traceparent is made from the push's id, because no worker knows which others act for the push.
    return f"00-{digest[:32]}-{digest[32:48]}-01"


def process(
    messages: Sequence[UpdateMessage], queue: str
) -> AbstractContextManager[Span]:
    """The span of messages that a worker carries out together: that of the newest, linked to the others'."""
    if not tracing.is_on():
        return tracing.span("")
    newest, *others = sorted(messages, key=lambda message: message.order, reverse=True)
    attributes = {
        **_queue(queue, "process"),
        **_push(newest),
        "messaging.message.id": newest.id if not others else None,
        "messaging.batch.message_count": len(messages) if others else None,
    }
    return tracing.span(
        f"process {newest.kind}",
        "consumer",
        attributes,
        parent=parent_of(newest),
        links=_links(others),
    )


def send(message: UpdateMessage, queue: str) -> AbstractContextManager[Span]:
    """The span of sending a push on to a target, below the step that does it."""
    attributes = {
        **_queue(queue, "send"),
        "messaging.message.id": message.id,
        **_target(message.target),
    }
    return tracing.span(f"send {message.kind}", "producer", attributes)


def look(look: Look, record: Record, queue: str) -> AbstractContextManager[Span]:
    """The span of one look at a group, as a child of the push that it acts for, linked to the others that wait."""
    if not tracing.is_on():
        return tracing.span("")
    acted_for = acts_for(record)
    attributes = {
        **_queue(queue, "process"),
        **_target(look.target),
        **(_push(acted_for[0]) if acted_for else {}),
        "aci_hooks.pushes": len(acted_for),
    }
    # A group may wait for its owner for weeks, and is looked at all the while. That would fill a push's trace, so such
    # looks have traces of their own.
    waits_for_owner = record.timer is not None and record.timer.owner
    if not acted_for or waits_for_owner:
        return tracing.span("look", "consumer", attributes, links=_links(acted_for))
    return tracing.span(
        "look",
        "consumer",
        attributes,
        parent=parent_of(acted_for[0]),
        links=_links(acted_for[1:]),
    )


def rollouts(before: Record, after: Record, now: datetime) -> None:
    """The spans of the rollouts that a look has found to end: each from its PUT to now, whoever watched it."""
    if not tracing.is_on():
        return
    for stretch in stretches(before, after, now):
        attributes = {
            **_target(before.target),
            **_push(stretch.message),
            "aci_hooks.result": stretch.result,
            "aci_hooks.detail": stretch.detail,
            "error.type": stretch.code,
        }
        tracing.past(
            stretch.name,
            stretch.started,
            stretch.ended,
            attributes,
            parent_of(stretch.message),
        )


def _links(messages: Sequence[UpdateMessage]) -> list[str]:
    return [parent_of(message) for message in messages[:MOST_LINKS]]


def _queue(name: str, operation: str) -> Attributes:
    # Of Azure's queues the conventions name Service Bus and Event Hubs alone, and leave the names of others free.
    return {
        "messaging.system": "azure.storage_queues",
        "messaging.destination.name": name,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }


def _push(message: UpdateMessage) -> Attributes:
    return {
        "aci_hooks.push.id": message.id,
        "aci_hooks.image": str(message.push.image),
        **_target(message.target),
    }


def _target(target: TargetId | None) -> Attributes:
    if target is None:
        return {}
    return {
        "aci_hooks.target": str(target),
        "azure.resource_group.name": target.resource_group,
    }
