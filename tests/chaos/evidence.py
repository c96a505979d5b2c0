"""What a run leaves behind: the workers' logs, the queues, the records and the simulated cloud, gathered at its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from azure.storage.queue import QueueClient

from shared.message import Undecodable, from_base64
from shared.queue import Queue
from tests.arm_simulator.reports import GroupTruth, LogEntry, Stats
from tests.chaos.census import Sample
from tests.chaos.hostile import Attack
from tests.chaos.records import Json, Records, UnreadableRecord, group_of
from tests.chaos.senders import Accepted
from tests.chaos.stage import RESOURCE_GROUP, Stage

_BATCH = 32
_AN_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Ended:
    """One line in which a worker told how a push ended, for a target or, with none, for all."""

    at: datetime
    id: str
    group: str | None
    outcome: str
    detail: str
    worker: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: of which message, for which group, of which image, and why.

    That of a message that can't be decoded has its text in place of the image.
    """

    id: str
    group: str | None
    image: str
    code: str
    detail: str


DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A group whose owner had it stopped, held by a tag or deleted, from one moment to the next."""

    group: str
    why: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Evidence:
    """All that the laws look at. Groups go by their names; `addresses` are the IPs that they should have, `puts` the
    times at which a PUT changed them. `attacks` were taken, by the ids of their messages; `forged` are the texts that
    the hostile put onto the queue."""

    accepted: list[Accepted]
    ended: list[Ended]
    letters: list[Letter]
    left: int
    records: dict[str, Json]
    groups: dict[str, GroupTruth]
    addresses: Mapping[str, str | None]
    exit_codes: Mapping[str, int]
    stats: Stats
    puts: dict[str, list[datetime]]
    left_alone: Sequence[LeftAlone] = ()
    samples: Sequence[Sample] = ()
    attacks: Mapping[str, Attack] = field(default_factory=dict)
    forged: Collection[str] = ()
    unreadable: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    log_problems: Counter[str] = field(default_factory=Counter)


def gather(
    stage: Stage,
    updates: Queue,
    records: Records,
    accepted: list[Accepted],
    addresses: Mapping[str, str | None],
    exit_codes: Mapping[str, int],
    left_alone: Sequence[LeftAlone] = (),
    samples: Sequence[Sample] = (),
    attacks: Mapping[str, Attack] | None = None,
    forged: Collection[str] = (),
) -> Evidence:
    """Everything, once the workers have ended."""
    log: list[LogEntry] = stage.arm.log()
    unreadable: list[str] = []
    return Evidence(
        accepted=accepted,
        ended=sorted(_ended(stage.folder), key=lambda line: line.at),
        letters=list(_letters(stage, f"{updates.name}-poison")),
        left=updates.count(),
        records=dict(_records(records, unreadable)),
        unreadable=unreadable,
        groups={group["name"]: group for group in stage.arm.groups()},
        addresses=addresses,
        exit_codes=exit_codes,
        stats=stage.arm.stats(),
        puts=_puts(log),
        left_alone=left_alone,
        samples=samples,
        attacks=attacks or {},
        forged=forged,
        faults=Counter(entry["fault"] for entry in log if entry["fault"]),
        log_problems=_problems(stage.folder),
    )


def _records(records: Records, unreadable: list[str]) -> Iterator[tuple[str, Json]]:
    for name in records.all():
        try:
            yield group_of(name), records.load(name)
        except UnreadableRecord as error:
            unreadable.append(str(error))


def _puts(log: list[LogEntry]) -> dict[str, list[datetime]]:
    puts: dict[str, list[datetime]] = {}
    for entry in log:
        if entry["method"] == "PUT" and entry["effective"] and entry["group"]:
            puts.setdefault(entry["group"].rpartition("/")[2], []).append(datetime.fromisoformat(entry["time"]))
    return puts


def events(log: Path) -> Iterator[dict[str, object]]:
    """The JSON lines of a log. A line that a kill cut short is passed over."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def _ended(folder: Path) -> Iterator[Ended]:
    for log in sorted(folder.glob("worker-*.log")):
        for event in events(log):
            if event.get("event") == "ended":
                target = str(event["target"]) if "target" in event else None
                yield Ended(
                    at=datetime.fromisoformat(str(event["timestamp"])),
                    id=str(event["id"]),
                    group=target.removeprefix(f"{RESOURCE_GROUP}/") if target else None,
                    outcome=str(event["outcome"]),
                    detail=str(event.get("detail", "")),
                    worker=log.stem,
                    code=str(event.get("code", "")),
                )


def _problems(folder: Path) -> Counter[str]:
    """What the workers complained of, by kind."""
    found: Counter[str] = Counter()
    for log in folder.glob("worker-*.log"):
        for event in events(log):
            if event.get("level") in {"warning", "error", "critical"}:
                code = f" ({event['code']})" if "code" in event else ""
                found[f"{event['event']}{code}"] += 1
    return found


def _letters(stage: Stage, queue: str) -> Iterator[Letter]:
    client = QueueClient.from_connection_string(stage.azurite.connection_string, queue)
    while messages := list(client.receive_messages(max_messages=_BATCH, visibility_timeout=_AN_HOUR)):
        for message in messages:
            yield _letter(message.content)


def _letter(text: str) -> Letter:
    try:
        letter: Json = json.loads(from_base64(text))
    except (Undecodable, ValueError, RecursionError):
        return Letter("undecodable", None, text, "", "")
    about, code, detail = letter["message"], letter["code"], letter["detail"]
    if not isinstance(about, dict):
        return Letter("undecodable", None, str(about), code, detail)
    group, push = (about.get("target") or {}).get("container_group"), about["push"]
    image = f"{push['registry']}/{push['repository']}:{push['tag']}@{push.get('digest')}"
    return Letter(about["id"], group, image, code, detail)
