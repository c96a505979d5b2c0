"""The time from a 202 to the PUT, with few groups and with many, which are discovered by their resource tags."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx

from tests.bench.measures import Figure, load, wait_for_calm
from tests.bench.registry import Registry
from tests.chaos.stage import RESOURCE_GROUP, TOKEN, Stage
from tests.processes import wait_until

_THREADS = 8
_PATIENCE = 60.0


def time_to_put(folder: Path, checkout: Path, groups: int, pushes: int) -> Iterator[Figure]:
    """One push after the other."""
    part = f"202 to PUT, {groups} groups"
    targets = json.dumps({"discover": {"resource_groups": [RESOURCE_GROUP]}})
    at_once = Stage(folder, targets, checkout=checkout, ACI_HOOKS_SOAK="0", ACI_HOOKS_POLL_MAX="0.1")
    with Registry() as registry, at_once as stage:
        stage.open()
        names = [f"g{number:04}" for number in range(groups)]
        tags = {"aci-hooks.policy": "any"}
        load(lambda n: stage.place(names[n], {"web": registry.image(names[n])}, tags), groups, _THREADS)
        stage.start_workers(1)
        stage.start_ingresses(1)
        stage.wait_for_workers()
        with httpx.Client(trust_env=False) as http:
            _push_and_wait(stage, http, registry.image(names[0], "v2"))  # the first one lists the groups
            began = time.time()
            wait_for_calm(stage)
            before, calm_after = stage.arm.stats(), time.time() - began
            # A name a push, however few groups there are.
            chosen = [(names[number % groups], 3 + number // groups) for number in range(pushes)]
            seconds = [_push_and_wait(stage, http, registry.image(name, f"v{tag}")) for name, tag in chosen]
            stats = stage.arm.stats()
        longest = f"longest {1000 * max(seconds):.0f} ms"
    beside = f"once for all groups, until {calm_after:.0f} s after the first push"
    yield Figure(part, "ARM reads at a worker's start", before["reads"], beside=beside)
    yield Figure(part, "median", 1000 * median(seconds), "ms", longest)
    through = "until the push is through"
    yield Figure(part, "ARM reads per push", (stats["reads"] - before["reads"]) / pushes, beside=through)
    yield Figure(part, "ARM list pages per push", (stats["lists"] - before["lists"]) / pushes)
    yield Figure(part, "ARM writes per push", (stats["writes"] - before["writes"]) / pushes)


def _push_and_wait(stage: Stage, http: httpx.Client, image: str) -> float:
    """Seconds from the 202 to the PUT. Returns when the rollout is over."""
    worker = stage.workers[0].program
    told = worker.output().count('"ended"')
    http.post(f"{stage.urls[0]}/webhooks/generic/{TOKEN}", json={"image": image}).raise_for_status()
    answered = time.time()
    wait_until(lambda: worker.output().count('"ended"') > told, _PATIENCE, f"no end of {image}")
    puts = [item for item in stage.arm.log() if item["method"] == "PUT"]
    return datetime.fromisoformat(puts[-1]["time"]).timestamp() - answered
