"""The status of a group as programs get it, whose names are promised."""

from __future__ import annotations

from tests.unit.builders import SHOP, at, message, record
from worker.core.entries import as_entry
from worker.core.status import ContainerStatus, RolloutStatus, Status
from worker.record.history import entry

TARGET = {"subscription": "sub", "resource_group": "web", "container_group": "shop"}


def test_everything_that_is_known_is_there() -> None:
    (last,) = record().end(message("2"), "updated", "web runs it", ("web",), at(9)).outcomes
    status = Status(
        SHOP,
        containers=(ContainerStatus("web", "acme/shop:2", "sha256:d", "healthy", 3),),
        address="20.50.0.2",
        rollout=RolloutStatus("acme/shop:3", at(5), "an update is watched"),
        held="held by hand: sale",
        reason="sale",
        waiting=("docker.io/acme/shop:4",),
        last=last,
        problem="web: CrashLoop",
    )
    assert as_entry(status) == {
        "target": TARGET,
        "containers": [
            {"name": "web", "image": "acme/shop:2", "digest": "sha256:d", "health": "healthy", "restarts": 3}
        ],
        "address": "20.50.0.2",
        "rollout": {"image": "acme/shop:3", "since": at(5).isoformat(), "phase": "an update is watched"},
        "held": "sale",
        "waiting": ["docker.io/acme/shop:4"],
        "last": entry(SHOP, last),
        "problem": "web: CrashLoop",
    }


def test_what_is_not_known_is_none() -> None:
    assert as_entry(Status(SHOP)) == {
        "target": TARGET,
        "containers": [],
        "address": None,
        "rollout": None,
        "held": None,
        "waiting": [],
        "last": None,
        "problem": None,
    }
