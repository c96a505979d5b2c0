"""A container group as ARM shows it at one moment."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from uuid import NAMESPACE_URL, uuid5

from . import life
from .definition import give_out
from .group import Group, Launch, container_names
from .messages import Json

_FIRST_VERSION_WITH_STANDBY_POOLS = "2024-05-01"
_PROVISIONING_TIMEOUT = 1800


def timestamp(moment: float, digits: int = 6) -> str:
    """RFC 3339 in UTC; the digits of the second beyond `digits` are cut off, not rounded."""
    text = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{text[: 20 + digits]}Z" if digits else f"{text[:19]}Z"


@dataclass(frozen=True)
class GroupView:
    """`moment` is the one that counts for the group: see Group.moment."""

    group: Group
    moment: float
    api_version: str
    timestamp_digits: int
    address_in_transition: str = ""

    def listed(self) -> Json:
        """As an entry of a list: without any instance view."""
        group = self.group
        properties = give_out(group.properties)
        properties["provisioningState"] = self.provisioning_state
        address = properties.get("ipAddress")
        if address is not None:
            assigned = {"ip": self._shown_ip, "fqdn": group.fqdn}
            properties["ipAddress"] = {**address, **{name: value for name, value in assigned.items() if value}}
        if self.api_version >= _FIRST_VERSION_WITH_STANDBY_POOLS:
            self._add_what_no_specification_has(properties)
        else:
            for container in properties["containers"]:
                container["properties"].pop("configMap", None)
        shown = {**group.definition, "properties": properties}
        if "identity" in group.definition:
            shown["identity"] = _identity(group.key.resource_id, group.definition["identity"])
        own = {
            "id": group.key.resource_id,
            "name": group.key.name,
            "type": "Microsoft.ContainerInstance/containerGroups",
        }
        return {**own, **shown}

    def _add_what_no_specification_has(self, properties: Json) -> None:
        """What recorded answers of the newer versions hold, and a PUT has not to give back."""
        properties["isCreatedFromStandbyPool"] = self.group.from_standby_pool
        properties["provisioningTimeoutInSeconds"] = _PROVISIONING_TIMEOUT
        properties["isCustomProvisioningTimeout"] = False
        if self.group.orchestrator_id:
            properties["orchestratorId"] = self.group.orchestrator_id
        if "imageRegistryCredentials" in properties:
            properties["imageRegistryCredentials"] = [
                {**credential, "isDelegatedIdentity": False} for credential in properties["imageRegistryCredentials"]
            ]

    @property
    def _shown_ip(self) -> str | None:
        if not (self.address_in_transition and self.group.transitioning(self.moment)):
            return self.group.ip
        return None if self.address_in_transition == "missing" else self.address_in_transition

    def accepted(self) -> Json:
        """As the answer to a PUT: nothing has happened yet."""
        shown = self.listed()
        shown["properties"]["instanceView"] = {"events": [], "state": "Pending"}
        return shown

    def full(self) -> Json:
        """As the answer to a GET."""
        shown = self.listed()
        properties = shown["properties"]
        for kind in ("containers", "initContainers"):
            for container in properties[kind]:
                view = self._instance_view(container["name"])
                container["properties"] = {**container["properties"], "instanceView": view}
        properties["instanceView"] = {"events": [], "state": self.state}
        return shown

    @property
    def provisioning_state(self) -> str:
        if self.group.stopped_at is not None:
            return "Succeeded"
        return self.group.launches[-1].status(self.moment)

    @property
    def state(self) -> str:
        """Running as soon as any container has run: also while it is in a crash loop."""
        if self.group.stopped_at is not None:
            return "Stopped"
        names = container_names(self.group.properties, "containers")
        states = [self._instance_view(name) for name in names]
        current = [state["currentState"] for state in states]
        if all(state["state"] == "Terminated" for state in current):
            return "Failed" if any(state["exitCode"] for state in current) else "Succeeded"
        ran = any(state["state"] == "Running" for state in current) or any(s["restartCount"] for s in states)
        return "Running" if ran else "Pending"

    @property
    def digests(self) -> dict[str, str]:
        """By container: the digest that its present run was started from."""
        return {name: run.digest for name, run in self._begun()[-1].runs.items()}

    def _begun(self) -> list[Launch]:
        launches = self.group.launches
        return [launch for launch in launches if launch.begins <= self.moment] or launches[:1]

    def _instance_view(self, container: str) -> Json:
        launches = self._begun()
        events = self._events(container, launches)
        current = launches[-1]
        if current.stopped_at is not None:
            return life.stopped_view(current.runs[container], current.stopped_at, self._stamp, events)
        return life.instance_view(current.runs[container], self.moment, self._stamp, events)

    def _events(self, container: str, launches: list[Launch]) -> list[Json]:
        """Events of earlier launches stay for as long as the launch is remembered."""
        events: list[Json] = []
        for launch, following in zip_longest(launches, launches[1:]):
            if container in launch.runs:
                end = following.begins if following and launch.stopped_at is None else launch.stopped_at
                until = self.moment if end is None else end
                killer = "platform" if following and following.kind == "repair" else "user"
                events += life.events(launch.runs[container], until, "" if end is None else killer, self._stamp)
        return life.shuffled(events)

    def log(self, container: str, *, tail: int | None, timestamps: bool) -> str | None:
        """What a container, or init container, has printed as it runs now; None if it has not started yet."""
        launch = self._begun()[-1]
        until = self.moment if launch.stopped_at is None else launch.stopped_at
        text = life.output(launch.runs[container], until, self._stamp, timestamps=timestamps)
        if text is None or tail is None:
            return text
        return "".join(text.splitlines(keepends=True)[-tail:]) if tail else ""

    def _stamp(self, moment: float) -> str:
        return timestamp(moment, self.timestamp_digits)


def _identity(resource_id: str, identity: Json) -> Json:
    shown = dict(identity)
    if "SystemAssigned" in str(identity.get("type", "")):
        shown["principalId"] = _made_up_id(f"{resource_id}#principal")
        shown["tenantId"] = _made_up_id("tenant")
    assigned = identity.get("userAssignedIdentities")
    if isinstance(assigned, dict):
        shown["userAssignedIdentities"] = {
            name: {**value, "principalId": _made_up_id(f"{name}#principal"), "clientId": _made_up_id(f"{name}#client")}
            for name, value in assigned.items()
        }
    return shown


def _made_up_id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))
