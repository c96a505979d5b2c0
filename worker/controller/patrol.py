"""The patrol: every now and then one worker compares all records with the list of groups.

It restarts timers that the queue has lost, has groups looked at that run another image than they should, or are gone,
and sweeps targets that are seen for the first time. What it costs is one list of the records' versions: only those that
have changed since are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog

from shared.errors import RemoteError
from shared.message import TargetId
from worker.controller.sweep import Sweeper
from worker.controller.timers import CONFLICTS, change, is_overdue
from worker.core.desired import drifted
from worker.failures.classify import GONE
from worker.ports import Conflict, Listed, Ports
from worker.record.overrides import end_hold
from worker.record.record import Record
from worker.targets.target import Target

MOST_READ = 20
"""Groups that are read on their own in one round, as no list shows them; the others have their turn in the next."""
MOST_MET = 50
"""New targets that are swept in one round, so that the first start with many of them spares Azure and registries."""
SWEEP_TRIES = 3

log = structlog.get_logger()


@dataclass
class Patrol:
    """One round after the other. `rollback` is ACI_HOOKS_ROLLBACK."""

    ports: Ports
    sweeper: Sweeper
    rollback: bool = True
    _seen: dict[TargetId, tuple[str, Record]] = field(default_factory=dict)
    _read_alone: Counter[TargetId] = field(default_factory=Counter)
    _met: Counter[TargetId] = field(default_factory=Counter)
    _compared: Counter[TargetId] = field(default_factory=Counter)
    _unreadable: set[TargetId] = field(default_factory=set)

    def look_round(self) -> None:
        """Look at every record once. Raises RemoteError if the records can't be listed."""
        versions = dict(self.ports.records.versions())
        targets = {target.id: target for target in self.ports.targets.all()}
        shown = self._shown(targets, self.ports.targets.listed())
        for target, etag in versions.items():
            self._guarded(target, partial(self._look, target, etag, shown))
        self._seen = {target: seen for target, seen in self._seen.items() if target in versions}
        new = [target for target in targets if not self._is_swept(target)]
        for target in _in_turn(new, self._met, MOST_MET):
            self._guarded(target, partial(self._meet, targets[target]))

    def _shown(
        self, targets: Mapping[TargetId, Target], listed: Mapping[TargetId, Listed]
    ) -> dict[TargetId, Listed | None]:
        """The targets that are looked at in this round, with what the last list shows of each; None of what it lacks.

        A group that is in the list and no target any more is its owner's.
        """
        unlisted = [target for target in targets if target not in listed]
        alone = _in_turn(unlisted, self._read_alone, MOST_READ)
        return {target: listed[target] for target in targets if target in listed} | dict.fromkeys(alone)

    def _is_swept(self, target: TargetId) -> bool:
        seen = self._seen.get(target)
        return seen is not None and seen[1].swept

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

    def _look(self, target: TargetId, etag: str, shown: Mapping[TargetId, Listed | None]) -> None:
        record = self._record(target, etag)
        now = self.ports.now()
        if record.hold and record.hold.is_over(now):
            log.info("a hold has ended, as its time is over", target=str(target), reason=record.hold.reason)
            change(self.ports, target, lambda current: end_hold(current, now))
            return
        if record.timer:
            if is_overdue(record.timer, now):
                log.warning("a timer is overdue, restarting it", target=str(target), due=str(record.timer.due))
                change(self.ports, target, lambda current: current if _is_overdue(current, now) else None)
            return
        if not record.containers:
            return
        seen = shown.get(target)
        unlisted = target in shown or self.ports.targets.is_gone(target)
        if not (self._has_drifted(record, seen) if seen else unlisted):
            return
        # The list may be older than the record: then it shows what ran before the last push.
        group = self._read(target)
        gone = group is None
        if group is None or self._has_drifted(record, group):
            log.info("a group does not run its desired image, starting its timer", target=str(target), gone=gone)
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
        record, _ = self.ports.load(target.id)
        if record.swept:
            return
        swept = self.sweeper.sweep_one(target)
        if swept.held or swept.gone:
            return  # nothing was compared
        self._compared[target.id] += 1
        if swept.problem and self._compared[target.id] < SWEEP_TRIES:
            log.info("new target not swept, retrying", target=str(target.id), problem=swept.problem)
            return
        log.info("new target", target=str(target.id), missed=len(swept.missed), problem=swept.problem)
        self._mark_as_swept(target.id)

    def _mark_as_swept(self, target: TargetId) -> None:
        """Raises Conflict if others write the record all the time, and RemoteError."""
        for _ in range(CONFLICTS):
            record, etag = self.ports.load(target)
            with suppress(Conflict):
                self.ports.save(record.but(swept=True), etag)
                return
        raise Conflict(str(target))


def _in_turn(targets: Iterable[TargetId], turns: Counter[TargetId], most: int) -> list[TargetId]:
    """Those of the targets that had the fewest turns, `most` at a time, so that each has its own; the turn counts."""
    chosen = sorted(targets, key=lambda target: turns[target])[:most]
    turns.update(chosen)
    return chosen


def _is_overdue(record: Record, now: datetime) -> bool:
    return record.timer is not None and is_overdue(record.timer, now)
