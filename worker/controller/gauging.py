"""Gauging: reads what all workers share, for the metrics: the queues, the records, the targets, the last sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from shared.errors import RemoteError
from shared.message import TargetId
from worker.ports import UNREADABLE, Gauges, Ports
from worker.record.overview import overview
from worker.record.record import Record


@dataclass
class Gauging:
    """Reads only the records that have changed since the last time. `last_sweep` says when a sweep last ended."""

    ports: Ports
    last_sweep: Callable[[], datetime | None]
    _seen: dict[TargetId, tuple[str, Record | None]] = field(default_factory=dict)

    def read(self) -> Gauges:
        """Everything as it is now. Raises RemoteError."""
        ports = self.ports
        versions = dict(ports.records.versions())
        # The whole is replaced, so that deleted records are forgotten.
        self._seen = {
            target: self._record(target, etag) for target, etag in versions.items()
        }
        records = [record for _, record in self._seen.values() if record]
        targets = {target.id for target in ports.targets.all()}
        held = [
            target for target, listed in ports.targets.listed().items() if listed.held
        ]
        letters = ports.poison.count()
        return Gauges(
            messages={
                ports.updates.name: ports.updates.count(),
                ports.poison.name: letters,
            },
            dead_letters=letters,
            overview=overview(targets, records, held),
            unreadable=len(self._seen) - len(records),
            last_sweep=self.last_sweep(),
        )

    def _record(self, target: TargetId, etag: str) -> tuple[str, Record | None]:
        """A record and the ETag of the list that it was read for; None in its place if it can't be read."""
        # Reading every record each time would cost a request for each. Only those that have changed are read.
        seen = self._seen.get(target)
        if seen and seen[0] == etag:
            return seen
        try:
            return etag, self.ports.load(target)[0]
        except RemoteError as error:
            if error.code != UNREADABLE:
                raise
            return etag, None
