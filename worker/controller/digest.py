"""The digest of a pushed image, from its registry or else from its sender."""

from __future__ import annotations

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.push import Push
from worker.ports import Absent, Found, Images, Unknown

log = structlog.get_logger()


def digest_of(registry: Images, push: Push) -> str | None:
    """The digest of what was pushed; None if neither the registry nor the sender tells it.

    Raises RemoteError with the code ManifestUnknown if the registry has no such image.
    """
    pushed = ImageReference(push.registry, push.repository, push.tag, push.digest)
    match registry.lookup(pushed):
        case Found(digest):
            return digest
        case Absent(detail):
            raise RemoteError("registry", 404, "ManifestUnknown", f"{pushed} does not exist in its registry: {detail}")
        case Unknown(detail):
            # A registry that is private or down must not hold up a push whose sender has named the digest.
            log.info("registry gave no digest", detail=detail)
            return push.digest
