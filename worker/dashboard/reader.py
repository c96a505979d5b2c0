"""One background reader for all viewers of the status page, who look at what it read last.

Storage and Azure are read by a thread each, so that an outage of one does not hold up the other. While nobody looks,
nothing is read.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from shared.dead_letter import DeadLetter, decode_letter
from shared.errors import RemoteError
from shared.message import TargetId, Undecodable
from worker.dashboard.pace import TICK, Turn, next_turns
from worker.dashboard.sources import Sources
from worker.dashboard.state import (
    LETTERS,
    QUEUE,
    RECORDS,
    TARGETS,
    Reading,
    Seen,
    State,
)
from worker.dashboard.versions import Versions
from worker.targets.target import Target

AT_A_TIME = 8
"""Reads of Azure, and of records, at the same time."""
WATCHED = 30.0
"""Seconds after a viewer's last request in which the page goes on being read."""
PATIENCE = 6.0
"""Seconds that a viewer waits for the first round, where nobody has looked for a while."""
_IDLE = 0.2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shown:
    """A state and its number."""

    state: State
    version: int


class Reader:
    """Reads as long as somebody looks. `version` grows whenever a viewer would see something else."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._state = State()
        self._version = 1
        self._changed = threading.Condition()
        self._fingerprint: tuple[object, ...] = ()
        self._versions = Versions()
        self._read_at: dict[TargetId, float] = {}
        self._asked_at = float("-inf")
        self._done = {"storage": float("-inf"), "groups": float("-inf")}

    @property
    def state(self) -> State:
        """What was read last."""
        return self._state

    @property
    def version(self) -> int:
        """The number of this state."""
        return self._version

    @property
    def sources(self) -> Sources:
        """What is read."""
        return self._sources

    def asked(self) -> None:
        """Somebody looks."""
        self._asked_at = self._sources.monotonic()

    def fresh(self) -> Shown:
        """What a viewer gets: the first one after a while waits for a round, but never long."""
        clock = self._sources.monotonic
        was_idle = not self._is_watched()
        self.asked()
        began = clock()
        with self._changed:
            if was_idle:
                self._changed.wait_for(
                    lambda: min(self._done.values()) >= began, PATIENCE
                )
            return Shown(self._state, self._version)

    def start(self, stopping: threading.Event) -> None:
        """Read in the background until `stopping` is set."""
        for name, look in (
            ("storage", self.look_at_storage),
            ("groups", self.look_at_groups),
        ):
            threading.Thread(
                target=self._repeat, args=(name, look, stopping), name=name, daemon=True
            ).start()

    def look_at_storage(self) -> None:
        """Read the records that have changed, the queues' lengths and the dead letters. Nothing is leased."""
        self._read(RECORDS, self._read_records)
        self._read(QUEUE, lambda: {"messages": self._sources.updates.count()})
        self._read(LETTERS, self._read_letters)

    def look_at_groups(self) -> None:
        """Find the targets, and read those groups whose turn it is."""
        sources = self._sources
        self._read(
            TARGETS,
            lambda: {
                "unlisted": tuple(sources.redact(one) for one in self._list_targets())
            },
        )
        targets = {target.id: target for target in sources.targets.all()}
        self._keep(targets)
        turns = (
            Turn(target, self._read_at.get(target), seen.is_lively)
            for target, seen in self._state.seen.items()
        )
        chosen = next_turns(turns, sources.monotonic())
        _side_by_side("group", self._read_group, chosen)

    def _list_targets(self) -> tuple[str, ...]:
        self._sources.targets.known()
        return self._sources.targets.problems()

    def _read(self, what: str, read: Callable[[], Mapping[str, object]]) -> None:
        """Read something as a whole. Where that fails, what was read before stays."""
        reading = self._state.reading(what)
        try:
            changes = read()
        except RemoteError as error:
            now, why = self._sources.now(), self._sources.redact(str(error))
            self._update(lambda state: state.noted(what, reading.failed(why, now)))
        else:
            now = self._sources.now()
            self._update(lambda state: state.noted(what, reading.done(now), **changes))

    def _read_records(self) -> Mapping[str, object]:
        sources = self._sources
        versions = dict(sources.records.versions())
        now = sources.monotonic()
        news = [
            target
            for target, etag in versions.items()
            if self._versions.is_due(target, etag, now)
        ]
        _side_by_side(
            "record", lambda target: self._read_record(target, versions[target]), news
        )
        # Also what was there and could never be read: deleting such a record is how it is mended.
        unread = {
            target for target, seen in self._state.seen.items() if seen.of_record.error
        }
        gone = (self._versions.known | unread) - versions.keys()
        for target in gone:
            self._versions.forget(target)
            self._with(target, record=None, of_record=Reading())
        trace = sources.records.trace()
        records = {
            target: record
            for target, record in self._state.records.items()
            if target not in gone
        }
        return {"trace": trace, "records": records}

    def _read_record(self, target: TargetId, listed: str) -> None:
        """Read one record; its group is read soon, too, as something has happened to it."""
        sources = self._sources
        before = self._state.seen.get(target, Seen(target)).of_record
        try:
            record, etag = sources.records.load(target)
        except RemoteError as error:
            why, now = sources.redact(str(error)), sources.now()
            self._with(target, of_record=before.failed(why, now))
            self._versions.failed(target, listed, sources.monotonic())
            return
        self._versions.read(target, etag or "")
        if target in self._read_at:
            self._read_at[target] = float("-inf")
        self._with(target, record=record, of_record=Reading(at=sources.now()))
        self._update(
            lambda state: replace(state, records={**state.records, target: record})
        )

    def _read_letters(self) -> Mapping[str, object]:
        poison = self._sources.poison
        dead = poison.count()
        letters = tuple(_letter(text) for text in poison.peek()) if dead else ()
        return {"letters": letters, "dead": dead}

    def _read_group(self, target: TargetId) -> None:
        sources = self._sources
        before = self._state.seen.get(target, Seen(target))
        try:
            group = sources.groups.get(target).redacted(sources.redact)
            found = sources.targets.target_of(group)
        except RemoteError as error:
            why, now = sources.redact(str(error)), sources.now()
            self._with(target, of_group=before.of_group.failed(why, now))
        except Exception:  # an answer of a shape that nobody has seen yet must not blind everybody for all groups
            log.exception("a group can't be shown", target=str(target))
            self._with(
                target,
                of_group=before.of_group.failed(
                    "Azure's answer can't be understood", sources.now()
                ),
            )
        else:
            rules = found if isinstance(found, Target) else before.rules
            self._with(
                target, group=group, rules=rules, of_group=Reading(at=sources.now())
            )
        self._read_at[target] = sources.monotonic()

    def _keep(self, targets: Mapping[TargetId, Target]) -> None:
        """Have exactly these groups; one that is new has its record already, if that was read."""

        def keep(state: State) -> State:
            seen = {
                target: state.seen.get(target)
                or Seen(target, state.records.get(target), rules=rules)
                for target, rules in targets.items()
            }
            return replace(state, seen=seen)

        self._update(keep)

    def _with(self, target: TargetId, **changes: Any) -> None:
        """Change what is known of one group, if it is a target."""

        def change(state: State) -> State:
            if target not in state.seen:
                return state
            seen = replace(state.seen[target], **changes)
            return replace(state, seen={**state.seen, target: seen})

        self._update(change)

    def _update(self, change: Callable[[State], State]) -> None:
        with self._changed:
            self._state = change(self._state)

    def _count_version(self) -> None:
        """Give the state a new number if a viewer would see something else than before."""
        # Whoever has the page open must hear, too, that nothing is read any more.
        is_old = self._state.is_old(self._sources.now())
        fingerprint = (
            *self._state.fingerprint(rollback=self._sources.rollback),
            is_old,
        )
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._version += 1

    def _is_watched(self) -> bool:
        return self._sources.monotonic() - self._asked_at < WATCHED

    def round(self, name: str, look: Callable[[], None]) -> None:
        """One round of a thread; whatever it raises, the next one comes."""
        began = self._sources.monotonic()
        try:
            look()
        except Exception:
            log.exception("the status page could not be read, trying again", what=name)
        with self._changed:
            self._count_version()
            self._done[name] = began
            self._changed.notify_all()

    def _repeat(
        self, name: str, look: Callable[[], None], stopping: threading.Event
    ) -> None:
        while not stopping.is_set():
            if self._is_watched():
                self.round(name, look)
                stopping.wait(TICK)
            else:
                stopping.wait(_IDLE)


def _side_by_side(
    name: str, read: Callable[[TargetId], None], targets: Iterable[TargetId]
) -> None:
    """Read each of these, AT_A_TIME at the same time.

    In daemons: a ThreadPoolExecutor would hold up the end of the program for as long as anything hangs.
    """
    left = deque(targets)

    def work() -> None:
        while True:
            try:
                target = left.popleft()
            except IndexError:
                return
            try:
                read(target)
            except Exception:  # the others are read all the same
                log.exception(
                    "not read for the status page", what=name, target=str(target)
                )

    threads = [
        threading.Thread(target=work, name=name, daemon=True)
        for _ in range(min(AT_A_TIME, len(left)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _letter(text: str) -> DeadLetter | str:
    try:
        return decode_letter(text)
    except Undecodable:
        return text
