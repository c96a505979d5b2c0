"""What a PUT says about a group: taken in without what ARM ignores, given out without what ARM withholds."""

import re
from typing import Any

from .messages import Json

_READ_ONLY = re.compile(
    r"""(id | name | type | systemData
    | identity\.(principalId | tenantId | userAssignedIdentities\.\*\.(principalId | clientId))
    | properties\.(provisioningState | instanceView | isCreatedFromStandbyPool | ipAddress\.fqdn
        | provisioningTimeoutInSeconds | isCustomProvisioningTimeout | orchestratorId
        | imageRegistryCredentials\.\*\.isDelegatedIdentity
        | (containers | initContainers)\.\*\.properties\.instanceView))""",
    re.VERBOSE,
)
_ASSIGNED_BY_SERVER = "properties.ipAddress.ip"
_KEYED_BY_ID = "identity.userAssignedIdentities"
_AMOUNT = re.compile(r".*\.resources\.(requests|limits)\.(cpu|memoryInGB)")


def take_in(body: Json) -> tuple[Json, tuple[str, ...]]:
    """The definition that a body states, and the paths of the read-only members that it held.

    Read-only members and nulls are dropped, amounts become floats, and everything unknown is kept as it is.
    """
    read_only: list[str] = []
    definition: Json = _taken(body, "", "", read_only)
    if isinstance(definition.get("location"), str):
        definition["location"] = definition["location"].replace(" ", "").lower()
    return definition, tuple(read_only)


def _taken(value: Any, pattern: str, path: str, read_only: list[str]) -> Any:
    """`pattern` is the path with a `*` for each index and each key that is a resource id."""
    if isinstance(value, list):
        return [_taken(item, f"{pattern}.*", f"{path}[{i}]", read_only) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return _taken_members(value, pattern, path, read_only)
    if isinstance(value, int) and _AMOUNT.fullmatch(pattern):
        return float(value)
    return value


def _taken_members(value: Json, pattern: str, path: str, read_only: list[str]) -> Json:
    kept: Json = {}
    for key, member in value.items():
        step = "*" if pattern == _KEYED_BY_ID else key
        member_pattern = f"{pattern}.{step}" if pattern else step
        member_path = f"{path}.{key}" if path else key
        if _READ_ONLY.fullmatch(member_pattern):
            read_only.append(member_path)
        elif member is not None and member_pattern != _ASSIGNED_BY_SERVER:
            kept[key] = _taken(member, member_pattern, member_path, read_only)
    return kept


def give_out(properties: Json) -> Json:
    """The properties as a GET shows them: secrets withheld, and the lists that are always there."""
    shown = dict(properties)
    shown.setdefault("sku", "Standard")
    shown["containers"] = [_container_shown(c, ("ports", "environmentVariables")) for c in properties["containers"]]
    shown["initContainers"] = [
        _container_shown(c, ("environmentVariables",)) for c in properties.get("initContainers", [])
    ]
    if "imageRegistryCredentials" in properties:
        shown["imageRegistryCredentials"] = [_without(c, "password") for c in properties["imageRegistryCredentials"]]
    if "volumes" in properties:
        shown["volumes"] = [_volume_shown(volume) for volume in properties["volumes"]]
    if "extensions" in properties:
        shown["extensions"] = [_extension_shown(extension) for extension in properties["extensions"]]
    analytics = (properties.get("diagnostics") or {}).get("logAnalytics")
    if analytics:
        shown["diagnostics"] = {**properties["diagnostics"], "logAnalytics": _without(analytics, "workspaceKey")}
    return shown


def _container_shown(container: Json, lists: tuple[str, ...]) -> Json:
    properties = {**{name: [] for name in lists}, **container["properties"]}
    properties["environmentVariables"] = [_without(e, "secureValue") for e in properties["environmentVariables"]]
    return {**container, "properties": properties}


def _volume_shown(volume: Json) -> Json:
    shown = dict(volume)
    if "azureFile" in volume:
        shown["azureFile"] = _without(volume["azureFile"], "storageAccountKey")
    if "secret" in volume:
        shown["secret"] = {}
    return shown


def _extension_shown(extension: Json) -> Json:
    return {**extension, "properties": _without(extension.get("properties", {}), "protectedSettings")}


def _without(value: Json, key: str) -> Json:
    return {name: member for name, member in value.items() if name != key}
