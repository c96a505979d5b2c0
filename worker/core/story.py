"""The story of one push on one group, or of a group, told by its record: where is it now, and how did it end? Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from worker.core.status import phase_of, trouble_of
from worker.record.record import Record
from worker.record.values import Outcome, Result

FOLDED = "a newer push has taken its place"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a push is: a sentence, and its `result` once it has ended."""

    text: str
    result: Result | None = None


def place_of(record: Record, message_id: str) -> Place | None:
    """Where a push is on this group; None if the record knows nothing of it.

    What is under way comes first: a dead letter that was put back onto the queue has an end in the history already.
    """
    if failed := next(
        (undone for undone in record.undone if undone.message.id == message_id), None
    ):
        return Place(
            f"failed on the group ({failed.code}): {failed.detail}; what ran before is brought back"
        )
    # A rollback by hand is no candidate. Before its end, only its pin shows it.
    pins = [container.pin for container in record.containers.values() if container.pin]
    if message_id in record.waiting() or any(
        pin.message.id == message_id for pin in pins
    ):
        return Place(_under_way(record, message_id))
    if message_id not in record.ended:
        return None
    if outcome := next(
        (outcome for outcome in record.outcomes if outcome.id == message_id), None
    ):
        return Place(told(outcome), outcome.result)
    # Of several that were superseded in a row the newest stands for all in the history.
    return Place(f"superseded: {FOLDED}", "superseded")


def is_of(message_id: str, wanted: str) -> bool:
    """Is it the push of this id, or one of several that came with one webhook: `<id>.1`, `<id>.2`?"""
    return message_id == wanted or message_id.startswith(f"{wanted}.")


def ids_of(record: Record, wanted: str) -> list[str]:
    """The pushes of this id that the record knows."""
    pins = (
        container.pin.message.id
        for container in record.containers.values()
        if container.pin
    )
    undone = (failed.message.id for failed in record.undone)
    known = {*record.waiting(), *record.ended, *pins, *undone}
    return sorted(message_id for message_id in known if is_of(message_id, wanted))


def siblings(wanted: str, seen: Collection[str]) -> frozenset[str]:
    """The pushes of one webhook that there must be, by those that were seen: they are numbered, and two at the least.

    A redelivery of it has the same ids.
    """
    numbers = [
        int(suffix)
        for message_id in seen
        if (suffix := message_id.removeprefix(f"{wanted}.")).isdecimal()
        and message_id != suffix
    ]
    if not numbers:
        return frozenset(seen)
    return frozenset(f"{wanted}.{number}" for number in range(1, max(2, *numbers) + 1))


def told(outcome: Outcome) -> str:
    """How a push ended, in a line."""
    detail = f": {outcome.detail}" if outcome.detail else ""
    return f"{outcome.result}{detail}"


def is_over(record: Record) -> bool:
    """Is nothing under way in the group, nor to be told? What a hold by hand keeps back is not under way."""
    return record.timer is None and not (
        record.change or record.flights or record.undone or record.outbox
    )


def _under_way(record: Record, message_id: str) -> str:
    if record.change and message_id in record.change.asked.values():
        names = sorted(
            name for name, asker in record.change.asked.items() if asker == message_id
        )
        images = ", ".join(f"{name} {record.change.images[name]}" for name in names)
        return f"{phase_of(record)}: {images}"
    if any(message.id == message_id for message in record.inbox) and not record.hold:
        return "received"
    if record.hold:
        return f"waits: held by hand: {record.hold.reason}"
    if record.timer and record.timer.owner:
        return "waits for the group's owner: it is held by a resource tag, or stopped"
    if trouble := trouble_of(record):
        return f"waits: {trouble}"
    if record.change:
        return f"waits: {phase_of(record)}"
    return "waits to be looked up in its registry, or behind a newer push"
