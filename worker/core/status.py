"""The status of a group in a few values: what runs and how it fares, what is under way, what keeps it back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.message import TargetId
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO, Broken, Healthy
from worker.record.record import Record, is_dead
from worker.record.values import Outcome
from worker.targets.tags import hold_reason

STOPPED = "stopped by its owner"
Health = Literal["healthy", "ended", "starting", "broken", "stopped"]


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What a container runs, and how it fares. `digest` is None where Azure does not tell it."""

    name: str
    image: str
    digest: str | None
    health: Health
    restarts: int


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """A change under way: the images that it brings, since when, and how far it is."""

    image: str
    since: datetime
    phase: str


@dataclass(frozen=True, slots=True)
class Status:
    """A group in one look. `problem` is what somebody should see to; `unread`: its record or Azure did not answer.

    `held` says by what its updates are kept back and why, `reason` the reason alone.
    """

    target: TargetId
    containers: tuple[ContainerStatus, ...] = ()
    address: str | None = None
    rollout: RolloutStatus | None = None
    held: str | None = None
    reason: str | None = None
    waiting: tuple[str, ...] = ()
    last: Outcome | None = None
    problem: str | None = None
    unread: bool = False

    @property
    def rank(self) -> int:
        """Where it stands in a list that has trouble first."""
        if self.problem:
            return 0
        if self.last and is_dead(self.last.result):
            return 1
        if self.rollout:
            return 2
        if self.held:
            return 3
        return 4 if self.waiting else 5

    @property
    def word(self) -> str:
        """The same in a word."""
        return ("TROUBLE", "failed", "rolling out", "held", "waits", "ok")[self.rank]


def status_of(
    target: TargetId,
    record: Record | None,
    group: ContainerGroup | None,
    unread: Sequence[str] = (),
) -> Status:
    """The status by what is known: no record, or no group, where it could not be read for the reasons of `unread`."""
    containers = tuple(_containers(group)) if group else ()
    problems = list(unread)
    # The containers of a stopped group look as they were ended, which is no trouble.
    if group and not group.stopped:
        problems += _broken(group)
    if trouble := trouble_of(record):
        problems.append(trouble)
    return Status(
        target=target,
        containers=containers,
        address=_address(group.address) if group else None,
        rollout=_rollout(record, group) if record else None,
        held="; ".join(why_held(record, group)) or None,
        reason="; ".join(_reasons(record, group)) or None,
        waiting=_waiting(record) if record else (),
        last=record.outcomes[0] if record and record.outcomes else None,
        problem="; ".join(problems) or None,
        unread=bool(unread),
    )


def _reasons(record: Record | None, group: ContainerGroup | None) -> Iterator[str]:
    """Each reason for which a group's updates are kept back, in the words of whoever gave it."""
    if record and record.hold:
        yield record.hold.reason
    if group and (by_tag := hold_reason(group.tags)):
        yield by_tag
    if group and group.stopped:
        yield STOPPED


def why_held(record: Record | None, group: ContainerGroup | None) -> Iterator[str]:
    """Everything that keeps a group's updates back, a phrase each."""
    if record and record.hold:
        until = (
            f", until {record.hold.until:%Y-%m-%d %H:%M} UTC"
            if record.hold.until
            else ""
        )
        by = f" ({record.hold.by}{until})" if record.hold.by else until
        yield f"held by hand: {record.hold.reason}{by}"
    if group and (by_tag := hold_reason(group.tags)):
        yield f"held by a resource tag: {by_tag}"
    if group and group.stopped:
        yield STOPPED


def trouble_of(record: Record | None) -> str | None:
    """What keeps the group from being updated for now, while that is tried again and again."""
    if record is None or record.timer is None or record.timer.trouble is None:
        return None
    return f"blocked for now, and retried: {record.timer.trouble}"


def _containers(group: ContainerGroup) -> Iterator[ContainerStatus]:
    restarts = _restarts(group.raw)
    for name, image in group.images.items():
        yield ContainerStatus(
            name,
            image,
            group.running_digest(name),
            _health(group, name),
            restarts.get(name, 0),
        )


def _health(group: ContainerGroup, name: str) -> Health:
    if group.stopped:
        return "stopped"
    health = group.health(name, LONG_AGO)
    if isinstance(health, Healthy):
        return "ended" if health.ended else "healthy"
    return "broken" if isinstance(health, Broken) else "starting"


def _broken(group: ContainerGroup) -> Iterator[str]:
    for name in group.images:
        health = group.health(name, LONG_AGO)
        if isinstance(health, Broken):
            yield f"{name}: {health.code}: {health.evidence}"


def _restarts(raw: Mapping[str, Any]) -> dict[str, int]:
    """How often each container was started again, as far as Azure tells."""
    found = {}
    for container in (raw.get("properties") or {}).get("containers") or []:
        view = (container.get("properties") or {}).get("instanceView") or {}
        count = view.get("restartCount")
        found[str(container.get("name"))] = count if isinstance(count, int) else 0
    return found


def _address(address: Mapping[str, str]) -> str | None:
    return address.get("ip") or address.get("fqdn")


def _rollout(record: Record, group: ContainerGroup | None) -> RolloutStatus | None:
    change = record.change
    if change is None:
        return None
    # Nobody asked for a way back: it brings what it touches.
    images = sorted(
        {
            change.images[name]
            for name in change.asked or change.touched
            if name in change.images
        }
    )
    if not images:
        return None  # nothing of ours is on the group: it is only looked at
    # What somebody else brought here was first seen by a look; when it began nobody knows.
    since = change.began_at if change.began_at > LONG_AGO else change.patience.looked_at
    return RolloutStatus(
        ", ".join(images),
        since,
        phase_of(record, in_transition=bool(group and group.in_transition)),
    )


def phase_of(record: Record, *, in_transition: bool = False) -> str:
    """How far the record's change is, in a few words."""
    change = record.change
    if change is None:
        return "at rest" if record.timer is None else "about to be looked at"
    what = "an update" if change.asked else "the way back"
    if change.refused:
        return f"Azure refuses {what}: {change.refused}"
    if any(flight.generation == change.generation for flight in record.flights):
        return f"{what} is being sent to Azure"
    if not (change.asked or change.touched):
        return "the group is watched"
    return f"Azure carries out {what}" if in_transition else f"{what} is watched"


def _waiting(record: Record) -> tuple[str, ...]:
    """The images of the pushes that wait and are not on the group."""
    on_group = set(record.change.asked.values()) if record.change else set()
    return tuple(
        str(message.push.image)
        for message in record.waiting().values()
        if message.id not in on_group
    )
