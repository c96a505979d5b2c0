"""Pushes that fail: they are candidates no more, so that another image is desired now. Pure.

There is no rollback but this. How the push has ended is told once it is seen what becomes of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from worker.record.record import FAILURES_KEPT, Record, cut, displaced
from worker.record.values import Candidate, ContainerRecord, Failure, Pin, Result, Undone


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
    """These pushes (and pins) have failed, with the evidence; `attempts` is how often it was tried.

    A push that failed on one container has failed on all of them. What was never on the group has ended with that.
    """
    detail = cut(detail)
    for message_id in sorted(ids):
        record = _fail(record, message_id, Failed(code, detail, now, circumstance, attempts))
    if not any(container.candidates for container in record.containers.values()):
        record = record.but(apart=False)
    return record


@dataclass(frozen=True, slots=True)
class Failed:
    """How and when a push failed. `circumstance`: what failed says nothing of its image."""

    code: str
    detail: str
    at: datetime
    circumstance: bool
    attempts: int

    def failure(self, candidate: Candidate) -> Failure:
        """The failure as the container remembers it."""
        push = candidate.message.push
        return Failure(
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
    pinned = {name: one.pin for name, one in record.containers.items() if one.pin and one.pin.message.id == message_id}
    if message is None and not pinned:
        return record
    asked = record.change.asked if record.change else {}
    on_group = tuple(name for name, asker in asked.items() if asker == message_id)
    concerned = []
    for name, container in record.containers.items():
        candidate, pin = container.candidate(message_id), pinned.get(name)
        if candidate:
            failures = (failed.failure(candidate), *container.failures)[:FAILURES_KEPT]
            record = record.with_container(name, failures=failures)
            concerned.append(name)
        if pin:
            record = record.with_container(name, pin=_back_to_what_ran(container, pin))
            concerned.append(name)
    record = _moved_tags(record, on_group, message_id)
    record = record.but(inbox=tuple(other for other in record.inbox if other.id != message_id))
    record = record.without_candidates(lambda _, candidate: candidate.id == message_id)
    message = message or next(iter(pinned.values())).message
    if all(pin.reverting for pin in pinned.values()) and pinned:
        return record  # the failure that it was to make up for is still to be told
    if not on_group:
        return record.end(message, "failed", failed.detail, concerned, failed.at, failed.code, failed.attempts)
    undone = Undone(
        message=message,
        code=failed.code,
        detail=failed.detail,
        containers=tuple(concerned),
        attempts=failed.attempts,
    )
    return record.but(undone=(*record.undone, undone))


def _moved_tags(record: Record, on_group: Collection[str], message_id: str) -> Record:
    """What failed was pulled by its tag, perhaps: an image before it of the same tag comes back by its digest alone."""
    for name in on_group:
        container = record.containers.get(name)
        if container and (candidate := container.candidate(message_id)):
            record = record.with_container(name, goods=displaced(container.goods, candidate.tag, candidate.digest))
    return record


def _back_to_what_ran(container: ContainerRecord, pin: Pin) -> Pin | None:
    """Where an operator's way back does not work, what ran before is brought back, under the same hold."""
    return None if pin.reverting else pin.but(good=container.good, reverting=True)


def conclude(
    record: Record, why: str, now: datetime, concerns: Callable[[Undone], bool] = lambda _undone: True
) -> Record:
    """The failed pushes that this `concerns` have ended, and the group is not brought back from them."""
    for undone in record.undone:
        if concerns(undone):
            record = _told(record, undone, "failed", why, now)
    return record


def brought_back(record: Record, images: Mapping[str, str], now: datetime) -> Record:
    """The group runs well again: what failed before has been rolled back. `images` is what runs (container → image)."""
    for undone in record.undone:
        names = [name for name in undone.containers if name in images]
        lost = [name for name in names if record.containers[name].good.restored is None]
        still = [name for name in names if _still_runs(record, name, images[name], undone.message.id)]
        if still:
            why = f"not rolled back: {'held by hand' if record.hold else 'still running'}: {', '.join(sorted(still))}"
            record = _told(record, undone, "failed", why, now)
        elif lost:
            why = f"not rolled back: no good image is known for {', '.join(sorted(lost))}"
            record = _told(record, undone, "failed", why, now)
        else:
            why = f"rolled back to {', '.join(sorted({images[name] for name in names}))}"
            record = _told(record, undone, "rolled-back", why, now)
    return record


def _still_runs(record: Record, name: str, running: str, message_id: str) -> bool:
    """Does the container run the failed image, as a hold keeps it from being brought back?"""
    failures = (failure for failure in record.containers[name].failures if failure.id == message_id)
    return running in {failure.image for failure in failures}


def _told(record: Record, undone: Undone, result: Result, why: str, now: datetime) -> Record:
    """It has been seen what became of the group: the push has ended with that."""
    record = record.but(undone=tuple(other for other in record.undone if other != undone))
    detail = f"{undone.detail}; {why}"
    return record.end(undone.message, result, detail, undone.containers, now, undone.code, undone.attempts)
