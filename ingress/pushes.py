"""Making pushes of what a sender says: the grammar, what is no image to run, and duplicates. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import ValidationError

from ingress.delivery import Ignored, Malformed
from shared.image import ImageReference, is_written_as_host
from shared.push import Push

MAX_PUSHES = 200
"""Pushes that one delivery may hold: what the queue takes within the time that a sender waits for its answer."""

_MAX_PUSHER = 256
_MAX_REASONS = 3
_DIGEST = re.compile(r"sha(256|512)(:|__).+", re.ASCII)
# cosign and the OCI referrers fallback keep what belongs to a digest under such tags:
# github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
_BELONGS_TO_A_DIGEST = re.compile(r"sha(256|512)-[0-9a-f]{16,}(\.\w+)?", re.ASCII)
_MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)


def push_of_tag(
    sender: str,
    registry: str,
    repository: str,
    tag: str | None,
    *,
    digest: str | None = None,
    pushed_at: datetime | None = None,
    pusher: str | None = None,
) -> Push | Ignored:
    """The push of one tag, or why it is none to act on; raises Malformed where a part breaks the OCI grammar."""
    if tag is None or tag == digest or _DIGEST.fullmatch(tag):
        return Ignored("untagged: a manifest that was pushed by its digest, such as one platform of an image")
    if _BELONGS_TO_A_DIGEST.fullmatch(tag):
        return Ignored("a signature, attestation or other artifact that belongs to an image")
    if not is_written_as_host(registry.lower()):
        raise Malformed(f"registry {registry[:80]!r} cannot be told from a repository in an image's name")
    try:
        return Push.of(
            sender,
            ImageReference(registry, repository, tag, digest),
            pushed_at=pushed_at,
            pusher=pusher[:_MAX_PUSHER] if pusher else None,
        )
    except ValidationError as error:
        raise Malformed("; ".join(_explain(one["loc"], one["msg"]) for one in error.errors())) from error


def settled(results: Iterable[Push | Ignored]) -> list[Push] | Ignored:
    """All pushes, those of one tag merged into the last; if there is none, why. Raises Malformed if too many."""
    pushes: dict[str, Push] = {}
    reasons: dict[str, None] = {}
    for result in results:
        if isinstance(result, Ignored):
            reasons[result.reason] = None
        else:
            pushes[f"{result.registry}/{result.repository}:{result.tag}"] = result
    if len(pushes) > MAX_PUSHES:
        raise Malformed(f"{len(pushes)} pushes in one delivery, more than {MAX_PUSHES}")
    if pushes:
        return list(pushes.values())
    return Ignored("; ".join(list(reasons)[:_MAX_REASONS]) or "the delivery holds no event")


def is_manifest(media_type: str | None) -> bool:
    """Can a container be run from what has this media type? A sender that names none is believed."""
    return media_type is None or media_type in _MANIFESTS


def is_chart(media_type: str | None) -> bool:
    """Is it a Helm chart?"""
    return media_type is not None and "helm" in media_type


def split_host(name: str) -> tuple[str, str]:
    """`host/repository` taken apart; raises Malformed."""
    host, slash, repository = name.partition("/")
    if not slash or not host or not repository:
        raise Malformed(f"{name[:80]!r} is not host/repository")
    return host, repository


def host_of(url: str) -> str:
    """The host[:port] of a URL, or of one without its scheme; raises Malformed."""
    try:
        host = urlsplit(url if "://" in url else f"//{url}").netloc
    except ValueError as error:
        raise Malformed(f"{url[:80]!r} is not a URL") from error
    if not host:
        raise Malformed(f"{url[:80]!r} names no host")
    return host


def _explain(location: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(str(part) for part in location)}: {message.removeprefix('Value error, ')}"
