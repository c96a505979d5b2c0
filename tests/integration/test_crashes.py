"""kill -9 of the worker at chosen requests: the group is updated all the same, by exactly one PUT that took effect."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import pytest

from tests.site import IP, Site
from tests.tripwire import Tripwire

Place = Literal["before", "after"]

ARM_PUT = ("arm", "PUT", r"/containerGroups/shop")
SEND_ROLLOUT = ("queue", "POST", r"/messages")
COMPLETE_PUSH = ("queue", "DELETE", r"/messages/")
INTENT = ("blob", "PUT", r"/groups/")
RESCHEDULE = ("queue", "PUT", r"/messages/")


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


def kill_at(site: Site, request: tuple[str, str, str], place: Place, nth: int = 1) -> None:
    """Run a worker and kill -9 it right before or after its nth request of that kind."""
    kind, method, path = request
    kill: list[Callable[[], None]] = []
    seen = 0

    def matches(a_method: str, a_path: str) -> bool:
        nonlocal seen
        if a_method == method and re.search(path, a_path):
            seen += 1
        return seen == nth

    action = {place: lambda: kill[0]()}
    with Tripwire(endpoint(site, kind), matches, **action) as wire:
        worker = site.worker(name="victim", **through(site, kind, wire.url))
        kill.append(worker.kill)
        assert wire.tripped.wait(20), worker.output()
        worker.wait(10)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(
    ("request_", "nth"),
    [
        pytest.param(SEND_ROLLOUT, 1, id="sending the rollout"),
        pytest.param(COMPLETE_PUSH, 1, id="completing the push"),
        pytest.param(INTENT, 1, id="writing the intent"),
        pytest.param(ARM_PUT, 1, id="the PUT"),
        pytest.param(INTENT, 2, id="writing the outcome"),
        pytest.param(COMPLETE_PUSH, 2, id="completing the rollout"),
    ],
)
def test_killed_at(site: Site, request_: tuple[str, str, str], nth: int, place: Place) -> None:
    site.push("acme/shop:v2")
    kill_at(site, request_, place, nth)
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"
    assert (site.effective_puts(), site.ip()) == (1, IP)
    assert (site.updates.count(), site.poison.count()) == (0, 0)
    assert site.record().open() == {}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(
    ("request_", "nth"),
    [
        pytest.param(INTENT, 2, id="writing the rollback's intent"),
        pytest.param(ARM_PUT, 2, id="the rollback's PUT"),
        pytest.param(INTENT, 3, id="writing the failure's outcome"),
        pytest.param(SEND_ROLLOUT, 2, id="sending the dead letter"),
        pytest.param(COMPLETE_PUSH, 2, id="completing the rollout"),
    ],
)
def test_killed_in_a_rollback_at(site: Site, request_: tuple[str, str, str], nth: int, place: Place) -> None:
    site.arm.image("acme/shop:v2", "crash-loop")
    site.push("acme/shop:v2")
    kill_at(site, request_, place, nth)
    site.drain()
    assert (site.images()["web"], site.effective_puts(), site.ip()) == ("acme/shop:v1", 2, IP)
    assert site.updates.count() == 0
    assert {letter["code"] for letter in site.dead_letters()} == {"CrashLoop"}
    site.push("acme/shop:v3")
    site.drain()
    assert site.images()["web"] == "acme/shop:v3"


def test_a_message_that_kills_its_worker_again_and_again_is_dead_lettered(site: Site) -> None:
    site.push("acme/shop:v2")
    for _ in range(2):
        kill_at(site, ("arm", "GET", r"/containerGroups/shop"), "before")
    site.drain(ACI_HOOKS_MAX_ATTEMPTS="2")
    (letter,) = site.dead_letters()
    assert (letter["code"], letter["attempts"]) == ("WorkerCrash", 2)
    assert (site.images()["web"], site.updates.count()) == ("acme/shop:v1", 0)
