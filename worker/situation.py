"""The situation that a rollout's next step is decided in: record, group, message, rules and time."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.message import UpdateMessage
from worker.groups.group import ContainerGroup, missing_secrets
from worker.record import Record
from worker.record_parts import Rollout
from worker.steps import Moved, Wait
from worker.targets.target import hold_reason

LONGEST_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Rules:
    """What governs a rollout.

    `soak`: how long a group must stay healthy; `timeout`: how long it may take to become so; `check_interval`: how
    often it is looked at; `lease`: how long another worker's change may be on its way to Azure; `secrets`: the paths
    of those that are configured.
    """

    soak: timedelta
    timeout: timedelta
    check_interval: timedelta
    lease: timedelta
    rollback: bool = True
    secrets: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision may depend on."""

    record: Record
    group: ContainerGroup
    message: UpdateMessage
    rules: Rules
    now: datetime

    def with_record(self, record: Record) -> Situation:
        """The same with another record."""
        return replace(self, record=record)

    def blocked(self) -> str | None:
        """Why the group must not be changed, None if it may be."""
        hold = self.record.hold
        if hold and hold.allows != self.message.id:
            return f"by hand: {hold.reason}"
        if reason := hold_reason(self.group.tags):
            return f"by a resource tag: {reason}"
        return "stopped by its owner: an update would start it" if self.group.stopped else None

    def missing_secrets(self) -> str | None:
        """Names every secret that Azure withholds and nobody configured; None if a PUT can be complete."""
        missing = missing_secrets(self.group.withheld(), self.rules.secrets)
        if not missing:
            return None
        return (
            "Azure does not give back these secrets, and an update must carry them; configure each under `secrets` "
            f"in the targets file: {', '.join(missing)}"
        )

    def wait(self, since: datetime, reason: str, longest: timedelta = LONGEST_WAIT) -> Wait:
        """Look again: the longer it has taken `since`, the less often, so that watching costs few reads."""
        delay = max(self.rules.check_interval, min((self.now - since) / 2, LONGEST_WAIT))
        return Wait(self.record, min(delay, longest), reason)

    def going_back(self, mine: Collection[str]) -> dict[str, str]:
        """What other failed pushes are bringing back, but for containers of `mine`: no change may take its place."""
        under_way = self.record.rollout
        if under_way is None:
            return {}
        containers = self.record.containers
        failed = {name for name, one in containers.items() if one.goes_back}
        return {name: under_way.images[name] for name in (under_way.returning & failed) - set(mine)}

    def moved(self) -> Moved | None:
        """Is the group's address another one than before the change under way?"""
        before = self.record.rollout.address if self.record.rollout else {}
        return Moved(before, self.group.address) if before and before != self.group.address else None

    def intent(self, images: dict[str, str], *, restart: bool = False, returning: Iterable[str] = ()) -> Rollout:
        """The change that brings these images onto the group; it remembers the address before the one under way."""
        before = self.record.rollout
        repeated = before if before and (before.by, before.images) == (self.message.id, images) else None
        return Rollout(
            by=self.message.id,
            since=self.now,
            images=images,
            restart=restart,
            returning=frozenset(returning),
            address=before.address if before else self.group.address,
            tries=repeated.tries + 1 if repeated else 1,
            failed_before=self.group.failed,
            after=self._before_in_flight(repeated),
        )

    def _before_in_flight(self, repeated: Rollout | None) -> datetime | None:
        """When a change was begun last that has not been seen on the group, and that is not simply sent again."""
        before = self.record.rollout
        if before is None:
            return None
        arrived = all(self.group.images.get(name) == image for name, image in before.images.items())
        return before.after if repeated or arrived else before.since

    def others_in_flight(self) -> timedelta:
        """For how long a change before the one under way may still arrive, and undo it."""
        after = self.record.rollout.after if self.record.rollout else None
        return max(timedelta(0), after + self.rules.lease - self.now) if after else timedelta(0)

    def change_in_flight(self) -> bool:
        """May the change that was begun last still be on its way to Azure without showing there?"""
        under_way = self.record.rollout
        if under_way is None:
            return False
        if under_way.by != self.message.id:
            return self.now < under_way.since + self.rules.lease
        # One's own: it failed, as an attempt was counted; or this is a second delivery while the first is at work. A
        # first that died since held its lease for half of it at least, as leases are renewed at half their time.
        return not self.message.attempts and self.now < under_way.since + self.rules.lease / 2
