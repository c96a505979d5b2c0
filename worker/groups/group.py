"""ContainerGroup: a lens on the JSON of one container group as Azure Resource Manager gives it.

It reads images, addresses and health, finds the secrets that ARM withholds, and gives the body of a PUT. Whatever it
does not know stays as it came. Shapes: learn.microsoft.com/rest/api/container-instances/container-groups/get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from shared.message import TargetId
from worker.groups.definition import copied, definition_of
from worker.groups.events import pulled_digest
from worker.groups.health import (
    Broken,
    Health,
    Pending,
    container_health,
    with_inits,
)
from worker.groups.instance_view import events_in, instance_view, redacted
from worker.groups.ownership import not_ours
from worker.groups.withheld import Secret, every_container, withheld_places

Json = dict[str, Any]

# Unhealthy is not final: the node is down, and the platform moves the group, which then shows as Repairing
# (learn.microsoft.com/azure/container-instances/container-state).
_SETTLED = frozenset({"succeeded", "failed", "canceled", ""})
_UNDER_REPAIR = frozenset({"unhealthy", "repairing"})
_MOST_WARNINGS = 5
_UNASSIGNED = "0.0.0.0"  # noqa: S104 - what Azure shows of a group in transition, and nothing to listen on


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
        return TargetId(
            subscription=parts[2], resource_group=parts[4], container_group=parts[-1]
        )

    @property
    def images(self) -> dict[str, str]:
        """Container name → image, as written in the group."""
        return {
            container["name"]: container["properties"].get("image", "")
            for container in self._containers()
        }

    @property
    def tags(self) -> Mapping[str, str]:
        """The resource tags."""
        return self.raw.get("tags") or {}

    @property
    def in_transition(self) -> bool:
        """Whether an operation is under way. Any state that is not known to be final counts."""
        # The set of states on the way is open: the documentation and recordings name different ones. Taking an unknown
        # one for final would send a PUT into a running operation, which Azure answers with a 409.
        return self._provisioning_state not in _SETTLED

    @property
    def failed(self) -> bool:
        """Whether the last operation failed."""
        # "Succeeded" is not the opposite: Azure reports it for a group whose container crash-loops. See `health`.
        return self._provisioning_state in {"failed", "canceled"}

    @property
    def under_repair(self) -> bool:
        """Whether its node is down, so that the platform moves it. That says nothing about any image."""
        return self._provisioning_state in _UNDER_REPAIR

    @property
    def not_ours(self) -> str | None:
        """Why it must not be updated, as a sentence for people; None if it may be."""
        return not_ours(self.raw)

    @property
    def stopped(self) -> bool:
        """Whether its owner stopped it. A PUT would start it again."""
        # The provisioning state of a stopped group is "Succeeded"; only the instance view shows that it was stopped
        # (learn.microsoft.com/azure/container-instances/container-instances-stop-start).
        state = str(instance_view(self._properties).get("state", ""))
        return state.lower() == "stopped"

    @property
    def address(self) -> dict[str, str]:
        """The public `ip` and `fqdn` that it has. In transition Azure may omit the `ip` or show it as unset."""
        address = self._properties.get("ipAddress") or {}
        shown = {name: address.get(name) for name in ("ip", "fqdn")}
        # What is not there is unknown rather than gone. Counting it as gone is tempting, but then every update would be
        # told as a change of the address, because Azure may show no `ip` while an operation is under way.
        return {
            name: value
            for name, value in shown.items()
            if value not in {None, "", _UNASSIGNED}
        }

    def health(self, container: str, since: datetime) -> Health:
        """The health of one container since a change at `since`, by Azure's clock."""
        health = with_inits(
            self._health_alone(container, since), self._health_of_inits(since)
        )
        # What ends with its node, or can't be pulled on the way to another one, may be good. What is broken for good
        # still is once the platform has moved the group.
        if self.under_repair and isinstance(health, Broken):
            return Pending(f"is on a node that is down ({health.evidence})")
        return health

    def culprit(self, container: str, since: datetime) -> str:
        """The cause of a broken container: the init container that keeps it from starting, or else itself."""
        inits = self._health_of_inits(since)
        alone = self._health_alone(container, since)
        if with_inits(alone, inits) == alone:
            return container
        return next(
            name for name, health in inits.items() if isinstance(health, Broken)
        )

    def redacted(self, redact: Callable[[str], str]) -> ContainerGroup:
        """The same group with its instance views redacted. This must happen before anything of them is cut."""
        raw = copied(self.raw)
        properties = raw.get("properties") or {}
        of_containers = [
            container["properties"] for container in every_container(properties)
        ]
        for holder in (properties, *of_containers):
            if holder.get("instanceView"):
                holder["instanceView"] = redacted(holder["instanceView"], redact)
        return ContainerGroup(raw, self._ahead)

    @property
    def says_something(self) -> bool:
        """Whether its instance views report any trouble, so that parts of them may be kept as evidence."""
        views = [
            instance_view(container["properties"])
            for container in every_container(self._properties)
        ]
        states = [view.get("currentState") or {} for view in views]
        return bool(self.warnings()) or any(
            state.get("detailStatus") for state in states
        )

    def azure_time(self, now: datetime) -> datetime:
        """The time on Azure's clock when ours shows `now`: the same for every worker, however wrong its clock is."""
        return now + self._ahead

    def running_digest(
        self, container: str, since: datetime | None = None
    ) -> str | None:
        """The digest in the newest Pulled event of a container that is not older than `since`; None if there is none.

        It is the digest of the platform's manifest, which a registry's index lists among others.
        """
        return pulled_digest(events_in(self._view_of(container)), since)

    def warnings(self) -> list[str]:
        """The newest Warning events of the group and its containers, as `name: message`, at most five."""
        views = [
            instance_view(container["properties"])
            for container in every_container(self._properties)
        ]
        # Some trouble, such as a file share that can't be mounted, is an event of the group and of no container.
        views.append(instance_view(self._properties))
        events = chain.from_iterable(events_in(view) for view in views)
        warnings = [event for event in events if event.get("type") == "Warning"]
        # ARM writes all times in one format and zone, so they can be sorted as texts.
        warnings.sort(key=lambda event: str(event.get("lastTimestamp")), reverse=True)
        return [
            f"{event.get('name')}: {event.get('message')}"
            for event in warnings[:_MOST_WARNINGS]
        ]

    def withheld(self) -> list[str]:
        """The paths, as the targets file spells them, of every secret that a PUT must send and a GET omits."""
        return [place.path for place in withheld_places(self._properties)]

    def definition(
        self, images: Mapping[str, str], secrets: Mapping[str, Secret]
    ) -> bytes:
        """The body of a PUT: the present group with these images (container → image) and these secrets (path → value).

        Read-only properties are omitted; everything else is sent unchanged, whether it is known here or not.
        """
        return definition_of(self.raw, images, secrets)

    @property
    def _provisioning_state(self) -> str:
        return str(self._properties.get("provisioningState") or "").lower()

    @property
    def _restart_policy(self) -> str:
        # A GET omits what was never set, and Azure then restarts always.
        return str(self._properties.get("restartPolicy") or "Always")

    def _containers(self) -> list[Json]:
        return list(self._properties.get("containers") or [])

    def _health_alone(self, container: str, since: datetime) -> Health:
        """The health of a container, as if the group had no init containers."""
        group_events = events_in(instance_view(self._properties))
        image = self.images.get(container)
        return container_health(
            self._view_of(container), group_events, self._restart_policy, since, image
        )

    def _health_of_inits(self, since: datetime) -> dict[str, Health]:
        inits: list[Json] = self._properties.get("initContainers") or []
        return {
            init["name"]: container_health(
                instance_view(init["properties"]),
                [],
                self._restart_policy,
                since,
                init["properties"].get("image"),
            )
            for init in inits
        }

    def _view_of(self, name: str) -> Json:
        """The instance view of one container, empty if it has none."""
        for container in self._containers():
            if container["name"] == name:
                return instance_view(container["properties"])
        return {}
