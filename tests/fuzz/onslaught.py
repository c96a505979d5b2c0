"""Fuzzed requests against a real ingress on a real queue: it answers each, takes what it says, and grows no fatter."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from math import inf
from multiprocessing import get_context
from pathlib import Path

from tests.fuzz.clients import Tally, send_all
from tests.fuzz.memory import growth, mebibytes
from tests.ingress_harness import environment, key_server
from tests.ingress_process import IngressProcess, ingress_process

_BATCH = 500
"""Requests that a client process sends before it counts what they came to."""
_LOOK = 1.0


@dataclass
class Onslaught:
    """A run: what the clients counted, the process's memory in MiB by the time, and what breaks a promise."""

    tally: Tally = field(default_factory=Tally)
    memory: list[float] = field(default_factory=list)
    queued: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)


def requests(
    connection_string: str,
    count: int,
    seed: int,
    seconds: float = inf,
    processes: int = 2,
    connections: int = 6,
) -> Onslaught:
    """Send so many requests, or what `seconds` are enough for, to an ingress whose queue is there."""
    started = time.monotonic()
    done, deadline = Onslaught(), started + seconds
    with key_server() as issuer:
        tokens = tuple(issuer.token(exp=4_000_000_000, sub=str(number)) for number in range(4))
        settings = environment(issuer.url, ACI_HOOKS_LOG_FORMAT="json")
        with (
            ingress_process(settings, connection_string) as ingress,
            ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
        ):
            batches = [range(first, min(first + _BATCH, count)) for first in range(0, count, _BATCH)]
            # Its memory is looked at as long as something is under way.
            left: set[Future[Tally]] = {
                pool.submit(send_all, ingress.port, seed, batch, connections, tokens) for batch in batches
            }
            while left:
                ended, left = wait(left, _LOOK)
                done.memory.append(mebibytes(ingress.program.pid))
                for batch in ended:
                    done.tally.add(batch.result())
                if time.monotonic() > deadline:
                    left = {batch for batch in left if not batch.cancel()}
            done.seconds = time.monotonic() - started
            done.queued = ingress.queue.count()
            done.violations += _violations(ingress, done)
    return done


def _violations(ingress: IngressProcess, done: Onslaught) -> Iterator[str]:
    tally = done.tally
    yield from tally.breaches
    if not ingress.program.running:
        yield f"ENDED: the ingress, with {ingress.program.exit_code}"
    if not tally.pushes <= done.queued <= tally.pushes + tally.unsure:
        yield f"QUEUE: {tally.pushes} pushes were answered 202 (and {tally.unsure} perhaps), and it has {done.queued}"
    yield from growth("the ingress", done.memory)
    yield from (f"LOG: {what}, {count} times" for what, count in defects(ingress.program.log).items())


def defects(log: Path) -> Counter[str]:
    """What a log says that no input may bring about: stack traces, and what is no line of the log."""
    found: Counter[str] = Counter()
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                found[line.strip()[:200]] += 1
                continue
            if (event.get("level") == "error" and event.get("event") == "unexpected error") or "exception" in event:
                found[f"{event.get('event')}: {str(event.get('exception'))[-300:]}"] += 1
    return found
