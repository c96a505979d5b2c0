"""A change of the group is begun: all containers at once, by one PUT or one restart. Pure."""

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
"""How often the same change is sent to a group that accepts it and never shows it."""


def begin(
    record: Record, group: ContainerGroup, wishes: Mapping[str, Desired], rules: RolloutRules, now: datetime
) -> tuple[Record, Action | None]:
    """Bring what is wished for onto the group; without an action, something stood in the way and has failed."""
    asking = {wish.id for wish in wishes.values() if wish.id}
    if why := group.not_ours:
        return _in_the_way(record, asking, "NotOurs", why, rules, now)
    if missing := missing_secrets(group.withheld(), rules.secrets):
        return _in_the_way(record, asking, "MissingSecrets", _names(missing), rules, now)
    images = to_put(wishes, group.images, record.change)
    asked = {name: wish.id for name, wish in wishes.items() if wish.id}
    before = record.change
    # The very same change once more: it was refused for now, got no answer, or was never seen on the group.
    again = before if before and (before.images, before.asked) == (images, asked) else None
    if again and again.refused:
        return conclude(record, f"the rollback failed: {again.refused}", now), Wait(
            rules.slow, again.refused, owner=True
        )
    if again and again.tries >= MOST_TRIES:
        what = evidence(group, f"the change was sent {again.tries} times and never took effect")
        return _in_the_way(record, asking, "NoEffect", what, rules, now)
    restart = any(wish.restart for wish in wishes.values()) and images.items() <= group.images.items()
    change = Change(
        generation=record.generation + 1,
        images=images,
        asked=asked,
        touched=frozenset(name for name, image in images.items() if image != group.images[name]) | asked.keys(),
        restart=restart,
        began_at=now,
        patience=again.patience.but(looked_at=now) if again else Patience(looked_at=now),
        tries=again.tries + 1 if again else 1,
        # While one unproven change follows another, what ran well before the first of them is what counts: a container
        # that the first one broke must not be taken for one that was broken all along.
        well=before.well if before else _well(group),
        address=before.address if before else group.address,
        failed_before=group.failed,
    )
    record = _taken_over(record, asked, now)
    flight = Flight(generation=change.generation, sent_at=now)
    record = record.but(change=change, generation=change.generation, flights=(*record.flights, flight))
    return record, Put(images, restart)


def began_unseen(record: Record, group: ContainerGroup, wishes: Mapping[str, Desired], now: datetime) -> Record:
    """What is wished for is there, though nothing is known of a change that brought it: it is watched from now on."""
    before = record.change
    change = Change(
        generation=record.generation,
        images=to_put(wishes, group.images, before),
        asked={name: wish.id for name, wish in wishes.items() if wish.id},
        began_at=LONG_AGO,
        patience=Patience(looked_at=now),
        well=before.well if before else _well(group),
        address=before.address if before else group.address,
        failed_before=group.failed,
    )
    return record.but(change=change)


def _in_the_way(
    record: Record, asking: Collection[str], code: str, detail: str, rules: RolloutRules, now: datetime
) -> tuple[Record, Action | None]:
    """It can't be begun: the pushes that ask for it fail. A way back waits for somebody to mend what is in the way."""
    if asking:
        circumstance = code in {"MissingSecrets", "NotOurs"}
        return fail(record, asking, code, detail, now, circumstance=circumstance), None
    return conclude(record, f"not rolled back: {detail}", now), Wait(rules.slow, detail, owner=True)


def _taken_over(record: Record, asked: Mapping[str, str], now: datetime) -> Record:
    """What failed before on these containers is not gone back from: a newer push takes its place."""
    waiting = record.waiting()

    def taken_over(undone: Undone) -> bool:
        askers = (waiting.get(asked[name]) for name in undone.containers if name in asked)
        return any(asker is not None and asker.order > undone.message.order for asker in askers)

    return conclude(record, "not rolled back: a newer push is being deployed", now, taken_over)


def _well(group: ContainerGroup) -> dict[str, str | None]:
    """The containers that run well, with what they run: an update may not break them."""
    names = (name for name in group.images if isinstance(group.health(name, LONG_AGO), Healthy))
    return {name: running_digest(group, name) for name in names}


def _names(missing: list[str]) -> str:
    return (
        "Azure does not give back these secrets, and an update must carry them; configure each under `secrets` "
        f"in the targets file: {', '.join(missing)}"
    )


def evidence(group: ContainerGroup, what: str) -> str:
    """What happened, with the newest warnings that Azure gives."""
    warnings = group.warnings()
    return f"{what}; warnings: {' | '.join(warnings)}" if warnings else what
