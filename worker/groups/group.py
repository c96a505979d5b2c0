"""ContainerGroup: a lens on the JSON of one container group as Azure Resource Manager gives it.

It reads images, addresses and health, finds the secrets that ARM withholds, and writes the body of a PUT. Whatever it
does not know stays as it came. Shapes: learn.microsoft.com/rest/api/container-instances/container-groups/get.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.message import TargetId
from worker.groups.health import Health, container_health, pulled_digest
from worker.groups.withheld import every_container, put_secrets, withheld_places
from worker.groups.withheld import missing_secrets as missing_secrets  # for those who still look for it here

Json = dict[str, Any]

_SETTLED = frozenset({"succeeded", "failed", "canceled", "unhealthy", ""})
_READ_ONLY = ("id", "name", "type", "systemData")
_READ_ONLY_PROPERTIES = ("provisioningState", "instanceView", "isCreatedFromStandbyPool")


class ContainerGroup:
    """One container group. `raw` is ARM's JSON, never changed; `ahead` is how far ARM's clock is ahead of ours."""

    def __init__(self, raw: Mapping[str, Any], ahead: timedelta = timedelta(0)) -> None:
        self.raw = raw
        self._ahead = ahead
        self._properties: Mapping[str, Any] = raw.get("properties") or {}

    @property
    def id(self) -> TargetId:
        """Which group it is, by ARM's id `/subscriptions/…/resourceGroups/…/providers/…/containerGroups/…`."""
        parts = str(self.raw["id"]).split("/")
        return TargetId(subscription=parts[2], resource_group=parts[4], container_group=parts[-1])

    @property
    def images(self) -> dict[str, str]:
        """Container name → image, as written in the group."""
        return {one["name"]: one["properties"].get("image", "") for one in self._containers()}

    @property
    def tags(self) -> Mapping[str, str]:
        """The resource tags."""
        return self.raw.get("tags") or {}

    @property
    def in_transition(self) -> bool:
        """Is an operation under way? Any state that is not known to be a final one counts."""
        return self._provisioning_state not in _SETTLED

    @property
    def failed(self) -> bool:
        """Did the last operation fail?"""
        return self._provisioning_state in {"failed", "canceled", "unhealthy"}

    @property
    def stopped(self) -> bool:
        """Did its owner stop it? A PUT would start it again."""
        return str((self._properties.get("instanceView") or {}).get("state", "")).lower() == "stopped"

    @property
    def address(self) -> dict[str, str]:
        """The public `ip` and `fqdn`, as far as it has them."""
        known = self._properties.get("ipAddress") or {}
        return {name: known[name] for name in ("ip", "fqdn") if known.get(name)}

    def health(self, container: str, since: datetime) -> Health:
        """How one container has fared since a change at `since`, by Azure's clock."""
        views = [one["properties"].get("instanceView") for one in self._containers() if one["name"] == container]
        group_events = (self._properties.get("instanceView") or {}).get("events") or []
        policy = str(self._properties.get("restartPolicy") or "Always")
        view = (views[0] if views else None) or {}
        return container_health(view, group_events, policy, since, self.images.get(container))

    def azure_time(self, now: datetime) -> datetime:
        """What Azure's clock shows when ours shows `now`: the same for every worker, however wrong its clock is."""
        return now + self._ahead

    def running_digest(self, container: str, since: datetime | None = None) -> str | None:
        """The digest that the newest Pulled event of a container names (not older than `since`), None without one."""
        for one in self._containers():
            if one["name"] == container:
                view = one["properties"].get("instanceView") or {}
                return pulled_digest(view, since)
        return None

    def warnings(self) -> list[str]:
        """The newest Warning events of the group and its containers, as `name: message`, at most five."""
        views = [one["properties"].get("instanceView") or {} for one in self._containers()]
        events = [
            event for view in [*views, self._properties.get("instanceView") or {}] for event in view.get("events") or []
        ]
        warnings = [event for event in events if event.get("type") == "Warning"]
        warnings.sort(key=lambda event: str(event.get("lastTimestamp")), reverse=True)
        return [f"{event.get('name')}: {event.get('message')}" for event in warnings[:5]]

    def withheld(self) -> list[str]:
        """The paths, in the targets file's spelling, of every secret that a PUT must carry and a GET leaves out."""
        return [place.path for place in withheld_places(self._properties)]

    def definition(self, images: Mapping[str, str], secrets: Mapping[str, str]) -> bytes:
        """The body of a PUT: the group as it is with these images (container → image) and these secrets (path → value).

        Read-only properties are left out; everything else is sent as it came, known to us or not.
        """
        body = copy.deepcopy(dict(self.raw))
        for name in _READ_ONLY:
            body.pop(name, None)
        properties = body.get("properties") or {}
        _drop_read_only(body, properties)
        for one in properties.get("containers") or []:
            if one["name"] in images:
                one["properties"]["image"] = images[one["name"]]
        put_secrets(properties, secrets)
        return json.dumps(body, ensure_ascii=False).encode()

    @property
    def _provisioning_state(self) -> str:
        return str(self._properties.get("provisioningState") or "").lower()

    def _containers(self) -> list[Json]:
        return list(self._properties.get("containers") or [])


def _drop_read_only(body: Json, properties: Json) -> None:
    for name in _READ_ONLY_PROPERTIES:
        properties.pop(name, None)
    for container in every_container(properties):
        container["properties"].pop("instanceView", None)
    (properties.get("ipAddress") or {}).pop("fqdn", None)
    identity = body.get("identity") or {}
    for name in ("principalId", "tenantId"):
        identity.pop(name, None)
    for assigned in (identity.get("userAssignedIdentities") or {}).values():
        for name in ("principalId", "clientId"):
            (assigned or {}).pop(name, None)
