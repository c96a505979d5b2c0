"""Any other sender: `{"image": "registry/repository:tag[@sha256:…]", "pushed_at"?: RFC 3339, "pusher"?: "…"}`.

A CI job can send it with one curl. A person wrote the request, so mistakes in it are reported, not ignored.
"""

from __future__ import annotations

from ingress.authentication import Hmac
from ingress.delivery import Delivery, Malformed, Parsed
from ingress.payload import read_json
from ingress.pushes import push_of_tag, pushes_or_reason
from shared.image import ImageReference, InvalidImage

ACCEPTS = (Hmac("X-Hub-Signature-256", "sha256", prefix=b"sha256="),)


def parse(delivery: Delivery) -> Parsed:
    """The push of `image`."""
    body = read_json(delivery.body)
    try:
        image = ImageReference.parse(body["image"].text())
    except InvalidImage as error:
        raise Malformed(f"image: {error}") from error
    if image.tag is None:
        raise Malformed("image: the tag is missing; give the one that was pushed")
    pushed_at = body["pushed_at"].time()
    if body["pushed_at"].value is not None and pushed_at is None:
        raise Malformed(
            "pushed_at: is not a time with its offset, such as 2026-01-31T12:00:00Z (RFC 3339)"
        )
    push = push_of_tag(
        delivery.sender,
        image.registry,
        image.repository,
        image.tag,
        digest=image.digest,
        pushed_at=pushed_at,
        pusher=body["pusher"].optional_text(),
    )
    return pushes_or_reason([push])
