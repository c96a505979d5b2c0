"""GitHub Container Registry: the `package` event of repositories and organisations, `registry_package` of Apps.

docs.github.com/webhooks/webhook-events-and-payloads#package. An image for several platforms comes as one event for the
tag and one for each platform's untagged manifest. GitHub does not send a failed delivery again by itself.
"""

from __future__ import annotations

from urllib.parse import parse_qs

from ingress.authentication import Hmac
from ingress.delivery import Delivery, Ignored, Malformed, Parsed
from ingress.hosts import host_of
from ingress.media_types import why_no_image
from ingress.payload import Node, read_json
from ingress.pushes import push_of_tag, pushes_or_reason

ACCEPTS = (Hmac("X-Hub-Signature-256", "sha256", prefix=b"sha256="),)

_EVENTS = frozenset({"package", "registry_package"})
_ACTIONS = frozenset({"published", "updated"})
_IMAGES = frozenset({"container", "docker"})
_FORM = b"payload="
_GITHUB = "ghcr.io"


def parse(delivery: Delivery) -> Parsed:
    """The push of the tag that a package's version now has."""
    event = (delivery.header("X-GitHub-Event") or b"").decode("ascii", "replace")
    # A server joins the values of a repeated header with commas (RFC 9110 §5.3). A missing one is not taken for an
    # event that concerns nobody: the answer 200 would hide that a proxy removes it.
    if not event or "," in event:
        raise Malformed("the header X-GitHub-Event is missing or repeated")
    if event not in _EVENTS:
        return Ignored(f"event {event[:40]!r} is not a package")
    body = _body(delivery)
    action = body["action"].text()
    if action not in _ACTIONS:
        return Ignored(f"action {action[:40]!r} is not a push")
    package = body["package"] if event == "package" else body["registry_package"]
    kind = package["package_type"].text()
    if kind.lower() not in _IMAGES:
        return Ignored(f"a package of type {kind[:40]!r} is not an image")
    return _push(delivery.sender, package, body["sender"]["login"].label())


def _push(sender: str, package: Node, pusher: str | None) -> Parsed:
    version = package["package_version"]
    metadata = version["container_metadata"]
    tag, manifest = metadata["tag"], metadata["manifest"]
    no_image = why_no_image(
        manifest["media_type"].label(), manifest["config"]["media_type"].label()
    )
    push = no_image or push_of_tag(
        sender,
        _registry(version["package_url"].label()),
        _repository(package),
        tag["name"].optional_text(),
        digest=tag["digest"].optional_text() or manifest["digest"].optional_text(),
        # Not created_at: a version that a tag is moved back to was created long ago.
        pushed_at=version["updated_at"].time(),
        pusher=pusher,
    )
    return pushes_or_reason([push])


def _body(delivery: Delivery) -> Node:
    # Decided by the body, not by its Content-Type: curl and other tools label every body as a form by default.
    if not delivery.body.startswith(_FORM):
        return read_json(delivery.body)
    try:
        fields = parse_qs(
            delivery.body.decode("ascii"), errors="surrogateescape", max_num_fields=10
        )
    except ValueError as error:
        raise Malformed("the body is not a form") from error
    if len(fields.get("payload", [])) != 1:
        raise Malformed("the form's field 'payload' is empty or repeated")
    return read_json(fields["payload"][0].encode("utf-8", "surrogateescape"))


def _registry(package_url: str | None) -> str:
    # GitHub Enterprise Server has a host of its own; elsewhere the URL starts with ghcr.io.
    host = host_of(package_url) if package_url else _GITHUB
    return host if "." in host else _GITHUB


def _repository(package: Node) -> str:
    # Package names keep the owner's capitals; image names have none.
    owner = package["owner"]["login"].optional_text() or package["namespace"].text()
    return f"{owner}/{package['name'].text()}".lower()
