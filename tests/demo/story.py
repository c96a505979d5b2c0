"""What a person sees of a push on its way: every station's own account of it, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from tests.demo.stage import CONTAINER, Glance, Stage
from tests.processes import Program, wait_until
from worker.record.values import Outcome

_COLOURS = {"registry": "magenta", "ingress": "cyan", "worker-1": "green", "worker-2": "yellow", "azure": "blue"}


@dataclass(frozen=True)
class Told:
    """How a push ended: the group before and after it, and its outcome by the group's record."""

    image: str
    before: Glance
    after: Glance
    outcome: Outcome

    @property
    def puts(self) -> int:
        """PUTs that changed the group."""
        return self.after.puts - self.before.puts


class Story:
    """Tells of one push after the other on `console`."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        self._console = console
        self._logs = [_Log(worker) for worker in stage.workers]
        self._started = datetime.now(UTC)
        self._seen = stage.glance()

    def push(self, tag: str, within: float = 30) -> Told:
        """Send the push of a tag and tell what becomes of it. Raises TimeoutError if it has no end in that time."""
        self._started = datetime.now(UTC)
        self._seen = before = self._stage.glance()
        push_id = self._send(tag)
        wait_until(lambda: self._follow(push_id), within, f"the end of the push of {tag}")
        outcome = self._stage.outcome(push_id)
        assert outcome
        return Told(self._stage.registry.image(tag), before, self._stage.glance(), outcome)

    def _send(self, tag: str) -> str:
        webhook = self._stage.registry.webhook(tag)
        self._say(
            "registry", f"{self._stage.registry.image(tag)} was pushed; POST {_hidden(webhook.path)} ({webhook.proof})"
        )
        answer = self._stage.post(webhook)
        document = answer.json()
        if answer.status_code != 202:
            raise AssertionError(f"the ingress answered {answer.status_code}: {answer.text}")
        self._say("ingress", f"202 {document['status']}: the queue holds {document['pushes'][0]['image']}")
        return str(document["id"])

    def _follow(self, push_id: str) -> bool:
        """Tell what is new; is it the end of the push?"""
        # The end is looked for first: what was logged until then is told before it counts.
        events = sorted((event for log in self._logs for event in log.fresh()), key=lambda event: event["timestamp"])
        for event in events:
            if sentence := _sentence(event):
                self._say(event["worker"], sentence, datetime.fromisoformat(event["timestamp"]))
        glance = self._stage.glance()
        if replace(glance, puts=self._seen.puts) != self._seen:
            self._say("azure", f"{CONTAINER} of the group is {glance.image}, {glance.state}, at {glance.ip}")
            self._seen = glance
        return any(event["event"] == "ended" and event.get("id") == push_id for event in events)

    def _say(self, station: str, text: str, at: datetime | None = None) -> None:
        seconds = ((at or datetime.now(UTC)) - self._started).total_seconds()
        colour = _COLOURS[station]
        self._console.print(f"[dim]{seconds:6.2f} s[/]  [{colour}]{station:8}[/]  {escape(text)}")


class _Log:
    """The JSON lines of a worker's log, each read once."""

    def __init__(self, worker: Program) -> None:
        self._worker = worker
        self._read = 0

    def fresh(self) -> Iterator[dict[str, Any]]:
        with self._worker.log.open(encoding="utf-8") as log:
            log.seek(self._read)
            while (line := log.readline()).endswith("\n"):
                self._read = log.tell()
                if line.startswith("{"):
                    yield {**json.loads(line), "worker": self._worker.name}


def _sentence(event: dict[str, Any]) -> str | None:
    match event["event"]:
        case "targets found":
            return f"targets of this push: {', '.join(event['targets'])}"
        case "applying":
            return f"PUT of the whole group, with {_images(event)} and nothing else changed"
        case "push failed on the group":
            return f"{event['code']}: {event['detail']}"
        case "rolling back":
            return f"rollback: PUT with {_images(event)}"
        case "waiting":
            return f"{event['reason']}; a look again in {event['again_in']} s"
        case "ended":
            return f"{event['outcome']}: {event['detail']}"
    return None


def _images(event: dict[str, Any]) -> str:
    return ", ".join(f"{container} = {image}" for container, image in event["images"].items())


def _hidden(path: str) -> str:
    return "/".join(path.split("/")[:3] + ["***"] * (path.count("/") > 2))
