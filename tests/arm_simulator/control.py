"""The control surface under /_simulator: how a test, a demo or a chaos run sets the scene and looks behind it."""

import re
from collections.abc import Callable
from typing import Any

from .faults import Faults, fault_of
from .group import Group
from .journal import Journal
from .messages import Answer, ArmError, GroupKey, Json, Request
from .reports import GroupTruth
from .view import timestamp
from .world import PLACED_STATES, World

PREFIX = "/_simulator"
_GROUP = re.compile(r"/groups/(?P<subscription>[^/]+)/(?P<resource_group>[^/]+)/(?P<name>[^/]+)(?P<act>/\w+)?")


class ControlSurface:
    """Not thread-safe: its owner holds a lock."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        journal: Journal,
        reset: Callable[[], None],
        end_stalls: Callable[[], None],
    ) -> None:
        self._world = world
        self._faults = faults
        self._journal = journal
        self._reset = reset
        self._end_stalls = end_stalls
        self._handlers: dict[tuple[str, str], Callable[[Request], Json]] = {
            ("GET", "/healthz"): lambda request: {"status": "ok"},
            ("GET", "/groups"): self._groups,
            ("PUT", "/images"): self._put_image,
            ("POST", "/faults"): self._post_fault,
            ("DELETE", "/faults"): self._delete_faults,
            ("DELETE", "/stalls"): self._delete_stalls,
            ("GET", "/options"): lambda request: self._world.options.as_json(),
            ("PUT", "/options"): self._put_options,
            ("GET", "/log"): self._log,
            ("GET", "/stats"): lambda request: {**self._journal.stats()},
            ("DELETE", ""): self._delete_all,
        }

    def serve(self, request: Request) -> Answer:
        path = request.path.removeprefix(PREFIX).rstrip("/")
        try:
            if named := _GROUP.fullmatch(path):
                key = GroupKey(*named.group("subscription", "resource_group", "name"))
                act = named["act"]
                return Answer(200, self._owner(key, act, request) if act else self._group(key, request))
            handler = self._handlers.get((request.method, path))
            if handler is None:
                raise ArmError(404, "NotFound", f"There is no {request.method} {request.path}.")
            return Answer(200, handler(request))
        except ArmError as error:
            return Answer.of_error(error)

    def _group(self, key: GroupKey, request: Request) -> Json:
        if request.method == "GET":
            return {**self._truth(self._world.find(key))}
        if request.method != "PUT":
            raise ArmError(405, "MethodNotAllowed", "A group takes GET and PUT.")
        state = request.parameters.get("state", "Running")
        if state not in PLACED_STATES:
            raise ArmError(400, "InvalidState", f"unknown state {state!r}; the states are {', '.join(PLACED_STATES)}")
        return {**self._truth(self._world.place(key, request.json_object(), state))}

    def _owner(self, key: GroupKey, act: str, request: Request) -> Json:
        """What the group's owner does to it: no request of the journal, and no fault meets it."""
        match request.method, act:
            case "PUT", "/tags":
                self._world.patch_tags(key, {"tags": request.json_object()})
            case "POST", "/stop":
                self._world.stop(key)
            case "POST", "/start":
                self._world.start(key)
            case "POST", "/restart":
                self._world.restart(key)
            case "POST", "/repair":
                self._world.repair(key)
            case _:
                raise ArmError(405, "MethodNotAllowed", f"There is no {request.method} {act} of a group.")
        return {**self._truth(self._world.find(key))}

    def _groups(self, request: Request) -> Json:
        return {"groups": [self._truth(group) for group in self._world.groups()]}

    def _truth(self, group: Group) -> GroupTruth:
        view = self._world.view(group)
        return {
            "subscription": group.key.subscription,
            "resource_group": group.key.resource_group,
            "name": group.key.name,
            "definition": group.definition,
            "provisioning_state": view.provisioning_state,
            "state": view.state,
            "ip": group.ip,
            "fqdn": group.fqdn,
            "digests": view.digests,
            "effective_puts": group.effective_puts,
            "restarts": group.restarts,
            "history": [{"time": timestamp(time), "images": images} for time, images in group.history],
        }

    def _put_image(self, request: Request) -> Json:
        rule = self._world.images.add(request.json_object())
        return {"image": rule.pattern, "digest": rule.known_as}

    def _post_fault(self, request: Request) -> Json:
        fault = fault_of(request.json_object())
        self._faults.add(fault)
        return {"fault": fault.fault}

    def _delete_faults(self, request: Request) -> Json:
        self._faults.clear(request.parameters.get("name"))
        return {}

    def _delete_stalls(self, request: Request) -> Json:
        self._end_stalls()
        return {}

    def _put_options(self, request: Request) -> Json:
        values = request.json_object()
        self._world.options = self._world.options.changed(values)
        if "seed" in values:
            self._faults.seed(self._world.options.seed)
        return self._world.options.as_json()

    def _log(self, request: Request) -> Json:
        since = request.parameters.get("since", "0")
        if not since.isdecimal():
            raise ArmError(400, "InvalidLogPosition", "'since' is the number of a log entry")
        entries: Any = self._journal.since(int(since), bodies=request.parameters.get("bodies") == "1")
        return {"requests": entries}

    def _delete_all(self, request: Request) -> Json:
        self._reset()
        return {}
