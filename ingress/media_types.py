"""The media types of images that a container can run. Pure.

A Helm chart, a signature, a build cache or any other artifact has an image's manifest with another config. New
kinds appear every year, so the runnable types are listed, not the others:
github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
"""

from __future__ import annotations

from collections.abc import Iterable

from ingress.delivery import Ignored

_INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
# Docker's first schema has no config, and was only ever used for images.
_WITHOUT_CONFIG = _INDEXES | {
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
}
_MANIFESTS = _WITHOUT_CONFIG | {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}
_CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
_NAMES_OF_ARTIFACTS = {"helm": "a Helm chart", "buildkit.cacheconfig": "a build cache"}


def why_no_image(manifest: str | None, config: str | None = None) -> Ignored | None:
    """Why a manifest with these media types is not a runnable image; None if it is. A missing type is accepted."""
    manifest, config = _essence(manifest), _essence(config)
    if manifest is not None and manifest not in _MANIFESTS:
        return _no_image(manifest)
    # Not every sender tells both types. An artifact that is taken for an image here is found out by the worker, which
    # reads the manifest itself. An image that is taken for an artifact would be lost.
    if config is None or manifest in _WITHOUT_CONFIG or config in _CONFIGS:
        return None
    return _no_image(config)


def why_no_image_of_either(media_type: str | None) -> Ignored | None:
    """The same for a single media type, of a manifest or a config."""
    essence = _essence(media_type)
    if essence is None or essence in _MANIFESTS or essence in _CONFIGS:
        return None
    return _no_image(essence)


def why_no_image_of_references(
    manifest: str | None, references: Iterable[str | None]
) -> Ignored | None:
    """Likewise, where the sender lists what the manifest refers to: its config and layers, or an index's manifests."""
    types = [essence for essence in map(_essence, references) if essence]
    if not types:
        return why_no_image(manifest)
    is_index = _essence(manifest) in _INDEXES
    if is_index:
        # BuildKit wrote its cache as an index of layers before version 0.21: docs.docker.com/build/cache/backends.
        return None if _MANIFESTS.intersection(types) else _no_image(types[-1])
    # Nothing marks the config among them. An image's is known by its type; otherwise the first counts, because
    # Distribution lists the config before the layers.
    config = next(
        (media_type for media_type in types if media_type in _CONFIGS), types[0]
    )
    return why_no_image(manifest, config)


def is_chart(kind: str | None) -> bool:
    """Whether a media type or another name says that it is a Helm chart."""
    return kind is not None and "helm" in kind.lower()


def _no_image(media_type: str) -> Ignored:
    for part, name in _NAMES_OF_ARTIFACTS.items():
        if part in media_type:
            return Ignored(f"{name}, which no container can run")
    what = f"media type {media_type[:80]!r} is not an image"
    return Ignored(f"{what}, but an artifact such as a signature or an attestation")


def _essence(media_type: str | None) -> str | None:
    """A media type in lower case and without its parameters (RFC 9110 §8.3.1)."""
    return (media_type or "").partition(";")[0].strip().lower() or None
