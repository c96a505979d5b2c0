"""Which of a registry's URLs are followed, and where plain http is allowed."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import RemoteError
from shared.image import ImageReference
from worker.adapters.registry.urls import base_url, is_own_realm, registrable_domain, safe_url, same_origin

PUBLIC, LOCAL, INSIDE = (
    httpx.URL(text) for text in ("https://ghcr.io/v2/", "http://localhost/v2/", "http://10.0.0.4/v2/")
)


@given(st.text(), st.sampled_from([None, PUBLIC, LOCAL]), st.booleans())
def test_whatever_url_a_registry_sends_is_safe_or_refused(
    text: str, registry: httpx.URL | None, relative: bool
) -> None:
    try:
        url = safe_url(text, PUBLIC if relative else None, registry)
    except RemoteError:
        return
    assert url.host
    assert url.scheme == "https" or registry == LOCAL


@pytest.mark.parametrize(
    ("registry", "text", "url"),
    [
        (PUBLIC, "http://ghcr.io/token?a=b", "https://ghcr.io/token?a=b"),
        (PUBLIC, "http://ghcr.io:80/token", "https://ghcr.io/token"),
        (httpx.URL("https://r.example:8443/v2/"), "http://r.example/token", "https://r.example:8443/token"),
        (PUBLIC, "http://other.example/token", None),
        (PUBLIC, "http://localhost/token", None),
        (None, "http://localhost/token", None),
        (LOCAL, "http://localhost:5001/token", "http://localhost:5001/token"),
        (LOCAL, "http://auth:5001/token", "http://auth:5001/token"),
        (LOCAL, "http://10.0.0.4/token", None),
        (INSIDE, "http://10.0.0.4:5001/token", "http://10.0.0.4:5001/token"),
        (INSIDE, "http://10.0.0.5/token", None),
    ],
)
def test_plain_http_is_followed_only_from_a_registry_that_is_asked_so(
    registry: httpx.URL | None, text: str, url: str | None
) -> None:
    if url is None:
        with pytest.raises(RemoteError, match="not https"):
            safe_url(text, None, registry)
    else:
        assert str(safe_url(text, None, registry)) == url


@pytest.mark.parametrize(
    ("realm", "registry", "own"),
    [
        ("auth.docker.io", "registry-1.docker.io", True),
        ("gitlab.com", "registry.gitlab.com", True),
        ("dockerauth.cn-hangzhou.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com", True),
        ("auth.docker.io", "dhi.io", True),
        ("ghcr.io", "ghcr.io", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("auth.acme.co.uk", "registry.acme.co.uk", True),
        ("auth.evil.co.uk", "registry.acme.co.uk", False),
        ("evil.co.uk", "acme.co.uk", False),
        ("ghcr.io.evil.example", "ghcr.io", False),
        ("evilghcr.io", "ghcr.io", False),
        ("evil.azurecr.io", "acme.azurecr.io", False),
        ("evil.github.io", "acme.github.io", False),
        ("evil.westeurope.azurecontainer.io", "acme.westeurope.azurecontainer.io", False),
        ("evil.westeurope.cloudapp.azure.com", "acme.westeurope.cloudapp.azure.com", False),
        ("evil.sky-1.westeurope.azurecontainerapps.io", "acme.sea-2.westeurope.azurecontainerapps.io", False),
        ("evil-1.westeurope-01.azurewebsites.net", "acme-2.westeurope-01.azurewebsites.net", False),
        ("evil.b01.azurefd.net", "acme.b01.azurefd.net", False),
        ("evil.z6.web.core.windows.net", "acme.z6.web.core.windows.net", False),
        ("evil-uc.a.run.app", "acme-uc.a.run.app", False),
        ("evil.jfrog.io", "acme.jfrog.io", False),
        ("evil.oss-cn-hangzhou.aliyuncs.com", "registry.cn-hangzhou.aliyuncs.com", False),
        ("registry.6.6.6.6.nip.io", "registry.10.0.0.4.nip.io", False),
        ("evil.uk.com", "acme.uk.com", False),
        ("auth.azure.com", "registry.azure.com", True),
        ("evil.dkr.ecr.eu-west-1.amazonaws.com", "acme.dkr.ecr.eu-west-1.amazonaws.com", False),
        ("evil.s3.amazonaws.com", "acme.dkr.ecr.eu-west-1.amazonaws.com", False),
        ("127.0.0.2", "127.0.0.1", False),
        ("10.0.0.5", "10.0.0.4", False),
        ("auth", "registry", False),
        ("com", "acme.com", False),
        ("::2", "::1", False),
        ("auth.acme.net", "registry.acme.com", False),
    ],
)
def test_credentials_are_for_the_registrys_own_token_server(realm: str, registry: str, own: bool) -> None:
    assert is_own_realm(realm, registry) is own
    listed = f"[{realm}]" if ":" in realm else realm
    assert is_own_realm(realm, registry, [listed])
    assert is_own_realm(realm, registry, [f"{listed}:8443"])


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("registry-1.docker.io", "docker.io"),
        ("DOCKER.io.", "docker.io"),
        ("a.b.acme.com.au", "acme.com.au"),
        ("com.au", "com.au"),
        ("azurecr.io", "azurecr.io"),
        ("registry.acme.me", "acme.me"),
        ("x.go.io", "go.io"),
        ("host", None),
        ("", None),
        ("10.0.0.4", None),
        ("fe80::1", None),
    ],
)
def test_what_somebody_has_registered(host: str, domain: str | None) -> None:
    assert registrable_domain(host) == domain


def test_a_scheme_may_be_said() -> None:
    assert str(base_url(ImageReference.parse("10.0.0.4:5000/shop"), "http")) == "http://10.0.0.4:5000/v2/shop/"
    assert str(base_url(ImageReference.parse("registry:5000/shop"), "https")) == "https://registry:5000/v2/shop/"


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
    with pytest.raises(RemoteError, match="one of its URLs"):
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
