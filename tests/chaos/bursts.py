"""Bursts: many pushes at one moment onto few containers, worked on by several real workers.

Each returns what it saw, for a test or a report to judge. Nothing is killed here; ARM's faults are the only trouble.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed

from shared.queue import Queue
from tests.chaos.mischief import set_faults
from tests.chaos.plan import REGISTRY
from tests.chaos.stage import RESOURCE_GROUP, TOKEN, Stage
from tests.processes import wait_until

PATIENCE = 180.0
"""Seconds within which the queue must be empty again."""
MOST_PUTS = 3
"""What a burst of any length to one container may cost."""
FAULTS = ("throttle", "conflict", "error", "reset")


@dataclass(frozen=True)
class Seen:
    """What a burst left behind: group → container → image; PUTs that took effect; messages on either queue."""

    images: dict[str, dict[str, str]]
    puts: int
    left: int
    poison: int


class Bursts:
    """A stage with workers and one ingress, for bursts of pushes one after the other."""

    def __init__(self, stage: Stage, workers: int, groups: Mapping[str, Mapping[str, str]]) -> None:
        """`groups` are placed first: group → container → image."""
        self.stage = stage
        self.updates, self.poison, _ = stage.open()
        for name, images in groups.items():
            stage.place(name, images)
        stage.start_workers(workers)
        stage.start_ingresses(1)
        stage.wait_for_workers()

    def push(self, pushes: Iterable[tuple[str, datetime]]) -> None:
        """Post pushes (image, pushed at), eight at a time, each until it is answered 202."""
        with ThreadPoolExecutor(8) as threads, httpx.Client(timeout=10, trust_env=False) as http:
            list(threads.map(lambda push: self._post(http, *push), pushes))

    # As every sender does: on a busy machine storage may be too slow for the ingress, which answers 503 then.
    @retry(
        retry=retry_if_exception_type(httpx.HTTPError), stop=stop_after_attempt(20), wait=wait_fixed(1), reraise=True
    )
    def _post(self, http: httpx.Client, image: str, pushed_at: datetime) -> None:
        body = json.dumps({"image": image, "pushed_at": pushed_at.isoformat()})
        http.post(f"{self.stage.urls[0]}/webhooks/generic/{TOKEN}", content=body).raise_for_status()

    def settle(self) -> Seen:
        """Wait until nothing is left to do, and look."""
        wait_until(lambda: _is_empty(self.updates), PATIENCE, "the queue is not empty")
        groups = self.stage.arm.groups()
        return Seen(
            images={group["name"]: images_of(group["definition"]) for group in groups},
            puts=self.stage.arm.stats()["effective_puts"],
            left=self.updates.count(),
            poison=self.poison.count(),
        )


def one_container(folder: Path, pushes: int = 200, workers: int = 4, seed: int = 1, *, backlog: bool = False) -> Seen:
    """Shuffled pushes to one container, v1 to v<pushes>: while the workers work at their usual pace, or as a backlog
    that was there before they started."""
    # A rollout is looked at every five seconds, as it is by default: that is how long pushes gather.
    with Stage(folder, targets_file({"shop": ["web"]}), ACI_HOOKS_CHECK_INTERVAL="5") as stage:
        bursts = Bursts(stage, 0 if backlog else workers, {"shop": {"web": "registry.test/acme/shop:v0"}})
        began = datetime.now(UTC) - timedelta(minutes=10)
        order = list(range(1, pushes + 1))
        Random(seed).shuffle(order)
        bursts.push((f"registry.test/acme/shop:v{n}", began + timedelta(seconds=n)) for n in order)
        stage.start_workers(workers if backlog else 0)
        return bursts.settle()


def two_containers(folder: Path, rounds: int = 20, workers: int = 4) -> list[Seen]:
    """In each round both containers of one group are pushed to at the same moment."""
    with Stage(folder, targets_file({"shop": ["web", "api"]})) as stage:
        bursts = Bursts(stage, workers, {"shop": both_at(0)})
        seen = []
        for number in range(1, rounds + 1):
            now = datetime.now(UTC)
            bursts.push((image, now) for image in both_at(number).values())
            seen.append(bursts.settle())
        return seen


def both_at(number: int) -> dict[str, str]:
    """What the group of `two_containers` is to run after the round of this number."""
    return {name: f"registry.test/acme/{name}:v{number}" for name in ("web", "api")}


def ten_groups(folder: Path, pushes: int = 100, workers: int = 2, seed: int = 1) -> Seen:
    """Shuffled pushes to ten groups while ARM throttles, refuses, fails or hangs up on a tenth of all requests."""
    names = [f"g{number}" for number in range(10)]
    with Stage(folder, targets_file({name: ["web"] for name in names})) as stage:
        bursts = Bursts(stage, workers, {name: {"web": f"registry.test/acme/{name}:v0"} for name in names})
        stage.arm.options(seed=seed)
        set_faults(stage.arm, kinds=FAULTS)
        began = datetime.now(UTC) - timedelta(minutes=10)
        order = list(range(pushes))
        Random(seed).shuffle(order)
        bursts.push((f"registry.test/acme/{names[n % 10]}:v{n // 10 + 1}", began + timedelta(seconds=n)) for n in order)
        return bursts.settle()


def targets_file(groups: Mapping[str, Iterable[str]]) -> str:
    """A targets file in which all these containers follow every tag. JSON is YAML."""
    targets = [
        {
            "container_group": name,
            "resource_group": RESOURCE_GROUP,
            "containers": {container: {"policy": "any"} for container in containers},
        }
        for name, containers in groups.items()
    ]
    return json.dumps({"targets": targets, "registries": {REGISTRY: {"believe": "always"}}})


def images_of(definition: dict[str, object]) -> dict[str, str]:
    """Container → image of a group's definition."""
    properties = definition["properties"]
    assert isinstance(properties, dict)
    return {container["name"]: container["properties"]["image"] for container in properties["containers"]}


def _is_empty(queue: Queue) -> bool:
    # Its count is approximate, and a message being replaced by others is not to be missed.
    for _ in range(2):
        if queue.count():
            return False
        time.sleep(0.2)
    return True
