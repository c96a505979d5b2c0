"""Sonatype Nexus Repository: one component per delivery, without a digest or the host that images are pulled from.

help.sonatype.com/en/webhooks.html. The host is the user's to configure, as ACI_HOOKS_NEXUS_REGISTRY: with path-based
routing the repository's name follows it, with connectors each repository has a host or a port of its own
(help.sonatype.com/en/docker-registry.html).
"""

from __future__ import annotations

from ingress.authentication import Hmac
from ingress.delivery import Delivery, Ignored, Parsed
from ingress.payload import read_json
from ingress.pushes import push_of_tag, pushes_or_reason
from shared.registry_hosts import RegistryHosts, named, unnamed

ACCEPTS = (Hmac("X-Nexus-Webhook-Signature", "sha1"),)

_ACTIONS = frozenset({"CREATED", "UPDATED"})
_NO_PUSHES = {
    "audit": "an audit event of the whole server",
    "repository": "a repository of the server was created, changed or deleted",
    "asset": "an asset of a component; the component has an event of its own",
}


def parse(delivery: Delivery, hosts: RegistryHosts = ()) -> Parsed:
    """The push of `component.name`:`component.version` at the repository's place among `hosts`."""
    body = read_json(delivery.body)
    component = body["component"]
    for member, reason in _NO_PUSHES.items():
        if component.value is None and body[member].value is not None:
            return Ignored(reason)
    action = body["action"].text()
    if action not in _ACTIONS:
        return Ignored(f"action {action[:40]!r} is not a push")
    kind = component["format"].text()
    if kind != "docker":
        return Ignored(f"a component of format {kind[:40]!r} is not an image")
    repository = body["repositoryName"].optional_text() or ""
    host = named(hosts, repository) or unnamed(hosts)
    if host is None:
        return Ignored(
            f"ACI_HOOKS_NEXUS_REGISTRY has no entry for the repository {repository[:80]!r}, and Nexus does not "
            "say where its images are pulled from"
        )
    push = push_of_tag(
        delivery.sender,
        host.host,
        host.image_name(repository, component["name"].text()),
        component["version"].optional_text(),
        pushed_at=body["timestamp"].time(),
        pusher=body["initiator"].label(),
    )
    return pushes_or_reason([push])
