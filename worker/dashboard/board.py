"""The newest state and its number, which the reader's threads write and the viewers' requests read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.message import TargetId
from worker.dashboard.state import Seen, State
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Shown:
    """A state and its number."""

    state: State
    version: int


class Board:
    """A state that several threads change. `version` grows whenever a viewer would see something else.

    `rounds` are the names of the threads' rounds, for a viewer who waits until each has had one.
    """

    def __init__(self, rounds: Iterable[str]) -> None:
        self._state = State()
        self._version = 1
        self._changed = threading.Condition()
        self._fingerprint: Hashable = ()
        self._began = dict.fromkeys(rounds, float("-inf"))

    @property
    def state(self) -> State:
        """What was read last."""
        return self._state

    @property
    def version(self) -> int:
        """The number of this state."""
        return self._version

    def update(self, change: Callable[[State], State]) -> None:
        """Put another state in the place of the present one."""
        with self._changed:
            self._state = change(self._state)

    def update_group(self, target: TargetId, **changes: Any) -> None:
        """Change what is known of one group, if it is a target."""

        def change(state: State) -> State:
            if target not in state.seen:
                return state
            seen = replace(state.seen[target], **changes)
            return replace(state, seen={**state.seen, target: seen})

        self.update(change)

    def keep_groups(self, targets: Mapping[TargetId, Target]) -> None:
        """Keep exactly these groups. A new one gets its record if that has been read already."""

        def keep(state: State) -> State:
            seen = {
                target: state.seen.get(target)
                or Seen(target, state.records.get(target), rules=rules)
                for target, rules in targets.items()
            }
            return replace(state, seen=seen)

        self.update(keep)

    def end_round(
        self, name: str, began: float, fingerprint_of: Callable[[State], Hashable]
    ) -> None:
        """A round that began then is over. The state gets a new number if its fingerprint is another than before."""
        # Once a round, not at each update: a round of 200 groups would otherwise send every viewer 200 new pages.
        with self._changed:
            fingerprint = fingerprint_of(self._state)
            if fingerprint != self._fingerprint:
                self._fingerprint = fingerprint
                self._version += 1
            self._began[name] = began
            self._changed.notify_all()

    def shown(self) -> Shown:
        """The state with its number."""
        with self._changed:
            return Shown(self._state, self._version)

    def shown_after_rounds(self, since: float, patience: float) -> Shown:
        """The same, once every thread has ended a round that began since then; or after `patience` seconds."""
        # A round that was under way already may have read a group before the viewer came, so it does not count.
        with self._changed:
            self._changed.wait_for(lambda: min(self._began.values()) >= since, patience)
            return Shown(self._state, self._version)
