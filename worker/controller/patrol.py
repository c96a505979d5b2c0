"""The patrol: every 45 seconds, one of the workers compares all records with the list of groups.

It restarts timers that the queue has lost, starts a look at groups that are gone or not as their records have them,
and sweeps targets that are seen for the first time. A round costs one list of the records' ETags, and reads only the
records that have changed since the last round.
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
from worker.core.acquaint import is_acquainted
from worker.core.desired import drifted
from worker.core.following import repositories_of
from worker.failures.classify import GONE
from worker.ports import Conflict, Listed, Ports
from worker.record.overrides import end_hold
from worker.record.record import Record
from worker.record.values import Timer
from worker.targets.target import Target

MOST_READ = 20
"""How many groups that no list shows are read in one round. The others have their turn in later rounds."""
MOST_MET = 50
"""How many new targets are swept in one round, so that a first start with many is gentle to Azure and registries."""
SWEEP_TRIES = 3
"""How many times a new target is swept whose registry gives no answer."""

log = structlog.get_logger()


@dataclass
class Patrol:
    """One round after the other. `rollback` is ACI_HOOKS_ROLLBACK.

    `_seen` has the records of the last round, each with its ETag. `_read_alone`, `_met` and `_compared` count the turns
    of each target.
    """

    ports: Ports
    sweeper: Sweeper
    rollback: bool = True
    _seen: dict[TargetId, tuple[str, Record]] = field(default_factory=dict)
    _read_alone: Counter[TargetId] = field(default_factory=Counter)
    _met: Counter[TargetId] = field(default_factory=Counter)
    _compared: Counter[TargetId] = field(default_factory=Counter)
    _unreadable: set[TargetId] = field(default_factory=set)

    def look_round(self) -> None:
        """Make one round. Raises RemoteError if the records can't be listed."""
        versions = dict(self.ports.records.versions())
        targets = {target.id: target for target in self.ports.targets.all()}
        shown = self._shown(targets, self.ports.targets.listed())
        for target, etag in versions.items():
            self._guarded(
                target, partial(self._look, target, etag, targets.get(target), shown)
            )
        self._seen = {
            target: seen for target, seen in self._seen.items() if target in versions
        }
        # This comes after the records, because a target whose record says `swept` was met before.
        new = [target for target in targets if not self._is_swept(target)]
        for target in _in_turn(new, self._met, MOST_MET):
            self._guarded(target, partial(self._meet, targets[target]))

    def _shown(
        self,
        targets: Mapping[TargetId, Target],
        listed: Mapping[TargetId, Listed],
    ) -> dict[TargetId, Listed | None]:
        """The targets of this round, each with what the newest list shows about it; None for those that it lacks."""
        # Only targets: a group that is in the list and no longer a target is its owner's business.
        unlisted = [target for target in targets if target not in listed]
        in_list: dict[TargetId, Listed | None] = {
            target: listed[target] for target in targets if target in listed
        }
        alone = _in_turn(unlisted, self._read_alone, MOST_READ)
        return in_list | dict.fromkeys(alone)

    def _is_swept(self, target: TargetId) -> bool:
        seen = self._seen.get(target)
        return seen is not None and seen[1].swept

    def _guarded(self, target: TargetId, look: Callable[[], None]) -> None:
        """Check one group. Its trouble does not end the round, and trouble that lasts is logged once."""
        try:
            look()
            self._unreadable.discard(target)
        except Conflict:
            pass  # another worker is working on it
        except RemoteError as error:
            # Without this, a record that somebody has to repair would fill the log with a line every 45 seconds.
            if target not in self._unreadable:
                log.warning("group not checked", target=str(target), error=str(error))
            self._unreadable.add(target)
        except Exception:
            # The other groups are checked, and this one again in the next round.
            log.exception("group not checked", target=str(target))

    def _look(
        self,
        target: TargetId,
        etag: str,
        rules: Target | None,
        shown: Mapping[TargetId, Listed | None],
    ) -> None:
        """Compare one record with its group, and start its timer if it needs a look."""
        record = self._record(target, etag)
        now = self.ports.now()
        if record.hold and record.hold.is_over(now):
            log.info(
                "a hold has ended, as its time is over",
                target=str(target),
                reason=record.hold.reason,
            )
            # The hold ends in the record as it is now, because an operator may have set another one since it was read.
            change(self.ports, target, lambda current: end_hold(current, now))
            return
        if record.timer:
            self._restart_if_overdue(target, record.timer)
            return
        if not record.containers or not self._seems_wrong(target, record, rules, shown):
            return
        # Starting a look right away is tempting, but the list may be older than the record, and then it shows what ran
        # before the last update. So the group itself is read first.
        group = self._read(target)
        is_gone = group is None
        if group is None or self._has_drifted(record, group, rules):
            log.info(
                "a group differs from its record, starting a look",
                target=str(target),
                gone=is_gone,
            )
            change(self.ports, target, _unless_it_has_a_timer)

    def _restart_if_overdue(self, target: TargetId, timer: Timer) -> None:
        now = self.ports.now()
        if is_overdue(timer, now):
            log.warning(
                "a timer is overdue, restarting it",
                target=str(target),
                due=str(timer.due),
            )
            # Decided again by the record as it is now: what was read may be older than another worker's restart.
            change(self.ports, target, partial(_if_overdue, now))

    def _seems_wrong(
        self,
        target: TargetId,
        record: Record,
        rules: Target | None,
        shown: Mapping[TargetId, Listed | None],
    ) -> bool:
        """Whether a group at rest seems, by the list, to be gone or not to be as its record has it."""
        seen = shown.get(target)
        if seen:
            return self._has_drifted(record, seen, rules)
        # No list shows it. A few such targets are read by themselves in each round, whatever the lists say: see _shown.
        is_read_this_round = target in shown
        return is_read_this_round or self.ports.targets.is_gone(target)

    def _has_drifted(self, record: Record, group: Listed, rules: Target | None) -> bool:
        """Whether a group runs an image that is not desired, or follows a repository that the record does not know."""
        # A held group may run anything, and a group in transition shows images that it may not keep.
        if group.held or group.in_transition:
            return False
        if rules and not is_acquainted(record, group.images, rules):
            return True
        return drifted(record, group.images, rollback=self.rollback)

    def _record(self, target: TargetId, etag: str) -> Record:
        seen = self._seen.get(target)
        if seen is None or seen[0] != etag:
            record, loaded = self.ports.load(target)
            # The record may be newer than the list, so its own ETag is the one to remember.
            seen = self._seen[target] = (loaded or etag, record)
        return seen[1]

    def _read(self, target: TargetId) -> Listed | None:
        """What a group shows when it is read by itself; None if it is gone."""
        try:
            group = self.ports.groups.get(target)
        except RemoteError as error:
            if error.code not in GONE:
                raise
            return None
        # A stopped group is left alone as one in transition is: a change would start it.
        return Listed(
            group.images, held=False, in_transition=group.in_transition or group.stopped
        )

    def _meet(self, target: Target) -> None:
        """Sweep a new target, so that it gets what was pushed before it was known; then note that in its record.

        A registry that gives no answer is asked a few times.
        """
        record, _ = self.ports.load(target.id)
        if record.swept:
            return
        swept = self.sweeper.sweep_one(target)
        if swept.held or swept.gone:
            # Nothing was compared, so this does not count as a try.
            self._note(target.id, swept=False)
            return
        self._compared[target.id] += 1
        if swept.problem and self._compared[target.id] < SWEEP_TRIES:
            log.info(
                "new target not swept, retrying",
                target=str(target.id),
                problem=swept.problem,
            )
            self._note(target.id, swept=False)
            return
        log.info(
            "new target",
            target=str(target.id),
            missed=len(swept.missed),
            problem=swept.problem,
        )
        self._note(target.id, swept=True)
        # A group that follows another repository one day is swept again, with all tries.
        del self._compared[target.id]

    def _note(self, target: TargetId, *, swept: bool) -> None:
        """Note whether the target was swept, and what it runs, for the case that it is deleted before its first look.

        Raises Conflict if others write the record all the time, and RemoteError.
        """
        seen = self.ports.targets.listed().get(target)
        ran = repositories_of(seen.images) if seen else ()
        for _ in range(CONFLICTS):
            # A list that lacks the group says nothing of what it ran, so what was noted before stays.
            record, etag = self.ports.load(target)
            noted = record.but(swept=swept or record.swept, ran=ran or record.ran)
            if noted == record:
                return
            with suppress(Conflict):
                self.ports.save(noted, etag)
                return
        raise Conflict(str(target))


def _in_turn(
    targets: Iterable[TargetId],
    turns: Counter[TargetId],
    most: int,
) -> list[TargetId]:
    """The `most` targets that have had the fewest turns, so that each target gets its turn; this turn is counted."""
    chosen = sorted(targets, key=lambda target: turns[target])[:most]
    turns.update(chosen)
    return chosen


def _unless_it_has_a_timer(record: Record) -> Record | None:
    # Somebody else may have started one while the group was read.
    return None if record.timer else record


def _if_overdue(now: datetime, record: Record) -> Record | None:
    has_overdue_timer = record.timer is not None and is_overdue(record.timer, now)
    return record if has_overdue_timer else None
