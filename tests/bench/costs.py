"""What pushes cost in requests to storage, to ARM and to the registry: one push, a burst, many rollouts at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx

from shared.queue import Queue
from tests.arm_simulator.reports import LogEntry
from tests.bench import storage, wire
from tests.bench.measures import A_ROUND, Figure, load, peak_memory, wait_for_calm
from tests.bench.registry import Registry
from tests.bench.storage import KINDS, LoggedAzurite
from tests.chaos.bursts import images_of, targets_file
from tests.chaos.evidence import events
from tests.chaos.stage import RESOURCE_GROUP, TOKEN, Stage
from tests.processes import wait_until

WRITES_PER_5_MINUTES, READS_PER_SECOND = 100, 25
"""ARM's quotas for Container Instances and for reads of one subscription, by Microsoft's pages on request limits:
learn.microsoft.com/azure/container-instances/container-instances-resource-and-quota-limits,
learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling"""
TRANSITION, SOAK, INTERVAL = 15, 10, 5
TIMING = f"{TRANSITION} s in transition, {SOAK} s of soak, a look each {INTERVAL} s"
AS_USUAL = {
    "ACI_HOOKS_SOAK": str(SOAK),
    "ACI_HOOKS_CHECK_INTERVAL": str(INTERVAL),
    "ACI_HOOKS_VISIBILITY_TIMEOUT": "30",
    "ACI_HOOKS_ROLLOUT_TIMEOUT": "900",
    "ACI_HOOKS_RETRY_BASE": "5",
    "ACI_HOOKS_RETRY_MAX": "600",
    "ACI_HOOKS_POLL_MIN": "0.1",
    "ACI_HOOKS_POLL_MAX": "5",
}
"""The settings that a worker has where nobody chose any, but for a shorter soak."""
LOOKUPS = "registry requests"
_THREADS = 8
_BURST_WORKERS = 2
_PATIENCE = 420.0


@dataclass(frozen=True, slots=True)
class Bill:
    """All that was asked of storage and of ARM up to a moment, or between two."""

    counts: Counter[str]
    at: float

    @classmethod
    def of(cls, stage: Stage, registry: Registry) -> Bill:
        """Up to now."""
        assert isinstance(stage.azurite, LoggedAzurite)
        stats = stage.arm.stats()
        arm = {"ARM reads": stats["reads"], "ARM list pages": stats["lists"], "ARM writes": stats["writes"]}
        return cls(stage.azurite.counts() + Counter(arm) + Counter({LOOKUPS: registry.requests}), time.time())

    def since(self, before: Bill) -> Bill:
        """What was added since then; `at` becomes the seconds in between."""
        return Bill(self.counts - before.counts, self.at - before.at)

    def figures(self, part: str, pushes: int) -> Iterator[Figure]:
        """A figure for each kind, for one of so many pushes."""
        each = " per push" if pushes > 1 else ""
        for kind in (*KINDS, "ARM reads", "ARM list pages", "ARM writes", LOOKUPS):
            yield Figure(part, kind + each, self.counts[kind] / pushes)


def one_push(folder: Path, checkout: Path, count: int = 3) -> Iterator[Figure]:
    """A push to one of a worker's ten groups, which are at rest; the mean of some."""
    part = "one push"
    names = [f"g{number}" for number in range(10)]
    with Registry() as registry, _stage(folder, checkout, names) as stage:
        updates, _, _ = stage.open()
        _place(stage, registry, names)
        stage.start_workers(1)
        stage.start_ingresses(1)
        stage.wait_for_workers()
        with httpx.Client(trust_env=False) as http:
            _post(stage, http, registry.image(names[-1], "v2"))  # the first one of all lists the groups
            _settle(updates)
            wait_for_calm(stage, A_ROUND)
            before = Bill.of(stage, registry)
            for name in names[:count]:
                _post(stage, http, registry.image(name, "v2"))
                _settle(updates)
            spent = Bill.of(stage, registry).since(before)
    yield from spent.figures(part, count)
    yield Figure(part, "seconds until at rest", spent.at / count, "s", TIMING)


def burst(folder: Path, checkout: Path, count: int = 200) -> Iterator[Figure]:
    """Shuffled pushes to one container at one moment, two workers."""
    part = f"burst of {count}, one group"
    with Registry() as registry, _stage(folder, checkout, ["shop"]) as stage:
        updates, poison, _ = stage.open()
        _place(stage, registry, ["shop"])
        stage.start_workers(_BURST_WORKERS)
        stage.start_ingresses(1)
        stage.wait_for_workers()
        order = list(range(1, count + 1))
        Random(1).shuffle(order)
        began = datetime.now(UTC) - timedelta(minutes=10)
        before = Bill.of(stage, registry)
        with httpx.Client(trust_env=False) as http:

            def post(number: int) -> None:
                nth = order[number]
                _post(stage, http, registry.image("shop", f"v{nth}"), began + timedelta(seconds=nth))

            load(post, count, _THREADS)
            _settle(updates)
        spent = Bill.of(stage, registry).since(before)
        running = images_of(stage.truth("shop")["definition"])["web"].rpartition(":")[2]
        letters = poison.count()
    yield from spent.figures(part, 1)
    yield Figure(part, "seconds until at rest", spent.at, "s", f"ends on {running}, {letters} dead letters")


def in_flight(folder: Path, checkout: Path, count: int) -> Iterator[Figure]:
    """So many rollouts at a time in one worker process, to the end of all."""
    part = f"{count} rollouts, one worker"
    names = [f"g{number:04}" for number in range(count)]
    with Registry() as registry, _stage(folder, checkout, names, ACI_HOOKS_POLL_MAX="0.5") as stage:
        updates, poison, _ = stage.open()
        _place(stage, registry, names)
        stage.start_workers(1)
        with peak_memory(stage.workers[0].program.pid) as peak:
            updates.send(wire.push(registry.image("nobody", "v2")))  # the first one of all lists the groups
            _settle(updates)
            wait_for_calm(stage)
            before = Bill.of(stage, registry)
            load(lambda n: updates.send(wire.push(registry.image(names[n], "v2"))), count, _THREADS)
            _settle(updates)
            spent = Bill.of(stage, registry).since(before)
        done = sum(images_of(group["definition"])["web"].endswith(":v2") for group in stage.arm.groups())
        letters = poison.count()
        most = _most_at_a_time(stage.arm.log(), stage.workers[0].program.log)
    yield Figure(part, "finished", done, beside=f"of {count}; {letters} dead letters")
    yield Figure(part, "at a time, at most", most)
    yield Figure(part, "peak memory", peak.mebibytes, "MiB")
    yield Figure(part, "seconds until at rest", spent.at, "s", TIMING)
    yield from spent.figures(part, count)
    reads = spent.counts["ARM reads"] + spent.counts["ARM list pages"]
    quota = f"ARM's quota is {READS_PER_SECOND}"
    yield Figure(part, "ARM reads and list pages", reads / spent.at, "/s", quota)
    quota = f"what ARM's quota, {WRITES_PER_5_MINUTES} in 5 minutes, takes"
    yield Figure(part, "all writes", spent.counts["ARM writes"] / WRITES_PER_5_MINUTES * 5, "min", quota)


def _stage(folder: Path, checkout: Path, names: list[str], **settings: str) -> Stage:
    targets = targets_file({name: ["web"] for name in names})
    return Stage(folder, targets, checkout=checkout, storage=storage.logged, **{**AS_USUAL, **settings})


def _place(stage: Stage, registry: Registry, names: list[str]) -> None:
    stage.arm.options(transition_seconds=float(TRANSITION))
    load(lambda n: stage.place(names[n], {"web": registry.image(names[n])}), len(names), _THREADS)


def _post(stage: Stage, http: httpx.Client, image: str, pushed_at: datetime | None = None) -> None:
    body = {"image": image, "pushed_at": (pushed_at or datetime.now(UTC)).isoformat()}
    http.post(f"{stage.urls[0]}/webhooks/generic/{TOKEN}", json=body).raise_for_status()


def _settle(queue: Queue) -> None:
    """Return once nothing has been on the queue for half a second: a message may be being replaced by another."""

    def stays_empty() -> bool:
        for _ in range(3):
            if queue.count():
                return False
            time.sleep(0.25)
        return True

    wait_until(stays_empty, _PATIENCE, "the queue is not empty")


def _most_at_a_time(requests: list[LogEntry], worker_log: Path) -> int:
    """Rollouts whose PUT had taken effect and that had not ended, at most."""
    steps = [(request["time"], 1) for request in requests if request["method"] == "PUT" and request["effective"]]
    ends = (
        event for event in events(worker_log) if event.get("event") == "ended" and event.get("outcome") == "updated"
    )
    steps += [(str(end["timestamp"]), -1) for end in ends if str(end.get("target", "")).startswith(RESOURCE_GROUP)]
    most = now = 0
    for _, step in sorted((datetime.fromisoformat(at), step) for at, step in steps):
        now += step
        most = max(most, now)
    return most
