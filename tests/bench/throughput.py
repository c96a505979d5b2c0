"""Messages per second through the ingress and through a worker, beside the bare SDK on the same Azurite."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from azure.storage.queue import QueueClient

from tests.bench import wire
from tests.bench.measures import Figure, Load, load
from tests.chaos.bursts import targets_file
from tests.chaos.evidence import events
from tests.chaos.stage import TOKEN, Stage
from tests.processes import wait_until

THREADS = 8
"""Callers at a time on both sides; also a worker's default of steps at a time."""
_IMAGE = "registry.test/acme/shop"
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_BATCH = 32
_NEVER = -1


def ingress(folder: Path, checkout: Path, count: int) -> Iterator[Figure]:
    """202s per second and their latency, and the same number of messages sent with the bare SDK."""
    with Stage(folder, targets_file({"shop": ["web"]}), checkout=checkout) as stage:
        updates, _, _ = stage.open()
        stage.start_ingresses(1)
        post = _Poster(stage.urls[0])
        bare = _client(stage, updates.name)
        text = _push(0)
        load(post, count // 10, THREADS)
        load(lambda _: bare.send_message(text, time_to_live=_NEVER), count // 10, THREADS)
        ours = load(post, count, THREADS)
        plain = load(lambda _: bare.send_message(text, time_to_live=_NEVER), count, THREADS)
        yield _rate("ingress", "202s per second", ours, plain, "send_message")
        for share in (0.5, 0.99):
            beside = f"{plain.quantile(share):.1f} ms with send_message"
            yield Figure("ingress", f"202, {share:.0%} within", ours.quantile(share), "ms", beside)


def worker(folder: Path, checkout: Path, count: int) -> Iterator[Figure]:
    """Superseded rollouts per second of one worker, and the same number of messages received and deleted bare."""
    with Stage(folder, targets_file({"shop": ["web"]}), checkout=checkout, ACI_HOOKS_SOAK="0") as stage:
        updates, _, _ = stage.open()
        stage.place("shop", {"web": f"{_IMAGE}:v0"})
        updates.send(_push(count + 1))
        _drain(stage, "first")
        _fill(stage, updates.name, count)
        log = _drain(stage, "superseded")
        times = [
            datetime.fromisoformat(str(event["timestamp"])) for event in events(log) if event.get("event") == "ended"
        ]
        ours = len(times) / (max(times) - min(times)).total_seconds()
        _fill(stage, updates.name, count)
        bare = _client(stage, updates.name)
        batches = load(lambda _: _receive_and_delete(bare), -(-count // _BATCH), THREADS)
        plain = count / batches.seconds
        beside = f"{plain:.0f} bare receive + delete: {ours / plain:.2f} of it"
        yield Figure("worker", "superseded rollouts per second", ours, "/s", beside)


def _rate(part: str, what: str, ours: Load, plain: Load, bare: str) -> Figure:
    return Figure(part, what, ours.rate, "/s", f"{plain.rate:.0f} bare {bare}: {ours.rate / plain.rate:.2f} of it")


class _Poster:
    """Posts one push after the other, on a connection for each thread."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._local = threading.local()

    def __call__(self, number: int) -> None:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port)
        connection: http.client.HTTPConnection = self._local.connection
        body = {
            "push_data": {"tag": f"v{number}", "pushed_at": 1765362245, "pusher": "ada"},
            "repository": {"repo_name": "acme/shop"},
        }
        connection.request("POST", f"/webhooks/dockerhub/{TOKEN}", json.dumps(body))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise RuntimeError(f"the ingress answered {answer.status}")


def _client(stage: Stage, queue: str) -> QueueClient:
    return QueueClient.from_connection_string(stage.azurite.connection_string, queue)


def _push(order: int, group: str | None = None) -> str:
    """A push; of two, the one with the higher `order` is the newer one."""
    return wire.push(f"{_IMAGE}:v{order}", _LONG_AGO + timedelta(seconds=order), group)


def _fill(stage: Stage, queue: str, count: int) -> None:
    """Rollout messages of older pushes than the one that runs."""
    client = _client(stage, queue)
    texts = [_push(0, "shop") for _ in range(count)]
    load(lambda number: client.send_message(texts[number], time_to_live=_NEVER), count, THREADS)


def _drain(stage: Stage, name: str) -> Path:
    program = stage.processes.start(name, stage.worker, "run", "--drain", environment=stage.environment)
    wait_until(lambda: not program.running, 600, "the queue is not empty")
    if program.exit_code:
        raise program.error(f"exit code {program.exit_code}")
    return program.log


def _receive_and_delete(client: QueueClient) -> None:
    for message in client.receive_messages(max_messages=_BATCH, messages_per_page=_BATCH):
        client.delete_message(message)
