"""The sweep: compare every target with its registry, enqueue what was missed, wake what was lost.

A webhook that never came, because the ingress was down or the sender tried only once, is only a delay.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Protocol

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage
from shared.push import Push
from worker.admission import matching_containers
from worker.group import ContainerGroup
from worker.policy import Policy, Update
from worker.record import ContainerRecord, Record
from worker.registry import Found
from worker.step import Groups, RecordStore, fresh
from worker.targets import Target, hold_reason

SENDER = "sweep"
log = structlog.get_logger()


class Images(Protocol):
    """What a registry tells of its images; worker.registry.Registry."""

    def lookup(self, image: ImageReference) -> object:
        """Found, Absent or Unknown."""

    def tags(self, image: ImageReference) -> list[str]:
        """Every tag of its repository."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did for one target: the pushes that were missed, the messages woken, what it could not find out."""

    target: TargetId
    missed: tuple[Push, ...] = ()
    woken: int = 0
    problem: str | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Sweeps through the adapters; `settle_time`: how long a wanted push may take before its message counts as lost."""

    groups: Groups
    records: RecordStore
    registry: Images
    send: Callable[[UpdateMessage], None]
    new_id: Callable[[], str]
    now: Callable[[], datetime]
    settle_time: timedelta

    def sweep(self, targets: Iterable[Target]) -> Iterator[Swept]:
        """Sweep each target; one's trouble does not hold up another's."""
        for target in targets:
            try:
                yield self._sweep(target)
            except RemoteError as error:
                yield Swept(target.id, problem=str(error))

    def _sweep(self, target: Target) -> Swept:
        record, _ = self.records.load(target.id)
        group = self.groups.get(target.id)
        if record.hold or hold_reason(group.tags) or group.stopped:
            return Swept(target.id, problem="held or stopped", held=True)
        woken = [wanted for wanted in record.open().values() if wanted.admitted_at < self.now() - self.settle_time]
        for wanted in woken:
            self.send(fresh(wanted.message))
        asked_at = self.now()
        missed = tuple(self._missed(target, group, record, asked_at))
        for push in missed:
            message = UpdateMessage(id=self.new_id(), kind="rollout", push=push, received_at=asked_at, target=target.id)
            self.send(message)
            log.info("missed push found", image=str(push.image), digest=push.digest, target=str(target.id))
        return Swept(target.id, missed, len(woken))

    def _missed(self, target: Target, group: ContainerGroup, record: Record, asked_at: datetime) -> Iterator[Push]:
        seen = set()
        for name, running in group.images.items():
            one = record.containers.get(name)
            rule = target.rule_for(name)
            if rule is None or (one and one.wanted and one.wanted.is_open):
                continue
            image = rule.image or ImageReference.parse(running)
            if name not in matching_containers(group.images, image, target):
                continue
            tag = ImageReference.parse(running).followed_tag or (one.tag_of(running) if one else None)
            push = self._newer(image, tag, rule.policy, one, _running_digest(group, name, one), asked_at)
            if push and push not in seen:
                seen.add(push)
                yield push

    def _newer(
        self,
        image: ImageReference,
        tag: str | None,
        policy: Policy,
        one: ContainerRecord | None,
        running: str | None,
        asked_at: datetime,
    ) -> Push | None:
        best = self._best_tag(image, tag, policy, one)
        if best is None:
            return None
        found = self.registry.lookup(ImageReference(image.registry, image.repository, best))
        if not isinstance(found, Found) or (best == tag and (running is None or found.digest == running)):
            return None
        failures = one.failures if one else ()
        if any(failure.message.push.tag == best and failure.digest in {None, found.digest} for failure in failures):
            return None
        pushed = ImageReference(image.registry, image.repository, best, found.digest)
        return Push.of(SENDER, pushed, pushed_at=asked_at)

    def _best_tag(
        self, image: ImageReference, tag: str | None, policy: Policy, one: ContainerRecord | None
    ) -> str | None:
        """The tag that the container should run by what the registry has: the highest allowed one, or its own."""
        if tag is None or not policy.ordered:
            return tag
        failed = {failure.message.push.tag for failure in one.failures} if one else set()
        allowed = (
            other
            for other in self.registry.tags(image)
            if other != tag and other not in failed and isinstance(policy.decide(tag, other), Update)
        )
        return reduce(lambda best, other: other if policy.outranks(other, best) else best, allowed, tag)


def sweep_regularly(
    stopping: threading.Event, interval: timedelta, claim: Callable[[], bool], sweep: Callable[[], None]
) -> None:
    """Sweep about once in each `interval` until `stopping`; of all the replicas the one whose `claim` is granted."""
    while not stopping.wait(interval.total_seconds() * random.uniform(0.5, 1)):  # noqa: S311 - jitter
        try:
            if claim():
                sweep()
        except RemoteError as error:
            log.warning("sweep failed, trying again later", error=str(error))


def _running_digest(group: ContainerGroup, name: str, one: ContainerRecord | None) -> str | None:
    written = ImageReference.parse(group.images[name]).digest
    known = one.wanted.digest if one and one.wanted and one.wanted.status == "done" else None
    return written or group.running_digest(name) or known
