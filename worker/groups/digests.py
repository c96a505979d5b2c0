"""Two digests of one image: that of the index, which a registry gives for a tag, and those of its platforms. Pure.

Azure's events name the digest of what it has pulled: the manifest of the group's platform, which is one of those that
the index lists. So two digests are compared through the index (github.com/opencontainers/image-spec, image-index.md).
"""

from __future__ import annotations

from collections.abc import Collection


def is_same_image(running: str | None, digest: str | None, platforms: Collection[str] = ()) -> bool:
    """Is what runs the image of this digest, or one of the `platforms` that it lists? Not if either is unknown."""
    return running is not None and digest is not None and (running == digest or running in platforms)
