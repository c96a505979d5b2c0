"""Fuzzed messages for the real handler in memory, many times faster than through processes and a real queue."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from math import inf
from unittest.mock import patch

import structlog
import tenacity.nap
from structlog.typing import EventDict

from shared.dead_letter import decode_letter
from shared.message import TargetId, Undecodable, UpdateMessage
from tests.fakes import Clock, FixedTargets, MemoryQueue, MemoryRecords, NoGlances, SimulatedGroups
from tests.fuzz.backlog import PUSHED, Backlog, end_of
from tests.fuzz.letters import draw_message
from tests.fuzz.memory import growth, mebibytes_here
from tests.site import definition
from worker.controller.handler import Handler
from worker.core.rules import RolloutRules
from worker.failures.classify import Retry
from worker.ports import Ports
from worker.targets.target import single_target

_AT_A_TIME = 500
"""Messages that one queue gets: the next have fresh systems, so that memory tells of leaks."""
_MOST_ROUNDS = 40_000
_LEASE = 30
_SHOP = TargetId(subscription="sub", resource_group="web", container_group="shop")
_RULES = RolloutRules(
    soak=timedelta(seconds=5),
    timeout=timedelta(seconds=200),
    check_interval=timedelta(seconds=2),
    flight=timedelta(seconds=90),
)
_RETRY = Retry(max_attempts=3, base=1, longest=10, outage_patience=60)


def handled(total: int, seed: int, seconds: float = inf) -> Backlog:
    """Let a handler work on so many messages, or as many as `seconds` are enough for."""
    done, deadline = Backlog(), time.monotonic() + seconds
    with patch.object(tenacity.nap, "sleep"):
        for first in range(0, total, _AT_A_TIME):
            numbers = range(first, min(first + _AT_A_TIME, total))
            done.violations += _handle([draw_message(seed, n, _SHOP.model_dump(), PUSHED) for n in numbers], done)
            done.sent += len(numbers)
            done.memory.append(mebibytes_here())
            if time.monotonic() > deadline:
                break
    done.violations += growth("the handler's process", done.memory)
    return done


def _handle(texts: list[str], done: Backlog) -> Iterator[str]:
    """What broke a promise for these messages, on systems of their own."""
    clock = Clock()
    azure, updates = SimulatedGroups(clock), MemoryQueue(clock, _LEASE)
    poison = MemoryQueue(clock, _LEASE, "updates-poison")
    azure.place(_SHOP, definition({"web": "acme/shop:v1", "proxy": "nginx:1.27"}))
    ids = count()
    ports = Ports(
        groups=azure,
        records=MemoryRecords(),
        targets=FixedTargets(single_target(_SHOP)),
        watch=NoGlances(),
        updates=updates,
        poison=poison,
        resolve=lambda _sources: {},
        digest=lambda push: push.digest,
        new_id=lambda: f"id-{next(ids)}",
        now=clock.now,
    )
    chance = random.Random(0)
    handler = Handler(ports, _RULES, _RETRY, lease=_LEASE, clock=clock.seconds, chance=chance)
    for text in texts:
        updates.send(text)
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        for _ in range(_MOST_ROUNDS):
            if not updates.count():
                break
            messages = updates.receive(8)
            if not messages:
                clock.advance(updates.next_visible_in)
            handler.handle(messages)
    if left := updates.count():
        yield f"STUCK: {left} messages stay on the queue: {updates.texts[0][:500]}"
    yield from (f"LOG: {log}" for log in logs if "exc_info" in log)
    yield from _lost(texts, poison, logs, done)


def _lost(texts: list[str], poison: MemoryQueue, logs: list[EventDict], done: Backlog) -> Iterator[str]:
    ended = {log["id"]: log["outcome"] for log in logs if log["event"] == "ended"}
    raw, given_up = set[str](), set[str]()
    for text in poison.texts:
        try:
            message = decode_letter(text).message
        except Undecodable:
            message = text
        if isinstance(message, UpdateMessage):
            given_up.add(message.id)
        else:
            raw.add(message.strip())
    for text in texts:
        end = end_of(text, ended, raw, given_up)
        done.ends[end] += 1
        if end == "lost":
            yield f"LOST: {text[:500]}"
