"""Why ARM refuses a definition. Each check raises ArmError, or says nothing.

The codes for a missing log analytics key and for tags are the simulator's guess; the rest is as reported.
"""

from collections.abc import Callable, Iterator
from typing import Any

from .images import ImageRules
from .messages import ArmError, Json

_MOST_TAGS, _LONGEST_TAG_NAME, _LONGEST_TAG_VALUE = 50, 512, 256
_NOT_IN_TAG_NAMES = frozenset("<>%&\\?/")


def check_shape(definition: Json) -> None:
    """What the simulator itself relies on. Azure checks more of it."""
    if not isinstance(definition.get("location"), str):
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    properties = definition.get("properties")
    if not isinstance(properties, dict) or not properties.get("containers"):
        raise _bad_content("'properties.containers' is required")
    for kind in ("containers", "initContainers"):
        containers = properties.get(kind, [])
        if not (isinstance(containers, list) and all(_is_container(container) for container in containers)):
            raise _bad_content(f"'properties.{kind}' has to be a list of containers with a name and an image")
    for name, kind_of_value in _SHAPES.items():
        if not kind_of_value(properties.get(name)):
            raise _bad_content(f"'properties.{name}' has the wrong type")
    names = [container["name"] for kind in ("containers", "initContainers") for container in properties.get(kind, [])]
    if len(set(names)) != len(names):
        raise _bad_content("the names of the containers have to differ")
    check_tags(definition.get("tags", {}))


def _is_list_of_objects(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(item, dict) for item in value))


def _is_object(value: Any) -> bool:
    return value is None or isinstance(value, dict)


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "imageRegistryCredentials": _is_list_of_objects,
    "volumes": _is_list_of_objects,
    "ipAddress": _is_object,
    "diagnostics": _is_object,
    "extensions": _is_list_of_objects,
}


def _is_container(value: Any) -> bool:
    if not (isinstance(value, dict) and isinstance(value.get("name"), str) and value["name"]):
        return False
    properties = value.get("properties")
    if not (isinstance(properties, dict) and isinstance(properties.get("image"), str) and properties["image"]):
        return False
    variables = properties.get("environmentVariables", [])
    return isinstance(variables, list) and all(isinstance(variable, dict) for variable in variables)


def check_tags(tags: Any) -> None:
    """Raises ArmError for tags beyond ARM's limits of number, length and alphabet."""
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise _bad_content("tags have to be an object of strings")
    if len(tags) > _MOST_TAGS:
        raise ArmError(400, "InvalidTagCount", f"{len(tags)} tags are more than the {_MOST_TAGS} that are allowed.")
    for name, value in tags.items():
        if len(name) > _LONGEST_TAG_NAME or _NOT_IN_TAG_NAMES.intersection(name):
            raise ArmError(400, "InvalidTagNameCharacters", f"The tag name '{name}' is too long or not allowed.")
        if len(value) > _LONGEST_TAG_VALUE:
            raise ArmError(400, "InvalidTagValueLength", f"The value of the tag '{name}' is too long.")


def check_secrets(group: str, properties: Json) -> None:
    """Raises ArmError where a write-only value is missing. Blocks that are left out altogether aren't missed."""
    for kind in ("containers", "initContainers"):
        for container in properties.get(kind, []):
            _check_variables(group, container)
    for credential in properties.get("imageRegistryCredentials", []):
        _check_credential(group, credential)
    for volume in properties.get("volumes", []):
        share = volume.get("azureFile")
        stands_in = ("storageAccountKey", "storageAccountKeyReference", "userManagedIdentityClientId")
        if share is not None and not any(share.get(name) for name in stands_in):
            name = volume.get("name")
            message = f"The storage account key of volume '{name}' in container group '{group}' is invalid."
            raise ArmError(400, "InvalidStorageAccountKey", message)
    analytics = properties.get("diagnostics", {}).get("logAnalytics")
    if analytics is not None and not (analytics.get("workspaceKey") or analytics.get("workspaceKeyReference")):
        message = f"The log analytics workspace key in container group '{group}' can't be empty."
        raise ArmError(400, "InvalidLogAnalyticsWorkspaceKey", message)


def _check_variables(group: str, container: Json) -> None:
    for variable in container["properties"].get("environmentVariables", []):
        given = {"value", "secureValue", "secureValueReference"}.intersection(variable)
        if len(given) != 1:
            raise ArmError(
                400,
                "InvalidEnvironmentVariable",
                f"The environment variable '{variable.get('name')}' in container '{container['name']}' of container "
                f"group '{group}' is invalid: give one and only one of 'value' and 'secureValue'.",
            )


def _check_credential(group: str, credential: Json) -> None:
    if "username" in credential and not (credential.get("password") or credential.get("passwordReference")):
        raise ArmError(
            400,
            "InvalidImageRegistryPassword",
            f"The password in the 'imageRegistryCredentials' of container group '{group}' cannot be empty.",
        )


def check_ownership(properties: Json, *, from_standby_pool: bool) -> None:
    """Raises ArmError if the group was made from a profile or a standby pool."""
    if from_standby_pool or properties.get("containerGroupProfile"):
        raise _bad_content("ContainerGroup properties other than config map are not allowed")


def check_update(group: str, before: Json, after: Json) -> None:
    """Raises ArmError if a property that can't change in place does change, be it by being left out."""
    changed = [name for name, value_of in _FIXED.items() if value_of(before) != value_of(after)]
    kept = dict(_resources(before))
    changed += [f"resources of {name}" for name, value in _resources(after) if kept.get(name, value) != value]
    if changed:
        raise ArmError(
            400,
            "InvalidContainerGroupUpdate",
            f"The updates on container group '{group}' are invalid. If you are going to update the os type, restart "
            "policy, network profile, CPU, memory or GPU resources for a container group, you must delete it first "
            f"and then create a new one. (Simulator: this is about {', '.join(changed)}.)",
        )


_FIXED: dict[str, Callable[[Json], object]] = {
    "osType": lambda properties: properties.get("osType", "Linux"),
    "restartPolicy": lambda properties: properties.get("restartPolicy", "Always"),
    "networkProfile": lambda properties: properties.get("networkProfile"),
    "subnetIds": lambda properties: properties.get("subnetIds"),
}


def _resources(properties: Json) -> Iterator[tuple[str, object]]:
    for container in properties["containers"]:
        resources = container["properties"].get("resources", {})
        yield container["name"], (resources.get("requests"), resources.get("limits"))


def check_images(group: str, images: list[str], rules: ImageRules) -> None:
    """Raises ArmError for the first image that its registry doesn't let the group see."""
    for image in images:
        if not rules.conduct(image).accessible:
            raise ArmError(
                400,
                "InaccessibleImage",
                f"The image '{image}' in container group '{group}' is not accessible. "
                "Please check the image and registry credential.",
            )


def _bad_content(message: str) -> ArmError:
    return ArmError(400, "InvalidRequestContent", f"The request content was invalid: {message}.")
