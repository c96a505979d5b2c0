"""The status of a group as programs get it. Pure."""

from __future__ import annotations

from typing import Any

from worker.core.status import Status
from worker.record.history import entry


def as_entry(status: Status) -> dict[str, Any]:
    """A status as programs get it."""
    rollout = status.rollout
    return {
        "target": status.target.model_dump(),
        "containers": [
            {
                "name": each.name,
                "image": each.image,
                "digest": each.digest,
                "health": each.health,
            }
            | {"restarts": each.restarts}
            for each in status.containers
        ],
        "address": status.address,
        "rollout": rollout
        and {
            "image": rollout.image,
            "since": rollout.since.isoformat(),
            "phase": rollout.phase,
        },
        "held": status.reason,
        "waiting": list(status.waiting),
        "last": entry(status.target, status.last) if status.last else None,
        "problem": status.problem,
    }
