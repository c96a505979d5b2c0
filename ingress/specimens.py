"""Specimens: a delivery of each sender that reports a push, with the sender's own proof. Pure.

They are for testing an ingress (`aci-hooks test-webhook`). No digest is invented: a target that runs the repository
would be updated to it.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping

from ingress.specimen_bodies import BODIES, Pushed

__all__ = ["Pushed", "example_image", "own_proof", "specimen"]

Headers = dict[str, str]

_EXAMPLES = {
    "dockerhub": "docker.io/aci-hooks/test-webhook:test",
    "acr": "example.azurecr.io/aci-hooks/test-webhook:test",
    "ghcr": "ghcr.io/aci-hooks/test-webhook:test",
    "quay": "quay.io/aci-hooks/test-webhook:test",
    "gcr": "europe-docker.pkg.dev/aci-hooks/test/webhook:test",
    "ecr": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/aci-hooks/test-webhook:test",
}


def example_image(sender: str) -> str:
    """An image that this sender may report and that nobody runs."""
    return _EXAMPLES.get(sender, "registry.example.com/aci-hooks/test-webhook:test")


def specimen(sender: str, pushed: Pushed) -> tuple[Headers, bytes]:
    """The headers and the body of a delivery. Raises ValueError if this sender can't report this image."""
    headers = {"Content-Type": "application/json"}
    if sender == "ghcr":
        headers |= {"X-GitHub-Event": "package", "X-GitHub-Delivery": pushed.id}
    if sender == "nexus":
        headers["X-Nexus-Webhook-Id"] = "rm:repository:component"
    return headers, json.dumps(BODIES[sender](pushed)).encode()


def own_proof(sender: str, secret: str, body: bytes) -> Headers:
    """The headers by which this sender proves itself with its own secret; none if it has no such proof."""
    prove = _PROOFS.get(sender)
    return prove(secret, body) if prove else {}


def _signed(
    header: str, algorithm: str, prefix: str = ""
) -> Callable[[str, bytes], Headers]:
    """A proof by an HMAC of the body."""

    def proof(secret: str, body: bytes) -> Headers:
        return {header: prefix + hmac.new(secret.encode(), body, algorithm).hexdigest()}

    return proof


def _fixed(header: str) -> Callable[[str, bytes], Headers]:
    """A proof by the secret itself."""

    def proof(secret: str, _body: bytes) -> Headers:
        return {header: secret}

    return proof


_PROOFS: Mapping[str, Callable[[str, bytes], Headers]] = {
    "acr": _fixed("Authorization"),
    "ghcr": _signed("X-Hub-Signature-256", "sha256", "sha256="),
    "harbor": _fixed("Authorization"),
    "distribution": _fixed("Authorization"),
    "gitlab": _fixed("Authorization"),
    "artifactory": _fixed("X-JFrog-Event-Auth"),
    "nexus": _signed("X-Nexus-Webhook-Signature", "sha1"),
    "ecr": _fixed("X-Api-Key"),
    "generic": _signed("X-Hub-Signature-256", "sha256", "sha256="),
}
