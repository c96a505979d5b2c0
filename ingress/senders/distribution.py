"""CNCF Distribution (Docker's `registry`): envelopes of all kinds of events; pushes of tagged manifests count.

distribution.github.io/distribution/about/notifications. The registry repeats an envelope forever until it is answered
with a 2xx or 3xx, and sends nothing else meanwhile: a refused event would block all later ones. So malformed events
are ignored, even if there is nothing else in the envelope, and only a body that is not an envelope is refused.
"""

from __future__ import annotations

from functools import partial

from ingress.authentication import Bearer, FixedHeader
from ingress.delivery import Delivery, Ignored, Malformed, Parsed
from ingress.hosts import host_if_any, reach
from ingress.media_types import why_no_image_of_references
from ingress.payload import Node, TooMany, read_json
from ingress.pushes import push_of_tag, pushes_of_events
from shared.push import Push

ACCEPTS = (Bearer(), FixedHeader("Authorization"))


def parse(delivery: Delivery) -> Parsed:
    """The pushes among the envelope's `events`."""
    try:
        events = read_json(delivery.body)["events"].items()
    except TooMany as error:
        return Ignored(str(error))
    return pushes_of_events(events, partial(_event, delivery.sender), may_refuse=False)


def _event(sender: str, event: Node) -> Push | Ignored:
    action = event["action"].text()
    if action != "push":
        return Ignored(f"action {action[:40]!r} is not a push")
    target = event["target"]
    return _why_no_image(target) or push_of_tag(
        sender,
        _registry(event),
        target["repository"].text(),
        target["tag"].optional_text(),
        digest=target["digest"].optional_text(),
        pushed_at=event["timestamp"].time(),
        pusher=event["actor"]["name"].label(),
    )


def _why_no_image(target: Node) -> Ignored | None:
    media_types: list[str | None] = []
    # Sent only with the registry's setting `notifications.events.includereferences`.
    references = target["references"]
    if isinstance(references.value, list):
        media_types = [
            reference["mediaType"].label() for reference in references.items()
        ]
    return why_no_image_of_references(target["mediaType"].label(), media_types)


def _registry(event: Node) -> str:
    """The host of `target.url` or of `request.host`, whichever can be pulled from; raises Malformed.

    The URL follows the registry's setting `http.host` and X-Forwarded-Host, by which an administrator or a proxy gives
    the public name; `request.host` is the header Host as it arrived, which a proxy may have replaced by the inner name
    of the registry. So where both are as good, the URL counts. It is no more than a path with `http.relativeurls`.
    """
    told = [
        host_if_any(event["target"]["url"].label()),
        host_if_any(event["request"]["host"].label()),
    ]
    hosts = [host for host in told if host is not None]
    if not hosts:
        raise Malformed(
            "neither target.url nor request.host names a host: set http.host in the registry's config.yml"
        )
    return max(hosts, key=reach)
