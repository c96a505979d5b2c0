"""The census: what is on the queue while a run goes on, looked at every other second without taking anything off it.

The queue's own count holds every message, those that are leased or delayed too. Which of them are pushes under way is
known from outside: those that were answered 202 and that no record has had yet. The others are looks. Peeking shows up
to 32 of the messages that anybody could receive now, and so whether several looks of one group count at a time.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient

from shared.message import Undecodable, from_base64
from tests.chaos.records import Records, UnreadableRecord, group_of, token_of

_INTERVAL = 2.0
_MOST_PEEKED = 32
_AT_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 2, "read_timeout": 5}
_ID = re.compile(r'"([0-9a-f]{32})"')

Deliveries = Callable[[], set[tuple[str, str]]]
"""What was answered 202 so far: the id of each message with each of its groups."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The queue at one moment: all messages, the pushes among them that no record has had yet, and of the looks that
    were peeked those that a record names, by group, and the others."""

    count: int
    pushes: int
    void: int = 0
    live: Counter[str] = field(default_factory=Counter)

    @property
    def looks(self) -> int:
        """All looks, about: a push for several groups may still be one message."""
        return max(0, self.count - self.pushes)


class Census:
    """Samples the queue in a thread of its own, from `with` to its end."""

    def __init__(self, connection_string: str, queue: str, records: Records, deliveries: Deliveries) -> None:
        self._client = QueueClient.from_connection_string(connection_string, queue, **_AT_ONCE)
        self._records = records
        self._deliveries = deliveries
        self._received: set[tuple[str, str]] = set()
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
        looks = [look for look in map(_decoded, self._peeked()) if look.get("kind") == "look"]
        delivered = self._deliveries()
        count = self._client.get_queue_properties().approximate_message_count or 0
        tokens: dict[str, str | None] = {}
        for name in self._records.all():
            record, group = self._records.load(name), group_of(name)
            tokens[group] = token_of(record)
            # A record forgets whom it has had: what it knew once, it has had.
            self._received |= {(known, group) for known in _ID.findall(json.dumps(record))}
        live = Counter(_group(look) for look in looks if look.get("token") == tokens.get(_group(look), ""))
        return Sample(count, len(delivered - self._received), len(looks) - live.total(), live)

    def _peeked(self) -> list[str]:
        return [message.content for message in self._client.peek_messages(max_messages=_MOST_PEEKED)]


def _decoded(text: str) -> dict[str, Any]:
    try:
        message = json.loads(from_base64(text))
    except (Undecodable, ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _group(look: dict[str, Any]) -> str:
    return str((look.get("target") or {}).get("container_group"))
