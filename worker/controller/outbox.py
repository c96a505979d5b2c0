"""The outbox of a record at the end of a look: it is told, and then leaves the record."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

from shared.leased_message import LeaseLost
from shared.message import Look
from worker.controller.settlement import Settlement, after, look_again
from worker.controller.telling import Telling
from worker.controller.timers import CONFLICTS, timed
from worker.core.rules import Action, Wait
from worker.ports import Conflict, Ports
from worker.record.record import Record


class Outbox:
    """Empties outboxes, for many threads at once."""

    def __init__(self, ports: Ports, telling: Telling, chance: random.Random) -> None:
        self._ports = ports
        self._telling = telling
        self._chance = chance

    def settled(
        self,
        record: Record,
        look: Look,
        action: Action,
        etag: str | None,
        lease_holds: Callable[[], bool],
    ) -> Settlement:
        """What becomes of a look that has carried out `action`, once everything in the outbox is told and gone from it.

        Raises LeaseLost; then another worker tells it.
        """
        if not (record.outbox or record.address_changes):
            return after(look, action)
        # Another worker may be telling it at this moment. Without the lease everything would be told twice.
        if not lease_holds():
            raise LeaseLost(look.token)
        # Tell, then write: if the worker dies in between, an end is told twice. The other order could lose it.
        self._telling.tell(record)
        told = record.told(record.outbox, record.address_changes)
        for _ in range(CONFLICTS):
            try:
                self._ports.save(timed(told, action, self._ports.now()), etag)
            except Conflict:
                # What was told is not told again. What has arrived meanwhile is left for the next look.
                current, etag = self._ports.load(look.target)
                told = current.told(record.outbox, record.address_changes)
                action = Wait(timedelta(0), "more has arrived meanwhile")
                continue
            return after(look, action)
        return look_again(look, self._chance.uniform(0, 1))
