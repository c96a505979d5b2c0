"""How a container fares after a change, read from ARM's instance view. Pure.

Four lessons of real traffic stand behind it: an operation that "succeeded" says nothing of the container; events of
earlier rollouts stay in the list and are told apart by their time; a container that runs since T without a restart has
been steady since T, so that nothing needs to be remembered between two looks; and the state outranks the events: what
runs since the change has been pulled, whatever a hiccup of the platform has left beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from worker.groups.events import (
    CLOCK_TOLERANCE,
    LONG_AGO,
    is_pull_failure,
    pull_failure,
    start_failure,
    time_of,
)

__all__ = ["CLOCK_TOLERANCE", "LONG_AGO", "Broken", "Health", "Healthy", "Pending", "container_health", "with_inits"]

_PLATFORM_EXIT_CODES = (7147, 7148)
"""Azure itself ended the container, for maintenance of the platform: that says nothing of the image."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """It runs as it should, without a restart or a warning since this time; or it has `ended` as it should."""

    since: datetime
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """It is on its way, or nobody can tell yet. `started`: it is not simply what ran before the change."""

    reason: str
    started: bool = True


@dataclass(frozen=True, slots=True)
class Broken:
    """It will not come up: `code` is ours, `evidence` what Azure says of it.

    `circumstance`: what it says is no word about the image, but about a registry's trouble or limit.
    """

    code: str
    evidence: str
    circumstance: bool = False


Health = Healthy | Pending | Broken


def container_health(
    view: Mapping[str, Any],
    group_events: Iterable[Mapping[str, Any]],
    restart_policy: str,
    since: datetime,
    image: str | None = None,
) -> Health:
    """The health of a container by its instance view, the group's own events and restart policy, after `since`.

    `image` is the one that it is to run: failed pulls of another one are not its fault.
    """
    events = [*(view.get("events") or []), *group_events]
    health = _by_state(view, events, restart_policy, since)
    if not isinstance(health, Pending):
        return health
    # What is on its way may never come up. Only now do the events count, as the state says more than they do.
    if failure := pull_failure(events, since, image):
        return Broken("ImagePullFailed", failure.message, failure.circumstance)
    # A start that failed before a container that goes on running is none of this change.
    if health.started and (refusal := start_failure(events, since)):
        return Broken("ContainerStartFailed", refusal)
    return health


def with_inits(health: Health, inits: Mapping[str, Health]) -> Health:
    """The health of a container that cannot start before the init containers (name → health) have ended.

    An init container that will not come up keeps every container of the group waiting forever.
    """
    if not (isinstance(health, Pending) and health.started):
        return health
    broken = ((name, init) for name, init in inits.items() if isinstance(init, Broken))
    for name, init in broken:
        return replace(init, evidence=f"init container {name}: {init.evidence}")
    return health


def _by_state(view: Mapping[str, Any], events: list[Mapping[str, Any]], restart_policy: str, since: datetime) -> Health:
    current = view.get("currentState") or {}
    state = str(current.get("state") or "unknown")
    if state == "Running":
        return _running(current, events, since)
    if state == "Terminated":
        return _terminated(current, restart_policy, since)
    is_in_crash_loop = "CrashLoopBackOff" in str(current.get("detailStatus"))
    if is_in_crash_loop and _crashed_since(view, since):
        return Broken("CrashLoop", _crash_evidence(view))
    return Pending(f"is {state.lower()}{_in_brackets(current.get('detailStatus'))}")


def _running(current: Mapping[str, Any], events: list[Mapping[str, Any]], since: datetime) -> Health:
    started = time_of(current.get("startTime"))
    if started < since - CLOCK_TOLERANCE:
        return Pending("has not been restarted yet", started=False)
    # Whatever it was warned of after the change, it has been steady only since then. Failed pulls are no warning to
    # what runs: the platform goes on counting some that are long over.
    warnings = (event for event in events if event.get("type") == "Warning" and not is_pull_failure(event))
    return Healthy(max([started, since, *(time_of(event.get("lastTimestamp")) for event in warnings)]))


def _terminated(current: Mapping[str, Any], restart_policy: str, since: datetime) -> Health:
    exit_code = current.get("exitCode")
    if restart_policy == "Always" or exit_code in _PLATFORM_EXIT_CODES:
        return Pending(f"ended with exit code {exit_code} and will be restarted")
    if time_of(current.get("finishTime")) < since - CLOCK_TOLERANCE:
        return Pending("has not been restarted yet", started=False)
    if exit_code == 0:
        return Healthy(since, ended=True)
    if restart_policy == "OnFailure":
        return Pending(f"failed with exit code {exit_code} and will be restarted")
    return Broken("ContainerFailed", f"ended with exit code {exit_code}{_in_brackets(current.get('detailStatus'))}")


def _crashed_since(view: Mapping[str, Any], since: datetime) -> bool:
    previous = view.get("previousState") or {}
    if previous.get("exitCode") in _PLATFORM_EXIT_CODES:
        return False
    finished = previous.get("finishTime")
    return finished is None or time_of(finished) >= since - CLOCK_TOLERANCE


def _crash_evidence(view: Mapping[str, Any]) -> str:
    current = view.get("currentState") or {}
    previous = view.get("previousState") or {}
    last_exit = f"{previous.get('exitCode', 'unknown')}{_in_brackets(previous.get('detailStatus'))}"
    return f"{current.get('detailStatus')}; {view.get('restartCount', 0)} restarts; last exit code {last_exit}"


def _in_brackets(detail: object) -> str:
    return f" ({detail})" if detail else ""
