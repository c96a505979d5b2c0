"""The senders: they deliver the planned pushes at their times, and again until an ingress says 202."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx

from tests.chaos.plan import Plan, Push
from tests.chaos.stage import TOKEN

PATIENCE = 6.0
"""Seconds that a sender waits for an answer: an ingress promises one within five."""
_THREADS = 64


@dataclass(frozen=True, slots=True)
class Accepted:
    """A delivery that was answered 202: the message's id, and the push in it."""

    id: str
    push: Push


class Senders:
    """Deliver a plan's pushes to any of `urls`. `moves` is called with a push right before it is first told of."""

    def __init__(self, plan: Plan, urls: Sequence[str], moves: Callable[[Push], None]) -> None:
        self._plan = plan
        self._urls = urls
        self._moves = moves
        self._http = httpx.Client(timeout=PATIENCE, trust_env=False, limits=httpx.Limits(max_connections=None))
        self._lock = threading.Lock()
        self._give_up = threading.Event()
        self.accepted: list[Accepted] = []
        self.answers: Counter[str] = Counter()
        self.refused: list[str] = []

    def run(self, began: float) -> None:
        """Deliver everything; `began` is the run's start by time.time(). Returns when all was accepted or given up."""
        deliveries = sorted(
            ((at, number, push) for push in self._plan.pushes for number, at in enumerate(push.deliveries)),
            key=lambda delivery: delivery[0],
        )
        pending: list[Future[None]] = []
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="sender") as threads:
            for at, number, push in deliveries:
                if self._give_up.wait(max(0.0, began + at - time.time())):
                    break
                if number == 0:
                    self._moves(push)
                pending.append(threads.submit(self._deliver, push, number, began))
        for item in pending:
            item.result()
        self._http.close()

    def give_up(self) -> None:
        """Stop trying."""
        self._give_up.set()

    def _deliver(self, push: Push, number: int, began: float) -> None:
        dice = Random(self._plan.seed * 1_000_003 + push.number * 7 + number)
        body = json.dumps(payload(push, began)).encode()
        first = dice.randrange(len(self._urls))
        for attempt in range(10_000):
            url = f"{self._urls[(first + attempt) % len(self._urls)]}/webhooks/{push.repository.sender}/{TOKEN}"
            answer = self._post(url, body)
            if answer is not None and answer.status_code == 202:
                with self._lock:
                    self.accepted.append(Accepted(answer.json()["id"], push))
                return
            if answer is not None and answer.status_code != 503:
                with self._lock:
                    self.refused.append(f"{push.images[-1]}: {answer.status_code} {answer.text}")
                return
            if self._give_up.wait(dice.uniform(0.2, 0.9)):
                return

    def _post(self, url: str, body: bytes) -> httpx.Response | None:
        try:
            answer = self._http.post(url, content=body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            with self._lock:
                self.answers[type(error).__name__] += 1
            return None
        with self._lock:
            self.answers[str(answer.status_code)] += 1
        return answer


def payload(push: Push, began: float) -> dict[str, Any]:
    """What the push's sender says of it."""
    pushed_at = began + push.pushed_at
    if push.repository.sender == "dockerhub":
        return {
            "push_data": {"tag": push.tag, "pushed_at": pushed_at, "pusher": "ada"},
            "repository": {"repo_name": push.repository.written},
        }
    at = datetime.fromtimestamp(0, UTC) + timedelta(seconds=pushed_at)
    return {"image": f"{push.repository.written}:{push.tag}@{push.digest}", "pushed_at": at.isoformat()}
