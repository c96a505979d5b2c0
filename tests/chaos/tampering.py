"""Tampering: hostile hands on the records and on the queue, and the mending of what they did, as the docs have it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from random import Random

from azure.core.exceptions import AzureError

from shared.errors import RemoteError
from shared.queue import Queue
from tests.chaos.hostile import forgeries, tampered, with_evil_images
from tests.chaos.plan import CALM, Plan
from tests.chaos.records import Records
from tests.chaos.stage import RESOURCE_GROUP, SUBSCRIPTION
from tests.processes import wait_until

_PATIENCE = 60.0
"""Seconds for which storage may be away."""
_PAUSE = 0.3
_AT_A_TIME = 12


class Tampering:
    """Thread-safe. `forged` are the texts of all messages that were put onto the queue."""

    def __init__(self, plan: Plan, updates: Queue, records: Records, stopping: threading.Event) -> None:
        self._plan = plan
        self._updates = updates
        self._records = records
        self._stopping = stopping
        self._lock = threading.Lock()
        self.forged: list[str] = []

    def tamper(self, group: str, kind: str, seconds: float) -> None:
        """Write something else in the place of a group's record, and bring the record back after some seconds."""
        # One at a time: what is brought back must be a record, and not what another tampering left.
        with self._lock:
            name, other = _record(group), _record("g00" if group != "g00" else "g01")
            was = spoilt = ""

            def done() -> bool:
                nonlocal was, spoilt
                record, etag = self._records.text(name)
                if spoilt and record == spoilt:
                    return True  # an answer was lost
                was, spoilt = record, tampered(kind, record, self._records.text(other)[0])
                self._records.replace(name, spoilt, etag)
                return True

            self._until(done, f"the record of {group} can't be tampered with")
            self._stopping.wait(seconds)
            self._until(lambda: self._restored(name, was, spoilt), f"the record of {group} can't be restored")

    def forge_record(self, seconds: float) -> None:
        """Let a record say that a container is to run an image of another repository, and delete it in the end."""
        name = _record(CALM)
        image = self._plan.groups[CALM]["web"].first_image

        def done() -> bool:
            record, etag = self._records.text(name)
            target = json.dumps({"schema": "aci-hooks/record/2", "target": _target(CALM)})
            self._records.replace(name, with_evil_images(record or target, image), etag)
            return True

        self._until(done, "the record can't be forged")
        self._stopping.wait(seconds)
        self._until(lambda: self._deleted(name), "the forged record can't be deleted")

    def forge_messages(self, seed: int) -> None:
        """Put messages onto the queue that nobody of ours made."""
        dice = Random(seed)
        targets = [_target(group) for group in self._plan.groups]
        image = f"{dice.choice(list(self._plan.groups[CALM].values())).written}:v1"
        for text in forgeries(dice, targets, image, _AT_A_TIME):
            self.forged.append(text)
            self._until(partial(self._sent, text), "the queue takes no message")

    def _restored(self, name: str, was: str, spoilt: str) -> bool:
        # Nobody else can have written it meanwhile: a record that can't be read can't be changed.
        record, etag = self._records.text(name)
        if record == spoilt and was:
            self._records.replace(name, was, etag)
        elif record == spoilt:
            self._records.delete(name)
        return True

    def _deleted(self, name: str) -> bool:
        self._records.delete(name)
        return True

    def _sent(self, text: str) -> bool:
        self._updates.send(text)
        return True

    def _until(self, attempt: Callable[[], bool], otherwise: str) -> None:
        def tried() -> bool:
            try:
                return attempt()
            except (AzureError, RemoteError):  # storage is away, or a worker wrote first
                time.sleep(_PAUSE)
                return False

        wait_until(tried, _PATIENCE, otherwise)


def _target(group: str) -> dict[str, str]:
    return {"subscription": SUBSCRIPTION, "resource_group": RESOURCE_GROUP, "container_group": group}


def _record(group: str) -> str:
    return f"groups/{SUBSCRIPTION}/{RESOURCE_GROUP}/{group}.json"
