"""The patrol: every now and then one worker compares all records with the list of groups.

It restarts timers that the queue has lost, has groups looked at that run another image than they should, or are gone,
and sweeps targets that are seen for the first time. What it costs is one list of the records' versions: only those that
have changed since are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from shared.errors import RemoteError
from shared.message import TargetId
from worker.controller.sweep import Sweeper
from worker.controller.timers import change, is_overdue
from worker.core.desired import drifted
from worker.failures.classify import GONE
from worker.ports import Conflict, Listed, Ports
from worker.record.record import Record
from worker.targets.target import Target

MOST_READ = 20
"""Groups that are read on their own in one round, as no list shows them."""
SWEEP_TRIES = 3

log = structlog.get_logger()


@dataclass
class Patrol:
    """One round after the other. `rollback` is ACI_HOOKS_ROLLBACK."""

    ports: Ports
    sweeper: Sweeper
    rollback: bool = True
    _seen: dict[TargetId, tuple[str, Record]] = field(default_factory=dict)
    _swept: dict[TargetId, int] = field(default_factory=dict)
    _unreadable: set[TargetId] = field(default_factory=set)

    def look_round(self) -> None:
        """Look at every record once. Raises RemoteError if the records can't be listed."""
        versions = dict(self.ports.records.versions())
        listed = self.ports.targets.listed()
        alone = [target.id for target in self.ports.targets.all() if target.id not in listed][:MOST_READ]
        for target, etag in versions.items():
            self._guarded(target, lambda target=target, etag=etag: self._look(target, etag, listed, alone))  # type: ignore[misc]
        self._seen = {target: seen for target, seen in self._seen.items() if target in versions}
        for known in self.ports.targets.all():
            seen = self._seen.get(known.id)
            if not (seen and seen[1].swept):
                self._guarded(known.id, lambda known=known: self._meet(known))  # type: ignore[misc]

    def _guarded(self, target: TargetId, look: Callable[[], None]) -> None:
        """One group's trouble ends no round; a record that can't be read is told once."""
        try:
            look()
            self._unreadable.discard(target)
        except Conflict:
            pass  # somebody is at work on it
        except RemoteError as error:
            if target not in self._unreadable:
                log.warning("group not looked at", target=str(target), error=str(error))
            self._unreadable.add(target)
        except Exception:  # the others are looked at, and this one again the next time
            log.exception("group not looked at", target=str(target))

    def _look(self, target: TargetId, etag: str, listed: Mapping[TargetId, Listed], alone: list[TargetId]) -> None:
        record = self._record(target, etag)
        now = self.ports.now()
        if record.timer:
            if is_overdue(record.timer, now):
                log.warning("a timer is overdue, starting it again", target=str(target), due=str(record.timer.due))
                change(self.ports, target, lambda current: current if _is_overdue(current, now) else None)
            return
        if not record.containers:
            return
        seen = listed.get(target)
        suspect = self._has_drifted(record, seen) if seen else self.ports.targets.is_gone(target)
        if not (suspect or target in alone):
            return
        # The list may be older than the record: then it shows what ran before the last push.
        group = self._read(target)
        gone = group is None
        if group is None or self._has_drifted(record, group):
            log.info("a group does not run what it should, having it looked at", target=str(target), gone=gone)
            change(self.ports, target, lambda current: None if current.timer else current)

    def _has_drifted(self, record: Record, group: Listed) -> bool:
        if group.held or group.in_transition:
            return False
        return drifted(record, group.images, rollback=self.rollback)

    def _record(self, target: TargetId, etag: str) -> Record:
        seen = self._seen.get(target)
        if seen is None or seen[0] != etag:
            record, loaded = self.ports.load(target)
            seen = self._seen[target] = (loaded or etag, record)
        return seen[1]

    def _read(self, target: TargetId) -> Listed | None:
        """A group by itself, None if it is gone."""
        try:
            group = self.ports.groups.get(target)
        except RemoteError as error:
            if error.code not in GONE:
                raise
            return None
        return Listed(group.images, held=False, in_transition=group.in_transition or group.stopped)

    def _meet(self, target: Target) -> None:
        """A target that nobody has met yet is swept once: so it gets what was pushed before it was known.

        Its record says so from then on. A registry that can't tell is asked a few times.
        """
        record, etag = self.ports.load(target.id)
        if record.swept:
            return
        tries = self._swept[target.id] = self._swept.get(target.id, 0) + 1
        swept = self.sweeper.sweep_one(target)
        if swept.held or swept.gone:
            return  # nothing was compared
        if swept.problem and tries < SWEEP_TRIES:
            log.info("new target not swept, trying again", target=str(target.id), problem=swept.problem)
            return
        log.info("new target", target=str(target.id), missed=len(swept.missed), problem=swept.problem)
        self.ports.save(record.but(swept=True), etag)


def _is_overdue(record: Record, now: datetime) -> bool:
    return record.timer is not None and is_overdue(record.timer, now)
