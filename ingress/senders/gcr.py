"""Google Artifact Registry and Container Registry, through a Pub/Sub push subscription.

docs.cloud.google.com/artifact-registry/docs/configure-notifications and
docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions. Pub/Sub delivers again until it is answered with a
2xx, for as long as its subscription keeps messages.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from ingress.delivery import Delivery, Ignored, Malformed, Outcome
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, settled, split_host
from shared.push import Push


def parse(delivery: Delivery) -> Outcome:
    """The push of `tag`, a whole image name, in the Pub/Sub message's data."""
    message = read_json(delivery.body)["message"]
    try:
        data = base64.b64decode(message["data"].text(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("message.data is not base64") from error
    event = read_json(data)
    action = event["action"].text()
    if action != "INSERT":
        return Ignored(f"action {action[:40]!r} is not a push")
    return settled([_push(delivery.sender, event, message["publishTime"].time())])


def _push(sender: str, event: Node, pushed_at: datetime | None) -> Push | Ignored:
    image, digest = event["tag"].optional_text(), event["digest"].optional_text()
    name = image or (digest or "").partition("@")[0]
    if not name:
        raise Malformed("the event names neither a tag nor a digest")
    registry, path = split_host(name)
    repository, colon, tag = path.partition(":")
    return push_of_tag(
        sender,
        registry,
        repository,
        tag if colon else None,
        digest=digest.rpartition("@")[2] if digest else None,
        pushed_at=pushed_at,
    )
