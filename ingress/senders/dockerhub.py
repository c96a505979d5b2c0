"""Docker Hub: one tag of one repository per delivery, without a digest, and no authentication except the URL.

docs.docker.com/docker-hub/repos/manage/webhooks. The body's `callback_url` is never called: nobody serves it any more,
and an unsigned body that names a URL to fetch is an invitation to request forgery.
"""

from __future__ import annotations

from ingress.delivery import Delivery, Parsed
from ingress.media_types import why_no_image_of_either
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_or_reason
from shared.image import DOCKER_HUB


def parse(delivery: Delivery) -> Parsed:
    """The push of `push_data.tag` to `repository.repo_name`."""
    body = read_json(delivery.body)
    pushed = body["push_data"]
    # Undocumented, and not always present. For most pushes it is the config's type, for some the manifest's.
    if no_image := why_no_image_of_either(pushed["media_type"].label()):
        return no_image
    push = push_of_tag(
        delivery.sender,
        DOCKER_HUB,
        _repository(body["repository"]),
        pushed["tag"].text(),
        pushed_at=pushed["pushed_at"].time(),
        pusher=pushed["pusher"].label(),
    )
    return pushes_or_reason([push])


def _repository(repository: Node) -> str:
    name = repository["repo_name"].optional_text()
    if name:
        return name
    # Official images, such as `nginx`, have no namespace.
    namespace = repository["namespace"].optional_text()
    name = repository["name"].text()
    return f"{namespace}/{name}" if namespace else name
