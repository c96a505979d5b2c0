"""What ARM withholds of a container group: the secrets that a GET leaves out and a PUT must carry. Pure.

One walk finds their places, for naming them and for filling them in. What is write-only, by the vendor's definition:
learn.microsoft.com/rest/api/container-instances/container-groups/create-or-update. Where a Key Vault reference or a
managed identity stands in for a secret, a GET gives that, and nothing is withheld.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.groups import secret_paths

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret is withheld: the member `key` of `holder`, a part of the group's JSON, called `path` here."""

    path: str
    holder: Json
    key: str


@dataclass(frozen=True, slots=True)
class SecretVolume:
    """A volume whose files are withheld, with their names; `path` stands for all of them."""

    path: str
    volume: Json


def withheld_places(properties: Mapping[str, Any]) -> Iterator[Place | SecretVolume]:
    """Every secret that is withheld in the `properties` of a group."""
    yield from _variables(properties)
    yield from _passwords(properties)
    yield from _volumes(properties)
    yield from _workspace_key(properties)


def put_secrets(properties: Json, secrets: Mapping[str, str]) -> None:
    """Put the secrets (path → value) where they are withheld, and nowhere else."""
    for place in tuple(withheld_places(properties)):
        if isinstance(place, SecretVolume):
            place.volume["secret"] = _files(place.volume["name"], secrets)
        elif place.path in secrets:
            place.holder[place.key] = secrets[place.path]


def missing_secrets(withheld: Sequence[str], configured: Collection[str]) -> list[str]:
    """Which of the `withheld` paths are provided by none of the `configured` ones."""
    return [path for path in withheld if not any(secret_paths.provides(candidate, path) for candidate in configured)]


def every_container(properties: Mapping[str, Any]) -> list[Json]:
    """The containers and the init containers."""
    containers = properties.get("containers") or []
    init_containers = properties.get("initContainers") or []
    return [*containers, *init_containers]


def _variables(properties: Mapping[str, Any]) -> Iterator[Place]:
    # Of a secure variable nothing but its name comes back. An open one always has a value, "" at the least.
    for container in every_container(properties):
        for variable in container["properties"].get("environmentVariables") or []:
            if _has_any(variable, "value", "secureValue", "secureValueReference"):
                continue
            path = secret_paths.variable(container["name"], variable["name"])
            yield Place(path, holder=variable, key="secureValue")


def _passwords(properties: Mapping[str, Any]) -> Iterator[Place]:
    for credential in properties.get("imageRegistryCredentials") or []:
        if _has_any(credential, "password", "passwordReference", "identity"):
            continue
        path = secret_paths.password(credential["server"])
        yield Place(path, holder=credential, key="password")


def _volumes(properties: Mapping[str, Any]) -> Iterator[Place | SecretVolume]:
    for volume in properties.get("volumes") or []:
        name = volume["name"]
        share = volume.get("azureFile")
        if share is not None and not _has_any(share, "storageAccountKey", "storageAccountKeyReference"):
            yield Place(secret_paths.storage_account_key(name), holder=share, key="storageAccountKey")
        # {} is what is left of a secret volume; a volume of another kind has no such member.
        is_secret_volume = volume.get("secret") == {}
        if is_secret_volume:
            yield SecretVolume(secret_paths.any_file(name), volume)


def _workspace_key(properties: Mapping[str, Any]) -> Iterator[Place]:
    diagnostics = properties.get("diagnostics") or {}
    analytics = diagnostics.get("logAnalytics")
    if analytics is None or _has_any(analytics, "workspaceKey", "workspaceKeyReference"):
        return
    yield Place(secret_paths.WORKSPACE_KEY, holder=analytics, key="workspaceKey")


def _has_any(holder: Json, *keys: str) -> bool:
    return any(holder.get(key) is not None for key in keys)


def _files(volume: str, secrets: Mapping[str, str]) -> dict[str, str]:
    """What a secret volume holds: file name → content, which ARM wants in base64."""
    files = {}
    for path, value in secrets.items():
        name = secret_paths.file_name(path, volume)
        if name is None:
            continue
        encoded = base64.b64encode(value.encode())
        files[name] = encoded.decode()
    return files
