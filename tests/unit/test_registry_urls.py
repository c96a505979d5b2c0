"""Which of a registry's URLs are followed, and where plain http is allowed."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RemoteError
from shared.image import ImageReference
from worker.adapters.registry.urls import base_url, safe_url, same_origin


@given(st.text(), st.booleans(), st.booleans())
def test_whatever_url_a_registry_sends_is_safe_or_refused(text: str, local: bool, relative: bool) -> None:
    try:
        url = safe_url(text, httpx.URL("https://ghcr.io/v2/") if relative else None, local)
    except RemoteError:
        return
    assert url.host
    assert url.scheme == "https" or local


@pytest.mark.parametrize(
    ("image", "base"),
    [
        ("nginx", "https://registry-1.docker.io/v2/library/nginx/"),
        ("index.docker.io/acme/shop", "https://registry-1.docker.io/v2/acme/shop/"),
        ("ghcr.io/acme/shop", "https://ghcr.io/v2/acme/shop/"),
        ("registry.example.com:8443/shop", "https://registry.example.com:8443/v2/shop/"),
        ("127.0.0.1:5000/shop", "http://127.0.0.1:5000/v2/shop/"),
        ("127.1.2.3/shop", "http://127.1.2.3/v2/shop/"),
        ("localhost/shop", "http://localhost/v2/shop/"),
        ("registry:5000/shop", "http://registry:5000/v2/shop/"),
        ("[::1]:5000/shop", "http://[::1]:5000/v2/shop/"),
        ("[fe80:0::1]/shop", "https://[fe80:0::1]/v2/shop/"),
        ("10.0.0.4:5000/shop", "https://10.0.0.4:5000/v2/shop/"),
    ],
)
def test_plain_http_is_for_local_hosts(image: str, base: str) -> None:
    assert str(base_url(ImageReference.parse(image))) == base


@pytest.mark.parametrize("registry", ["host.example:99999", "[:::::]", "[ffffff::1]:5000"])
def test_a_registry_that_is_no_host_is_a_remote_error(registry: str) -> None:
    with pytest.raises(RemoteError, match="URL of it"):
        base_url(ImageReference(registry, "acme/shop"))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://ghcr.io:443/x", True),
        ("https://GHCR.io/y", True),
        ("http://ghcr.io/", False),
        ("https://ghcr.io:8443/", False),
        ("https://ghcr.io.evil.example/", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(other: str, same: bool) -> None:
    assert same_origin(httpx.URL("https://ghcr.io/"), httpx.URL(other)) is same
