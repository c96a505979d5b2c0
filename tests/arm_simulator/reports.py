"""The shapes of what the control surface reports. Times are RFC 3339 in UTC, with six digits of a second."""

from typing import Any, NotRequired, TypedDict


class LogEntry(TypedDict):
    """One request to the ARM surface. `n` counts from 1."""

    n: int
    time: str
    method: str
    path: str
    group: str | None
    """`subscription/resource group/name`, None for a list."""
    status: int | None
    """None: the connection was closed without an answer."""
    fault: str | None
    effective: bool
    """Whether the request changed anything, whatever its answer said."""
    read_only_sent: list[str]
    client_request_id: str | None
    body: NotRequired[str]


class Counts(TypedDict):
    """`reads` are GETs other than lists, `writes` are all other requests, whether or not they took effect."""

    reads: int
    writes: int
    lists: int
    effective_puts: int
    restarts: int
    faults: int


class Stats(Counts):
    by_group: dict[str, Counts]


class ImagesAt(TypedDict):
    """From `time` on, these images by container."""

    time: str
    images: dict[str, str]


class GroupTruth(TypedDict):
    """A group as it really is, secrets included."""

    subscription: str
    resource_group: str
    name: str
    definition: dict[str, Any]
    provisioning_state: str
    state: str
    ip: str | None
    fqdn: str | None
    digests: dict[str, str]
    """By container: the digest that its present containers were started from."""
    effective_puts: int
    restarts: int
    history: list[ImagesAt]
