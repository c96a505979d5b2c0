"""Sonatype Nexus Repository: one component a delivery, with neither the host that it is pulled from nor a digest.

help.sonatype.com/en/webhooks.html. The host is the user's to configure, as ACI_HOOKS_NEXUS_REGISTRY.
"""

from __future__ import annotations

from ingress.authentication import Hmac
from ingress.delivery import Delivery, Ignored, Outcome
from ingress.payload import read_json
from ingress.pushes import push_of_tag, settled

ACCEPTS = (Hmac("X-Nexus-Webhook-Signature", "sha1"),)

_ACTIONS = frozenset({"CREATED", "UPDATED"})


def parse(delivery: Delivery, registry: str | None) -> Outcome:
    """The push of `component.name`:`component.version` at `registry`."""
    body = read_json(delivery.body)
    action = body["action"].text()
    if action not in _ACTIONS:
        return Ignored(f"action {action[:40]!r} is not a push")
    component = body["component"]
    if component.value is None and body["asset"].value is not None:
        return Ignored("an asset of a component; the component has an event of its own")
    kind = component["format"].text()
    if kind != "docker":
        return Ignored(f"a component of format {kind[:40]!r} is not an image")
    if registry is None:
        return Ignored("ACI_HOOKS_NEXUS_REGISTRY is not set, and Nexus does not say where its images are pulled from")
    push = push_of_tag(
        delivery.sender,
        registry,
        component["name"].text(),
        component["version"].optional_text(),
        pushed_at=body["timestamp"].time(),
        pusher=body["initiator"].label(),
    )
    return settled([push])
