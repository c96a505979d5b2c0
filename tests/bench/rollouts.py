"""What rollouts cost: many at a time in one worker, and the time from a 202 to the PUT with few groups and many."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx

from shared.image import ImageReference
from shared.message import UpdateMessage
from shared.push import Push
from shared.queue import Queue
from tests.arm_simulator.reports import Stats
from tests.bench.measures import Figure, load, peak_memory
from tests.chaos.bursts import images_of, targets_file
from tests.chaos.evidence import events
from tests.chaos.stage import RESOURCE_GROUP, TOKEN, Stage
from tests.processes import wait_until

WRITES_PER_5_MINUTES, READS_PER_SECOND = 100, 25
"""ARM's quotas for Container Instances and for reads of one subscription, by Microsoft's pages on request limits:
learn.microsoft.com/azure/container-instances/container-instances-resource-and-quota-limits,
learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling"""
_TRANSITION, _SOAK, _INTERVAL = 15.0, 10, 5
_THREADS = 8


def in_flight(folder: Path, count: int) -> Iterator[Figure]:
    """So many rollouts at a time in one worker process, to the end of all."""
    part = f"{count} rollouts, one worker"
    names = [f"g{number:04}" for number in range(count)]
    settings = {"ACI_HOOKS_SOAK": str(_SOAK), "ACI_HOOKS_CHECK_INTERVAL": str(_INTERVAL)}
    settings |= {"ACI_HOOKS_VISIBILITY_TIMEOUT": "30", "ACI_HOOKS_ROLLOUT_TIMEOUT": "900"}
    with Stage(folder, targets_file({name: ["web"] for name in names}), **settings) as stage:
        updates, poison, _ = stage.open()
        stage.arm.options(transition_seconds=_TRANSITION)
        load(lambda n: stage.place(names[n], {"web": f"registry.test/acme/{names[n]}:v1"}), count, _THREADS)
        load(lambda n: updates.send(_push(f"registry.test/acme/{names[n]}:v2")), count, _THREADS)
        began = time.time()
        stage.start_workers(1)
        with peak_memory(stage.workers[0].program.pid) as peak:
            wait_until(lambda: _settled(updates), 300, "the rollouts are not over")
        seconds = time.time() - began
        done = sum(images_of(group["definition"])["web"].endswith(":v2") for group in stage.arm.groups())
        stats = stage.arm.stats()
        yield Figure(part, "finished", f"{done} of {count}", f"{poison.count()} dead letters")
        yield Figure(part, "at a time, at most", str(_most_at_a_time(stage.workers[0].program.log)))
        yield Figure(part, "peak memory", f"{peak.mebibytes:.0f} MiB")
        timing = f"{_TRANSITION:.0f} s in transition, {_SOAK} s of soak, a look each {_INTERVAL} s"
        yield Figure(part, "seconds in all", f"{seconds:.0f}", timing)
    yield from _arm_calls(part, "rollout", stats, count, seconds)


def _arm_calls(part: str, of: str, stats: Stats, count: int, seconds: float) -> Iterator[Figure]:
    reads = stats["reads"] + stats["lists"]
    each = f"{stats['reads'] / count:.2f} + {stats['lists'] / count:.2f}"
    quota = f"{reads / seconds:.1f} per second; ARM's quota is {READS_PER_SECOND}"
    yield Figure(part, f"ARM reads + list pages per {of}", each, quota)
    least = stats["writes"] / WRITES_PER_5_MINUTES * 5
    value, beside = f"{stats['writes'] / count:.2f}", f"ARM's quota, {WRITES_PER_5_MINUTES} in 5 minutes, takes "
    yield Figure(part, f"ARM writes per {of}", value, beside + f"{least:.1f} minutes for all of them")


def time_to_put(folder: Path, groups: int, pushes: int) -> Iterator[Figure]:
    """From a 202 to the PUT, one push after the other, the groups being discovered by their resource tags."""
    part = f"202 to PUT, {groups} groups"
    targets = json.dumps({"discover": {"resource_groups": [RESOURCE_GROUP]}})
    with Stage(folder, targets, ACI_HOOKS_SOAK="0", ACI_HOOKS_POLL_MAX="0.1") as stage:
        stage.open()
        names = [f"g{number:04}" for number in range(groups)]
        tags = {"aci-hooks.policy": "any"}
        load(lambda n: stage.place(names[n], {"web": f"registry.test/acme/{names[n]}:v1"}, tags), groups, _THREADS)
        stage.start_workers(1)
        stage.start_ingresses(1)
        stage.wait_for_workers()
        with httpx.Client(trust_env=False) as http:
            _push_and_wait(stage, http, f"registry.test/acme/{names[0]}:v2")  # the first one lists the groups
            before = stage.arm.stats()
            # A name a push, however few groups there are.
            chosen = [(names[number % groups], 3 + number // groups) for number in range(pushes)]
            seconds = [_push_and_wait(stage, http, f"registry.test/acme/{name}:v{tag}") for name, tag in chosen]
            stats = stage.arm.stats()
        yield Figure(part, "median", f"{1000 * median(seconds):.0f} ms", f"longest {1000 * max(seconds):.0f} ms")
        calls = [f"{(stats[kind] - before[kind]) / pushes:.2f}" for kind in ("reads", "lists", "writes")]
        yield Figure(part, "ARM reads, list pages, writes per push", ", ".join(calls), "until the push is through")


def _push_and_wait(stage: Stage, http: httpx.Client, image: str) -> float:
    """Seconds from the 202 to the PUT. Returns when the rollout is over."""
    number = stage.arm.stats()["writes"]
    worker = stage.workers[0].program
    told = worker.output().count('"ended"')
    http.post(f"{stage.urls[0]}/webhooks/generic/{TOKEN}", json={"image": image}).raise_for_status()
    answered = time.time()
    wait_until(lambda: stage.arm.stats()["writes"] > number, 60, f"no PUT of {image}")
    wait_until(lambda: worker.output().count('"ended"') > told, 60, f"no end of {image}")
    puts = [one for one in stage.arm.log() if one["method"] == "PUT"]
    return datetime.fromisoformat(puts[-1]["time"]).timestamp() - answered


def _push(image: str) -> str:
    push = Push.of("bench", ImageReference.parse(image), pushed_at=datetime.now(UTC))
    return UpdateMessage(id=secrets.token_hex(16), kind="push", push=push, received_at=datetime.now(UTC)).encode()


def _settled(queue: Queue) -> bool:
    return queue.count() == 0


def _most_at_a_time(log: Path) -> int:
    """Rollouts that had sent their PUT and had not ended, at most."""
    most = now = 0
    for event in events(log):
        now += {"applying": 1, "ended": -1}.get(str(event.get("event")), 0)
        most = max(most, now)
    return most
