"""The health of a container after a change, read from ARM's instance view. Pure.

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
    killed_by_platform,
    pull_failure,
    start_failure,
    time_of,
)

__all__ = [
    "CLOCK_TOLERANCE",
    "LONG_AGO",
    "Broken",
    "Health",
    "Healthy",
    "Pending",
    "container_health",
    "with_inits",
]

_PLATFORM_EXIT_CODES = (7147, 7148)
"""Azure itself ended the container, for maintenance of the platform. That says nothing about the image."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """It has run without a restart or a warning since this time; or it has `ended` as it should."""

    since: datetime
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """It is starting, or its health is not known yet. `started`: it is not just the previous container."""

    reason: str
    started: bool = True


@dataclass(frozen=True, slots=True)
class Broken:
    """It will not start: `code` is our name for the reason, `evidence` is what Azure says about it.

    `circumstance`: the reason is a registry's trouble or limit and says nothing about the image.
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
    """The health of a container after `since`, from its instance view, the group's events and its restart policy.

    `image` is the one that it should run: failed pulls of another image are not its fault.
    """
    events = [*(view.get("events") or []), *group_events]
    health = _by_state(view, events, restart_policy, since)
    if not isinstance(health, Pending):
        return health
    # A container that is starting may never come up. Events count only here, because the state outranks them.
    if failure := pull_failure(events, since, image):
        return Broken("ImagePullFailed", failure.message, failure.circumstance)
    # A failed start of a container that then goes on running has nothing to do with this change.
    if health.started and (refusal := start_failure(events, since)):
        return Broken("ContainerStartFailed", refusal)
    return health


def with_inits(health: Health, inits: Mapping[str, Health]) -> Health:
    """The health of a container that can't start before the init containers (name → health) have ended.

    An init container that will not start keeps every container of the group waiting forever.
    """
    if not (isinstance(health, Pending) and health.started):
        return health
    broken = ((name, init) for name, init in inits.items() if isinstance(init, Broken))
    for name, init in broken:
        return replace(init, evidence=f"init container {name}: {init.evidence}")
    return health


def _by_state(
    view: Mapping[str, Any],
    events: list[Mapping[str, Any]],
    restart_policy: str,
    since: datetime,
) -> Health:
    # A state of a kind that is not known here counts as starting: Azure's list of states is not closed.
    current = view.get("currentState") or {}
    state = str(current.get("state") or "unknown")
    if state == "Running":
        return _running(current, events, since)
    if state == "Terminated":
        return _terminated(current, events, restart_policy, since)
    # A crash loop that Azure shows may be that of the previous image, until the new one has been started.
    # The state of such a container is "Waiting", as that of one that is starting. Only this detail tells them apart.
    is_in_crash_loop = "CrashLoopBackOff" in str(current.get("detailStatus"))
    if is_in_crash_loop and _crashed_since(view, events, since):
        return Broken("CrashLoop", _crash_evidence(view))
    return Pending(f"is {state.lower()}{_in_brackets(current.get('detailStatus'))}")


def _running(
    current: Mapping[str, Any], events: list[Mapping[str, Any]], since: datetime
) -> Health:
    started = time_of(current.get("startTime"))
    if started < since - CLOCK_TOLERANCE:
        return Pending("has not been restarted yet", started=False)
    # It has been steady only since its last warning. Failed pulls don't count as warnings about a running container:
    # the platform goes on counting pulls that failed long ago.
    warnings = (
        event
        for event in events
        if event.get("type") == "Warning" and not is_pull_failure(event)
    )
    warned_at = [time_of(event.get("lastTimestamp")) for event in warnings]
    # Counting from the change on is tempting, but would prove a slowly crashing container by the sum of its short
    # lives.
    return Healthy(max([started, since, *warned_at]))


def _terminated(
    current: Mapping[str, Any],
    events: list[Mapping[str, Any]],
    restart_policy: str,
    since: datetime,
) -> Health:
    exit_code = current.get("exitCode")
    # A container that Azure restarts is between two runs. If it goes on ending, the crash loop shows in `restartCount`.
    if restart_policy == "Always" or _is_platforms_doing(current, events):
        return Pending(f"ended with exit code {exit_code} and will be restarted")
    # What ended before the change was the previous image; the new one has not been started yet.
    if time_of(current.get("finishTime")) < since - CLOCK_TOLERANCE:
        return Pending("has not been restarted yet", started=False)
    # Without "Always", a container may end by itself, as a job does.
    if exit_code == 0:
        return Healthy(since, ended=True)
    # Azure restarts it, so it has not ended. If it keeps failing, the crash loop shows.
    if restart_policy == "OnFailure":
        return Pending(f"failed with exit code {exit_code} and will be restarted")
    return Broken(
        "ContainerFailed",
        f"ended with exit code {exit_code}{_in_brackets(current.get('detailStatus'))}",
    )


def _crashed_since(
    view: Mapping[str, Any], events: list[Mapping[str, Any]], since: datetime
) -> bool:
    previous = view.get("previousState") or {}
    if _is_platforms_doing(previous, events):
        return False
    # Without a time the crash counts: overlooking a crash loop is worse than one more look at a healthy container.
    finished = time_of(previous.get("finishTime"))
    return finished == LONG_AGO or finished >= since - CLOCK_TOLERANCE


def _is_platforms_doing(
    end: Mapping[str, Any], events: list[Mapping[str, Any]]
) -> bool:
    """Whether Azure itself ended the container, as told by its exit code or by an event."""
    if end.get("exitCode") in _PLATFORM_EXIT_CODES:
        return True
    return killed_by_platform(events, time_of(end.get("finishTime")))


def _crash_evidence(view: Mapping[str, Any]) -> str:
    current = view.get("currentState") or {}
    previous = view.get("previousState") or {}
    last_exit = f"{previous.get('exitCode', 'unknown')}{_in_brackets(previous.get('detailStatus'))}"
    return f"{current.get('detailStatus')}; {view.get('restartCount', 0)} restarts; last exit code {last_exit}"


def _in_brackets(detail: object) -> str:
    return f" ({detail})" if detail else ""
