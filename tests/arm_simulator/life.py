"""The life of one container, worked out from its timetable at the moment that somebody looks at it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import floor
from zlib import crc32

from .images import Conduct, repository
from .messages import Json

Stamp = Callable[[float], str]

_SHARE_OF_RHYTHM = 0.1
"""How much of the back-off rhythm a crash-looping container runs before it exits again."""
_FIRST_BACK_OFF, _LONGEST_BACK_OFF = 10, 300
"""Seconds, as the platform words them. The rhythm itself is an option, so that tests needn't wait."""


@dataclass(frozen=True)
class Run:
    """A container from one (re)start of its group to the next. Times are seconds since the epoch."""

    image: str
    digest: str
    conduct: Conduct
    restarts: bool
    """Whether the restart policy starts it again after an exit."""
    pull_at: float | None
    """None: the image is there already, so nothing is pulled."""
    start_at: float
    """When it starts, and when a pull ends or fails."""
    back_off: float
    name: str = ""
    """The container's, as some messages have it."""
    digests_in_failures: bool = True
    """Whether a failed pull names the digest of the platform's manifest, as recordings of 2025 do, or the image."""

    @property
    def runs(self) -> bool:
        """Whether it ever gets so far."""
        return self.conduct.pullable and self.conduct.startable

    @property
    def does_its_work(self) -> bool:
        """As an init container: whether it ends, and ends well."""
        return self.runs and self.conduct.exit_code == 0

    @property
    def pulled(self) -> str:
        """The image as events name it."""
        return f"{repository(self.image)}@{self.digest}"

    @property
    def first_exit(self) -> float | None:
        if not self.runs or self.conduct.lives is None:
            return None
        return self.start_at + self.conduct.lives

    @property
    def _period(self) -> float:
        return self.back_off * (1 + _SHARE_OF_RHYTHM)

    def exits(self, moment: float) -> int:
        if self.first_exit is None or moment < self.first_exit:
            return 0
        return 1 + floor((moment - self.first_exit) / self._period) if self.restarts else 1

    def exit_time(self, number: int) -> float:
        """When the exit of this number (from 1) happens."""
        assert self.first_exit is not None
        return self.first_exit + (number - 1) * self._period

    def start_time(self, exits: int) -> float:
        """When the start that follows this many exits happens."""
        return self.start_at if exits == 0 else self.exit_time(exits) + self.back_off


def instance_view(run: Run, moment: float, stamp: Stamp, events: list[Json]) -> Json:
    """The `instanceView` of a container as Azure shapes it. `restartCount` counts the exits, as recordings show it."""
    exits = run.exits(moment)
    view: Json = {"restartCount": exits if run.restarts else 0, "currentState": _current_state(run, moment, stamp)}
    if exits and run.restarts:
        view["previousState"] = _terminated(run, exits, stamp)
    view["events"] = events
    return view


def output(run: Run, moment: float, stamp: Stamp, *, timestamps: bool) -> str | None:
    """What a container has printed since it was last started; None before its first start, when it has no log yet.

    Only the newest start counts: while it waits to be started again, that is the one that crashed.
    """
    if not run.runs or moment < run.start_at:
        return None
    exits = run.exits(moment)
    is_over = bool(exits) and (not run.restarts or moment < run.start_time(exits))
    started = run.start_time(exits - 1 if is_over else exits)
    text = run.conduct.output
    if text is None:
        last = f"fatal: {run.image} gives up\n" if is_over and run.conduct.exit_code else ""
        text = f"starting {run.image}\n{last}"
    if not timestamps:
        return text
    return "".join(f"{stamp(started)} {line}" for line in text.splitlines(keepends=True))


def stopped_view(run: Run, stopped_at: float, stamp: Stamp, events: list[Json]) -> Json:
    """The `instanceView` of a container whose group was stopped."""
    view = instance_view(run, stopped_at, stamp, events)
    started = view["currentState"].get("startTime", stamp(stopped_at))
    view["currentState"] = {
        "state": "Terminated",
        "startTime": started,
        "exitCode": 0,
        "finishTime": stamp(stopped_at),
        "detailStatus": "Completed",
    }
    return view


def _current_state(run: Run, moment: float, stamp: Stamp) -> Json:
    if moment < run.start_at:
        return {"state": "Waiting", "detailStatus": ""}
    if not run.conduct.pullable:
        return {"state": "Waiting", "detailStatus": f'ImagePullBackOff: Back-off pulling image "{run.image}"'}
    if not run.conduct.startable:
        return {"state": "Waiting", "detailStatus": ""}
    exits = run.exits(moment)
    if exits and not run.restarts:
        return _terminated(run, exits, stamp)
    if moment < run.start_time(exits):
        pause = min(_FIRST_BACK_OFF * 2 ** min(exits - 1, 10), _LONGEST_BACK_OFF)
        return {"state": "Waiting", "detailStatus": f"CrashLoopBackOff: Back-off {pause}s restarting failed"}
    return {"state": "Running", "startTime": stamp(run.start_time(exits)), "detailStatus": ""}


def _terminated(run: Run, exits: int, stamp: Stamp) -> Json:
    return {
        "state": "Terminated",
        "startTime": stamp(run.start_time(exits - 1)),
        "exitCode": run.conduct.exit_code,
        "finishTime": stamp(run.exit_time(exits)),
        "detailStatus": "Error" if run.conduct.exit_code else "Completed",
    }


@dataclass(frozen=True)
class _Event:
    name: str
    type: str
    message: str
    first: float
    last: float
    count: int = 1


def events(run: Run, moment: float, killed: str, stamp: Stamp) -> list[Json]:
    """What has happened to a container by `moment`. Repeats are counted, not listed.

    `killed`: by whom, if that was its end: the `user`, or the `platform`, which says so.
    """
    happened = [*_pull_events(run, moment), *_start_events(run, moment)]
    if killed and moment >= run.start_at and _current_state(run, moment, stamp)["state"] == "Running":
        why = " (platform initiated)" if killed == "platform" else ""
        message = f"Killing container with id {_container_id(run)}{why}."
        happened.append(_Event("Killing", "Normal", message, moment, moment))
    return [
        {
            "count": event.count,
            "firstTimestamp": stamp(event.first),
            "lastTimestamp": stamp(event.last),
            "name": event.name,
            "message": event.message,
            "type": event.type,
        }
        for event in happened
    ]


def shuffled(events: list[Json]) -> list[Json]:
    """Azure keeps no order among events, so nobody may rely on one: they are mixed, always in the same way."""
    return sorted(events, key=lambda event: crc32(f"{event['name']} {event['firstTimestamp']}".encode()))


def _container_id(run: Run) -> str:
    return f"{crc32(f'{run.image} {run.start_at}'.encode()):08x}"


def _pull_events(run: Run, moment: float) -> list[_Event]:
    if run.pull_at is None or moment < run.pull_at:
        return []
    pulling = f'pulling image "{run.pulled}"'
    if moment < run.start_at:
        return [_Event("Pulling", "Normal", pulling, run.pull_at, run.pull_at)]
    if run.conduct.pullable:
        return [
            _Event("Pulling", "Normal", pulling, run.pull_at, run.pull_at),
            _Event("Pulled", "Normal", f'Successfully pulled image "{run.pulled}"', run.start_at, run.start_at),
            *_hiccups(run, moment, run.pull_at),
        ]
    tries, last = _tries(run, moment)
    named = run.pulled if run.digests_in_failures else run.image
    why = f'Failed to pull image "{named}": {run.conduct.pull_error}'
    return [
        _Event("Pulling", "Normal", f'pulling image "{named}"', run.pull_at, last, tries),
        _Event("Failed", "Warning", why, run.start_at, last, tries),
        _Event("BackOff", "Normal", f'Back-off pulling image "{named}"', run.start_at, last, tries),
    ]


def _hiccups(run: Run, moment: float, since: float) -> list[_Event]:
    """What the platform tells of its own trouble, beside a container that runs."""
    if not run.conduct.hiccups:
        return []
    why = "CriContainerActivator is getting initialized and not ready for use."
    return [_Event("Failed", "Warning", f'Failed to pull image "{run.pulled}": {why}', since, moment, 20)]


def _tries(run: Run, moment: float) -> tuple[int, float]:
    """How often something was tried in vain since the start, and when last."""
    tries = 1 + floor((moment - run.start_at) / run.back_off) if run.back_off else 1
    return tries, run.start_at + (tries - 1) * run.back_off


def _start_events(run: Run, moment: float) -> list[_Event]:
    if moment < run.start_at or not run.conduct.pullable:
        return []
    if not run.conduct.startable:
        tries, last = _tries(run, moment)
        why = f"Error: Failed to start container {run.name}, Error response: to create containerd task: denied"
        return [_Event("Failed", "Warning", why, run.start_at, last, tries)]
    exits = run.exits(moment)
    waits = run.restarts and moment < run.start_time(exits)
    starts = exits + (0 if waits or (exits and not run.restarts) else 1)
    last = run.start_time(starts - 1)
    happened = [
        _Event("Created", "Normal", "Created container", run.start_at, last, starts),
        _Event("Started", "Normal", "Started container", run.start_at, last, starts),
    ]
    if exits and run.restarts:
        message = "Back-off restarting failed container"
        happened.append(_Event("BackOff", "Warning", message, run.exit_time(1), run.exit_time(exits), exits))
    return happened
