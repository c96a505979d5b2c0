"""What ARM withholds from a container group: the secrets that a GET omits and a PUT must send. Pure.

One walk finds their places, both to name them and to fill them in. The vendor defines which are write-only:
learn.microsoft.com/rest/api/container-instances/container-groups/create-or-update. Where a Key Vault reference or a
managed identity stands in for a secret, a GET gives that, and nothing is withheld.

That all files of a secret volume are configured can't be checked, as their names are withheld as well: the targets file
promises it. Nor can it be seen whether an extension had protected settings; one that has none is configured as `{}`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.groups import secret_paths

Json = dict[str, Any]
Secret = str | bytes
"""A secret's value. Only a file of a secret volume may be bytes that are not text."""

_WITHOUT_PROTECTED_SETTINGS = frozenset({"realtime-metrics"})
"""Types of extensions without protected settings: github.com/virtual-kubelet/azure-aci creates them so."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret is withheld: the member `key` of `holder`, a part of the group's JSON; `path` is its name here."""

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
    yield from _protected_settings(properties)


def put_secrets(properties: Json, secrets: Mapping[str, Secret]) -> None:
    """Put the secrets (path → value) into the places where they are withheld, and nowhere else."""
    # All places are found before any is filled in: a filled one is no longer withheld.
    for place in tuple(withheld_places(properties)):
        if isinstance(place, SecretVolume):
            place.volume["secret"] = _files(place.volume["name"], secrets)
        elif place.path in secrets:
            place.holder[place.key] = _as_arm_takes_it(place.path, secrets[place.path])


def unfit(path: str, value: Secret) -> str | None:
    """Why this value can't be the secret at `path`; None if it can. The value itself is not repeated."""
    if secret_paths.is_file(path):
        return None
    try:
        text = value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError as error:
        return f"is not UTF-8 text at byte {error.start}, and only files of a secret volume may contain other bytes"
    if secret_paths.is_object(path) and not isinstance(_json(text), dict):
        return "is not a JSON object, which protected settings are; write {} for none"
    return None


def missing_secrets(withheld: Sequence[str], configured: Collection[str]) -> list[str]:
    """The `withheld` paths that none of the `configured` ones provides."""
    return [
        path
        for path in withheld
        if not any(secret_paths.provides(candidate, path) for candidate in configured)
    ]


def every_container(properties: Mapping[str, Any]) -> list[Json]:
    """The containers and the init containers."""
    containers = properties.get("containers") or []
    init_containers = properties.get("initContainers") or []
    return [*containers, *init_containers]


def _variables(properties: Mapping[str, Any]) -> Iterator[Place]:
    # Only the name of a secure variable comes back. A plain variable always has a value, at least "".
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
        stands_in = (
            "storageAccountKey",
            "storageAccountKeyReference",
            "userManagedIdentityClientId",
        )
        if share is not None and not _has_any(share, *stands_in):
            yield Place(
                secret_paths.storage_account_key(name),
                holder=share,
                key="storageAccountKey",
            )
        # A GET shows {} in place of a secret volume; a volume of another kind has no such member.
        is_secret_volume = volume.get("secret") == {}
        if is_secret_volume:
            yield SecretVolume(secret_paths.any_file(name), volume)


def _workspace_key(properties: Mapping[str, Any]) -> Iterator[Place]:
    diagnostics = properties.get("diagnostics") or {}
    analytics = diagnostics.get("logAnalytics")
    if analytics is None:
        return
    if _has_any(analytics, "workspaceKey", "workspaceKeyReference"):
        return
    yield Place(secret_paths.WORKSPACE_KEY, holder=analytics, key="workspaceKey")


def _protected_settings(properties: Mapping[str, Any]) -> Iterator[Place]:
    for extension in properties.get("extensions") or []:
        settings = extension.get("properties")
        # What has no settings at all has no protected ones.
        if settings is None:
            continue
        kind = str(settings.get("extensionType")).lower()
        if kind in _WITHOUT_PROTECTED_SETTINGS:
            continue
        if _has_any(settings, "protectedSettings"):
            continue
        yield Place(
            secret_paths.protected_settings(extension["name"]),
            holder=settings,
            key="protectedSettings",
        )


def _has_any(holder: Json, *keys: str) -> bool:
    return any(holder.get(key) is not None for key in keys)


def _as_arm_takes_it(path: str, value: Secret) -> Any:
    text = value if isinstance(value, str) else value.decode()
    return json.loads(text) if secret_paths.is_object(path) else text


def _files(volume: str, secrets: Mapping[str, Secret]) -> dict[str, str]:
    """The content of a secret volume: file name → content in base64, as ARM requires."""
    files = {}
    for path, value in secrets.items():
        name = secret_paths.file_name(path, volume)
        if name is None:
            continue
        # As it is, with the newline at its end: a certificate or a script may depend on every byte.
        content = value.encode() if isinstance(value, str) else value
        files[name] = base64.b64encode(content).decode()
    return files


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None
