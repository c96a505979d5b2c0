"""Harbor 2 (and 1): several artifacts of one repository per delivery, in Harbor's own format or as CloudEvents.

goharbor.io/docs/main/working-with-projects/project-configuration/configure-webhooks.
"""

from __future__ import annotations

from ingress.authentication import FixedHeader
from ingress.delivery import Delivery, Ignored, Parsed
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_of_events
from shared.push import Push

ACCEPTS = (FixedHeader("Authorization"),)

_PUSHES = frozenset({"PUSH_ARTIFACT", "pushImage", "harbor.artifact.pushed"})


def parse(delivery: Delivery) -> Parsed:
    """A push of each of the event's `resources` that has a tag."""
    body = read_json(delivery.body)
    kind = body["type"].text()
    if kind not in _PUSHES:
        return Ignored(f"event type {kind[:40]!r} is not a push")
    is_cloud_event = kind == "harbor.artifact.pushed"
    event = body["data" if is_cloud_event else "event_data"]
    pushed_at = body["time" if is_cloud_event else "occur_at"].time()
    repository, pusher = _repository(event["repository"]), body["operator"].label()

    def push(resource: Node) -> Push | Ignored:
        return push_of_tag(
            delivery.sender,
            resource["resource_url"].text(),
            repository,
            resource["tag"].optional_text(),
            digest=resource["digest"].optional_text(),
            pushed_at=pushed_at,
            pusher=pusher,
        )

    return pushes_of_events(event["resources"].items(), push)


def _repository(repository: Node) -> str:
    name = repository["repo_full_name"].optional_text()
    return name or f"{repository['namespace'].text()}/{repository['name'].text()}"
