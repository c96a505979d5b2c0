"""Which containers crashed: those whose last lines tell why a push has failed on the group. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO, Broken
from worker.record.record import Record, is_dead

_SEEN_ON_THE_GROUP = frozenset(
    {
        "CrashLoop",
        "ContainerFailed",
        "ContainerStartFailed",
        "ImagePullFailed",
        "ProvisioningFailed",
        "RolloutTimeout",
    }
)
"""The codes of the failures that a group shows. Others, as a missing secret, keep a push from ever reaching it."""
_HAS_RUN = frozenset({"CrashLoop", "ContainerFailed"})
"""How a container is broken that has run, and so has said something."""


def crashed(
    before: Record, decided: Record, group: ContainerGroup
) -> dict[str, list[str]]:
    """The pushes that this look has found to fail (message id → names of containers and init containers).

    `before` is the record that the look began with. What crashed of a push's own containers is at fault, or else the
    neighbours that crashed. If nothing is broken, because a container only never became healthy, all its own are.
    """
    since = before.change.began_at if before.change else LONG_AGO
    found = {}
    for message_id, own in _new_failures(before, decided):
        watched = {
            *own,
            *(before.change.well if before.change else ()),
        } & group.images.keys()
        broken = {
            name for name in watched if isinstance(group.health(name, since), Broken)
        }
        have_run = {name for name in broken if _has_run(group, name, since)}
        # A container that never started has written nothing, so the logs of those that ran come first.
        crashed_ones = (have_run & own) or have_run
        at_fault = crashed_ones if broken else own & watched
        found[message_id] = sorted({group.culprit(name, since) for name in at_fault})
    return {message_id: names for message_id, names in found.items() if names}


def _new_failures(before: Record, decided: Record) -> Iterator[tuple[str, set[str]]]:
    """The ids of the pushes that have just failed on the group, each with its own containers."""
    known = {undone.message.id for undone in before.undone} | {
        ending.message.id for ending in before.outbox
    }
    for undone in decided.undone:
        if undone.message.id not in known and undone.code in _SEEN_ON_THE_GROUP:
            yield undone.message.id, set(undone.containers)
    # With ACI_HOOKS_ROLLBACK off, a push fails and ends in one look, so that it is in the outbox alone.
    for ending in decided.outbox:
        is_new = is_dead(ending.result) and ending.message.id not in known
        if is_new and ending.code in _SEEN_ON_THE_GROUP:
            outcomes = (
                outcome
                for outcome in decided.outcomes
                if outcome.id == ending.message.id
            )
            yield (
                ending.message.id,
                {name for outcome in outcomes for name in outcome.containers},
            )


def _has_run(group: ContainerGroup, name: str, since: datetime) -> bool:
    health = group.health(name, since)
    return isinstance(health, Broken) and health.code in _HAS_RUN
