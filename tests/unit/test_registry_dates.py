"""When tags were pushed, as Docker Hub, Azure and Quay tell it, and when images were made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.image import ImageReference
from worker.adapters.registry.dates import (
    azure_path,
    created_in,
    dated_tags,
    platform_in,
    platform_of,
    stranger_url,
)
from worker.ports import Dated

KEYS = ["tags", "results", "name", "start_ts", "last_updated", "created", "os"]
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EARLIER = datetime(2025, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "dated"),
    [
        (
            # docs.docker.com/reference/api/hub: a tag's last_updated is later than its push where it was signed.
            {
                "count": 2,
                "next": None,
                "results": [
                    {"name": "v1", "last_updated": "2025-12-31T00:00:00Z", "content_type": "image"},
                    {
                        "name": "v2",
                        "tag_last_pushed": "2026-01-02T03:04:05.000000Z",
                        "last_updated": "2026-02-01T00:00:00Z",
                    },
                ],
            },
            [Dated("v2", AT), Dated("v1", EARLIER)],
        ),
        (
            # learn.microsoft.com/rest/api/containerregistry: seven digits of a second.
            {"registry": "x", "tags": [{"name": "v2", "lastUpdateTime": "2026-01-02T03:04:05.0000000Z"}]},
            [Dated("v2", AT)],
        ),
        (
            # docs.quay.io/api/swagger: seconds since 1970.
            {"tags": [{"name": "v2", "start_ts": 1767323045}, {"name": "v1", "start_ts": 1767139200}]},
            [Dated("v2", AT), Dated("v1", EARLIER)],
        ),
        ({"tags": ["v1", {"name": "no tag", "start_ts": 1}, {"name": "v3"}, {"name": "v4", "start_ts": "?"}]}, []),
        ({"tags": [{"name": "v1", "start_ts": 10**30}]}, []),
        ({"tags": [{"name": "v2", "lastUpdateTime": "2026-01-02T03:04:05"}]}, [Dated("v2", AT)]),
        ({"results": None}, []),
        ({"message": "not found"}, []),
        ([], []),
    ],
)
def test_tags_with_their_times(answer: Any, dated: list[Dated]) -> None:
    assert dated_tags(json.dumps(answer).encode()) == dated


@given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(KEYS), inner),
    ).map(lambda value: json.dumps(value).encode())
    | st.binary()
)
def test_whatever_is_answered_is_read(body: bytes) -> None:
    dated_tags(body)
    created_in(body)
    platform_in(body)


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("nginx", "https://hub.docker.com/v2/repositories/library/nginx/tags/?page_size=100&ordering=last_updated"),
        ("acme/shop", "https://hub.docker.com/v2/repositories/acme/shop/tags/?page_size=100&ordering=last_updated"),
        ("quay.io/acme/shop", "https://quay.io/api/v1/repository/acme/shop/tag/?limit=100&onlyActiveTags=true"),
        ("ghcr.io/acme/shop", None),
        ("acme.azurecr.io/shop", None),
    ],
)
def test_where_everybody_is_told(image: str, url: str | None) -> None:
    said = stranger_url(ImageReference.parse(image))
    assert (str(said) if said else None) == url


def test_the_path_of_azures_own_list() -> None:
    image = ImageReference.parse("acme.azurecr.io/team/shop")
    assert azure_path(image) == "/acr/v1/team/shop/_tags?orderby=timedesc&n=100"


@pytest.mark.parametrize(
    ("config", "created", "platform"),
    [
        ({"created": "2026-01-02T03:04:05Z", "os": "linux", "architecture": "amd64"}, AT, "linux/amd64"),
        ({"created": "2026-01-02T03:04:05+00:00", "os": "linux", "architecture": "arm"}, AT, "linux/arm"),
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, None, "linux/arm/v7"),
        ({"created": "yesterday", "os": "linux"}, None, None),
        ({"os": "unknown", "architecture": "unknown"}, None, None),
        ({}, None, None),
    ],
)
def test_what_a_config_says(config: Any, created: datetime | None, platform: str | None) -> None:
    body = json.dumps(config).encode()
    assert (created_in(body), platform_in(body)) == (created, platform)
    assert platform_of([]) is None
