"""Quay: several tags of one repository per delivery; no digest, time or actor, no authentication except the URL.

docs.quay.io/guides/notifications.html. Quay switches a notification off after three failures in a row.
"""

from __future__ import annotations

from ingress.delivery import Delivery, Ignored, Malformed, Parsed
from ingress.hosts import split_host
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_of_events

# Every event from Quay has one of these: events of a repository, and of an organisation, such as of its quota.
_MARKS = ("docker_url", "repository", "namespace")
# What "Test Notification" sends: invented tags of the real repository, and a count that real pushes don't have.
_TEST_TAGS = ["latest", "foo"]


def parse(delivery: Delivery) -> Parsed:
    """A push of each of `updated_tags` to `docker_url`."""
    body = read_json(delivery.body)
    tags = _tags(body["updated_tags"])
    if tags is None:
        is_of_quay = any(body[mark].value is not None for mark in _MARKS)
        if is_of_quay:
            return Ignored(
                "an event of Quay's that updates no tags, such as a build, a scan or a quota"
            )
        # A template of the user's can put anything into the body. That can only be corrected where it was set.
        raise Malformed(
            "the body is not a Quay event: remove the notification's custom template"
        )
    if _is_test(tags, body["pruned_image_count"]):
        return Ignored("Quay's test notification")
    registry, repository = split_host(body["docker_url"].text())
    return pushes_of_events(
        tags, lambda tag: push_of_tag(delivery.sender, registry, repository, tag.text())
    )


def _is_test(tags: list[Node], count: Node) -> bool:
    """Whether it is the test that looks like a push. By both marks: somebody may push just these two tags."""
    return [tag.value for tag in tags] == _TEST_TAGS and count.value is not None


def _tags(updated: Node) -> list[Node] | None:
    if updated.value is None:
        return None
    if isinstance(updated.value, dict):  # the form of 2013: {tag: image id}
        return Node(list(updated.value), updated.path).items()
    return updated.items()
