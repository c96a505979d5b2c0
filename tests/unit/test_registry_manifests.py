"""What a manifest is: an image, an index of images, or anything else that registries hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.adapters.registry.manifests import Contents, contents_of

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")
OCI, DOCKER = "application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."
MANIFEST, INDEX, CONFIG = f"{OCI}manifest.v1+json", f"{OCI}index.v1+json", f"{OCI}config.v1+json"
LAYER = f"{OCI}layer.v1.tar+gzip"
BUILDKIT = "application/vnd.buildkit.cacheconfig.v0"
AMD64 = {"os": "linux", "architecture": "amd64"}
NOWHERE = {"os": "unknown", "architecture": "unknown"}
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": A}


def read(manifest: Any) -> Contents:
    return contents_of(json.dumps({"schemaVersion": 2} | manifest).encode())


def entry(digest: str, kind: str | None = MANIFEST, **rest: Any) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": 1, **rest}


@pytest.mark.parametrize(
    "manifest",
    [
        {"mediaType": MANIFEST, "config": entry(A, CONFIG), "layers": [entry(B, LAYER)]},
        {
            "mediaType": f"{DOCKER}v2+json",
            "config": entry(A, "application/vnd.docker.container.image.v1+json"),
            "layers": [entry(B, "application/vnd.docker.image.rootfs.diff.tar.gzip")],
        },
        {"config": entry(A, CONFIG), "layers": [entry(B, f"{OCI}layer.v1.tar+zstd")]},
        {"config": entry(A, CONFIG), "layers": [entry(B, "application/x-stargz"), entry(C, LAYER)]},
        {"config": entry(A, CONFIG), "layers": []},
        {"config": entry(A, CONFIG)},
        {"config": entry(A, CONFIG), "artifactType": CONFIG},
    ],
)
def test_images(manifest: Any) -> None:
    assert read(manifest) == Contents(config=A)


@pytest.mark.parametrize(
    "manifest",
    [{}, {"config": {}}, {"config": [], "layers": {}}, {"schemaVersion": 1, "fsLayers": []}, {"layers": [{}]}],
)
def test_what_says_nothing_of_itself_may_be_an_image(manifest: Any) -> None:
    assert read(manifest) == Contents()


@pytest.mark.parametrize(
    ("manifest", "what"),
    [
        ({"config": entry(A, BUILDKIT), "layers": [entry(B, LAYER)]}, f"its config is {BUILDKIT}"),
        ({"config": entry(A, "application/vnd.cncf.helm.config.v1+json")}, "application/vnd.cncf.helm.config.v1+json"),
        ({"config": entry(A, f"{OCI[:-6]}empty.v1+json"), "artifactType": "text/spdx"}, "empty.v1+json"),
        ({"config": entry(A, "application/vnd.docker.plugin.v1+json")}, "docker.plugin"),
        ({"config": entry(A, "application/vnd.docker.compose.config.empty.v1+json")}, "compose"),
        ({"config": entry(A, "application/vnd.wasm.config.v0+json")}, "wasm"),
        ({"config": entry(A, "\x1b[2J")}, "its config is '"),
        ({"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "blobs": []}, "its manifest is"),
        (
            {"config": entry(A, CONFIG), "layers": [entry(B, "application/vnd.dev.cosign.simplesigning.v1+json")]},
            "its layers are application/vnd.dev.cosign.simplesigning.v1+json",
        ),
        ({"config": entry(A, CONFIG), "layers": [entry(B, "application/vnd.in-toto+json")]}, "its layers are"),
        # BuildKit's cache of before: an index of layers, with its config among them.
        ({"mediaType": INDEX, "manifests": [entry(A, LAYER), entry(B, BUILDKIT)]}, f"its index lists {LAYER}"),
        ({"mediaType": INDEX, "manifests": []}, "its index lists nothing"),
        ({"mediaType": INDEX, "manifests": [entry(A, artifactType="application/x-chart")]}, "application/x-chart"),
        ({"mediaType": INDEX, "artifactType": "application/x", "manifests": [entry(A, platform=AMD64)]}, "it is"),
        ({"mediaType": INDEX, "manifests": [entry(A, annotations=ATTESTATION, platform=NOWHERE)]}, "its index lists"),
    ],
)
def test_other_artifacts(manifest: Any, what: str) -> None:
    told = read(manifest).artifact
    assert told is not None
    assert what in told
    assert told.isprintable()


ON_AMD64, ON_ARM = frozenset({"linux/amd64"}), frozenset({"linux/amd64", "linux/arm64/v8"})
ARM64 = {"os": "linux", "architecture": "arm64", "variant": "v8"}


@pytest.mark.parametrize(
    ("manifests", "contents"),
    [
        ([entry(A, platform=AMD64)], Contents(frozenset({A}), main=A, built_for=ON_AMD64)),
        (
            [entry(A, None, platform=ARM64), entry(B, f"{DOCKER}v2+json", platform=AMD64)],
            Contents(frozenset({A, B}), main=B, built_for=ON_ARM),
        ),
        (
            [entry(B), entry(A, platform={"os": "windows", "architecture": "amd64"})],
            Contents(frozenset({A, B}), main=A, built_for=frozenset({"windows/amd64"})),
        ),
        (
            [entry(A, platform=AMD64), entry(B, annotations=ATTESTATION, platform=NOWHERE)],
            Contents(frozenset({A}), main=A, built_for=ON_AMD64),
        ),
        (
            [entry(A, platform=AMD64), entry(B, LAYER), 7, entry("md5:0")],
            Contents(frozenset({A}), main=A, built_for=ON_AMD64),
        ),
        ([entry(B), entry(A, platform=NOWHERE)], Contents(frozenset({A, B}), child=A, main=A)),
        ([entry(A, INDEX)], Contents(frozenset({A}), child=A, main=A, nested=frozenset({A}))),
        (
            [entry(A, INDEX, platform=ARM64), entry(B, f"{DOCKER}list.v2+json", platform=AMD64)],
            Contents(frozenset({A, B}), main=B, built_for=ON_ARM, nested=frozenset({A, B})),
        ),
        ([entry(A, artifactType=CONFIG, platform=AMD64)], Contents(frozenset({A}), main=A, built_for=ON_AMD64)),
        ([entry("nonsense")], Contents()),
    ],
)
def test_an_index_lists_platforms_or_leaves_it_to_one_of_its_manifests(manifests: Any, contents: Contents) -> None:
    assert read({"mediaType": INDEX, "manifests": manifests}) == contents
    assert read({"mediaType": f"{DOCKER}list.v2+json", "manifests": manifests}) == contents


class TestNested:
    """An index that lists indexes: Azure runs a manifest of an inner one."""

    OUTER = Contents(frozenset({A, B}), child=A, main=A, nested=frozenset({A, B}))
    ON_AMD = Contents(frozenset({"amd"}), main="amd", built_for=ON_AMD64)
    ON_BOTH = Contents(frozenset({"arm"}), main="arm", built_for=ON_ARM)

    def test_all_of_them_are_one_image(self) -> None:
        first = self.OUTER.with_inner(A, self.ON_AMD)
        assert first == Contents(frozenset({A, B, "amd"}), main="amd", built_for=ON_AMD64, nested=frozenset({B}))
        assert first.with_inner(B, self.ON_BOTH) == Contents(
            frozenset({A, B, "amd", "arm"}), main="amd", built_for=ON_ARM
        )

    def test_the_first_one_tells_whether_it_is_an_image(self) -> None:
        chart = Contents(artifact="a chart")
        assert self.OUTER.with_inner(A, chart).artifact == "a chart"
        assert self.OUTER.with_inner(B, chart).artifact is None

    def test_a_manifest_that_is_no_index_stays_the_one_that_azure_would_run(self) -> None:
        plain = Contents(frozenset({A, B}), child=A, main=A)
        assert plain.with_inner(A, Contents(config="c")) == Contents(frozenset({A, B}), main=A)

    def test_what_azure_would_run_is_read_first(self) -> None:
        assert self.OUTER.to_read == [A, B]
        named = Contents(frozenset({A, B}), main=B, built_for=ON_ARM, nested=frozenset({A, B}))
        assert named.to_read == [B, A]
        assert Contents(frozenset({A}), child=A, main=A).to_read == [A]
        assert Contents(frozenset({A}), main=A, built_for=ON_ARM).to_read == []


KEYS = ["config", "mediaType", "layers", "manifests", "artifactType", "platform", "os", "annotations", "digest"]
VALUES = st.none() | st.booleans() | st.integers() | st.sampled_from([CONFIG, MANIFEST, INDEX, LAYER, A]) | st.text()


@given(
    st.binary()
    | st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner)).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_whatever_a_manifest_holds_is_read(body: bytes) -> None:
    assert isinstance(contents_of(body), Contents)
