"""The requests and answers of the simulator, free of any HTTP library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote

Json = dict[str, Any]


class ArmError(Exception):
    """A request that is refused, in ARM's shape: an HTTP status, a code and a message."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = details
        """Codes of the errors that this one wraps, `Outer/Inner` where one of them wraps another."""


@dataclass(frozen=True)
class Request:
    """One HTTP request. `path` is percent-decoded, `query` is as it was sent, header names are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @cached_property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def base_url(self) -> str:
        """Where the client sees the simulator: links in answers lead back to the name that it used."""
        return f"http://{self.headers.get('host', 'localhost')}"

    def json_object(self) -> Json:
        """The body as a JSON object. Raises ArmError (400) for anything else."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise ArmError(400, "InvalidRequestContent", f"The request content was invalid: {error}.") from None
        if not isinstance(value, dict):
            raise ArmError(400, "InvalidRequestContent", "The request content was invalid: not a JSON object.")
        return value


@dataclass(frozen=True)
class Answer:
    """What goes back, and for the journal whether state changed (`effective`) and what was tolerated."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    effective: bool = False
    read_only_sent: tuple[str, ...] = ()

    @classmethod
    def of_error(cls, error: ArmError) -> "Answer":
        said: Json = {"code": error.code, "message": error.message}
        if error.details:
            said["details"] = [_detail(*path.split("/")) for path in error.details]
        return cls(error.status, {"error": said}, error.headers)


def _detail(code: str, *inner: str) -> Json:
    wrapped = {"details": [_detail(*inner)]} if inner else {}
    return {"code": code, "message": f"This is about {code}.", **wrapped}


@dataclass(frozen=True)
class GroupKey:
    """Names one container group. ARM compares names without regard to case, and gives them back as created."""

    subscription: str
    resource_group: str
    name: str

    @property
    def folded(self) -> tuple[str, str, str]:
        return (self.subscription.lower(), self.resource_group.lower(), self.name.lower())

    @property
    def resource_id(self) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.ContainerInstance/containerGroups/{quote(self.name)}"
        )

    def __str__(self) -> str:
        return f"{self.subscription}/{self.resource_group}/{self.name}"
