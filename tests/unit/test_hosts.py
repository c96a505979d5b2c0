"""Hosts of registries: what is one, which are equal, and which can be pulled from elsewhere."""

from __future__ import annotations

import pytest

from ingress.delivery import Malformed
from ingress.hosts import host_if_any, host_of, reach, split_host


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("acme.azurecr.io", "acme.azurecr.io"),
        ("acme.azurecr.io:443", "acme.azurecr.io"),
        ("Acme.AzureCR.io.", "acme.azurecr.io"),
        ("acme.azurecr.io.:443", "acme.azurecr.io"),
        (" acme.azurecr.io ", "acme.azurecr.io"),
        ("https://acme.jfrog.test", "acme.jfrog.test"),
        ("https://acme.jfrog.test/", "acme.jfrog.test"),
        ("https://acme.jfrog.test:443/artifactory", "acme.jfrog.test"),
        ("http://registry.corp.test:80/v2/acme/shop", "registry.corp.test"),
        ("HTTPS://Registry.Corp.Test:5000/v2/", "registry.corp.test:5000"),
        ("//harbor.example.test/acme/shop", "harbor.example.test"),
        ("docker://quay.io/acme/shop:v2", "quay.io"),
        ("harbor.example.test:8443/acme/shop:v2", "harbor.example.test:8443"),
        ("harbor.example.test?x=/y", "harbor.example.test"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry:443", "registry:443"),
        ("registry", "registry"),
        ("http://[2001:DB8::1]:5000/v2/", "[2001:db8::1]:5000"),
    ],
)
def test_a_host_is_read_however_it_is_written(text: str, host: str) -> None:
    assert host_of(text) == host
    assert host_of(host) == host
    assert host_if_any(text) == host


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "'/' does not contain a host to pull from"),
        ("/v2/acme/shop", "'/v2/acme/shop' does not contain a host to pull from"),
        ("https:///acme", "'/acme' does not contain a host to pull from"),
        (f"/{'a' * 100}", f"'/{'a' * 79}' does not contain a host to pull from"),
        ("http://[::1/acme/shop", "'[::1' is not a registry host"),
        ("bad_host.test", "'bad_host.test' is not a registry host"),
        ("host.test:port", "'host.test:port' is not a registry host"),
        ("two words.test", "'two words.test' is not a registry host"),
    ],
)
def test_what_is_no_host_is_told(text: str, wrong: str) -> None:
    with pytest.raises(Malformed) as raised:
        host_of(text)
    assert str(raised.value) == wrong
    assert host_if_any(text) is None


@pytest.mark.parametrize("text", ["https://ada:pa55word@registry.test/acme", "ada:pa55word@registry.test"])
def test_a_password_before_a_host_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(
        Malformed, match=r"^a user name before the registry's host: an image's name can't contain one$"
    ) as raised:
        host_of(text)
    assert "pa55word" not in str(raised.value)


def test_no_text_at_all_is_no_host() -> None:
    assert host_if_any(None) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("quay.io/acme/shop", ("quay.io", "acme/shop")),
        ("https://Quay.corp.test:443/acme/shop", ("quay.corp.test", "acme/shop")),
        ("gcr.io/acme/shop:v2", ("gcr.io", "acme/shop:v2")),
        ("https://quay.io/acme/shop/", ("quay.io", "acme/shop")),
        ("registry.test/acme//shop", ("registry.test", "acme//shop")),
        ("registry.test/acme/shopX", ("registry.test", "acme/shopX")),
    ],
)
def test_a_name_is_taken_apart(name: str, expected: tuple[str, str]) -> None:
    assert split_host(name) == expected


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("shop", "'shop/'"),
        ("quay.io/", "'quay.io/'"),
        ("/acme/shop", "'/acme/shop'"),
        ("https://quay.io", "'quay.io/'"),
        ("", "'/'"),
        (f"/{'a' * 100}", f"'/{'a' * 79}'"),
    ],
)
def test_a_name_without_a_host_or_a_repository_is_refused(name: str, told: str) -> None:
    with pytest.raises(Malformed) as raised:
        split_host(name)
    assert str(raised.value) == f"{told} is not host/repository"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("registry.corp.test", 2),
        ("registry.corp.test:5000", 2),
        ("20.50.1.2:5000", 2),
        ("[2a01:111::1]:5000", 2),
        ("registry:5000", 1),
        ("localhost", 1),
        ("localhost:5000", 1),
        ("10.0.0.5:5000", 1),
        ("192.168.100.227", 1),
        ("127.0.0.1:5000", 1),
        ("[fd00::1]:5000", 1),
        ("registry.docker.svc:5000", 1),
        ("registry.docker.svc.cluster.local:5000", 1),
        ("host.docker.internal", 1),
        ("registry", 0),
    ],
)
def test_how_far_a_host_reaches(host: str, expected: int) -> None:
    assert reach(host) == expected
