"""kill -9 of the worker at chosen requests: the group is updated all the same, by exactly one PUT that took effect."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Literal

import pytest

from tests.processes import PATIENCE, Program
from tests.site import IP, Site
from tests.tripwire import Tripwire

Place = Literal["before", "after"]


@dataclass(frozen=True)
class Request:
    """A request of the worker's: to which server, and which one, or the first one `once` something is so."""

    server: str
    method: str
    path: str
    nth: int = 1
    once: Callable[[Site], bool] = lambda _site: True


def send(nth: int) -> Request:
    """The nth message that is sent: the push's rollout, then the group's timer."""
    return Request("queue", "POST", r"/updates-\w+/messages", nth)


def complete(nth: int) -> Request:
    """The nth message that is deleted: the push, its rollout, then the timer at the end."""
    return Request("queue", "DELETE", r"/updates-\w+/messages/", nth)


def write(nth: int) -> Request:
    """The nth time that the record is written: received, the intent, that it has landed, then look by look."""
    return Request("blob", "PUT", r"/groups/", nth)


def put(nth: int) -> Request:
    """The nth time that the group is changed."""
    return Request("arm", "PUT", r"/containerGroups/shop", nth)


def something_is_to_be_told(site: Site) -> bool:
    return bool(site.record().outbox)


def has_ended(site: Site) -> bool:
    return site.is_at_rest() and bool(site.record().outcomes)


def a_push_has_failed(site: Site) -> bool:
    return bool(site.record().undone)


def endpoint(site: Site, kind: str) -> str:
    if kind == "arm":
        return site.environment["ACI_HOOKS_ARM_ENDPOINT"]
    match = re.search(rf"{kind}Endpoint=(http://[^/]+)", site.environment["AZURE_STORAGE_CONNECTION_STRING"], re.I)
    assert match
    return match[1]


def through(site: Site, kind: str, url: str) -> dict[str, str]:
    """The settings by which a worker reaches that server through `url`."""
    if kind == "arm":
        return {"ACI_HOOKS_ARM_ENDPOINT": url}
    connection = site.environment["AZURE_STORAGE_CONNECTION_STRING"]
    return {"AZURE_STORAGE_CONNECTION_STRING": connection.replace(endpoint(site, kind), url)}


def kill_at(site: Site, request: Request, place: Place) -> None:
    """Run a worker and kill -9 it right before or after that request."""
    victims: SimpleQueue[Program] = SimpleQueue()
    seen = 0

    def matches(method: str, path: str) -> bool:
        nonlocal seen
        if method == request.method and re.search(request.path, path) and request.once(site):
            seen += 1
            return seen == request.nth
        return False

    # The worker may reach the request before its start has come back here.
    action = {place: lambda: victims.get(timeout=PATIENCE).kill()}
    with Tripwire(endpoint(site, request.server), matches, **action) as wire:
        worker = site.worker(name="victim", **through(site, request.server, wire.url))
        victims.put(worker)
        assert wire.tripped.wait(PATIENCE), worker.output()
        worker.wait(PATIENCE)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(send(1), id="sending the rollout"),
        pytest.param(complete(1), id="completing the push"),
        pytest.param(send(2), id="sending the timer"),
        pytest.param(write(1), id="receiving the push"),
        pytest.param(complete(2), id="completing the rollout"),
        pytest.param(write(2), id="writing the intent"),
        pytest.param(put(1), id="the PUT"),
        pytest.param(write(3), id="writing that it has landed"),
        pytest.param(Request("queue", "PUT", r"/messages/"), id="settling a look"),
        pytest.param(Request("blob", "PUT", r"/groups/", once=something_is_to_be_told), id="writing that it was told"),
        pytest.param(Request("queue", "DELETE", r"/messages/", once=has_ended), id="completing the timer"),
    ],
)
def test_a_worker_that_is_killed_at_this_point_loses_nothing(site: Site, request_: Request, place: Place) -> None:
    site.push("acme/shop:v2")
    kill_at(site, request_, place)
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"
    assert (site.effective_puts(), site.ip()) == (1, IP)
    assert (site.updates.count(), site.poison.count()) == (0, 0)
    assert (site.is_at_rest(), [outcome.result for outcome in site.record().outcomes]) == (True, ["updated"])


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(put(2), id="the PUT of what ran before"),
        pytest.param(Request("blob", "PUT", r"/groups/", once=a_push_has_failed), id="writing that it has landed"),
        pytest.param(Request("queue", "POST", r"-poison/messages"), id="sending the dead letter"),
        pytest.param(Request("blob", "PUT", r"/groups/", once=something_is_to_be_told), id="writing that it was told"),
        pytest.param(Request("queue", "DELETE", r"/messages/", once=has_ended), id="completing the timer"),
    ],
)
def test_killed_in_a_rollback_at(site: Site, request_: Request, place: Place) -> None:
    site.arm.image("acme/shop:v2", "crash-loop")
    site.push("acme/shop:v2")
    kill_at(site, request_, place)
    site.drain()
    assert (site.images()["web"], site.effective_puts(), site.ip()) == ("acme/shop:v1", 2, IP)
    assert (site.updates.count(), site.is_at_rest()) == (0, True)
    # It is told at least once.
    assert {letter["code"] for letter in site.dead_letters()} == {"CrashLoop"}
    site.push("acme/shop:v3")
    site.drain()
    assert site.images()["web"] == "acme/shop:v3"


def test_a_push_whose_looks_kill_their_workers_again_and_again_is_dead_lettered(site: Site) -> None:
    site.push("acme/shop:v2")
    for _ in range(2):
        kill_at(site, Request("arm", "GET", r"/containerGroups/shop"), "before")
    site.drain(ACI_HOOKS_MAX_ATTEMPTS="2")
    (letter,) = site.dead_letters()
    assert (letter["code"], letter["attempts"]) == ("WorkerCrash", 2)
    assert (site.images()["web"], site.updates.count(), site.is_at_rest()) == ("acme/shop:v1", 0, True)
    # It says nothing of the image.
    site.command("dead-letters", "redrive", "--all")
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"
