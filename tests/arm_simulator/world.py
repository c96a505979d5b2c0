"""Everything that the simulated cloud holds, and what may be done to it."""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from .definition import take_in
from .group import Group, Launch, LaunchPlanner, effective_images
from .images import ImageRules
from .messages import ArmError, GroupKey, Json
from .options import Options, group_matches
from .validation import check_images, check_ownership, check_secrets, check_shape, check_tags, check_update
from .view import GroupView, timestamp

_OPERATIONS_KEPT = 50_000
_PLACED_AGO = 3600.0
PLACED_STATES = ("Running", "Stopped", "Succeeded")


@dataclass(frozen=True)
class Operation:
    """A long-running operation, and the query with which alone its state may be asked for."""

    path: str
    query: str
    group: Group
    launch: Launch


class World:
    """Not thread-safe: its owner holds a lock. All its refusals are ArmErrors."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: dict[tuple[str, str, str], Group] = {}
        self._resource_groups: set[tuple[str, str]] = set()
        self._operations: OrderedDict[str, Operation] = OrderedDict()
        self._addresses = count(1)
        self.options = Options()
        self.images = ImageRules()

    def view(self, group: Group, api_version: str = "") -> GroupView:
        moment = group.moment(self._clock(), self.options)
        digits, address = self.options.timestamp_digits, self.options.address_in_transition
        return GroupView(group, moment, api_version, digits, address)

    def known(self, key: GroupKey) -> Group | None:
        return self._groups.get(key.folded)

    def find(self, key: GroupKey) -> Group:
        group = self.known(key)
        if group is None:
            self.check_resource_group(key.subscription, key.resource_group)
            raise ArmError(
                404,
                "ResourceNotFound",
                f"The Resource 'Microsoft.ContainerInstance/containerGroups/{key.name}' under resource group "
                f"'{key.resource_group}' was not found.",
            )
        return group

    def check_resource_group(self, subscription: str, resource_group: str) -> None:
        """A resource group is there once a container group was placed in it."""
        if (subscription.lower(), resource_group.lower()) not in self._resource_groups:
            message = f"Resource group '{resource_group}' could not be found."
            raise ArmError(404, "ResourceGroupNotFound", message)

    def groups(self, subscription: str | None = None, resource_group: str | None = None) -> list[Group]:
        """In the order of their keys."""
        wanted = [part and part.lower() for part in (subscription, resource_group)]
        return [
            self._groups[key]
            for key in sorted(self._groups)
            if all(part is None or part == own for part, own in zip(wanted, key, strict=False))
        ]

    def place(self, key: GroupKey, body: Json, state: str) -> Group:
        """Creates or replaces a group as one that has been there for an hour."""
        definition, _ = take_in({"location": "westeurope", **body})
        check_shape(definition)
        group = Group(key, definition)
        # What only the platform sets, where a group is placed as it might have made it.
        group.from_standby_pool = body["properties"].get("isCreatedFromStandbyPool") is True
        group.orchestrator_id = body["properties"].get("orchestratorId")
        given = (body["properties"].get("ipAddress") or {}).get("ip")
        group.ip = given or self._address(group)
        started_at = self._clock() - _PLACED_AGO
        group.launch(self._planner.launched(group, started_at, ended=state == "Succeeded"))
        if state == "Stopped":
            group.stop(started_at + _PLACED_AGO / 2)
        self._remember(group)
        return group

    def put(self, key: GroupKey, body: Json) -> tuple[Group, Operation, tuple[str, ...]]:
        """Creates or updates a group; gives back its operation, and the read-only members that were ignored."""
        self.check_resource_group(key.subscription, key.resource_group)
        definition, read_only = take_in(body)
        check_shape(definition)
        check_secrets(key.name, definition["properties"])
        group = self.known(key)
        if group is not None:
            self._check_update(group, definition)
        check_images(key.name, list(effective_images(definition["properties"]).values()), self.images)
        if group is None:
            group, kind = self._created(key, definition), "create"
        else:
            kind = self._update(group, definition)
        group.effective_puts += 1
        return group, self._launch(kind, group), read_only

    def _created(self, key: GroupKey, definition: Json) -> Group:
        group = Group(key, definition)
        group.ip = self._address(group)
        self._remember(group)
        return group

    def _update(self, group: Group, definition: Json) -> str:
        as_new = group.ended(self.view(group).moment)
        group.definition = definition if self.options.put_changes_tags else _with_tags_of(group.definition, definition)
        if as_new:
            group.launches = []
        if as_new or not self.options.keep_ip or group.ip is None or "ipAddress" not in group.properties:
            group.ip = self._address(group)
        return "create" if as_new else "update"

    def _check_update(self, group: Group, definition: Json) -> None:
        if definition["location"] != group.location:
            message = f"The resource '{group.key.name}' already exists in location '{group.location}'."
            raise ArmError(409, "InvalidResourceLocation", message)
        check_ownership(group.properties, from_standby_pool=group.from_standby_pool)
        check_update(group.key.name, group.properties, definition["properties"])
        self._check_settled(group)

    def _check_settled(self, group: Group) -> None:
        if group.transitioning(self.view(group).moment):
            message = f"The container group '{group.key.name}' is still transitioning, please retry later."
            raise ArmError(409, "ContainerGroupTransitioning", message)

    def patch_tags(self, key: GroupKey, body: Json) -> Group:
        """Replaces the whole map of tags, and nothing else."""
        group = self.find(key)
        tags = body.get("tags")
        if tags is not None:
            check_tags(tags)
            group.definition = {**group.definition, "tags": tags}
        return group

    def delete(self, key: GroupKey) -> Group | None:
        return self._groups.pop(key.folded, None)

    def restart(self, key: GroupKey) -> Operation:
        group = self.find(key)
        if group.stopped_at is not None:
            message = f"The container group '{group.key.name}' is stopped and can't be restarted; start it instead."
            raise ArmError(400, "ContainerGroupStopped", message)
        self._check_settled(group)
        group.restarts += 1
        return self._launch("restart", group)

    def repair(self, key: GroupKey) -> None:
        """The group's node goes down, and the platform moves it to another one."""
        group = self.find(key)
        self._check_settled(group)
        self._launch("repair", group)

    def start(self, key: GroupKey) -> Operation | None:
        """Starts a group that has ended, at a new address. None: it is running already."""
        group = self.find(key)
        self._check_settled(group)
        if not group.ended(self.view(group).moment):
            return None
        group.ip = self._address(group)
        return self._launch("start", group)

    def stop(self, key: GroupKey) -> bool:
        """Stops a group. False: it was stopped already."""
        group = self.find(key)
        self._check_settled(group)
        if group.stopped_at is not None:
            return False
        group.stop(self._clock())
        return True

    def operation(self, path: str) -> Operation | None:
        return self._operations.get(path.lower())

    def operation_status(self, operation: Operation) -> Json:
        stuck = group_matches(operation.group.key, self.options.stuck)
        status = operation.launch.status(operation.launch.moment(self._clock(), stuck))
        body: Json = {
            "id": operation.path,
            "status": status,
            "startTime": timestamp(operation.launch.requested, self.options.timestamp_digits),
            "properties": {"events": []},
        }
        if status == "Failed":
            body["error"] = {"code": "DeploymentFailed", "message": "The container group could not be deployed."}
        return body

    @property
    def _planner(self) -> LaunchPlanner:
        return LaunchPlanner(self.options, self.images)

    def _launch(self, kind: str, group: Group) -> Operation:
        launch = self._planner.launch(kind, group, self._clock())
        group.launch(launch)
        path = (
            f"/subscriptions/{group.key.subscription}/providers/Microsoft.ContainerInstance"
            f"/locations/{group.location}/operations/{uuid4()}"
        )
        signature = "&".join(f"{name}={secrets.token_urlsafe(24)}" for name in ("c", "s", "h"))
        query = f"api-version=2018-06-01&t={int(launch.requested * 10_000_000)}&{signature}"
        operation = Operation(path, query, group, launch)
        self._operations[path.lower()] = operation
        if len(self._operations) > _OPERATIONS_KEPT:
            self._operations.popitem(last=False)
        return operation

    def _remember(self, group: Group) -> None:
        subscription, resource_group, _ = group.key.folded
        self._groups[group.key.folded] = group
        self._resource_groups.add((subscription, resource_group))

    def _address(self, group: Group) -> str | None:
        """A new address for the group, if its definition asks for one."""
        address = group.properties.get("ipAddress")
        if address is None:
            return None
        number = next(self._addresses)
        network = "10.0" if address.get("type") == "Private" else "20.50"
        return f"{network}.{number // 250 % 250}.{number % 250 + 1}"


def _with_tags_of(before: Json, after: Json) -> Json:
    tags = {"tags": before["tags"]} if "tags" in before else {}
    return {**{name: value for name, value in after.items() if name != "tags"}, **tags}
