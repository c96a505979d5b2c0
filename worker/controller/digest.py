"""The digest of a pushed image: by its registry, or else by its sender."""

from __future__ import annotations

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.push import Push
from worker.ports import Absent, Found, Images, Unknown

log = structlog.get_logger()


def digest_of(registry: Images, push: Push) -> str | None:
    """The digest of what was pushed, None if neither can tell.

    Raises RemoteError with the code ManifestUnknown if the registry has no such image.
    """
    pushed = ImageReference(push.registry, push.repository, push.tag, push.digest)
    match registry.lookup(pushed):
        case Found(digest):
            return digest
        case Absent(detail):
            raise RemoteError("registry", 404, "ManifestUnknown", f"{pushed} does not exist there: {detail}")
        case Unknown(detail):  # pragma: no branch  (there is no fourth)
            log.info("registry can't tell", detail=detail)
            return push.digest
