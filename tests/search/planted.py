"""Faults planted on purpose into the real controller, each of which the search must find: its teeth.

Every one is a mistake that was tempting, or was made once. `mix` is one in which it shows soon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast
from unittest.mock import patch

from shared.message import Look
from shared.queue import Queue
from tests.search import world
from tests.search.outside import SearchRecords
from worker.controller import looking, patrol, putting, sweep, timers
from worker.controller.settlement import Complete, Settlement
from worker.core import admit, failing, reconcile, resolve, sight, watch
from worker.groups.health import Health
from worker.ports import Ports
from worker.record.record import Record
from worker.record.values import Change, Patience

Patch = tuple[object, str, object]
"""An object, the name of what is replaced in it, and what replaces it."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault: what is replaced, made anew for each use; and a mix that finds it."""

    patches: Callable[[], list[Patch]]
    mix: str

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The fault is there as long as the block runs."""
        with ExitStack() as stack:
            for place, name, instead in self.patches():
                stack.enter_context(patch.object(place, name, instead))
            yield


def _write_before_send() -> list[Patch]:
    """A worker that dies in between leaves a record whose timer was never sent."""
    with_timer, save = timers.with_timer, Ports.save
    unsent: list[str] = []

    class Later:
        """A queue to which nothing is sent yet."""

        def send(self, text: str, delay: float = 0) -> None:
            """Keep it."""
            unsent.append(text)

    def keeping(ports: Ports, record: Record, sent: Look | None = None) -> tuple[Record, Look | None]:
        return with_timer(replace(ports, updates=cast(Queue, Later())), record, sent)

    def sending(ports: Ports, record: Record, etag: str | None) -> str:
        new = save(ports, record, etag)
        while unsent:
            ports.updates.send(unsent.pop())
        return new

    return [(timers, "with_timer", keeping), (Ports, "save", sending)]


def _failed_stays_desired() -> list[Patch]:
    """A push that has failed is still a candidate."""
    fail = failing._fail

    def keeping(record: Record, message_id: str, failed: failing.Failed) -> Record:
        after = fail(record, message_id, failed)
        for name, container in record.containers.items():
            after = after.with_container(name, candidates=container.candidates)
        return after

    # It fails again and again in one look, which says so only after very many turns.
    return [(failing, "_fail", keeping), (reconcile, "MOST_TURNS", 20)]


def _no_drift_check() -> list[Patch]:
    """Nobody sees that a group at rest runs another image than it should."""

    def never(*_args: object, **_options: object) -> bool:
        return False

    return [(patrol, "drifted", never), (sweep, "drifted", never)]


def _no_flight() -> list[Patch]:
    """A change without an answer is forgotten, though it may still take effect."""
    return [(world, "RULES", replace(world.RULES, flight=timedelta(0)))]


def _wall_clock_patience() -> list[Patch]:
    """Time in which nobody could look counts against a push."""

    def looked(self: Patience, now: datetime, _longest: timedelta) -> Patience:
        return self.but(waited=self.waited + (now - self.looked_at).total_seconds(), looked_at=now)

    return [(Patience, "looked", looked)]


def _neighbours_not_judged() -> list[Patch]:
    """Only the containers that were changed are watched."""
    healths = sight.healths

    def of_changed(*seen: Any) -> dict[str, Health]:
        change = next(item for item in seen if isinstance(item, Change))
        return {name: health for name, health in healths(*seen).items() if name in change.asked}

    return [(watch, "healths", of_changed)]


def _no_future() -> list[Patch]:
    """A look that no record names yet is void, although its sender is about to write."""

    def void(_self: looking.Looking, record: Record, look: Look) -> Settlement | None:
        return None if record.timer and record.timer.token == look.token else Complete()

    return [(looking.Looking, "_void", void)]


def _forgotten_before_told() -> list[Patch]:
    """What has ended leaves the record before it is told."""
    save = Ports.save

    def forgetting(ports: Ports, record: Record, etag: str | None) -> str:
        return save(ports, record.told(record.outbox, record.address_changes), etag)

    return [(Ports, "save", forgetting)]


def _order_of_arrival() -> list[Patch]:
    """The push that came last counts as the newest."""

    def newer(_policy: object, message: Any, _tag: str, order: tuple[datetime, datetime]) -> bool:
        return bool(message.received_at > order[1])

    def better(_policy: object, _running: object, message: Any, other: Any) -> bool:
        return bool(message.received_at > other.message.received_at)

    return [(admit, "newer", newer), (admit, "better", better)]


def _last_write_wins() -> list[Patch]:
    """Records are written without a look at what others wrote meanwhile."""
    save = SearchRecords.save

    def overwriting(records: SearchRecords, record: Record, _etag: str | None) -> str:
        return save(records, record, records.seen(record.target)[1])

    return [(SearchRecords, "save", overwriting)]


def _no_fence() -> list[Patch]:
    """A change is sent although the lease may have run out meanwhile."""
    send = putting.Putting._send

    def unfenced(self: putting.Putting, sent: Any, group: Any, target: Any, _lease_holds: object) -> None:
        send(self, sent, group, target, lambda: True)

    return [(putting.Putting, "_send", unfenced)]


def _tag_ignored() -> list[Patch]:
    """The owner's resource tag holds nothing back."""
    return [(place, "hold_reason", lambda _tags: None) for place in (reconcile, watch, resolve) if _holds(place)]


def _holds(place: object) -> bool:
    return hasattr(place, "hold_reason")


PLANTED: Mapping[str, Planted] = {
    "write before send": Planted(_write_before_send, "races"),
    "a failed push stays desired": Planted(_failed_stays_desired, "calm"),
    "no drift check": Planted(_no_drift_check, "late"),
    "no in-flight time": Planted(_no_flight, "late"),
    "wall-clock patience": Planted(_wall_clock_patience, "away"),
    "neighbours not judged": Planted(_neighbours_not_judged, "sidecar"),
    "looks of the future are void": Planted(_no_future, "races"),
    "forgotten before it is told": Planted(_forgotten_before_told, "calm"),
    "order of arrival": Planted(_order_of_arrival, "semver"),
    "last write wins": Planted(_last_write_wins, "races"),
    "no lease before a PUT": Planted(_no_fence, "races"),
    "the resource tag is ignored": Planted(_tag_ignored, "tag"),
}
