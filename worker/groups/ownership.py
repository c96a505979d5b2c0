"""Groups that must not be changed here: a PUT would be refused, undone by their owner, or break them for good. Pure.

| sign | what a PUT does |
|---|---|
| `containerGroupProfile`, `isCreatedFromStandbyPool` | is refused: nothing but the config map may change |
| `orchestratorId` | is undone by the next update or scaling of the NGroup |
| the extension kube-proxy with the tag `NodeName` | is undone by the virtual node that made the pod |
| a confidential policy that lists layers | is denied by the policy, and so may be the way back |
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

_NODE_TAG = "nodename"
_KUBE_PROXY = "kube-proxy"
# Azure adds a policy that allows everything if none is given. A policy that names what may run contains data for it:
# learn.microsoft.com/azure/container-instances/container-instances-confidential-overview
_ALLOWS_EVERYTHING = re.compile(r'create_container\s*:=\s*\{\s*"allowed"\s*:\s*true\b')
_NAMES_LAYERS = re.compile(r'"layers"|\b(?:containers|fragments)\s*:=\s*\[\s*[^\]\s]')


def not_ours(group: Mapping[str, Any]) -> str | None:
    """Why this group (ARM's JSON) must not be updated, as a sentence for people; None if it may be updated."""
    properties = group.get("properties") or {}
    if _is_from_profile(properties):
        return (
            "the group was made from a container group profile or a standby pool (containerGroupProfile, "
            "isCreatedFromStandbyPool), and Azure refuses every update of its images: update the profile instead"
        )
    if properties.get("orchestratorId"):
        return (
            "the group is a member of an NGroup (orchestratorId), whose next update or scaling would undo this one: "
            "update the NGroup's container group profile instead"
        )
    if _is_pod(group.get("tags") or {}, properties):
        return (
            "the group is a pod of Virtual Kubelet, a virtual node of Kubernetes (extension kube-proxy, tag NodeName), "
            "which would undo the update: update the pod's deployment in Kubernetes instead"
        )
    if _lists_layers(properties):
        return (
            "the group is confidential, and its policy (confidentialComputeProperties.ccePolicy) lists the layers of "
            "the images that may run: another image would be denied, and the way back as well; deploy it again with a "
            "policy for the new image"
        )
    return None


def _is_from_profile(properties: Mapping[str, Any]) -> bool:
    return (
        bool(properties.get("containerGroupProfile"))
        or properties.get("isCreatedFromStandbyPool") is True
    )


def _is_pod(tags: Mapping[str, str], properties: Mapping[str, Any]) -> bool:
    # Azure compares the names of tags without regard to case.
    has_node = any(name.lower() == _NODE_TAG for name in tags)
    return has_node and any(
        _is_kube_proxy(extension) for extension in properties.get("extensions") or []
    )


def _is_kube_proxy(extension: Mapping[str, Any]) -> bool:
    # Either may name it: the extension's own name is whatever its maker chose.
    names = (
        extension.get("name"),
        (extension.get("properties") or {}).get("extensionType"),
    )
    return any(str(name).lower() == _KUBE_PROXY for name in names)


def _lists_layers(properties: Mapping[str, Any]) -> bool:
    policy = (properties.get("confidentialComputeProperties") or {}).get("ccePolicy")
    if not policy:
        return False
    try:
        # Azure ignores white space in it, and tools such as `base64` break the lines.
        rego = base64.b64decode("".join(policy.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError, AttributeError):
        return True  # an unreadable policy may list anything, and trying could break the group for good
    # A policy that neither names layers nor allows everything is of a kind that is not known here, so it may list any.
    return (
        _NAMES_LAYERS.search(rego) is not None
        or _ALLOWS_EVERYTHING.search(rego) is None
    )
