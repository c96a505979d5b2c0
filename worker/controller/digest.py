"""What a pushed tag points at: by its registry, or else by its sender, as far as that one is believed."""

from __future__ import annotations

import structlog

from shared.errors import RemoteError
from shared.push import Push
from worker.ports import Absent, Found, Images, Unknown
from worker.targets.registries import Believe

log = structlog.get_logger()


def digest_of(
    registry: Images, push: Push, believe: Believe = "signed"
) -> Found | str | None:
    """What the registry tells of the pushed *tag*; the sender's digest if it can't tell; None if neither is to be had.

    A webhook is a hint. Its digest is not asked for: with any secret, somebody could name an old image of the
    repository by its digest and a new tag that the policy lets pass.

    Raises RemoteError with the code ManifestUnknown if the registry has no such tag, whatever digest came with it.
    """
    match registry.lookup(push.image):
        case Found() as found:
            # This is only logged. The tag may have moved again since the webhook, and the registry's answer counts
            # anyway.
            if push.digest and push.digest not in found.digests:
                log.warning(
                    "the tag points at another image than the push says",
                    sent=push.digest,
                    found=found.digest,
                )
            return found
        case Absent(detail):
            raise RemoteError(
                "registry",
                404,
                "ManifestUnknown",
                f"{push.image} does not exist in its registry: {detail}",
            )
        case Unknown(detail):  # pragma: no branch  (there is no fourth)
            # A registry that is private or down must not hold up a push whose sender names the digest and is believed.
            believed = push.digest is not None and is_believed(push, believe)
            more = {"sender_is_believed": believed} if push.digest else {}
            log.info("registry gave no digest", detail=detail, **more)
            return push.digest if believed else None


def is_believed(push: Push, believe: Believe) -> bool:
    """Whether the sender's word for a digest is enough where the registry can't tell it."""
    if believe == "signed":
        return push.proof in {"own", "operator"}
    return believe == "always"
