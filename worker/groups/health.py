"""How a container fares after a change, read from ARM's instance view. Pure.

Three lessons of real traffic stand behind it: an operation that "succeeded" says nothing of the container; events of
earlier rollouts stay in the list and are told apart by their time; and a container that runs since T without a
restart has been steady since T, so that nothing needs to be remembered between two looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.image import ImageReference, InvalidImage

CLOCK_TOLERANCE = timedelta(seconds=2)
"""How much earlier than the change a start may seem to be: Azure cuts times to the second, and clocks differ."""

_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})")
_NAMED_IMAGE = re.compile(r'image "([^"\s]+)"')
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""Before anything that Azure can tell of."""
_PLATFORM_EXIT_CODES = frozenset({7147, 7148})
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
    """It will not come up: `code` is ours, `evidence` what Azure says of it."""

    code: str
    evidence: str


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
    all_events = [*(view.get("events") or []), *group_events]
    events = [event for event in all_events if not _is_of_another(event, image)]
    current = view.get("currentState") or {}
    refusal = _pull_failure(events, since)
    if refusal:
        return Broken("ImagePullFailed", refusal)
    state = str(current.get("state") or "unknown")
    if state == "Running":
        return _running(current, events, since)
    if state == "Terminated":
        return _terminated(current, restart_policy, since)
    is_in_crash_loop = "CrashLoopBackOff" in str(current.get("detailStatus"))
    if is_in_crash_loop and _crashed_since(view, since):
        return Broken("CrashLoop", _crash_evidence(view))
    return Pending(f"is {state.lower()}{_in_brackets(current.get('detailStatus'))}")


def pulled_digest(view: Mapping[str, Any], since: datetime | None = None) -> str | None:
    """The digest that the newest Pulled event names (not older than `since`), None without such an event."""
    pulled: list[tuple[datetime, str]] = []
    for event in view.get("events") or []:
        digest = _DIGEST.search(str(event.get("message")))
        if event.get("name") == "Pulled" and digest:
            pulled.append((_time(event.get("lastTimestamp")), digest[1]))
    if not pulled:
        return None
    pulled_at, newest = max(pulled)
    is_older = since is not None and pulled_at < since - CLOCK_TOLERANCE
    return None if is_older else newest


def _running(current: Mapping[str, Any], events: list[Mapping[str, Any]], since: datetime) -> Health:
    started = _time(current.get("startTime"))
    if started < since - CLOCK_TOLERANCE:
        return Pending("has not been restarted yet", started=False)
    # Whatever it was warned of after the change, it has been steady only since then.
    warned = [_time(event.get("lastTimestamp")) for event in events if event.get("type") == "Warning"]
    return Healthy(max([started, since, *warned]))


def _terminated(current: Mapping[str, Any], restart_policy: str, since: datetime) -> Health:
    exit_code = current.get("exitCode")
    if restart_policy == "Always" or exit_code in _PLATFORM_EXIT_CODES:
        return Pending(f"ended with exit code {exit_code} and will be restarted")
    if _time(current.get("finishTime")) < since - CLOCK_TOLERANCE:
        return Pending("has not been restarted yet", started=False)
    if exit_code == 0:
        return Healthy(since, ended=True)
    if restart_policy == "OnFailure":
        return Pending(f"failed with exit code {exit_code} and will be restarted")
    return Broken("ContainerFailed", f"ended with exit code {exit_code}{_in_brackets(current.get('detailStatus'))}")


def _pull_failure(events: list[Mapping[str, Any]], since: datetime) -> str | None:
    """What the newest failed pull says, unless the image has been pulled after it."""
    failures = [
        (_time(event.get("lastTimestamp")), str(event.get("message")))
        for event in events
        if event.get("name") == "Failed" and "pull" in str(event.get("message")).lower()
    ]
    failed_at, message = max(failures, default=(LONG_AGO, ""))
    if failed_at < since:
        return None
    pulls = (_time(event.get("lastTimestamp")) for event in events if event.get("name") == "Pulled")
    return None if any(at > failed_at for at in pulls) else message


def _is_of_another(event: Mapping[str, Any], image: str | None) -> bool:
    """Does the event tell of the pull of another image? The last pull of the one before may fail after the change."""
    named = _NAMED_IMAGE.search(str(event.get("message")))
    if image is None or event.get("name") != "Failed" or named is None:
        return False
    try:
        return ImageReference.parse(named[1]) != ImageReference.parse(image)
    except InvalidImage:
        return False


def _crashed_since(view: Mapping[str, Any], since: datetime) -> bool:
    previous = view.get("previousState") or {}
    if previous.get("exitCode") in _PLATFORM_EXIT_CODES:
        return False
    finished = previous.get("finishTime")
    return finished is None or _time(finished) >= since - CLOCK_TOLERANCE


def _crash_evidence(view: Mapping[str, Any]) -> str:
    current = view.get("currentState") or {}
    previous = view.get("previousState") or {}
    last_exit = f"{previous.get('exitCode', 'unknown')}{_in_brackets(previous.get('detailStatus'))}"
    return f"{current.get('detailStatus')}; {view.get('restartCount', 0)} restarts; last exit code {last_exit}"


def _in_brackets(detail: object) -> str:
    return f" ({detail})" if detail else ""


def _time(text: object) -> datetime:
    """A time of ARM's, in RFC 3339 with up to seven digits behind the second; LONG_AGO for anything else."""
    if not isinstance(text, str):
        return LONG_AGO
    try:
        at = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return LONG_AGO
    return at if at.tzinfo else at.replace(tzinfo=UTC)
