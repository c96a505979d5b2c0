"""Which containers a look has found to be at fault, so that their last lines are worth reading."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import at, change, crash_loop, event, group, message, record, running, waiting
from worker.core.crashed import crashed
from worker.record.record import Record
from worker.record.values import Undone

IMAGES = {"web": "acme/shop:2", "jobs": "acme/jobs:1", "old": "acme/old:1"}
CHANGE = change(IMAGES, well={"web": None, "jobs": None})
WATCHED = record(change=CHANGE)
NOT_PULLED = waiting() | {"events": [event("Failed", 5, 'Failed to pull image "acme/shop:2": denied', "Warning")]}


def failed(code: str = "CrashLoop", of: str = "2", containers: tuple[str, ...] = ("web",), **rest: Any) -> Record:
    """What the look decides: a push has failed on these containers."""
    undone = Undone(message=message(of), code=code, detail="it crashes", containers=containers)
    return record(undone=(undone,), **rest)


@pytest.mark.parametrize(
    ("views", "at_fault"),
    [
        ({"web": crash_loop(5)}, ["web"]),
        ({"web": crash_loop(5), "jobs": crash_loop(5)}, ["web"]),
        ({"web": running(5), "jobs": crash_loop(5)}, ["jobs"]),
        ({"web": running(5), "jobs": crash_loop(5), "old": crash_loop(5)}, ["jobs"]),
        ({"web": NOT_PULLED, "jobs": crash_loop(5)}, ["jobs"]),
        ({"web": NOT_PULLED}, None),
        ({"web": waiting()}, ["web"]),
        ({"web": running(5)}, ["web"]),
        ({"web": running(5), "jobs": crash_loop(-60)}, ["web"]),
    ],
    ids=[
        "its own",
        "its own rather than a neighbour",
        "a neighbour",
        "not one that was broken before",
        "one that has run rather than one that was not pulled",
        "none that has never run",
        "its own if it never got healthy",
        "its own if it keeps restarting",
        "not one that has crashed before the change",
    ],
)
def test_the_containers_of_a_push_that_failed(views: dict[str, Any], at_fault: list[str] | None) -> None:
    assert crashed(WATCHED, failed(), group(IMAGES, views)) == ({"2": at_fault} if at_fault else {})


@pytest.mark.parametrize("code", ["MissingSecrets", "NotOurs", "NoEffect", "ManifestUnknown", "StuckInTransition"])
def test_a_push_that_failed_for_what_no_container_says_has_none(code: str) -> None:
    assert crashed(WATCHED, failed(code), group(IMAGES, {"web": crash_loop(5)})) == {}


def test_a_push_that_failed_before_is_not_looked_at_again() -> None:
    before = failed(change=CHANGE)
    shown = group(IMAGES, {"web": crash_loop(5)})
    assert crashed(before, before, shown) == {}
    # Its end is to be told now: that is no new failure.
    told = record().end(message("2"), "failed", "it crashes", ["web"], at(9), "CrashLoop")
    assert crashed(before, told, shown) == {}


def test_a_push_that_is_not_rolled_back_ends_at_once() -> None:
    ended = record().end(message("2"), "failed", "it crashes", ["web"], at(9), "CrashLoop")
    shown = group(IMAGES, {"web": crash_loop(5)})
    assert crashed(WATCHED, ended, shown) == {"2": ["web"]}
    updated = record().end(message("3"), "updated", "", ["web"], at(9))
    assert crashed(WATCHED, updated, shown) == {}
    refused = record().end(message("3"), "failed", "no", ["web"], at(9), "InvalidRequestContent")
    assert crashed(WATCHED, refused, shown) == {}


def test_the_containers_of_another_push_that_has_ended_are_not_its_own() -> None:
    ended = record().end(message("1"), "updated", "jobs runs it", ["jobs"], at(8))
    ended = ended.end(message("2"), "failed", "it crashes", ["web"], at(9), "CrashLoop")
    assert crashed(WATCHED, ended, group(IMAGES, {"web": crash_loop(5), "jobs": crash_loop(5)})) == {"2": ["web"]}


def test_several_of_its_own_are_named_in_order() -> None:
    shown = group(IMAGES, dict.fromkeys(("web", "jobs", "old"), crash_loop(5)))
    assert crashed(WATCHED, failed(containers=("web", "old", "jobs")), shown) == {"2": ["jobs", "old", "web"]}


def test_what_somebody_else_brought_is_looked_at_without_a_change() -> None:
    assert crashed(record(), failed(), group(IMAGES, {"web": crash_loop(-900)})) == {"2": ["web"]}


def test_a_container_that_is_gone_has_nothing_to_say() -> None:
    assert crashed(WATCHED, failed(containers=("gone",)), group(IMAGES)) == {}


def test_the_init_container_that_keeps_others_from_starting_is_at_fault() -> None:
    init = {"name": "prepare", "properties": {"image": "acme/init:1", "instanceView": crash_loop(5)}}
    views = {"web": waiting(), "jobs": waiting()}
    shown = group(IMAGES, views, initContainers=[init])
    assert crashed(WATCHED, failed(containers=("web", "jobs")), shown) == {"2": ["prepare"]}
