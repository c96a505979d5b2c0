"""The attackers: hostile senders, who deliver a plan's attacks at their times, once each."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence

import httpx

from tests.chaos.hostile import EXPECTED, Attack, webhook
from tests.chaos.plan import Plan
from tests.chaos.senders import PATIENCE, Accepted, payload
from tests.chaos.stage import TOKEN


class Attackers:
    """Deliver attacks to any of `urls`, until `stop`."""

    def __init__(self, plan: Plan, urls: Sequence[str]) -> None:
        self._plan = plan
        self._urls = urls
        self._stopping = threading.Event()
        self.counts: Counter[str] = Counter()
        self.taken: dict[str, Attack] = {}
        """The attacks that were answered 202, by the id of their message."""
        self.replayed: list[Accepted] = []
        self.problems: list[str] = []

    def run(self, began: float) -> None:
        """Deliver every attack at its time; `began` is the run's start by time.time()."""
        with httpx.Client(timeout=PATIENCE, trust_env=False) as http:
            for number, attack in enumerate(self._plan.attacks):
                if self._stopping.wait(max(0.0, began + attack.at - time.time())):
                    return
                self._deliver(http, number, attack, began)

    def stop(self) -> None:
        """No further attack."""
        self._stopping.set()

    def _deliver(self, http: httpx.Client, number: int, attack: Attack, began: float) -> None:
        push = self._plan.pushes[attack.push]
        if attack.kind == "replay":
            path, headers = f"/webhooks/{push.repository.sender}/{TOKEN}", {"Content-Type": "application/json"}
            body = json.dumps(payload(push, began)).encode()
        else:
            image = f"{push.repository.written}:{push.tag}"
            path, headers, body = webhook(attack.kind, image, number, TOKEN)
        self.counts[attack.kind] += 1
        try:
            answer = http.post(f"{self._urls[number % len(self._urls)]}{path}", content=body, headers=headers)
        except httpx.HTTPError:
            self.counts["attacks without an answer"] += 1
            return
        if answer.status_code not in EXPECTED[attack.kind] | {503}:
            self.problems.append(f"ATTACK: {attack.kind} was answered {answer.status_code} {answer.text}")
        if answer.status_code == 202:
            if attack.kind == "replay":
                self.replayed.append(Accepted(answer.json()["id"], push))
            else:
                self.taken[answer.json()["id"]] = attack
