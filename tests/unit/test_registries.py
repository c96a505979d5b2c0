"""What the targets file says of a registry: hosts, paths in them, and whose word counts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from shared.image import ImageReference, InvalidImage
from worker.targets.registries import RegistryEntry, entry_for, is_azure_registry, shows_identity
from worker.targets.registry_keys import check_registry_key, host_of, nearest_host, nearest_key

HOST = RegistryEntry("env:U", "env:P", believe="never", scheme="https", realms=("a",))
TEAM = RegistryEntry("env:TU", "env:TP", realms=("b",))
IDENTITY = RegistryEntry(identity=True)
TRUSTED = RegistryEntry(believe="always")


@pytest.mark.parametrize(
    ("entries", "entry"),
    [
        ({}, RegistryEntry()),
        ({"quay.io": HOST, "ghcr.io/acm": TEAM, "ghcr.io/acme/shop/api": TEAM}, RegistryEntry()),
        ({"ghcr.io": HOST}, HOST),
        ({"ghcr.io/acme": TEAM}, TEAM),
        ({"ghcr.io/acme/shop": TEAM}, TEAM),
        (
            {"ghcr.io": HOST, "ghcr.io/acme": TEAM},
            RegistryEntry("env:TU", "env:TP", believe="never", scheme="https", realms=("b", "a")),
        ),
        ({"ghcr.io": TEAM, "ghcr.io/acme": TRUSTED}, RegistryEntry("env:TU", "env:TP", None, "always", None, ("b",))),
        ({"ghcr.io": IDENTITY, "ghcr.io/acme": TEAM}, TEAM),
        ({"ghcr.io": TEAM, "ghcr.io/acme": IDENTITY}, RegistryEntry(identity=True, realms=("b",))),
        (
            {"ghcr.io/acme": TRUSTED, "ghcr.io/acme/shop": RegistryEntry(believe="never")},
            RegistryEntry(believe="never"),
        ),
    ],
)
def test_the_longest_path_counts_for_each_thing_on_its_own(
    entries: Mapping[str, RegistryEntry], entry: RegistryEntry
) -> None:
    image = ImageReference.parse("ghcr.io/acme/shop:1")
    assert entry_for(entries, image) == entry
    assert entry_for(dict(reversed(list(entries.items()))), image) == entry


@pytest.mark.parametrize(
    ("entry", "registry", "shown"),
    [
        (RegistryEntry(), "acme.azurecr.io", True),
        (RegistryEntry(), "ghcr.io", False),
        (RegistryEntry(identity=False), "acme.azurecr.io", False),
        (RegistryEntry(identity=True), "registry.acme.com", True),
        (TEAM, "acme.azurecr.io", False),
        (TRUSTED, "acme.azurecr.us", True),
    ],
)
def test_the_identity_is_the_default_for_azure(entry: RegistryEntry, registry: str, *, shown: bool) -> None:
    assert shows_identity(entry, registry) is shown


@pytest.mark.parametrize(
    ("host", "azure"),
    [
        ("acme.azurecr.io", True),
        ("acme-gnd3.azurecr.cn", True),
        ("acme.westeurope.data.azurecr.io", True),
        ("azurecr.io", False),
        ("acme.azurecr.evil.com", False),
        ("acme.azurecr.io.evil.com", False),
        ("acmeazurecr.io", False),
        ("acme.azurecr.io:8443", False),
    ],
)
def test_which_hosts_are_microsofts(host: str, *, azure: bool) -> None:
    assert is_azure_registry(host) is azure


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("GHCR.io", "ghcr.io"),
        ("index.docker.io/acme", "docker.io/acme"),
        ("localhost:5000/a/b", "localhost:5000/a/b"),
        ("registry", "registry"),
        ("acme/shop", None),
        ("ghcr.io/", None),
        ("ghcr.io/Acme", None),
        ("https://ghcr.io", None),
    ],
)
def test_a_key_is_a_host_or_a_host_and_a_path(text: str, key: str | None) -> None:
    if key is None:
        with pytest.raises(InvalidImage):
            check_registry_key(text)
    else:
        assert check_registry_key(text) == key


@pytest.mark.parametrize(
    ("text", "key", "host"),
    [
        ("https://ghcr.io/v2/", "ghcr.io", "ghcr.io"),
        ("ghcr.io/acme/*", "ghcr.io/acme", "ghcr.io"),
        ("ghcr.io/acme/**", "ghcr.io/acme", "ghcr.io"),
        ("ghcr.io/Acme", "ghcr.io/acme", "ghcr.io"),
        ("acme/shop", "docker.io/acme/shop", "acme"),
        ("ghcr.io/a b", "ghcr.io", "ghcr.io"),
        ("a b", None, None),
        ("https://a b/c", None, None),
    ],
)
def test_what_was_meant(text: str, key: str | None, host: str | None) -> None:
    assert (nearest_key(text), nearest_host(text)) == (key, host)


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io:443", "ghcr.io"),
        ("[::1]:5000", "::1"),
        ("[::1]", "::1"),
        ("localhost", "localhost"),
    ],
)
def test_the_host_of_a_registry(registry: str, host: str) -> None:
    assert host_of(registry) == host
