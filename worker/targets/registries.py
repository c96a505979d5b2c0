"""How registries are asked, and whom to believe if they can't tell: `registries` in the targets file. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shared.image import ImageReference

Believe = Literal["signed", "always", "never"]
Scheme = Literal["http", "https"]

_AZURE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.azurecr\.(?:io|us|cn)")


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """What the targets file says about a registry, or about the repositories below a path in it; None: nothing.

    `username` and `password` are sources of secrets (`env:…`, `file:…`, `keyvault:…`). `identity`: the worker's own
    Entra identity is shown. `realms` are more hosts, beside those of the registry's own domain, that its credentials
    may be shown to.
    """

    username: str | None = None
    password: str | None = None
    identity: bool | None = None
    believe: Believe | None = None
    scheme: Scheme | None = None
    realms: tuple[str, ...] = ()


def entry_for(
    entries: Mapping[str, RegistryEntry], image: ImageReference
) -> RegistryEntry:
    """Everything that the entries (host or host/path → entry) say about an image's repository.

    If two entries say the same thing, the longer path wins. A user name and a password belong together, and replace
    the identity.
    """
    entry = RegistryEntry()
    covering = [key for key in entries if _covers(key, image)]
    for key in sorted(covering, key=len, reverse=True):
        shorter = entries[key]
        # The longer path decides on all three together: a user name must not be sent with the password of another
        # entry, and login and identity exclude each other.
        has_login = entry.username is not None or entry.identity is not None
        entry = RegistryEntry(
            username=entry.username if has_login else shorter.username,
            password=entry.password if has_login else shorter.password,
            identity=entry.identity if has_login else shorter.identity,
            believe=entry.believe or shorter.believe,
            scheme=entry.scheme or shorter.scheme,
            realms=(*entry.realms, *shorter.realms),
        )
    return entry


def shows_identity(entry: RegistryEntry, registry: str) -> bool:
    """Whether to authenticate here with the worker's own identity: by default, for Azure Container Registry."""
    if entry.username is not None:
        return False
    return is_azure_registry(registry) if entry.identity is None else entry.identity


def is_azure_registry(registry: str) -> bool:
    """Whether it is Microsoft's own service. Nobody else can have a host under these domains."""
    return bool(_AZURE.fullmatch(registry))


def _covers(key: str, image: ImageReference) -> bool:
    # With the slash: ghcr.io/acme must not match ghcr.io/acme-labs/shop.
    is_below = image.name.startswith(f"{key}/")
    return key == image.registry or image.name == key or is_below
