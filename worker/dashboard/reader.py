"""One background reader for all viewers of the status page, who look at what it read last.

Storage and Azure are read by a thread each, so that an outage of one does not hold up the other. While nobody looks,
nothing is read.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import structlog

from shared.dead_letter import DeadLetter, decode_letter
from shared.errors import RemoteError
from shared.message import TargetId, Undecodable
from worker.dashboard.board import Board, Shown
from worker.dashboard.daemons import side_by_side
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

ROUNDS = ("storage", "groups")
"""A thread each."""
WATCHED = 30.0
"""Seconds after a viewer's last request in which the page goes on being read."""
LONGEST_WAIT = 6.0
"""Seconds that a viewer waits for the first round, where nobody has looked for a while."""
_IDLE = 0.2

log = structlog.get_logger()


class Reader:
    """Reads as long as somebody looks. `version` grows whenever a viewer would see something else."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._board = Board(ROUNDS)
        self._versions = Versions()
        self._read_at: dict[TargetId, float] = {}
        self._asked_at = float("-inf")

    @property
    def state(self) -> State:
        """What was read last."""
        return self._board.state

    @property
    def version(self) -> int:
        """The number of this state."""
        return self._board.version

    @property
    def sources(self) -> Sources:
        """What is read."""
        return self._sources

    def asked(self) -> None:
        """Somebody looks."""
        self._asked_at = self._sources.monotonic()

    def shown(self) -> Shown:
        """What a viewer gets: the first one after a while waits for a round, but never long."""
        was_idle = not self._is_watched()
        self.asked()
        if was_idle:
            since = self._sources.monotonic()
            return self._board.shown_after_rounds(since, LONGEST_WAIT)
        return self._board.shown()

    def start(self, stopping: threading.Event) -> None:
        """Read in the background until `stopping` is set."""
        looks = (self.look_at_storage, self.look_at_groups)
        for name, look in zip(ROUNDS, looks, strict=True):
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
        self._read(TARGETS, self._read_targets)
        targets = {target.id: target for target in sources.targets.all()}
        self._board.keep_groups(targets)
        turns = (
            Turn(target, self._read_at.get(target), seen.is_lively)
            for target, seen in self._board.state.seen.items()
        )
        chosen = next_turns(turns, sources.monotonic())
        side_by_side("group", self._read_group, chosen)

    def _read_targets(self) -> Mapping[str, object]:
        sources = self._sources
        # Asked for its side effect: the list of groups is renewed if it is too old, and this raises if it can't be.
        sources.targets.known()
        problems = sources.targets.problems()
        return {"unlisted": tuple(sources.redact(problem) for problem in problems)}

    def _read(self, what: str, read: Callable[[], Mapping[str, object]]) -> None:
        """Read something as a whole. Where that fails, what was read before stays."""
        reading = self._board.state.reading(what)
        try:
            changes = read()
        except RemoteError as error:
            now, why = self._sources.now(), self._sources.redact(str(error))
            self._board.update(
                lambda state: state.noted(what, reading.failed(why, now))
            )
        else:
            now = self._sources.now()
            self._board.update(
                lambda state: state.noted(what, reading.done(now), **changes)
            )

    def _read_records(self) -> Mapping[str, object]:
        sources = self._sources
        versions = dict(sources.records.versions())
        now = sources.monotonic()
        news = [
            target
            for target, etag in versions.items()
            if self._versions.is_due(target, etag, now)
        ]
        side_by_side(
            "record", lambda target: self._read_record(target, versions[target]), news
        )
        # Also what was there and could never be read: deleting such a record is one way to repair it.
        unread = {
            target
            for target, seen in self._board.state.seen.items()
            if seen.of_record.error
        }
        gone = (self._versions.known | unread) - versions.keys()
        for target in gone:
            self._versions.forget(target)
            self._board.update_group(target, record=None, of_record=Reading())
        trace = sources.records.trace()
        # Replaced as a whole, so that the records of former targets, which no group stands for, go as well.
        records = {
            target: record
            for target, record in self._board.state.records.items()
            if target not in gone
        }
        return {"trace": trace, "records": records}

    def _read_record(self, target: TargetId, listed: str) -> None:
        """Read one record; its group is read soon, too, as something has happened to it."""
        sources = self._sources
        before = self._board.state.seen.get(target, Seen(target)).of_record
        try:
            record, etag = sources.records.load(target)
        except RemoteError as error:
            why, now = sources.redact(str(error)), sources.now()
            self._board.update_group(target, of_record=before.failed(why, now))
            self._versions.failed(target, listed, sources.monotonic())
            return
        self._versions.read(target, etag or "")
        # Not None, which would count it among the groups that nobody has seen, for which there is a higher rate.
        if target in self._read_at:
            self._read_at[target] = float("-inf")
        self._board.update_group(
            target, record=record, of_record=Reading(at=sources.now())
        )
        self._board.update(
            lambda state: replace(state, records={**state.records, target: record})
        )

    def _read_letters(self) -> Mapping[str, object]:
        # A peek leases nothing: a page that is open all day must keep no letter from `dead-letters redrive`. It shows
        # the 32 oldest at most (learn.microsoft.com/rest/api/storageservices/peek-messages), hence the count.
        poison = self._sources.poison
        dead = poison.count()
        letters = tuple(_letter(text) for text in poison.peek()) if dead else ()
        return {"letters": letters, "dead": dead}

    def _read_group(self, target: TargetId) -> None:
        sources = self._sources
        before = self._board.state.seen.get(target, Seen(target))
        try:
            group = sources.groups.get(target).redacted(sources.redact)
            found = sources.targets.target_of(group)
        except RemoteError as error:
            why, now = sources.redact(str(error)), sources.now()
            self._board.update_group(target, of_group=before.of_group.failed(why, now))
        # An answer of a shape that nobody has seen yet must not blind everybody for all groups.
        except Exception:
            log.exception("a group can't be shown", target=str(target))
            why = "Azure's answer can't be understood"
            of_group = before.of_group.failed(why, sources.now())
            self._board.update_group(target, of_group=of_group)
        else:
            rules = found if isinstance(found, Target) else before.rules
            self._board.update_group(
                target, group=group, rules=rules, of_group=Reading(at=sources.now())
            )
        self._read_at[target] = sources.monotonic()

    def _is_watched(self) -> bool:
        return self._sources.monotonic() - self._asked_at < WATCHED

    def round(self, name: str, look: Callable[[], None]) -> None:
        """One round of a thread; whatever it raises, the next one comes."""
        began = self._sources.monotonic()
        try:
            look()
        except Exception:
            log.exception("the status page could not be read, trying again", what=name)
        self._board.end_round(name, began, self._fingerprint_of)

    def _fingerprint_of(self, state: State) -> tuple[object, ...]:
        """Equal for two states in which a viewer would see the same."""
        # Whoever has the page open must hear, too, that nothing is read any more.
        is_old = state.is_old(self._sources.now())
        return (*state.fingerprint(rollback=self._sources.rollback), is_old)

    def _repeat(
        self, name: str, look: Callable[[], None], stopping: threading.Event
    ) -> None:
        while not stopping.is_set():
            if self._is_watched():
                self.round(name, look)
                stopping.wait(TICK)
            else:
                # Short, because the first viewer after a while waits for a round.
                stopping.wait(_IDLE)


def _letter(text: str) -> DeadLetter | str:
    try:
        return decode_letter(text)
    except Undecodable:
        return text
