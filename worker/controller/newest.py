"""Which tags of a repository were pushed after the running one, for policies by which the later push wins.

A list of tags tells no times. Some registries tell them elsewhere; for the others the configs of images say when these
were made, which is asked for a few tags only: those that are the last by their spelling.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from shared.image import ImageReference
from worker.policies.spelling import natural
from worker.ports import Dated, Images

MOST_CONFIGS = 20
"""Tags whose images are asked when they were made."""
_NEVER = datetime.min.replace(tzinfo=UTC)


def pushed_later(registry: Images, image: ImageReference, running: str, counts: Callable[[str], bool]) -> list[Dated]:
    """The tags that count and were pushed after the running one, the last one first. Raises RemoteError.

    None of them where nobody can tell when the running tag was pushed: it may be the last.
    """
    recent = registry.recent(image)
    if recent is None:
        recent = _by_configs(registry, image, running, counts)
    since = next((one.pushed_at for one in recent if one.tag == running), _NEVER)
    later = [one for one in recent if one.tag != running and one.pushed_at > since and counts(one.tag)]
    return sorted(later, key=lambda one: (one.pushed_at, natural(one.tag)), reverse=True)


def _by_configs(registry: Images, image: ImageReference, running: str, counts: Callable[[str], bool]) -> list[Dated]:
    def created(tag: str) -> list[Dated]:
        at = registry.created(ImageReference(image.registry, image.repository, tag))
        return [Dated(tag, at)] if at else []

    # First of all: without its time nothing can be compared, and no other config needs to be read.
    known = created(running)
    if not known:
        return []
    candidates = sorted((tag for tag in registry.tags(image) if tag != running and counts(tag)), key=natural)
    return [*known, *(one for tag in candidates[-MOST_CONFIGS:] for one in created(tag))]
