"""The Resource Manager surface: which request means what, and what it is answered."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import quote

from .group import effective_images
from .limits import RateLimits
from .messages import Answer, ArmError, GroupKey, Json, Request
from .world import Operation, World

_PROVIDER = "/providers/Microsoft.ContainerInstance"
_IN_GROUP = r"/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<resource_group>[^/]+)" + re.escape(_PROVIDER)
_ROUTES = {
    "list": re.compile(rf"/subscriptions/(?P<subscription>[^/]+){re.escape(_PROVIDER)}/containerGroups", re.I),
    "list-in-resource-group": re.compile(rf"{_IN_GROUP}/containerGroups", re.I),
    "group": re.compile(rf"{_IN_GROUP}/containerGroups/(?P<name>[^/]+)", re.I),
    "action": re.compile(rf"{_IN_GROUP}/containerGroups/(?P<name>[^/]+)/(?P<action>restart|start|stop)", re.I),
    "logs": re.compile(rf"{_IN_GROUP}/containerGroups/(?P<name>[^/]+)/containers/(?P<container>[^/]+)/logs", re.I),
    "operation": re.compile(
        rf"/subscriptions/(?P<subscription>[^/]+){re.escape(_PROVIDER)}/locations/[^/]+/operations/[^/]+", re.I
    ),
}
_LOGS_ACTION = "Microsoft.ContainerInstance/containerGroups/containers/logs/read"
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")


@dataclass(frozen=True)
class Target:
    """What a request is about: a route, a subscription, and further what the route has."""

    route: str
    subscription: str
    resource_group: str | None = None
    key: GroupKey | None = None
    action: str = ""
    container: str = ""

    @property
    def is_list(self) -> bool:
        return self.route in ("list", "list-in-resource-group")


class ArmSurface:
    """Answers requests out of a world. Not thread-safe: its owner holds a lock."""

    def __init__(self, world: World, clock: Callable[[], float]) -> None:
        self._world = world
        self._clock = clock
        self._limits = RateLimits()
        self._handlers: dict[tuple[str, str], Callable[[Target, Request], Answer]] = {
            ("list", "GET"): self._list,
            ("list-in-resource-group", "GET"): self._list,
            ("group", "GET"): self._get,
            ("group", "PUT"): self._put,
            ("group", "PATCH"): self._patch,
            ("group", "DELETE"): self._delete,
            ("action", "POST"): self._act,
            ("logs", "GET"): self._logs,
            ("operation", "GET"): self._operation,
        }

    def target(self, request: Request) -> Target | None:
        """None: a path that ARM wouldn't know."""
        for route, pattern in _ROUTES.items():
            if found := pattern.fullmatch(request.path):
                parts = found.groupdict()
                action = (parts.get("action") or "").lower()
                key = self._key(route, request.path, parts)
                container = parts.get("container") or ""
                return Target(route, parts["subscription"], parts.get("resource_group"), key, action, container)
        return None

    def _key(self, route: str, path: str, parts: dict[str, str]) -> GroupKey | None:
        """Spelt as the group was created, if it is there."""
        if route == "operation":
            operation = self._world.operation(path)
            return operation.group.key if operation else None
        if "name" not in parts:
            return None
        key = GroupKey(parts["subscription"], parts["resource_group"], parts["name"])
        group = self._world.known(key)
        return group.key if group else key

    def serve(self, target: Target | None, request: Request) -> Answer:
        """The answer to a request; every refusal is an answer too."""
        try:
            _check_authorization(request)
            _check_api_version(request)
            if target is None:
                raise ArmError(404, "NotFound", f"There is nothing at '{request.path}'.")
            enforce = self._world.options.enforce_rate_limits
            limits = self._limits.spend(target.subscription, request.method, self._clock(), enforce=enforce)
        except ArmError as error:
            return Answer.of_error(error)
        try:
            answer = self._handled(target, request)
        except ArmError as error:
            answer = Answer.of_error(error)
        return replace(answer, headers={**limits, **answer.headers})

    def _handled(self, target: Target, request: Request) -> Answer:
        handler = self._handlers.get((target.route, request.method))
        if handler is None:
            message = f"The method {request.method} is not supported for '{request.path}'."
            raise ArmError(405, "MethodNotAllowed", message)
        return handler(target, request)

    def _list(self, target: Target, request: Request) -> Answer:
        if target.resource_group:
            self._world.check_resource_group(target.subscription, target.resource_group)
        after = _after(request.parameters.get("$skiptoken", ""))
        groups = self._world.groups(target.subscription, target.resource_group)
        following = [group for group in groups if group.key.folded > after]
        page, rest = following[: self._world.options.page_size], following[self._world.options.page_size :]
        version = request.parameters["api-version"]
        body: Json = {"value": [self._world.view(group, version).listed() for group in page]}
        if rest:
            token = _skip_token(page[-1].key)
            body["nextLink"] = f"{request.base_url}{quote(request.path)}?api-version={version}&%24skiptoken={token}"
        if self._world.options.next_link:
            body["nextLink"] = self._world.options.next_link.replace("{base}", request.base_url)
        return Answer(200, body)

    def _get(self, target: Target, request: Request) -> Answer:
        group = self._world.find(_named(target))
        return Answer(200, self._world.view(group, request.parameters["api-version"]).full())

    def _put(self, target: Target, request: Request) -> Answer:
        key = _named(target)
        status = self._world.options.put_status if self._world.known(key) else 201
        group, operation, read_only = self._world.put(key, request.json_object())
        body = self._world.view(group, request.parameters["api-version"]).accepted()
        return Answer(status, body, _async_header(request, operation), effective=True, read_only_sent=read_only)

    def _patch(self, target: Target, request: Request) -> Answer:
        group = self._world.patch_tags(_named(target), request.json_object())
        return Answer(200, self._world.view(group, request.parameters["api-version"]).full(), effective=True)

    def _delete(self, target: Target, request: Request) -> Answer:
        group = self._world.delete(_named(target))
        if group is None:
            return Answer(204)
        return Answer(200, self._world.view(group, request.parameters["api-version"]).listed(), effective=True)

    def _act(self, target: Target, request: Request) -> Answer:
        key = _named(target)
        if target.action == "stop":
            return Answer(204, effective=self._world.stop(key))
        operation = self._world.restart(key) if target.action == "restart" else self._world.start(key)
        if operation is None:
            return Answer(204)
        return Answer(204, headers=_async_header(request, operation), effective=True)

    def _logs(self, target: Target, request: Request) -> Answer:
        if not self._world.options.may_read_logs:
            raise ArmError(403, "AuthorizationFailed", _lacks(_LOGS_ACTION, request.path))
        key = _named(target)
        group = self._world.find(key)
        if target.container not in effective_images(group.properties):
            message = f"The container '{target.container}' was not found in container group '{key.name}'."
            raise ArmError(404, "ContainerNotFound", message)
        timestamps = request.parameters.get("timestamps", "").lower() == "true"
        tail = _tail(request.parameters.get("tail"))
        text = self._world.view(group).log(target.container, tail=tail, timestamps=timestamps)
        if text is None:
            raise ArmError(
                404,
                "ContainerLogNotAvailable",
                f"Log of container '{target.container}' in container group '{key.name}' is not available yet. "
                "Please check container 'InstanceView' for more information or retry later.",
            )
        return Answer(200, {"content": text})

    def _operation(self, target: Target, request: Request) -> Answer:
        operation = self._world.operation(request.path)
        if operation is None:
            raise ArmError(404, "ResourceNotFound", "There is no such operation.")
        if request.query != operation.query:
            raise ArmError(403, "AuthorizationFailed", "The signature of the operation URL is missing or not valid.")
        return Answer(200, self._world.operation_status(operation))


def _named(target: Target) -> GroupKey:
    assert target.key is not None
    return target.key


def _async_header(request: Request, operation: Operation) -> dict[str, str]:
    return {"Azure-AsyncOperation": f"{request.base_url}{operation.path}?{operation.query}"}


def _check_authorization(request: Request) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        message = "Authentication failed. The 'Authorization' header is missing or invalid."
        raise ArmError(401, "AuthenticationFailed", message, {"WWW-Authenticate": "Bearer"})


def _check_api_version(request: Request) -> None:
    version = request.parameters.get("api-version")
    if not version:
        message = "The api-version query parameter (?api-version=) is required for all requests."
        raise ArmError(400, "MissingApiVersionParameter", message)
    if not _API_VERSION.fullmatch(version):
        message = f"The api-version '{version}' is invalid."
        raise ArmError(400, "InvalidApiVersionParameter", message)


def _lacks(action: str, path: str) -> str:
    return (
        "The client 'aci-hooks' with object id '00000000-0000-0000-0000-0000000000aa' does not have authorization to "
        f"perform action '{action}' over scope '{path}' or the scope is invalid."
    )


def _tail(text: str | None) -> int | None:
    """How many lines are asked for; None for all."""
    if text is None:
        return None
    if not text.isdecimal():
        raise ArmError(400, "InvalidTail", f"The number of lines '{text}' is invalid.")
    return int(text)


def _skip_token(key: GroupKey) -> str:
    return urlsafe_b64encode("/".join(key.folded).encode()).decode().rstrip("=")


def _after(token: str) -> tuple[str, ...]:
    """The key after which a page begins: the token of a page names the last group of the page before."""
    if not token:
        return ()
    try:
        return tuple(urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().split("/"))
    except ValueError:
        raise ArmError(400, "InvalidSkipToken", f"The skip token '{token}' is invalid.") from None
