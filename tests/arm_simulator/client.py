"""A client of the control surface, for tests, demos and chaos runs against a simulator in another process."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

import httpx

from .messages import Json
from .reports import GroupTruth, LogEntry, Stats


class SimulatorRefusedError(Exception):
    """The control surface answered with an error; the text says why."""


class SimulatorClient:
    """Thread-safe. Every method raises SimulatorRefusedError for a request that the simulator rejects,
    and httpx.HTTPError if it can't be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # Plain HTTP to a near host: neither the environment's proxies nor the loading of root certificates is wanted.
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/_simulator", timeout=30, trust_env=False, verify=False)

    def put_group(
        self, subscription: str, resource_group: str, name: str, definition: Json, *, state: str = "Running"
    ) -> GroupTruth:
        """Creates or replaces a group at once, as one started an hour ago. `state`: Running, Stopped or Succeeded."""
        path = _group_path(subscription, resource_group, name)
        return cast(GroupTruth, self._call("PUT", path, definition, state=state))

    def group(self, subscription: str, resource_group: str, name: str) -> GroupTruth:
        """A group as it really is, secrets included."""
        return cast(GroupTruth, self._call("GET", _group_path(subscription, resource_group, name)))

    def act(self, action: str, subscription: str, resource_group: str, name: str) -> GroupTruth:
        """Stops, starts or restarts a group, as its owner would: `stop`, `start`, `restart`.

        Or `repair`: its node goes down, and the platform moves it, by way of Unhealthy and Repairing.

        Refused while it is in transition. It counts as no request to ARM, and no fault meets it.
        """
        path = f"{_group_path(subscription, resource_group, name)}/{action}"
        return cast(GroupTruth, self._call("POST", path))

    def tag(self, subscription: str, resource_group: str, name: str, tags: Mapping[str, str]) -> GroupTruth:
        """Replaces a group's resource tags, as its owner would; like `act` no request to ARM."""
        path = f"{_group_path(subscription, resource_group, name)}/tags"
        return cast(GroupTruth, self._call("PUT", path, dict(tags)))

    def groups(self) -> list[GroupTruth]:
        return cast(list[GroupTruth], self._call("GET", "/groups")["groups"])

    def image(
        self,
        image: str,
        behaviour: str = "good",
        *,
        digest: str | None = None,
        index: str | None = None,
        after: float | None = None,
        output: str | None = None,
    ) -> str:
        """Says how an image, or all that a glob means, goes from its next launch on. Gives back its digest.

        `after`: seconds from the start of a container to its exit. A new `digest` for a tag means: the tag moved. With
        an `index`, that is what the registry gives and what a reference may name, and `digest` that of the platform's
        manifest, which is pulled and named by events. `output` is what each start of it prints.
        """
        rule = {"image": image, "behaviour": behaviour, "digest": digest, "index": index, "after": after}
        rule["output"] = output
        return cast(str, self._call("PUT", "/images", _given(rule))["digest"])

    def fault(
        self,
        fault: str,
        *,
        status: int | None = None,
        code: str | None = None,
        message: str | None = None,
        details: str | None = None,
        retry_after: float | None = None,
        method: str | None = None,
        group: str | None = None,
        route: str | None = None,
        times: int | None = None,
        rate: float | None = None,
        seconds: float | None = None,
        name: str | None = None,
    ) -> None:
        """Adds a fault for the requests of this method, to this group (a glob) and of this route; see faults.KINDS.

        `details` are codes, with commas between them, that the error wraps.
        """
        body = {"fault": fault, "status": status, "code": code, "message": message, "retry_after": retry_after}
        body |= {"details": details, "route": route}
        body |= {"method": method, "group": group, "times": times, "rate": rate, "seconds": seconds, "name": name}
        self._call("POST", "/faults", _given(body))

    def clear_faults(self, name: str | None = None) -> None:
        """Takes away the faults that were given this name, or all."""
        self._call("DELETE", "/faults", **({} if name is None else {"name": name}))

    def end_stalls(self) -> None:
        """Lets the requests that are stalled now take effect."""
        self._call("DELETE", "/stalls")

    def options(self, **values: float | str) -> Json:
        """Changes the options that are given, and gives back all of them; see options.Options."""
        return self._call("PUT", "/options", values)

    def log(self, since: int = 0, *, bodies: bool = False) -> list[LogEntry]:
        """The requests to the ARM surface whose number is above `since`, in their order."""
        answer = self._call("GET", "/log", since=str(since), bodies="1" if bodies else "0")
        return cast(list[LogEntry], answer["requests"])

    def stats(self) -> Stats:
        return cast(Stats, self._call("GET", "/stats"))

    def reset(self) -> None:
        """Back to an empty cloud without faults, rules, log and changed options."""
        self._call("DELETE", "")

    def healthy(self) -> bool:
        """Whether the simulator answers."""
        try:
            return self._call("GET", "/healthz") == {"status": "ok"}
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: str, path: str, body: Any = None, **parameters: str) -> Json:
        response = self._http.request(method, path, json=body, params=parameters)
        if response.is_error:
            raise SimulatorRefusedError(f"{method} {path}: {response.status_code} {response.text}")
        return cast(Json, response.json())


def _group_path(*names: str) -> str:
    return "/groups/" + "/".join(quote(name, safe="") for name in names)


def _given(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}
