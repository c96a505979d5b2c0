"""A change of the group begins: all containers at once, by one PUT or one restart. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from worker.core.desired import Desired, to_put
from worker.core.failing import conclude, fail
from worker.core.following import running_digest
from worker.core.rules import Action, Put, RolloutRules, Wait
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO, Healthy
from worker.groups.withheld import missing_secrets
from worker.record.record import Record
from worker.record.values import Change, Flight, Patience, Undone

MOST_TRIES = 6
"""How many times the same change is sent to a group that accepts it and never shows it."""


def begin(
    record: Record,
    group: ContainerGroup,
    wishes: Mapping[str, Desired],
    rules: RolloutRules,
    now: datetime,
) -> tuple[Record, Action | None]:
    """Bring the desired images onto the group. Without an action, something stood in the way and pushes have failed."""
    asked = {name: wish.id for name, wish in wishes.items() if wish.id}
    # This comes before the secrets: nobody should configure secrets for a group that is left alone anyway.
    if why := group.not_ours:
        return _blocked(record, asked.values(), "NotOurs", why, rules, now)
    # A PUT without a secret that Azure withholds either fails or, worse, silently removes the secret.
    if missing := missing_secrets(group.withheld(), rules.secrets):
        return _blocked(
            record, asked.values(), "MissingSecrets", _say_missing(missing), rules, now
        )
    images = to_put(wishes, group.images, record.change)
    again = _sent_before(record.change, images, asked)
    if again and again.refused:
        # Only a rollback is refused for good and kept: where a push asks for a change, the push fails instead.
        record = conclude(record, f"the rollback failed: {again.refused}", now)
        return record, Wait(rules.slow, again.refused, owner=True)
    # Azure takes a PUT that changes nothing, and restarts every container with it. So a change that never shows must
    # not be sent without end. https://learn.microsoft.com/azure/container-instances/container-instances-update
    if again and again.tries >= MOST_TRIES:
        what = evidence(
            group, f"the change was sent {again.tries} times and never took effect"
        )
        return _blocked(record, asked.values(), "NoEffect", what, rules, now)
    change = Change(
        generation=record.generation + 1,
        images=images,
        asked=asked,
        # A restart brings no other image, but pulls one: the container that asked for it is judged as a changed one.
        touched=_changed(images, group.images) | asked.keys(),
        restart=_is_restart_enough(wishes, images, group.images),
        began_at=now,
        # The same change again goes on where it was. One that never shows would be watched without end otherwise.
        patience=again.patience.but(looked_at=now)
        if again
        else Patience(looked_at=now),
        tries=again.tries + 1 if again else 1,
        well=_ran_well_before(record, group),
        address=_address_before(record, group),
        failed_before=group.failed,
        before=_change_on_group(record),
    )
    record = _taken_over(record, asked, now)
    # In the record before anything is sent: if the worker dies after the PUT, nobody may rest while it can take effect.
    flight = Flight(generation=change.generation, sent_at=now)
    record = record.but(
        change=change, generation=change.generation, flights=(*record.flights, flight)
    )
    return record, Put(images, change.restart)


def _change_on_group(record: Record) -> Change | None:
    """The last change that Azure has taken; None if there is none."""
    change = record.change
    if change is None:
        return None
    # Without an answer nobody knows. If it was taken all the same, to bring its images in once more does no harm.
    is_unanswered = any(
        flight.generation == change.generation for flight in record.flights
    )
    return change.before if is_unanswered else change.but(before=None)


def began_unseen(
    record: Record,
    group: ContainerGroup,
    wishes: Mapping[str, Desired],
    now: datetime,
) -> Record:
    """Watch from now on what is desired and on the group already, although no known change brought it there."""
    # Since nobody knows when it came, any start and any event of the containers counts as evidence.
    change = Change(
        generation=record.generation,
        images=to_put(wishes, group.images, record.change),
        asked={name: wish.id for name, wish in wishes.items() if wish.id},
        began_at=LONG_AGO,
        patience=Patience(looked_at=now),
        well=_ran_well_before(record, group),
        address=_address_before(record, group),
        failed_before=group.failed,
    )
    return record.but(change=change)


def _sent_before(
    before: Change | None,
    images: Mapping[str, str],
    asked: Mapping[str, str],
) -> Change | None:
    """The change before, if this one asks for the same again; None if it differs.

    The record keeps no change that took effect, so the one before was refused, got no answer, or never showed. This one
    is another try of it.
    """
    if before is None or (before.images, before.asked) != (images, asked):
        return None
    return before


def _changed(images: Mapping[str, str], running: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name, image in images.items() if image != running[name])


def _is_restart_enough(
    wishes: Mapping[str, Desired],
    images: Mapping[str, str],
    running: Mapping[str, str],
) -> bool:
    """Whether a restart is wanted and no container needs another image, which only a PUT can bring."""
    return any(wish.restart for wish in wishes.values()) and not _changed(
        images, running
    )


def _blocked(
    record: Record,
    asking: Collection[str],
    code: str,
    detail: str,
    rules: RolloutRules,
    now: datetime,
) -> tuple[Record, Action | None]:
    """The change can't begin, so the pushes that ask for it fail. A rollback waits until somebody removes the cause."""
    if asking:
        # This says nothing about the image: the same push may come again once the owner has removed the cause.
        circumstance = code in {"MissingSecrets", "NotOurs"}
        return fail(
            record, set(asking), code, detail, now, circumstance=circumstance
        ), None
    return conclude(record, f"not rolled back: {detail}", now), Wait(
        rules.slow, detail, owner=True
    )


def _taken_over(record: Record, asked: Mapping[str, str], now: datetime) -> Record:
    """End the failed pushes that are not rolled back because a newer push replaces them."""
    waiting = record.waiting()

    def is_taken_over(undone: Undone) -> bool:
        askers = (
            waiting.get(asked[name]) for name in undone.containers if name in asked
        )
        # Only a newer push takes over. An older candidate that has its turn again is part of the way back, and the
        # failed push is told as rolled back once that has run well.
        return any(
            asker is not None and asker.order > undone.message.order for asker in askers
        )

    return conclude(
        record, "not rolled back: a newer push is being deployed", now, is_taken_over
    )


def _ran_well_before(record: Record, group: ContainerGroup) -> dict[str, str | None]:
    """The containers that an update must not break, with the digest that each runs, if known."""
    # While one unproven change follows another, what counts is what ran well before the first. Reading it from the
    # group as it is now is tempting, but a container that the first change broke would count as broken all along.
    if record.change:
        return record.change.well
    healthy = (
        name
        for name in group.images
        if isinstance(group.health(name, LONG_AGO), Healthy)
    )
    return {name: running_digest(group, name) for name in healthy}


def _address_before(record: Record, group: ContainerGroup) -> dict[str, str]:
    """The group's address from before the first of several unproven changes in a row."""
    return record.change.address if record.change else group.address


def _say_missing(missing: list[str]) -> str:
    return (
        "Azure does not return these secrets, but an update must include them; configure each of them under `secrets` "
        f"in the targets file: {', '.join(missing)}"
    )


def evidence(group: ContainerGroup, what: str) -> str:
    """What happened, with the newest warnings that Azure gives."""
    warnings = group.warnings()
    return f"{what}; warnings: {' | '.join(warnings)}" if warnings else what
