"""Lookups: the registries are asked for the digests of the best candidates."""

from __future__ import annotations

import structlog

from shared.errors import RemoteError
from worker.core.look import Absence, Situation
from worker.ports import Ports
from worker.record.record import Record

MOST_LOOKUPS = 10
"""How many pushes of one group are looked up during one look. The others have to wait for the next look."""

log = structlog.get_logger()


def all_looked_up(ports: Ports, situation: Situation) -> Record:
    """The record with the received pushes admitted and the best candidates looked up in their registries."""
    record = situation.admitted()
    asked: str | None = None
    for _ in range(MOST_LOOKUPS):
        message = situation.to_look_up(record)
        # One that waits for the registry's next answer is not asked for again at once.
        if message is None or message.id == asked:
            break
        asked = message.id
        try:
            digest = ports.digest(message.push)
        except RemoteError as error:
            failure = ports.classified(error)
            log.info(
                "image not found", image=str(message.push.image), detail=failure.detail
            )
            # The registry has answered, so asking it again at once would not help. The next look does.
            return situation.looked_up(
                record, message, Absence(failure.code, failure.detail)
            )
        record = situation.looked_up(record, message, digest)
    return record
