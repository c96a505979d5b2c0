"""Which tags of a repository were pushed after the running one, for policies by which the later push wins.

A list of tags contains no times. Some registries report them elsewhere; for others the configs of images say when
they were built, which is looked up for only a few tags: the last ones by their spelling.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from shared.image import ImageReference
from worker.policies.spelling import natural
from worker.ports import Dated, Images

MOST_CONFIGS = 20
"""The most tags whose images are looked up for the time when they were built."""
_NEVER = datetime.min.replace(tzinfo=UTC)


def pushed_later(
    registry: Images, image: ImageReference, running: str, counts: Callable[[str], bool]
) -> list[Dated]:
    """The tags that count and were pushed after the running one, the newest first. Raises RemoteError.

    None of them if it is unknown when the running tag was pushed: it may be the newest.
    """
    recent = registry.recent(image)
    if recent is None:
        recent = _by_configs(registry, image, running, counts)
    since = next((dated.pushed_at for dated in recent if dated.tag == running), _NEVER)
    others = [dated for dated in recent if dated.tag != running]
    later = [dated for dated in others if dated.pushed_at > since and counts(dated.tag)]
    # Tags that were pushed in one go may have one time. Then the spelling decides, so that every worker finds the same.
    return sorted(
        later, key=lambda dated: (dated.pushed_at, natural(dated.tag)), reverse=True
    )


def _by_configs(
    registry: Images, image: ImageReference, running: str, counts: Callable[[str], bool]
) -> list[Dated]:
    def created(tag: str) -> list[Dated]:
        at = registry.created(ImageReference(image.registry, image.repository, tag))
        return [Dated(tag, at)] if at else []

    # Without its time nothing can be compared, so no other config needs to be read.
    known = created(running)
    if not known:
        return []
    others = [tag for tag in registry.tags(image) if tag != running and counts(tag)]
    # Each costs several requests, so only the likeliest are looked up.
    likeliest = sorted(others, key=natural)[-MOST_CONFIGS:]
    dated = list(known)
    for tag in likeliest:
        dated += created(tag)
    return dated
