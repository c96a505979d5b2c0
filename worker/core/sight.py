"""What a group shows of a change: which containers are evidence for or against it, and how they fare. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from worker.core.desired import Desired
from worker.core.rules import RolloutRules
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO, Broken, Health, Pending
from worker.record.record import Record
from worker.record.values import Change


@dataclass(frozen=True, slots=True)
class Sight:
    """What a group shows of a change: the health of each watched container, and the pushes that are still unproven.

    `unproven` maps containers to message ids. Any other watched container is a neighbour: it ran well before the
    change, or it is being brought back to what it ran.
    """

    change: Change
    group: ContainerGroup
    health: Mapping[str, Health]
    unproven: Mapping[str, str]
    rules: RolloutRules
    now: datetime

    @property
    def broken(self) -> dict[str, Broken]:
        """The containers that will not come up."""
        return {
            name: health
            for name, health in self.health.items()
            if isinstance(health, Broken)
        }

    @property
    def pending(self) -> dict[str, Pending]:
        """The containers that are still starting."""
        return {
            name: health
            for name, health in self.health.items()
            if isinstance(health, Pending)
        }

    @property
    def operation_failed(self) -> bool:
        """Whether the operation of this change failed."""
        if not self.group.failed:
            return False
        # A group that had failed before the change goes on saying so until Azure has begun with the change. Only then,
        # when every pending container has been restarted, is the failure this change's own.
        has_taken_effect = all(health.started for health in self.pending.values())
        return has_taken_effect or not self.change.failed_before


def healths(
    record: Record,
    change: Change,
    group: ContainerGroup,
    wishes: Mapping[str, Desired],
) -> dict[str, Health]:
    """The health of each container that is evidence: what the change brought, and what ran well before it."""
    found: dict[str, Health] = {}
    for name in sorted(group.images):
        wish = wishes.get(name)
        is_brought = wish is not None and (bool(wish.id) or name in change.touched)
        if is_brought or _is_neighbour(record, change, name, group.images[name]):
            found[name] = _health(change, group, name)
    return found


def _is_neighbour(record: Record, change: Change, name: str, running: str) -> bool:
    """Whether the container ran well before the change, and runs what it should.

    A container that was broken before proves nothing. Neither does one that waits to be brought back, which a hold may
    delay without end.
    """
    return name in change.well and not _waits_to_be_brought_back(record, name, running)


def _health(change: Change, group: ContainerGroup, name: str) -> Health:
    health = group.health(name, change.began_at)
    was_restarted = not isinstance(health, Pending) or health.started
    if was_restarted or name in change.touched:
        return health
    # Azure says that an update restarts all containers of a group. Still, a neighbour that goes on running is judged by
    # how it runs: waiting for its restart is tempting, but fails a good push by the timeout if none comes.
    # https://learn.microsoft.com/azure/container-instances/container-instances-update#limitations
    return group.health(name, LONG_AGO)


def _waits_to_be_brought_back(record: Record, name: str, running: str) -> bool:
    """Whether the container is known to run the wrong image: a failed push, or a tag that moved without a push."""
    container = record.containers.get(name)
    if container is None:
        return False
    if container.runs_failed(running):
        return True
    return container.good.moved and running not in container.good.spellings
