"""Which media types are those of an image."""

from __future__ import annotations

import pytest

from ingress.media_types import is_chart, why_no_image, why_no_image_of_either, why_no_image_of_references

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
FIRST_SCHEMA = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CACHE = "application/vnd.buildkit.cacheconfig.v0"
CHART = "application/vnd.cncf.helm.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
COMPOSE = "application/vnd.docker.compose.config.empty.v1+json"
BLOB = "application/octet-stream"
ARTIFACT = "is not an image, but an artifact such as a signature or an attestation"


@pytest.mark.parametrize(
    ("manifest", "config"),
    [
        (None, None),
        (MANIFEST, None),
        (MANIFEST, CONFIG),
        (MANIFEST.upper(), f"{CONFIG}; charset=utf-8"),
        (None, DOCKER_CONFIG),
        (INDEX, None),
        (INDEX, EMPTY),
        (DOCKER_LIST, ""),
        (FIRST_SCHEMA, BLOB),
    ],
)
def test_these_media_types_are_images(manifest: str | None, config: str | None) -> None:
    assert why_no_image(manifest, config) is None


@pytest.mark.parametrize(
    ("manifest", "config", "reason"),
    [
        (BLOB, None, f"media type '{BLOB}' {ARTIFACT}"),
        (MANIFEST, CACHE, "a build cache, which no container can run"),
        (MANIFEST, CHART, "a Helm chart, which no container can run"),
        ("application/vnd.acr.helm.chart", None, "a Helm chart, which no container can run"),
        (MANIFEST, EMPTY, f"media type '{EMPTY}' {ARTIFACT}"),
        (None, COMPOSE, f"media type '{COMPOSE}' {ARTIFACT}"),
        ("x" * 500, None, f"media type '{'x' * 80}' {ARTIFACT}"),
    ],
)
def test_other_media_types_are_ignored_with_the_reason(manifest: str | None, config: str | None, reason: str) -> None:
    ignored = why_no_image(manifest, config)
    assert ignored is not None
    assert ignored.reason == reason


@pytest.mark.parametrize("media_type", [None, "", CONFIG, DOCKER_CONFIG, INDEX, DOCKER_LIST, MANIFEST, DOCKER_MANIFEST])
def test_a_type_that_may_be_of_a_manifest_or_a_config_is_an_image(media_type: str | None) -> None:
    assert why_no_image_of_either(media_type) is None


@pytest.mark.parametrize("media_type", [CACHE, CHART, EMPTY, COMPOSE, LAYER, "application/vnd.new.kind+json"])
def test_a_type_of_neither_a_manifest_nor_a_config_is_ignored(media_type: str) -> None:
    assert why_no_image_of_either(media_type) is not None


@pytest.mark.parametrize(
    ("manifest", "references"),
    [
        (MANIFEST, []),
        (MANIFEST, [None, ""]),
        (INDEX, [None, ""]),
        (MANIFEST, [CONFIG, LAYER]),
        (DOCKER_MANIFEST, [LAYER, DOCKER_CONFIG]),
        (None, [CONFIG]),
        (INDEX, [MANIFEST, MANIFEST]),
        (DOCKER_LIST, [DOCKER_MANIFEST]),
        (FIRST_SCHEMA, [LAYER]),
    ],
)
def test_an_image_by_its_references(manifest: str | None, references: list[str | None]) -> None:
    assert why_no_image_of_references(manifest, references) is None


@pytest.mark.parametrize(
    ("manifest", "references", "reason"),
    [
        (MANIFEST, [CHART, "application/vnd.cncf.helm.chart.content.v1.tar+gzip"], "a Helm chart"),
        (MANIFEST, [CACHE, LAYER], "a build cache"),
        (MANIFEST, [None, CACHE], "a build cache"),
        (INDEX, [LAYER, LAYER, CACHE], "a build cache"),
        (MANIFEST, [EMPTY, "application/vnd.in-toto+json"], "an artifact"),
        (BLOB, [], "is not an image"),
        (BLOB, [CONFIG], "is not an image"),
    ],
)
def test_no_image_by_its_references(manifest: str | None, references: list[str | None], reason: str) -> None:
    ignored = why_no_image_of_references(manifest, references)
    assert ignored is not None
    assert reason in ignored.reason


@pytest.mark.parametrize(
    ("kind", "expected"), [("helmoci", True), ("Helm", True), ("docker", False), ("oci", False), (None, False)]
)
def test_a_chart_by_its_kind(kind: str | None, expected: bool) -> None:
    assert is_chart(kind) is expected
