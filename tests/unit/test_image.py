"""Image references: what is one, which are equal, and how they are written back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.image import (
    ImageReference,
    InvalidImage,
    check_digest,
    check_registry,
    check_repository,
    check_tag,
    is_written_as_host,
    rewrite,
)

DIGEST = "sha256:" + "0a" * 32
LONG_DIGEST = "sha512:" + "0a" * 64


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("nginx", "docker.io", "library/nginx", None, None),
        ("nginx:1.27", "docker.io", "library/nginx", "1.27", None),
        ("library/nginx", "docker.io", "library/nginx", None, None),
        ("docker.io/nginx", "docker.io", "library/nginx", None, None),
        ("acme/shop:2", "docker.io", "acme/shop", "2", None),
        ("index.docker.io/acme/shop", "docker.io", "acme/shop", None, None),
        ("registry-1.docker.io/acme/shop", "docker.io", "acme/shop", None, None),
        ("registry.hub.docker.com/acme/shop", "docker.io", "acme/shop", None, None),
        ("ghcr.io/acme/team/shop:2", "ghcr.io", "acme/team/shop", "2", None),
        ("Acme.azurecr.io/shop", "acme.azurecr.io", "shop", None, None),
        ("localhost/shop", "localhost", "shop", None, None),
        ("localhost:5000/shop:2", "localhost:5000", "shop", "2", None),
        ("registry:5000/shop", "registry:5000", "shop", None, None),
        ("[::1]:5000/shop:2", "[::1]:5000", "shop", "2", None),
        (f"acme/shop@{DIGEST}", "docker.io", "acme/shop", None, DIGEST),
        (f"acme/shop:2@{DIGEST}", "docker.io", "acme/shop", "2", DIGEST),
        (f"localhost:5000/shop@{LONG_DIGEST}", "localhost:5000", "shop", None, LONG_DIGEST),
        ("b_c__d-e---f/g.h", "docker.io", "b_c__d-e---f/g.h", None, None),
        (f"shop:{'t' * 128}", "docker.io", "library/shop", "t" * 128, None),
        ("shop:_under.score-9", "docker.io", "library/shop", "_under.score-9", None),
        (f"ghcr.io/{'r' * 255}", "ghcr.io", "r" * 255, None, None),
        ("r" * 247, "docker.io", f"library/{'r' * 247}", None, None),
        (f"{'r' * 252}.io/shop", f"{'r' * 252}.io", "shop", None, None),
        ("example.io", "docker.io", "library/example.io", None, None),
    ],
)
def test_a_reference_is_read_and_normalised(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    assert ImageReference.parse(text) == ImageReference(registry, repository, tag, digest)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (
            "",
            "'' is not a repository: lower-case letters, digits and . _ - between slashes, at most 255 characters",
        ),
        ("Shop", "'Shop' is not a repository"),
        ("acme/Shop", "'acme/Shop' is not a repository"),
        # Found by a property: as a host in lower case it would be the first part of a repository.
        ("Acme/shop", "'Acme' is neither: a repository is lower-case, a registry has a dot or a port"),
        ("acme//shop", "'acme//shop' is not a repository"),
        ("/shop", "'/shop' is not a repository"),
        ("acme/shop/", "'acme/shop/' is not a repository"),
        ("acme/.shop", "'acme/.shop' is not a repository"),
        ("acme/sh..op", "'acme/sh..op' is not a repository"),
        ("acme/sh___op", "'acme/sh___op' is not a repository"),
        ("acme/shop-", "'acme/shop-' is not a repository"),
        ("acme/../shop", "'acme/../shop' is not a repository"),
        ("acme/shöp", "'acme/shöp' is not a repository"),
        ("acme/shop\n", "'acme/shop\\n' is not a repository"),
        ("acme shop", "'acme shop' is not a repository"),
        (f"ghcr.io/{'r' * 256}", "is not a repository"),
        ("r" * 248, "is not a repository"),
        ("-bad.io/shop", "'-bad.io' is not a registry host"),
        ("bad-.io/shop", "'bad-.io' is not a registry host"),
        ("bad.io:port/shop", "'bad.io:port' is not a registry host"),
        ("bad.io:123456/shop", "'bad.io:123456' is not a registry host"),
        ("user@bad.io/shop", "'bad.io/shop' is not a digest"),
        (f"{'r.' * 128}io/shop", "is not a registry host"),
        (f"{'A' * 100}/shop", f"'{'A' * 80}' is neither"),
        ("shop:", "'' is not a tag"),
        ("shop:.hidden", "'.hidden' is not a tag"),
        ("shop:-flag", "'-flag' is not a tag"),
        ("shop:a b", "'a b' is not a tag"),
        ("shop:1\n", "'1\\n' is not a tag"),
        ("shop:é", "'é' is not a tag"),
        (f"shop:{'t' * 129}", "is not a tag"),
        ("shop@", "'' is not a digest"),
        ("shop@sha256:abc", "'sha256:abc' is not a digest"),
        (f"shop@{DIGEST.upper()}", "is not a digest"),
        (f"shop@{DIGEST}0", "is not a digest"),
        ("shop@md5:" + "0" * 32, "is not a digest"),
        ("https://ghcr.io/shop", "is not a registry host"),
    ],
)
def test_what_is_no_reference_is_told_with_its_wrong_part(text: str, wrong: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        ImageReference.parse(text)
    assert wrong in str(caught.value)


@pytest.mark.parametrize("check", [check_registry, check_repository, check_tag, check_digest])
def test_a_long_text_is_told_in_part(check: Callable[[str], str]) -> None:
    with pytest.raises(InvalidImage) as caught:
        check("!" * 5000)
    assert str(caught.value).startswith(f"'{'!' * 80}' is not a ")


@pytest.mark.parametrize(
    ("check", "text", "result"),
    [
        (check_registry, "Registry-1.Docker.io", "docker.io"),
        (check_registry, "GHCR.io:443", "ghcr.io"),
        (check_registry, "registry.example.test:80", "registry.example.test"),
        (check_registry, "index.docker.io:443", "docker.io"),
        (check_registry, "[2001:DB8::1]:443", "[2001:db8::1]"),
        (check_registry, "[2001:db8::443]", "[2001:db8::443]"),
        (check_registry, "registry.example.test:8443", "registry.example.test:8443"),
        (check_registry, "registry.example.test:4430", "registry.example.test:4430"),
        # Without its port, an image's name could not begin with it.
        (check_registry, "registry:443", "registry:443"),
        (check_registry, "localhost:80", "localhost:80"),
        (check_repository, "acme/shop", "acme/shop"),
        (check_tag, "v1.2-RC_3", "v1.2-RC_3"),
        (check_digest, DIGEST, DIGEST),
    ],
)
def test_a_good_part_is_given_back(check: Callable[[str], str], text: str, result: str) -> None:
    assert check(text) == result


@pytest.mark.parametrize(
    ("text", "is_host"),
    [("acme", False), ("acme-1", False), ("Acme", True), ("acme.io", True), ("acme:80", True), ("localhost", True)],
)
def test_what_stands_before_a_slash_as_a_registry(text: str, is_host: bool) -> None:
    assert is_written_as_host(text) is is_host


def test_a_port_that_goes_without_saying_makes_no_other_repository() -> None:
    spellings = ["acme.azurecr.io/shop:1", "acme.azurecr.io:443/shop", f"Acme.azurecr.io:80/shop@{DIGEST}"]
    assert {ImageReference.parse(text).name for text in spellings} == {"acme.azurecr.io/shop"}


def test_two_spellings_of_one_repository_have_one_name() -> None:
    spellings = ["nginx", "library/nginx:1", "docker.io/nginx", f"index.docker.io/library/nginx@{DIGEST}"]
    assert {ImageReference.parse(text).name for text in spellings} == {"docker.io/library/nginx"}


@pytest.mark.parametrize(
    ("text", "followed"),
    [("shop", "latest"), ("shop:2", "2"), (f"shop@{DIGEST}", None), (f"shop:2@{DIGEST}", "2")],
)
def test_the_tag_that_a_container_follows(text: str, followed: str | None) -> None:
    assert ImageReference.parse(text).followed_tag == followed


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("ghcr.io/acme/shop:2", "ghcr.io/acme/shop:2"),
        (f"ghcr.io/acme/shop:2@{DIGEST}", f"ghcr.io/acme/shop:2@{DIGEST}"),
        (f"ghcr.io/acme/shop@{DIGEST}", f"ghcr.io/acme/shop@{DIGEST}"),
    ],
)
def test_it_is_written_in_full(text: str, written: str) -> None:
    assert str(ImageReference.parse(text)) == written


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("nginx", "nginx"),
        ("index.docker.io/acme/shop:1", "index.docker.io/acme/shop"),
        ("Acme.azurecr.io/shop:1", "Acme.azurecr.io/shop"),
        ("localhost:5000/shop", "localhost:5000/shop"),
        ("acme.azurecr.io:443/shop:1", "acme.azurecr.io:443/shop"),
        (f"localhost:5000/shop:1@{DIGEST}", "localhost:5000/shop"),
    ],
)
def test_another_tag_or_digest_leaves_the_name_letter_for_letter(written: str, name: str) -> None:
    assert rewrite(written, tag="2") == f"{name}:2"
    assert rewrite(written, digest=DIGEST) == f"{name}@{DIGEST}"
