"""Pushes that fail stop being candidates, so that another image is desired. Pure.

There is no other rollback than this. How a failed push ends is told only when it is known what became of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.message import UpdateMessage
from worker.record.container import Candidate, ContainerRecord, FailedPush, Pin
from worker.record.record import FAILURES_KEPT, Record, cut, displaced
from worker.record.values import Result, Undone


def fail(
    record: Record,
    ids: Collection[str],
    code: str,
    detail: str,
    now: datetime,
    *,
    circumstance: bool = False,
    attempts: int = 1,
) -> Record:
    """Fail these pushes and rollbacks, with the evidence. `attempts` is how many times each was tried.

    A push that failed on one container has failed on all of them. One that never reached the group ends at once.
    """
    detail = cut(detail)
    # Sorted, so that the same failures always give the same record.
    for message_id in sorted(ids):
        record = _fail(
            record, message_id, Failed(code, detail, now, circumstance, attempts)
        )
    if not any(container.candidates for container in record.containers.values()):
        # No push is left that would have to be tried apart from another.
        record = record.but(apart=False)
    return record


@dataclass(frozen=True, slots=True)
class Failed:
    """How and when a push failed. `circumstance`: the failure says nothing about its image."""

    code: str
    detail: str
    at: datetime
    circumstance: bool
    attempts: int

    def failure(self, candidate: Candidate) -> FailedPush:
        """The failure as the container remembers it."""
        push = candidate.message.push
        return FailedPush(
            id=candidate.id,
            tag=candidate.tag,
            image=candidate.image,
            digest=candidate.digest or push.digest,
            pushed_at=push.pushed_at,
            code=self.code,
            at=self.at,
            circumstance=self.circumstance,
        )


def _fail(record: Record, message_id: str, failed: Failed) -> Record:
    message = record.waiting().get(message_id)
    pins = _pins_of(record, message_id)
    if message is None and not pins:
        return record
    asked = record.change.asked if record.change else {}
    on_group = [name for name, asker in asked.items() if asker == message_id]
    record, concerned = _remember_failure(record, message_id, failed)
    # This happens while its candidates are still there, because they know the tag and the digest.
    record = _moved_tags(record, on_group, message_id)
    record = record.but(
        inbox=tuple(other for other in record.inbox if other.id != message_id)
    )
    record = record.without_candidates(lambda _, candidate: candidate.id == message_id)
    message = message or next(iter(pins.values())).message
    was_reverting = bool(pins) and all(pin.reverting for pin in pins.values())
    if was_reverting:
        # The rollback failed before, and then what ran before it failed as well. Its first failure is still to be told.
        return record
    if not on_group:
        # Nothing of the push is on the group, so nothing has to be rolled back before its end is known.
        return record.end(
            message,
            "failed",
            failed.detail,
            concerned,
            failed.at,
            failed.code,
            failed.attempts,
        )
    return _to_be_told_later(record, message, concerned, failed)


def _pins_of(record: Record, message_id: str) -> dict[str, Pin]:
    """The pins that an operator's rollback of this id has set, by container."""
    return {
        name: container.pin
        for name, container in record.containers.items()
        if container.pin and container.pin.message.id == message_id
    }


def _remember_failure(
    record: Record,
    message_id: str,
    failed: Failed,
) -> tuple[Record, list[str]]:
    """Note the failure on each container that waited for the push or was pinned. Returns their names, too."""
    pins = _pins_of(record, message_id)
    concerned = []
    for name, container in record.containers.items():
        if candidate := container.candidate(message_id):
            failures = (failed.failure(candidate), *container.failures)[:FAILURES_KEPT]
            record = record.with_container(name, failures=failures)
            concerned.append(name)
        if pin := pins.get(name):
            record = record.with_container(name, pin=_back_to_what_ran(container, pin))
            concerned.append(name)
    return record, concerned


def _to_be_told_later(
    record: Record,
    message: UpdateMessage,
    concerned: list[str],
    failed: Failed,
) -> Record:
    undone = Undone(
        message=message,
        code=failed.code,
        detail=failed.detail,
        containers=tuple(concerned),
        attempts=failed.attempts,
    )
    return record.but(undone=(*record.undone, undone))


def _moved_tags(record: Record, on_group: Collection[str], message_id: str) -> Record:
    """Count the failed push's tag as moved where the change put its image (`on_group`).

    The group may have pulled the failed image by this tag, so putting the tag back would bring the failed image again.
    An earlier image of the same tag then comes back by its digest alone.
    """
    for name in on_group:
        container = record.containers.get(name)
        candidate = container.candidate(message_id) if container else None
        if container and candidate:
            record = record.with_container(
                name, goods=displaced(container.goods, candidate.tag, candidate.digest)
            )
    return record


def _back_to_what_ran(container: ContainerRecord, pin: Pin) -> Pin | None:
    """The pin after an operator's rollback failed: what ran before comes back, still in spite of the hold.

    If that fails as well, nothing is pinned any more.
    """
    # Releasing the hold instead is tempting, but would deploy the very push that the operator rolled back from.
    return None if pin.reverting else pin.but(good=container.good, reverting=True)


def conclude(
    record: Record,
    why: str,
    now: datetime,
    concerns: Callable[[Undone], bool] = lambda _undone: True,
) -> Record:
    """End the failed pushes that this `concerns` as failed: the group is not brought back from them."""
    for undone in record.undone:
        if concerns(undone):
            record = _told(record, undone, "failed", why, now)
    return record


def brought_back(record: Record, images: Mapping[str, str], now: datetime) -> Record:
    """End the failed pushes now that the group runs well again. `images` is what runs (container → image)."""
    for undone in record.undone:
        result, why = _how_it_was_brought_back(record, undone, images)
        record = _told(record, undone, result, why, now)
    return record


def _how_it_was_brought_back(
    record: Record,
    undone: Undone,
    images: Mapping[str, str],
) -> tuple[Result, str]:
    # A container that is gone needs no rollback.
    names = [name for name in undone.containers if name in images]
    if not names:
        return (
            "failed",
            f"not rolled back: the group has no container {' or '.join(undone.containers)} any more",
        )
    still = [
        name
        for name in names
        if _still_runs(record, name, images[name], undone.message.id)
    ]
    if still:
        what = "held by hand" if record.hold else "still running"
        return "failed", f"not rolled back: {what}: {', '.join(sorted(still))}"
    lost = [name for name in names if record.containers[name].good.restored is None]
    if lost:
        return (
            "failed",
            f"not rolled back: no good image is known for {', '.join(sorted(lost))}",
        )
    return (
        "rolled-back",
        f"rolled back to {', '.join(sorted({images[name] for name in names}))}",
    )


def _still_runs(record: Record, name: str, running: str, message_id: str) -> bool:
    """Whether the container still runs the failed image, as it does where a hold keeps the good one away."""
    failures = (
        failure
        for failure in record.containers[name].failures
        if failure.id == message_id
    )
    return running in {failure.image for failure in failures}


def _told(
    record: Record,
    undone: Undone,
    result: Result,
    why: str,
    now: datetime,
) -> Record:
    """End a failed push, now that it is known what became of the group."""
    record = record.but(
        undone=tuple(other for other in record.undone if other != undone)
    )
    detail = f"{undone.detail}; {why}"
    return record.end(
        undone.message,
        result,
        detail,
        undone.containers,
        now,
        undone.code,
        undone.attempts,
        log=undone.log,
    )
