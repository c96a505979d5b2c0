"""Fuzzed messages for a real worker: none of them ends it, none is lost, and good ones in between are rolled out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import inf

from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueClient

from shared.dead_letter import decode_letter
from shared.image import ImageReference
from shared.message import Look, Undecodable, UpdateMessage, decode
from tests.azurite import Azurite
from tests.fuzz.letters import draw_message
from tests.fuzz.memory import growth, mebibytes
from tests.fuzz.onslaught import defects
from tests.processes import Program
from tests.site import RESOURCE_GROUP, SUBSCRIPTION, Site, events, outcomes, running_site, target_of

EVERY = 250
"""Fuzzed messages between two good pushes."""
GOOD, VICTIM = "good", "shop"
PUSHED = ("docker.io/acme/shop", "docker.io/library/nginx", "docker.io/evil/shop", "127.0.0.1:9/a/b", "ghcr.io/a/b")
_IMAGES = {GOOD: {"web": "acme/good:v0"}, VICTIM: {"web": "acme/shop:v1", "proxy": "nginx:1.27"}}
_TARGETS = f"""
targets:
  - {{container_group: {GOOD}, resource_group: {RESOURCE_GROUP}, containers: {{web: {{policy: any}}}}}}
  - {{container_group: {VICTIM}, resource_group: {RESOURCE_GROUP}, containers: {{web: {{policy: any}}}}}}
"""
_ENDS_WELL = frozenset({"updated", "unchanged", "superseded"})
_SENDERS = 8
_PAUSE = 0.5
_PATIENCE = 300.0
"""Seconds in which the queue does not get shorter, after which it never will."""


@dataclass
class Backlog:
    """A run: how the messages ended, the worker's memory in MiB by the time, and what breaks a promise."""

    sent: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


def messages(azurite: Azurite, total: int, seed: int, seconds: float = inf) -> Backlog:
    """Put so many messages, or what `seconds` are enough for, onto a queue, and a good push now and then."""
    done, deadline = Backlog(), time.monotonic() + seconds
    with running_site(azurite, ACI_HOOKS_LOG_FORMAT="json") as site:
        file = site.processes.folder / "targets.yaml"
        file.write_text(_TARGETS)
        site.environment["ACI_HOOKS_TARGETS"] = str(file)
        for group, images in _IMAGES.items():
            site.group(group, images)
        worker = site.worker(name="fuzzed", ACI_HOOKS_RETRY_MAX="2", ACI_HOOKS_MAX_ATTEMPTS="3")
        worker.wait_for_log("worker started", 60)
        sent, good = dict[int, str](), list[str]()
        while len(sent) < total and time.monotonic() < deadline and not done.violations:
            sent |= _send(site, seed, range(len(sent), min(len(sent) + EVERY, total)))
            good.append(site.push(f"acme/{GOOD}:v{len(good) + 1}").id)
            _wait(site, worker, done, most=4 * EVERY)
        _wait(site, worker, done, most=0)
        if worker.running and (code := worker.terminate(60)):
            done.violations.append(f"ENDED: the worker, with {code} after SIGTERM")
        done.sent = len(sent)
        done.violations += _violations(site, worker, list(sent.values()), good, done)
    return done


def _send(site: Site, seed: int, numbers: range) -> dict[int, str]:
    """Send the messages of these numbers, eight at a time; what the queue itself refuses is an empty text."""
    connection = site.environment["AZURE_STORAGE_CONNECTION_STRING"]
    target = target_of(VICTIM).model_dump()

    def send(number: int) -> str:
        text = draw_message(seed, number, target, PUSHED)
        try:
            queue.send_message(text, time_to_live=-1)
        except HttpResponseError:
            return ""
        return text

    with (
        QueueClient.from_connection_string(connection, site.updates.name) as queue,
        ThreadPoolExecutor(_SENDERS) as threads,
    ):
        return dict(zip(numbers, threads.map(send, numbers), strict=True))


def _wait(site: Site, worker: Program, done: Backlog, most: int) -> None:
    """Wait until the queue has no more messages than this, and note the worker's memory meanwhile."""
    left, since = site.updates.count(), time.monotonic()
    while worker.running and left > most:
        time.sleep(_PAUSE)
        done.memory.append(mebibytes(worker.pid))
        now = site.updates.count()
        if now < left:
            left, since = now, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            done.violations.append(f"STUCK: {now} messages stay on the queue")
            return
    if not worker.running:
        done.violations.append(f"ENDED: the worker, with {worker.exit_code}")


def _violations(site: Site, worker: Program, sent: Sequence[str], good: Sequence[str], done: Backlog) -> Iterator[str]:
    ended = outcomes(list(events(worker)))
    raw, given_up = _letters(site)
    for text in filter(None, sent):
        end = end_of(text, ended, raw, given_up)
        done.ends[end] += 1
        if end == "lost":
            yield f"LOST: {text[:500]}"
    for push in good:
        if ended.get(push) not in _ENDS_WELL:
            yield f"GOOD PUSH: {push} was {ended.get(push)}"
    if (image := site.images(GOOD)["web"]) != f"acme/{GOOD}:v{len(good)}":
        yield f"GOOD PUSH: the last one was v{len(good)}, and {image} runs"
    for group, images in _IMAGES.items():
        yield from _foreign(site, group, images)
    yield from growth("the worker", done.memory)
    yield from (f"LOG: {what}, {count} times" for what, count in defects(worker.log).items())


def end_of(text: str, ended: dict[str, str], raw: set[str], given_up: set[str]) -> str:
    """How a message ended: a look leaves no trace, and all others do."""
    try:
        message = decode(text)
    except Undecodable:
        return "undecodable" if text.strip() in raw else "lost"
    if isinstance(message, Look):
        return "look"
    # A time far behind its insertion makes it undecodable as well.
    if message.id in given_up or text.strip() in raw:
        return "dead letter"
    return ended.get(message.id, "lost")


def _letters(site: Site) -> tuple[set[str], set[str]]:
    """The raw texts among the dead letters, and the ids of the others' messages."""
    raw, ids = set[str](), set[str]()
    while leased := site.poison.receive(32):
        for item in leased:
            try:
                message = decode_letter(item.text).message
            except Undecodable:
                message = item.text
            if isinstance(message, UpdateMessage):
                ids.add(message.id)
            else:
                raw.add(message.strip())
            site.poison.complete(item)
    return raw, ids


def _foreign(site: Site, group: str, images: dict[str, str]) -> Iterator[str]:
    """What ran that is of another repository than the container's own."""
    for entry in site.arm.group(SUBSCRIPTION, RESOURCE_GROUP, group)["history"]:
        for container, image in entry["images"].items():
            if ImageReference.parse(image).name != ImageReference.parse(images[container]).name:
                yield f"HOSTILE: {group}/{container} ran {image}"
