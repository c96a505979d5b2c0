"""The status of a group as programs get it. Pure."""

from __future__ import annotations

from typing import Any

from worker.core.status import Status
from worker.record.history import entry


def as_entry(one: Status) -> dict[str, Any]:
    """A status as programs get it."""
    rollout = one.rollout
    return {
        "target": one.target.model_dump(),
        "containers": [
            {
                "name": each.name,
                "image": each.image,
                "digest": each.digest,
                "health": each.health,
            }
            | {"restarts": each.restarts}
            for each in one.containers
        ],
        "address": one.address,
        "rollout": rollout
        and {
            "image": rollout.image,
            "since": rollout.since.isoformat(),
            "phase": rollout.phase,
        },
        "held": one.reason,
        "waiting": list(one.waiting),
        "last": entry(one.target, one.last) if one.last else None,
        "problem": one.problem,
    }
