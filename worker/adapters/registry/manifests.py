"""What a manifest says of itself: a container's image, an index of several, or another artifact. Pure.

Registries hold more than images: charts, signatures, attestations, and the caches that BuildKit's `cache-to` pushes
beside every image. github.com/opencontainers/image-spec, manifest.md and image-index.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from shared.image import InvalidImage, check_digest
from worker.adapters.registry.answers import json_object
from worker.adapters.registry.dates import platform_of

Json = dict[str, Any]

IMAGE_CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
    }
)
"""The config media types of images. What anybody may push has any other one, so that only a list of these is of use."""
IMAGE_MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
AZURES = "linux/amd64"
"""What Azure Container Instances runs, but for Windows."""
# What cosign and BuildKit push with an image's config: a signature, an attestation.
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a manifest holds.

    `platforms` are the manifests that an index lists, by digest. `artifact` says what it is if it is not an image; with
    `child`, only that manifest tells whether it is one. `config` is the digest of the config; of an index, `main` is
    that of the manifest that Azure would run, and `built_for` are the platforms that it names. `nested` are the
    indexes among the platforms, whose own manifests are yet to be read.
    """

    platforms: frozenset[str] = frozenset()
    artifact: str | None = None
    child: str | None = None
    config: str | None = None
    main: str | None = None
    built_for: frozenset[str] | None = None
    nested: frozenset[str] = frozenset()

    @property
    def to_read(self) -> list[str]:
        """The manifests without which it is not known what an index holds, the most telling one first."""
        unread = self.nested | ({self.child} if self.child else frozenset())
        return sorted(unread, key=lambda digest: (digest != self.main, digest))

    def with_inner(self, digest: str, inner: Contents) -> Contents:
        """The contents of an index with those of one of its manifests."""
        is_index = digest in self.nested
        decides = digest == self.child
        return replace(
            self,
            platforms=self.platforms | inner.platforms,
            artifact=inner.artifact if decides else self.artifact,
            child=None if decides else self.child,
            main=inner.main if is_index and digest == self.main else self.main,
            built_for=_either(self.built_for, inner.built_for),
            nested=self.nested - {digest},
        )


def contents_of(body: bytes) -> Contents:
    """Read a manifest's bytes. Total: of what says nothing of itself nothing is known, and it counts as an image."""
    manifest = json_object(body)
    if isinstance(manifest.get("manifests"), list):
        return _of_index(
            [entry for entry in manifest["manifests"] if isinstance(entry, dict)],
            manifest,
        )
    return _of_manifest(manifest)


def _of_manifest(manifest: Json) -> Contents:
    config = _object(manifest.get("config"))
    kind, own_kind = config.get("mediaType"), manifest.get("mediaType")
    # The config decides first: an artifact may borrow an image's manifest type, as charts do.
    if isinstance(kind, str) and kind not in IMAGE_CONFIGS:
        return Contents(artifact=f"its config is {_shown(kind)}")
    if isinstance(own_kind, str) and own_kind not in IMAGE_MANIFESTS | INDEXES:
        return Contents(artifact=f"its manifest is {_shown(own_kind)}")
    # A signature has an image's config, too. Only its layers show what it is.
    layers = [
        _object(layer).get("mediaType") for layer in _list(manifest.get("layers"))
    ]
    has_file_system = any(
        isinstance(layer, str) and layer.startswith(_LAYERS) for layer in layers
    )
    if any(layers) and not has_file_system:
        return Contents(
            artifact=f"its layers are {_shown(next(layer for layer in layers if layer))}"
        )
    return Contents(config=_digest(config))


def _of_index(entries: list[Json], index: Json) -> Contents:
    if isinstance(kind := index.get("artifactType"), str) and kind not in IMAGE_CONFIGS:
        return Contents(artifact=f"it is {_shown(kind)}")
    manifests = [entry for entry in entries if _may_be_an_image(entry)]
    if not manifests:
        kinds = [
            str(entry.get("artifactType") or entry.get("mediaType"))
            for entry in entries
        ]
        return Contents(
            artifact=f"its index lists {_shown(kinds[0]) if kinds else 'nothing'}"
        )
    digests = [_digest(entry) for entry in manifests]
    platforms = frozenset(digest for digest in digests if digest)
    named = [platform_of(entry.get("platform")) for entry in manifests]
    built_for = {
        platform: digest
        for platform, digest in zip(named, digests, strict=True)
        if platform
    }
    # An index may list indexes: github.com/opencontainers/image-spec/blob/main/image-index.md.
    nested = frozenset(
        digest
        for entry, digest in zip(manifests, digests, strict=True)
        if digest and entry.get("mediaType") in INDEXES
    )
    # Sorted, because the order of a set differs from one process to the next.
    first = next(iter(sorted(platforms)), None)
    if built_for:
        return Contents(
            platforms,
            main=built_for.get(AZURES) or first,
            built_for=frozenset(built_for),
            nested=nested,
        )
    # Charts come as indexes, too; but only images say for which platform they are.
    return Contents(platforms, child=first, main=first, nested=nested)


def _either(
    one: frozenset[str] | None, other: frozenset[str] | None
) -> frozenset[str] | None:
    return one | other if one and other else one or other


def _may_be_an_image(entry: Json) -> bool:
    kind, artifact = entry.get("mediaType"), entry.get("artifactType")
    is_manifest = kind is None or str(kind) in IMAGE_MANIFESTS | INDEXES
    is_another_artifact = artifact is not None and str(artifact) not in IMAGE_CONFIGS
    # BuildKit lists an image's attestations beside it: docs.docker.com/build/metadata/attestations.
    is_attestation = (
        _object(entry.get("annotations")).get("vnd.docker.reference.type")
        == "attestation-manifest"
    )
    return is_manifest and not is_another_artifact and not is_attestation


def _digest(descriptor: Json) -> str | None:
    try:
        return check_digest(str(descriptor.get("digest")))
    except InvalidImage:
        return None


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(kind: object) -> str:
    """A media type as a message may hold it: it comes from outside."""
    text = str(kind)[:100]
    return text if text.isascii() and text.isprintable() else repr(text)
