"""Google Artifact Registry and Container Registry, through a Pub/Sub push subscription.

docs.cloud.google.com/artifact-registry/docs/configure-notifications and
docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions. Pub/Sub delivers again until it is answered with a
2xx, for as long as its subscription keeps messages. So whatever a message holds is answered with one, and only what is
no message of Pub/Sub's is refused.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from ingress.delivery import Delivery, Ignored, Malformed, Parsed
from ingress.hosts import split_host
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_or_reason
from shared.push import Push

_NO_EVENT = "the message contains no event of the registry"
# docs.cloud.google.com/pubsub/docs/payload-unwrapping
_PUBLISH_TIME = "X-Goog-Pubsub-Publish-Time"
_MESSAGE_ID = "X-Goog-Pubsub-Message-Id"
_USER_AGENTS = (b"APIs-Google", b"CloudPubSub-Google")


def parse(delivery: Delivery) -> Parsed:
    """The push of `tag`, a whole image name, in the Pub/Sub message's data, or in the body if that is unwrapped."""
    is_unwrapped = delivery.header(_MESSAGE_ID) is not None
    if is_unwrapped:
        return _published(delivery.sender, delivery.body, _time_in(delivery))
    if _is_text_of_a_person(delivery):
        return Ignored(_NO_EVENT)
    body = read_json(delivery.body)
    message = body["message"]
    if message.value is not None:
        return _wrapped(delivery.sender, message)
    if body["action"].value is None:
        raise Malformed(
            "the body is neither a Pub/Sub message nor the event in one: use a push subscription to send it"
        )
    return _published(delivery.sender, delivery.body, None)


def _wrapped(sender: str, message: Node) -> Parsed:
    encoded = message["data"].optional_text()
    if encoded is None:
        return Ignored(f"{_NO_EVENT}, only attributes")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed("message.data is not base64") from error
    return _published(sender, data, message["publishTime"].time())


def _published(sender: str, data: bytes, published_at: datetime | None) -> Parsed:
    """The published text: the registry's event, or a word with which a person tests the subscription."""
    try:
        event = read_json(data)
        action = event["action"].text()
        if action != "INSERT":
            return Ignored(f"action {action[:40]!r} is not a push")
        return pushes_or_reason([_push(sender, event, published_at)])
    except Malformed as error:
        return Ignored(f"{_NO_EVENT}: {error}")


def _push(sender: str, event: Node, pushed_at: datetime | None) -> Push | Ignored:
    # Both are whole names: `tag` is host/path:tag, `digest` is host/path@sha256:…. Either may be missing.
    image, digest = event["tag"].optional_text(), event["digest"].optional_text()
    name = image or (digest or "").partition("@")[0]
    if not name:
        raise Malformed("it names neither a tag nor a digest")
    registry, path = split_host(name)
    # Behind the first slash a colon can only begin the tag; before it, the host's port.
    repository, colon, tag = path.partition(":")
    return push_of_tag(
        sender,
        registry,
        repository,
        tag if colon else None,
        digest=digest.rpartition("@")[2] if digest else None,
        pushed_at=pushed_at,
    )


def _time_in(delivery: Delivery) -> datetime | None:
    return Node(
        (delivery.header(_PUBLISH_TIME) or b"").decode("ascii", "replace")
    ).time()


def _is_text_of_a_person(delivery: Delivery) -> bool:
    """Whether the body is plain text, such as "hello", that Pub/Sub unwrapped without its metadata.

    Then only the User-Agent shows who sent it. A body that begins like an object is a broken event, not text.
    """
    is_of_pubsub = (delivery.header("User-Agent") or b"").startswith(_USER_AGENTS)
    return is_of_pubsub and not delivery.body.lstrip().startswith(b"{")
