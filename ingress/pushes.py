"""Creates pushes from what a sender says: the grammar of names and tags, untagged manifests, duplicates. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from pydantic import ValidationError

from ingress.delivery import Ignored, Malformed
from ingress.hosts import host_of
from ingress.payload import Node
from shared.image import ImageReference, is_written_as_host
from shared.push import Push

MAX_PUSHES = 200
"""The most pushes in one delivery: what the queue accepts while a sender waits for its answer."""

_MAX_PUSHER = 256
_MAX_REASONS = 3
_DIGEST = re.compile(r"sha(256|512)(:|__).+", re.ASCII)
# cosign and the fallback of the OCI referrers API use such tags for artifacts that belong to a digest:
# github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
_BELONGS_TO_A_DIGEST = re.compile(r"sha(256|512)-[0-9a-f]{16,}(\.\w+)?", re.ASCII)


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
    """The push of one tag, or why it is ignored; raises Malformed if a part violates the OCI grammar."""
    # An image for several platforms arrives as one push by tag and one by digest for each platform. The latter concern
    # nobody: a missing tag must never become `latest`. Harbor puts the digest in the place of the missing tag.
    if tag is None or tag == digest or _DIGEST.fullmatch(tag):
        return Ignored(
            "untagged: a manifest that was pushed by its digest, such as one platform of an image"
        )
    if _BELONGS_TO_A_DIGEST.fullmatch(tag):
        return Ignored(
            "a signature, attestation or other artifact that belongs to an image"
        )
    try:
        return Push.of(
            sender,
            ImageReference(_host(registry), repository, tag, digest),
            pushed_at=pushed_at,
            pusher=pusher[:_MAX_PUSHER] if pusher else None,
        )
    except ValidationError as error:
        problems = [_explain(detail["loc"], detail["msg"]) for detail in error.errors()]
        raise Malformed("; ".join(problems)) from error


def _host(registry: str) -> str:
    """The registry's host, as an image's name can begin with it; raises Malformed."""
    host = host_of(registry)
    # To every container tool the first part of a name is a host only if it has a dot or a port, or is localhost
    # (github.com/distribution/reference/blob/main/normalize.go, splitDockerDomain). harbor/shop is a repository of
    # Docker Hub, so such a push would be taken for somebody else's image.
    if not is_written_as_host(host):
        raise Malformed(
            f"registry {host[:80]!r} can't be told from a repository in an image's name: configure the registry with "
            "the name that images are pulled by, which has a dot or a port"
        )
    return host


def pushes_or_reason(results: Iterable[Push | Ignored]) -> list[Push] | Ignored:
    """The newest push of each tag; or why there is none. Raises Malformed if there are too many.

    Unless both have a time, the later one in the list counts as newer.
    """
    pushes: dict[ImageReference, Push] = {}
    reasons: dict[str, None] = {}  # an ordered set
    for result in results:
        if isinstance(result, Ignored):
            reasons[result.reason] = None
        elif not _is_older(result, pushes.get(result.image)):
            pushes[result.image] = result
    if len(pushes) > MAX_PUSHES:
        raise Malformed(f"{len(pushes)} pushes in one delivery, more than {MAX_PUSHES}")
    if pushes:
        return list(pushes.values())
    return Ignored(
        "; ".join(list(reasons)[:_MAX_REASONS]) or "the delivery contains no event"
    )


def pushes_of_events(
    events: Iterable[Node],
    read: Callable[[Node], Push | Ignored],
    *,
    may_refuse: bool = True,
) -> list[Push] | Ignored:
    """The pushes that `read` finds in the events. A malformed event is ignored, so that the others still count.

    Raises Malformed if there are too many pushes, and if every event is malformed: the sender then shows the refusal
    to whoever set it up. `may_refuse` False is for a sender that would repeat a refused batch forever, and send
    nothing else meanwhile: the same is then ignored, with its reason.
    """
    results: list[Push | Ignored] = []
    # Texts, because a kept exception keeps its frames alive, and with them the body.
    malformed: list[str] = []
    for event in events:
        try:
            results.append(read(event))
        except Malformed as error:
            malformed.append(str(error))
            results.append(Ignored(f"malformed event: {error}"))
    all_malformed = len(malformed) == len(results)
    if malformed and all_malformed and may_refuse:
        raise Malformed(malformed[0])
    try:
        return pushes_or_reason(results)
    except Malformed as error:
        if may_refuse:
            raise
        return Ignored(str(error))


def _is_older(push: Push, other: Push | None) -> bool:
    if other is None or push.pushed_at is None or other.pushed_at is None:
        return False
    return push.pushed_at < other.pushed_at


def _explain(location: tuple[int | str, ...], message: str) -> str:
    place = ".".join(str(part) for part in location)
    return f"{place}: {message.removeprefix('Value error, ')}"
