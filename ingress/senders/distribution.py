"""CNCF Distribution (Docker's `registry`): envelopes of all kinds of events; pushes of tagged manifests count.

distribution.github.io/distribution/about/notifications. The registry repeats an envelope forever until it is answered
with a 2xx or 3xx, and sends nothing else meanwhile: a refused event would block all later ones. So malformed events
are ignored, even if there is nothing else in the envelope, and only a body that is not an envelope is refused.
"""

from __future__ import annotations

from functools import partial

from ingress.authentication import Bearer, FixedHeader
from ingress.delivery import Delivery, Ignored, Outcome
from ingress.payload import Node, read_json
from ingress.pushes import host_of, push_of_tag, settled_batch, why_no_image
from shared.push import Push

ACCEPTS = (Bearer(), FixedHeader("Authorization"))


def parse(delivery: Delivery) -> Outcome:
    """The pushes among the envelope's `events`."""
    events = read_json(delivery.body)["events"].items()
    return settled_batch(events, partial(_event, delivery.sender), refuse_if_all_malformed=False)


def _event(sender: str, event: Node) -> Push | Ignored:
    action = event["action"].text()
    if action != "push":
        return Ignored(f"action {action[:40]!r} is not a push")
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
