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


def entry_for(entries: Mapping[str, RegistryEntry], image: ImageReference) -> RegistryEntry:
    """All that the entries (host or host/path → entry) say of an image's repository.

    If two entries say the same thing, the longer path wins. A user name and a password belong together, and replace
    the identity.
    """
    entry = RegistryEntry()
    for key in sorted((key for key in entries if _covers(key, image)), key=len, reverse=True):
        one = entries[key]
        has_login = entry.username is not None or entry.identity is not None
        entry = RegistryEntry(
            username=entry.username if has_login else one.username,
            password=entry.password if has_login else one.password,
            identity=entry.identity if has_login else one.identity,
            believe=entry.believe or one.believe,
            scheme=entry.scheme or one.scheme,
            realms=(*entry.realms, *one.realms),
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
    return key == image.registry or image.name == key or image.name.startswith(f"{key}/")
