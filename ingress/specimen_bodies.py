"""The bodies of specimens: what each sender posts for a push, shortened to the parts that ingress.senders reads. Pure.

They show that an ingress can be reached and knows the secret. Whole deliveries of the senders are in tests/samples.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.image import DOCKER_HUB, ImageReference

Json = dict[str, Any]

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What the specimen says was pushed, and when; `id` is the sender's id of the delivery."""

    image: ImageReference
    at: datetime
    id: str

    @property
    def time(self) -> str:
        """The time as most senders write it."""
        return self.at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _dockerhub(pushed: Pushed) -> Json:
    if pushed.image.registry != DOCKER_HUB:
        raise ValueError(
            "Docker Hub reports only its own images, for example acme/shop:v2"
        )
    push_data = {
        "pushed_at": int(pushed.at.timestamp()),
        "pusher": "aci-hooks",
        "tag": pushed.image.tag,
    }
    return {
        "push_data": push_data,
        "repository": {"repo_name": pushed.image.repository},
    }


def _acr(pushed: Pushed) -> Json:
    image = pushed.image
    target = {"repository": image.repository, "tag": image.tag, "digest": image.digest}
    manifest = {
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        **target,
    }
    return {
        "id": pushed.id,
        "timestamp": pushed.time,
        "action": "push",
        "target": manifest,
        "request": {"host": image.registry},
    }


def _ghcr(pushed: Pushed) -> Json:
    image = pushed.image
    owner, _, name = image.repository.partition("/")
    metadata = {
        "tag": {"name": image.tag, "digest": image.digest},
        "manifest": {"digest": image.digest},
    }
    version = {
        "package_url": f"{image.registry}/{image.repository}:{image.tag}",
        "updated_at": pushed.time,
        "container_metadata": metadata,
    }
    package = {
        "name": name,
        "package_type": "CONTAINER",
        "owner": {"login": owner},
        "package_version": version,
    }
    return {"action": "published", "package": package, "sender": {"login": "aci-hooks"}}


def _quay(pushed: Pushed) -> Json:
    return {"docker_url": pushed.image.name, "updated_tags": [pushed.image.tag]}


def _harbor(pushed: Pushed) -> Json:
    image = pushed.image
    resource = {
        "resource_url": f"{image.name}:{image.tag}",
        "tag": image.tag,
        "digest": image.digest,
    }
    data = {"resources": [resource], "repository": {"repo_full_name": image.repository}}
    return {
        "type": "PUSH_ARTIFACT",
        "occur_at": int(pushed.at.timestamp()),
        "operator": "aci-hooks",
        "event_data": data,
    }


def _distribution(pushed: Pushed) -> Json:
    image = pushed.image
    target = {"repository": image.repository, "tag": image.tag, "digest": image.digest}
    event = {
        "id": pushed.id,
        "timestamp": pushed.time,
        "action": "push",
        "target": {
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            **target,
        },
        "request": {"host": image.registry},
        "actor": {"name": "aci-hooks"},
    }
    return {"events": [event]}


def _artifactory(pushed: Pushed) -> Json:
    image = pushed.image
    # By the vendor's repository path method: what the ingress has to undo, jpd_origin/repo_key/path.
    repository, slash, name = image.repository.partition("/")
    if not slash:
        raise ValueError(
            "an image in Artifactory has a repository before its name, for example host/docker-local/shop:v2"
        )
    data = {
        "repo_key": repository,
        "path": f"{name}/{image.tag}/manifest.json",
        "name": "manifest.json",
        "image_name": name,
        "tag": image.tag,
        "sha256": image.digest and image.digest.removeprefix("sha256:"),
    }
    return {
        "domain": "docker",
        "event_type": "pushed",
        "data": data,
        "jpd_origin": f"https://{image.registry}",
    }


def _nexus(pushed: Pushed) -> Json:
    component = {
        "format": "docker",
        "name": pushed.image.repository,
        "version": pushed.image.tag,
    }
    return {
        "timestamp": pushed.at.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        "initiator": "aci-hooks",
        "repositoryName": "docker-hosted",
        "action": "CREATED",
        "component": component,
    }


def _gcr(pushed: Pushed) -> Json:
    image = pushed.image
    event = {"action": "INSERT", "tag": f"{image.name}:{image.tag}"}
    if image.digest:
        event["digest"] = f"{image.name}@{image.digest}"
    data = base64.b64encode(json.dumps(event).encode()).decode()
    return {
        "message": {"data": data, "messageId": pushed.id, "publishTime": pushed.time}
    }


def _ecr(pushed: Pushed) -> Json:
    image = pushed.image
    host = _ECR.fullmatch(image.registry)
    if host is None:
        raise ValueError(
            "an image in ECR has the host <account>.dkr.ecr.<region>.amazonaws.com"
        )
    detail = {
        "result": "SUCCESS",
        "action-type": "PUSH",
        "repository-name": image.repository,
        "image-tag": image.tag,
        "image-digest": image.digest,
    }
    return {
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": host["account"],
        "time": pushed.time,
        "region": host["region"],
        "detail": detail,
    }


def _generic(pushed: Pushed) -> Json:
    return {"image": str(pushed.image), "pushed_at": pushed.time, "pusher": "aci-hooks"}


BODIES: Mapping[str, Callable[[Pushed], Json]] = {
    "dockerhub": _dockerhub,
    "acr": _acr,
    "ghcr": _ghcr,
    "quay": _quay,
    "harbor": _harbor,
    "distribution": _distribution,
    "gitlab": _distribution,
    "artifactory": _artifactory,
    "nexus": _nexus,
    "gcr": _gcr,
    "ecr": _ecr,
    "generic": _generic,
}
"""The body of each sender. Each raises ValueError for an image that this sender can't report."""
