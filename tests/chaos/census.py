"""The census: what is on the queue while a run goes on, looked at once a second without taking anything off it.

The queue's own count holds every message, those that are leased or delayed too. Peeking shows up to 32 of those that
anybody could receive now: of these the looks are told apart, by their groups and by whether a record names them.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient

from shared.message import Undecodable, from_base64
from tests.chaos.records import Records, UnreadableRecord

_INTERVAL = 1.0
_MOST_PEEKED = 32
_AT_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 2, "read_timeout": 5}


@dataclass(frozen=True, slots=True)
class Sample:
    """The queue at one moment: all messages, and of those that were peeked the pushes, the void looks, and for each
    group the looks that its record names."""

    at: datetime
    count: int
    pushes: int
    void: int
    live: Counter[str] = field(default_factory=Counter)


class Census:
    """Samples the queue in a thread of its own, from `with` to its end."""

    def __init__(self, connection_string: str, queue: str, records: Records) -> None:
        self._client = QueueClient.from_connection_string(connection_string, queue, **_AT_ONCE)
        self._records = records
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="census", daemon=True)
        self.samples: list[Sample] = []
        self.missed = 0

    def __enter__(self) -> Census:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_INTERVAL):
            try:
                self.samples.append(self._sample())
            except (AzureError, UnreadableRecord):
                self.missed += 1  # storage is away, which is part of the mischief

    def _sample(self) -> Sample:
        peeked = [_decoded(message.content) for message in self._client.peek_messages(max_messages=_MOST_PEEKED)]
        looks = [message for message in peeked if message.get("kind") == "look"]
        named = {key: self._records.token(*key) for key in {_target(look) for look in looks}}
        live = Counter(_target(look)[2] for look in looks if look.get("token") == named[_target(look)])
        return Sample(
            at=datetime.now(UTC),
            count=self._client.get_queue_properties().approximate_message_count or 0,
            pushes=len(peeked) - len(looks),
            void=len(looks) - live.total(),
            live=live,
        )


def _decoded(text: str) -> dict[str, Any]:
    try:
        message = json.loads(from_base64(text))
    except (Undecodable, ValueError):
        return {}
    return message if isinstance(message, dict) else {}


def _target(look: dict[str, Any]) -> tuple[str, str, str]:
    target = look.get("target") or {}
    return target.get("subscription", ""), target.get("resource_group", ""), target.get("container_group", "")
