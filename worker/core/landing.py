"""What became of a change that was sent: it took effect, Azure refused it, or nobody knows. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from worker.core.failing import fail
from worker.failures.classify import ABOUT_ONE_IMAGE, Failure, is_circumstance
from worker.groups.health import LONG_AGO
from worker.record.record import Record
from worker.record.values import Change


def landed(record: Record, sent: Change) -> Record:
    """Azure has answered, so the change is no longer in flight."""
    return record.but(
        flights=tuple(
            flight for flight in record.flights if flight.generation != sent.generation
        )
    )


def not_made(
    record: Record,
    sent: Change,
    failure: Failure,
    now: datetime,
    attempts: int,
    *,
    over: bool,
) -> Record:
    """Azure did not make the change. `over`: for good, so that the pushes that asked for it fail.

    A rollback that Azure refuses for good is not tried again until something else is desired.
    """
    change = record.change
    if change is None or change.generation != sent.generation:
        return record  # another change has taken its place
    # `tries` counts the changes that Azure accepted and never showed, and this one was not accepted.
    change = change.but(tries=max(0, change.tries - 1))
    # After an answer that proves nothing, such as a 5xx, the change may be on the group soon. So the group is still
    # judged by it.
    on_group = change if _may_take_effect(record, sent) else _change_before(change)
    if not over:
        return _put_behind(record.but(change=on_group), sent, failure)
    asked = set(sent.asked.values())
    if not asked:
        return record.but(
            change=change.but(refused=f"{failure.code}: {failure.detail}")
        )
    # Nothing of the change is on the group, so the pushes that fail now end with that, and nothing is rolled back.
    record = record.but(change=_change_before(change))
    named = _named_pushes(sent, failure)
    is_passing = is_circumstance(failure)
    # Failing all of them is tempting, but discards good images because of one bad one. They are tried apart instead.
    if _is_blame_unclear(asked, named) and not is_passing and not record.apart:
        return record.but(apart=True)
    failing = named or asked
    if is_passing:
        failing |= _held_up_as_well(record, sent, failing, failure)
    return fail(
        record,
        failing,
        failure.code,
        failure.detail,
        now,
        circumstance=is_passing,
        attempts=attempts,
    )


def _may_take_effect(record: Record, sent: Change) -> bool:
    return any(flight.generation == sent.generation for flight in record.flights)


def _change_before(change: Change) -> Change:
    """What is on the group after Azure has refused a change: the one before, which goes on being watched.

    Judging the group by the refused one would blame its pushes for what others brought in.
    """
    return change.before or change.but(began_at=LONG_AGO, asked={}, touched=frozenset())


def _put_behind(record: Record, sent: Change, failure: Failure) -> Record:
    """Where Azure can't pull one image for now, count that, and try each push apart, the refused one last.

    Otherwise the other containers' pushes would wait for that image, perhaps for hours.
    """
    # Throttling, a quota or an outage holds up any image, so that another order would not help.
    if failure.code not in ABOUT_ONE_IMAGE or not sent.asked:
        return record
    refused = _named_pushes(sent, failure) or set(sent.asked.values())
    for name, container in record.containers.items():
        candidates = tuple(
            candidate.but(refusals=candidate.refusals + 1)
            if candidate.id in refused
            else candidate
            for candidate in container.candidates
        )
        record = record.with_container(name, candidates=candidates)
    waiting = [
        name for name, container in record.containers.items() if container.candidates
    ]
    return record.but(apart=len(waiting) > 1)


def _named_pushes(sent: Change, failure: Failure) -> set[str]:
    """The pushes whose images Azure's answer names."""
    return {
        message_id
        for name, message_id in sent.asked.items()
        if name in sent.images and _names(failure.detail, sent.images[name])
    }


def _is_blame_unclear(asked: set[str], named: set[str]) -> bool:
    """Whether several pushes asked for the change and Azure does not say which of them it refuses."""
    return len(asked) > 1 and not named


def _held_up_as_well(
    record: Record,
    sent: Change,
    failing: set[str],
    failure: Failure,
) -> set[str]:
    """The other pushes for the failing ones' containers that the same trouble would hold up, one after the other."""
    concerned = [
        record.containers[name]
        for name, message_id in sent.asked.items()
        if message_id in failing
    ]
    candidates = [
        candidate for container in concerned for candidate in container.candidates
    ]
    if failure.code in ABOUT_ONE_IMAGE:
        # As far as anybody knows, Azure can pull the images that were never refused. Those are yet to have their turn.
        candidates = [candidate for candidate in candidates if candidate.refusals]
    return {candidate.id for candidate in candidates}


def _names(detail: str, image: str) -> bool:
    """Whether Azure's answer names this image, and not one whose name merely begins or ends like it."""
    # `acme/shop:v1` must not be found in `acme/shop:v12`, nor in `acme.azurecr.io/acme/shop:v1`. A full stop behind it
    # may be the end of Azure's sentence.
    return (
        re.search(rf"(?<![\w./:@-]){re.escape(image)}(?![\w-]|\.\w)", detail)
        is not None
    )
