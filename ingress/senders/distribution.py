"""CNCF Distribution (Docker's `registry`): envelopes of all kinds of events; pushes of tagged manifests count.

distribution.github.io/distribution/about/notifications. The registry sends an envelope again for ever until it is
answered with a 2xx or 3xx, and nothing behind it goes out meanwhile. So one odd event is ignored with its reason, and
only what is no envelope at all is refused.
"""

from __future__ import annotations

from ingress.authentication import Bearer, FixedHeader
from ingress.delivery import Delivery, Ignored, Malformed, Outcome
from ingress.payload import Node, read_json
from ingress.pushes import host_of, push_of_tag, settled, why_no_image
from shared.push import Push

ACCEPTS = (Bearer(), FixedHeader("Authorization"))


def parse(delivery: Delivery) -> Outcome:
    """The pushes among the envelope's `events`."""
    return settled([_event(delivery.sender, event) for event in read_json(delivery.body)["events"].items()])


def _event(sender: str, event: Node) -> Push | Ignored:
    try:
        action = event["action"].text()
        if action != "push":
            return Ignored(f"action {action[:40]!r} is no push")
        return _push(sender, event)
    except Malformed as odd:
        return Ignored(f"an event that is none of a registry: {odd}")


def _push(sender: str, event: Node) -> Push | Ignored:
    target = event["target"]
    return why_no_image(target["mediaType"].label()) or push_of_tag(
        sender,
        event["request"]["host"].optional_text() or host_of(target["url"].text()),
        target["repository"].text(),
        target["tag"].optional_text(),
        digest=target["digest"].optional_text(),
        pushed_at=event["timestamp"].time(),
        pusher=event["actor"]["name"].label(),
    )
