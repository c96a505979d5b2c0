"""The sweep: compare every target with its registry, enqueue what was missed, wake what was lost.

A webhook that never came, because the ingress was down or the sender tried only once, is only a delay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Protocol

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference, InvalidImage
from shared.message import TargetId, UpdateMessage
from shared.push import Push
from worker.adapters.record_blobs import Conflict
from worker.adapters.registry.client import Found
from worker.change import CONFLICTS
from worker.endings import fresh
from worker.groups.group import ContainerGroup
from worker.policies.parse import Policy, Update
from worker.ports import Groups, RecordStore
from worker.record import Record
from worker.record_parts import ContainerRecord
from worker.running import matching_containers
from worker.targets.target import Target, hold_reason

SENDER = "sweep"
log = structlog.get_logger()


class CannotTell(Exception):
    """A registry could not say what is wanted of it."""


class Images(Protocol):
    """What a registry tells of its images; worker.adapters.registry.client.Registry."""

    def lookup(self, image: ImageReference) -> object:
        """Found, Absent or Unknown."""

    def tags(self, image: ImageReference) -> list[str]:
        """Every tag of its repository."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did for one target: the pushes that were missed, the messages woken, what it could not find out.

    `held`: nothing was compared, as the group is held or was stopped, which is no trouble.
    """

    target: TargetId
    missed: tuple[Push, ...] = ()
    woken: int = 0
    problem: str | None = None
    held: bool = False


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Sweeps through the adapters; `settle_time`: beyond how long of silence a push's message counts as lost."""

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
            # Whatever a group or a record looks like: the others are swept, and again the next time.
            except Exception as error:
                if not isinstance(error, RemoteError):
                    log.exception("target not swept", target=str(target.id))
                yield Swept(target.id, problem=str(error) or type(error).__name__)

    def wake(self, target: TargetId) -> int:
        """Send what a group that is not held any more has been waiting for; how many messages.

        Raises RemoteError, and Conflict if others write the record all the time.
        """
        for _ in range(CONFLICTS):
            with contextlib.suppress(Conflict):
                return self._wake(*self.records.load(target))
        raise Conflict(f"the record of {target} was written by others {CONFLICTS} times in a row")

    def _sweep(self, target: Target) -> Swept:
        record, etag = self.records.load(target.id)
        group = self.groups.get(target.id)
        if hold_reason(group.tags) or group.stopped:
            return Swept(target.id, problem="held or stopped", held=True)
        try:
            woken = self._wake(record, etag)
        except Conflict:
            woken = 0  # somebody is at work on it
        if record.hold:
            return Swept(target.id, woken=woken, problem="held", held=True)
        problems: list[str] = []
        missed = self._missed(target, group, record, problems)
        for push in missed:
            message = UpdateMessage(
                id=self.new_id(), kind="rollout", push=push, received_at=self.now(), target=target.id
            )
            self.send(message)
            log.info("missed push found", image=str(push.image), digest=push.digest, target=str(target.id))
        return Swept(target.id, missed, woken, "; ".join(problems) or None)

    def _wake(self, record: Record, etag: str | None) -> int:
        lost = lost_messages(record, self.now() - self.settle_time)
        if not lost:
            return 0
        self.records.save(record.refresh(lost.keys(), self.now()), etag)
        for message in lost.values():
            self.send(fresh(message))
        return len(lost)

    def _missed(self, target: Target, group: ContainerGroup, record: Record, problems: list[str]) -> tuple[Push, ...]:
        """The pushes that no webhook told of; what could not be found out is added to `problems`."""
        found: dict[Push, None] = {}
        for name, running in group.images.items():
            one = record.containers.get(name)
            rule = target.rule_for(name)
            if rule is None or (one and one.wanted and one.wanted.is_open):
                continue
            try:
                image = rule.image or ImageReference.parse(running)
                if name not in matching_containers(group.images, image, target):
                    continue
                tag = ImageReference.parse(running).followed_tag or (one.tag_of(running) if one else None)
                push = self._newer(image, tag, rule.policy, one, _running_digests(group, name, one))
            except (CannotTell, InvalidImage) as error:
                problems.append(f"{name}: {error}")
                continue
            if push:
                found[push] = None
        return tuple(found)

    def _newer(
        self,
        image: ImageReference,
        tag: str | None,
        policy: Policy,
        one: ContainerRecord | None,
        running: frozenset[str],
    ) -> Push | None:
        best = self._best_tag(image, tag, policy, one)
        if best is None:
            return None
        found = self.registry.lookup(ImageReference(image.registry, image.repository, best))
        if not isinstance(found, Found):
            raise CannotTell(str(getattr(found, "detail", found)))
        if best == tag and (not running or found.digest in running):
            return None
        failures = one.failures if one else ()
        if any(failure.message.push.tag == best and failure.digest in {None, found.digest} for failure in failures):
            return None
        pushed = ImageReference(image.registry, image.repository, best, found.digest)
        return Push.of(SENDER, pushed, pushed_at=self.now())

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


def lost_messages(record: Record, silent_since: datetime) -> dict[str, UpdateMessage]:
    """The messages that should be on the queue and, nothing having been heard of them since, are not: id → message.

    One that ended as held for another reason than the record's own hold waits for nothing but this.
    """
    held = {outcome.id: outcome.at for outcome in record.outcomes if outcome.result == "held"}
    found = {}
    for one in record.containers.values():
        for message, heard_of in one.unfinished():
            if record.hold and record.hold.allows != message.id:
                continue
            let_go = message.id in held and held[message.id] >= heard_of
            if let_go or heard_of < silent_since:
                found[message.id] = message
    return found


def _running_digests(group: ContainerGroup, name: str, one: ContainerRecord | None) -> frozenset[str]:
    """Every digest by which the running image is known: an index and what was pulled of it are two."""
    written = ImageReference.parse(group.images[name]).digest
    known = one.wanted.digest if one and one.wanted and one.wanted.status == "done" else None
    return frozenset({written} if written else {group.running_digest(name), known}) - {None}  # type: ignore[return-value]
