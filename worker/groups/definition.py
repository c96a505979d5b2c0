"""The body of a PUT: the definition of a container group, made from what a GET has given. Pure.

A property that a PUT omits goes back to its default, so the whole definition is sent, with members that are unknown
here: learn.microsoft.com/azure/container-instances/container-instances-update.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from worker.groups.withheld import Secret, every_container, put_secrets

Json = dict[str, Any]

# What a GET returns and a PUT must not send. The last ones are in Azure's answers but in no specification.
_READ_ONLY = ("id", "name", "type", "systemData")
_READ_ONLY_PROPERTIES = (
    "provisioningState",
    "instanceView",
    "isCreatedFromStandbyPool",
    "provisioningTimeoutInSeconds",
    "isCustomProvisioningTimeout",
    "orchestratorId",
)


def definition_of(
    raw: Mapping[str, Any],
    images: Mapping[str, str],
    secrets: Mapping[str, Secret],
) -> bytes:
    """The definition of the group that is `raw`, with these images (container → image) and secrets (path → value)."""
    body = copied(raw)
    for name in _READ_ONLY:
        body.pop(name, None)
    properties = body.get("properties") or {}
    _drop_read_only(body, properties)
    for container in properties.get("containers") or []:
        name = container["name"]
        # A container that is not named keeps the image that it has, in its own spelling.
        if name in images:
            container["properties"]["image"] = images[name]
    put_secrets(properties, secrets)
    # As bytes: the SDK would read a dictionary into its models, which drop the properties that its API version does
    # not know.
    return json.dumps(body, ensure_ascii=False).encode()


def copied(raw: Mapping[str, Any]) -> Json:
    """A deep copy. What Azure gave was JSON, and by way of JSON it is copied several times as fast as by `deepcopy`."""
    copy: Json = json.loads(json.dumps(raw))
    return copy


def _drop_read_only(body: Json, properties: Json) -> None:
    for name in _READ_ONLY_PROPERTIES:
        properties.pop(name, None)
    for container in every_container(properties):
        container["properties"].pop("instanceView", None)
    # In Azure's answers, and in no specification.
    for credential in properties.get("imageRegistryCredentials") or []:
        credential.pop("isDelegatedIdentity", None)
    # The `ip` may be sent back. The full name is Azure's own, made from the DNS label, which stays.
    address = properties.get("ipAddress") or {}
    address.pop("fqdn", None)
    # Only the ids go. The identities themselves must be sent, because what a PUT omits goes back to its default.
    identity = body.get("identity") or {}
    for name in ("principalId", "tenantId"):
        identity.pop(name, None)
    user_assigned = identity.get("userAssignedIdentities") or {}
    for assigned in user_assigned.values():
        for name in ("principalId", "clientId"):
            (assigned or {}).pop(name, None)
