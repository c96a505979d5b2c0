"""Making pushes of what a sender says: the grammar, what is not an image to run, and duplicates. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from urllib.parse import urlsplit

from pydantic import ValidationError

from ingress.delivery import Ignored, Malformed
from ingress.payload import Node
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
_INDEXES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_MANIFESTS = _INDEXES | {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v2+json",
}
# A chart, a signature, an attestation or any other artifact has the manifest of an image, with another config.
_CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})


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
        problems = [_explain(detail["loc"], detail["msg"]) for detail in error.errors()]
        raise Malformed("; ".join(problems)) from error


def settled(results: Iterable[Push | Ignored]) -> list[Push] | Ignored:
    """All pushes, the newest of each tag; if there is none, why. Raises Malformed if too many.

    Without the times of both, the newer of two pushes is the later one in the list.
    """
    pushes: dict[ImageReference, Push] = {}
    reasons: dict[str, None] = {}
    for result in results:
        if isinstance(result, Ignored):
            reasons[result.reason] = None
        elif not _is_older(result, pushes.get(result.image)):
            pushes[result.image] = result
    if len(pushes) > MAX_PUSHES:
        raise Malformed(f"{len(pushes)} pushes in one delivery, more than {MAX_PUSHES}")
    if pushes:
        return list(pushes.values())
    return Ignored("; ".join(list(reasons)[:_MAX_REASONS]) or "the delivery holds no event")


def settled_batch(
    events: Iterable[Node], read: Callable[[Node], Push | Ignored], *, refuse_if_all_malformed: bool = True
) -> list[Push] | Ignored:
    """What `read` makes of every event, settled. A malformed one is ignored, so that the others get their turn.

    Raises Malformed if there are too many pushes, and if every event is malformed: the sender then shows the refusal
    to whoever set it up. `refuse_if_all_malformed` False is for a sender that would send such a batch for ever.
    """
    results: list[Push | Ignored] = []
    malformed: list[str] = []  # texts, as an exception that is kept holds its frames, and with them the body
    for event in events:
        try:
            results.append(read(event))
        except Malformed as error:
            malformed.append(str(error))
            results.append(Ignored(f"malformed event: {error}"))
    all_malformed = len(malformed) == len(results)
    if malformed and all_malformed and refuse_if_all_malformed:
        raise Malformed(malformed[0])
    return settled(results)


def why_no_image(manifest: str | None, config: str | None = None) -> Ignored | None:
    """Why no container can be run from what has these media types; None if one can. A missing one is believed."""
    if is_chart(manifest) or is_chart(config):
        return Ignored("a Helm chart")
    if manifest is not None and manifest not in _MANIFESTS:
        return Ignored(f"media type {manifest[:80]!r} is not an image")
    if config is None or config in _CONFIGS or manifest in _INDEXES:
        return None
    return Ignored(f"media type {config[:80]!r} is not an image, but an artifact such as a signature or an attestation")


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


def _is_older(push: Push, other: Push | None) -> bool:
    if other is None or push.pushed_at is None or other.pushed_at is None:
        return False
    return push.pushed_at < other.pushed_at


def _explain(location: tuple[int | str, ...], message: str) -> str:
    place = ".".join(str(part) for part in location)
    return f"{place}: {message.removeprefix('Value error, ')}"
