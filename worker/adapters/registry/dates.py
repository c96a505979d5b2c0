"""When tags were pushed, by the registries that tell: their own interfaces, and the configs of images. Pure.

docs.docker.com/reference/api/hub (tags), learn.microsoft.com/rest/api/containerregistry (List tags),
docs.quay.io/api/swagger (listRepoTags), github.com/opencontainers/image-spec/blob/main/config.md (created).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from shared.image import DOCKER_HUB, ImageReference, InvalidImage, check_tag
from worker.adapters.registry.answers import json_object
from worker.ports import Dated

MOST_RECENT = 100
"""Tags that are asked for; of more than these nobody has missed the webhooks since the last sweep."""
QUAY = "quay.io"
# Docker Hub's last_updated changes with a signature, too; the push itself is told beside it.
_KEYS = ("tag_last_pushed", "last_updated", "lastUpdateTime", "start_ts")


def stranger_url(image: ImageReference) -> httpx.URL | None:
    """Where a registry tells everybody when its tags were pushed, newest first; None if it does not."""
    if image.registry == DOCKER_HUB:
        query = {"page_size": MOST_RECENT, "ordering": "last_updated"}
        return httpx.URL(
            f"https://hub.docker.com/v2/repositories/{image.repository}/tags/",
            params=query,
        )
    if image.registry == QUAY:
        query = {"limit": MOST_RECENT, "onlyActiveTags": "true"}
        return httpx.URL(
            f"https://quay.io/api/v1/repository/{image.repository}/tag/", params=query
        )
    return None


def azure_path(image: ImageReference) -> str:
    """The path of the same in an Azure Container Registry."""
    return f"/acr/v1/{image.repository}/_tags?orderby=timedesc&n={MOST_RECENT}"


def dated_tags(body: bytes) -> list[Dated]:
    """The tags with their times in any of these answers, newest first; what has none is left out."""
    answer = json_object(body)
    # Docker Hub says `results`, Quay and Azure say `tags`.
    entries = answer.get("results") if "results" in answer else answer.get("tags")
    dated = _dated(entries) if isinstance(entries, list) else iter(())
    return sorted(dated, key=lambda tag: tag.pushed_at, reverse=True)


def created_in(config: bytes) -> datetime | None:
    """When an image was made, by its config. Builds that can be repeated say 1970, or nothing."""
    return _time(json_object(config).get("created"))


def platform_in(config: bytes) -> str | None:
    """What an image is built for, by its config: os/architecture[/variant]."""
    return platform_of(json_object(config))


def platform_of(value: Any) -> str | None:
    """The same of a platform as an index or a config writes it; None if it says none."""
    if not isinstance(value, dict):
        return None
    system, architecture = value.get("os"), value.get("architecture")
    parts = [system, architecture, value.get("variant")]
    # BuildKit lists an image's attestations as built for unknown/unknown: docs.docker.com/build/metadata/attestations.
    if not system or not architecture or "unknown" in parts:
        return None
    return "/".join(str(part) for part in parts if part)[:100]


def _dated(entries: list[Any]) -> Iterator[Dated]:
    for entry in entries:
        if not isinstance(entry, dict) or not _is_tag(entry.get("name")):
            continue
        told = next((entry[key] for key in _KEYS if entry.get(key)), None)
        if at := _time(told):
            yield Dated(entry["name"], at)


def _time(value: object) -> datetime | None:
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    # Without an offset it could not be compared with our times. These services give theirs in UTC.
    return at.replace(tzinfo=at.tzinfo or UTC) if at else None


def _is_tag(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(check_tag(value))
    except InvalidImage:
        return False
