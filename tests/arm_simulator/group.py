"""A container group: its definition, and the launches that its containers went through."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from .images import Conduct, ImageRules, means
from .life import Run
from .messages import GroupKey, Json
from .options import Options, group_matches

_LAUNCHES_KEPT = 8
_HISTORY_KEPT = 1_000
_SHORTEST_TRANSITION = 0.001
_WHERE_STUCK = 0.4
"""A stuck transition stands still at this share of its time: before any container starts."""

_STATES_ON_THE_WAY = {
    "create": ("Pending", "Creating"),
    "update": ("Pending", "Updating"),
    "start": ("Pending", "Creating"),
    "restart": ("Updating", "Updating"),
    "repair": ("Unhealthy", "Repairing"),
}


@dataclass(frozen=True)
class Launch:
    """One time that all containers of a group are started. Times are seconds since the epoch."""

    kind: str
    requested: float
    begins: float
    """From here on the containers of the launch before are gone."""
    ends: float
    """When the operation is over, and with it the transition."""
    runs: Mapping[str, Run]
    fails: bool = False
    can_stick: bool = False
    stopped_at: float | None = None

    def moment(self, now: float, stuck: bool) -> float:
        """The time that counts for this launch: it stands still while the launch is stuck."""
        if not (stuck and self.can_stick):
            return now
        return min(now, self.begins + _WHERE_STUCK * (self.ends - self.begins))

    def status(self, moment: float) -> str:
        """Both the `provisioningState` of the group and the `status` of the operation."""
        if moment >= self.ends:
            return "Failed" if self.fails else "Succeeded"
        early, late = _STATES_ON_THE_WAY[self.kind]
        return early if moment < self.requested + (self.ends - self.requested) / 3 else late


@dataclass
class Group:
    """Changed only under the lock of the world that holds it. A definition is replaced as a whole, never edited."""

    key: GroupKey
    definition: Json
    ip: str | None = None
    launches: list[Launch] = field(default_factory=list)
    effective_puts: int = 0
    restarts: int = 0
    from_standby_pool: bool = False
    orchestrator_id: str | None = None
    history: deque[tuple[float, dict[str, str]]] = field(default_factory=lambda: deque(maxlen=_HISTORY_KEPT))

    @property
    def properties(self) -> Json:
        properties: Json = self.definition["properties"]
        return properties

    @property
    def location(self) -> str:
        return str(self.definition["location"])

    @property
    def fqdn(self) -> str | None:
        label = (self.properties.get("ipAddress") or {}).get("dnsNameLabel")
        return f"{label}.{self.location}.azurecontainer.io" if label else None

    def launch(self, launch: Launch) -> None:
        self.launches = [*self.launches, launch][-_LAUNCHES_KEPT:]
        self.history.append((launch.begins, {name: run.image for name, run in launch.runs.items()}))

    @property
    def stopped_at(self) -> float | None:
        return self.launches[-1].stopped_at

    def stop(self, now: float) -> None:
        self.launches = [*self.launches[:-1], replace(self.launches[-1], stopped_at=now)]

    def moment(self, now: float, options: Options) -> float:
        return self.launches[-1].moment(now, group_matches(self.key, options.stuck))

    def transitioning(self, moment: float) -> bool:
        return self.stopped_at is None and moment < self.launches[-1].ends

    def ended(self, moment: float) -> bool:
        """Whether nothing of it runs any more: it was stopped, or all its containers came to their end."""
        if self.stopped_at is not None:
            return True
        runs = [self.launches[-1].runs[name] for name in container_names(self.properties, "containers")]
        return all(run.exits(moment) and not run.restarts for run in runs)


def container_names(properties: Json, kind: str) -> list[str]:
    return [container["name"] for container in properties.get(kind, [])]


def effective_images(properties: Json) -> dict[str, str]:
    return {
        container["name"]: container["properties"]["image"]
        for kind in ("initContainers", "containers")
        for container in properties.get(kind, [])
    }


@dataclass(frozen=True)
class LaunchPlanner:
    """Draws up the timetable of a launch from what the options and the image rules say at that moment."""

    options: Options
    images: ImageRules

    def launch(self, kind: str, group: Group, now: float) -> Launch:
        # Of a node that is down the old view is shown until the group is moved.
        lags = {"restart": self.options.restart_lag_seconds, "repair": self.options.transition_seconds / 2}
        begins = now + lags.get(kind, 0.0)
        ends = begins + max(self.options.transition_seconds, _SHORTEST_TRANSITION)
        runs = self._runs(group, begins, ends, pulls=kind != "restart" or self.options.restart_pulls)
        fails = bool(self.options.fail_operation) and any(
            means(self.options.fail_operation, run.image) for run in runs.values()
        )
        can_stick = group_matches(group.key, self.options.stuck)
        return Launch(kind, now, begins, ends, runs, fails, can_stick)

    def launched(self, group: Group, started_at: float, *, ended: bool) -> Launch:
        """A launch that was over long ago, at `started_at`. With `ended` its containers came to their end at once."""
        runs = self._runs(group, started_at, started_at, pulls=True)
        if ended:
            runs = {n: replace(run, conduct=Conduct(lives=0.0), restarts=False) for n, run in runs.items()}
        return Launch("create", started_at, started_at, started_at, runs)

    def _runs(self, group: Group, begins: float, ends: float, *, pulls: bool) -> dict[str, Run]:
        initial = set(container_names(group.properties, "initContainers"))
        policy = group.properties.get("restartPolicy", "Always")
        runs = {}
        for name, image in effective_images(group.properties).items():
            run = self._run(image, begins, ends, policy, self._kept(group, name, pulls), initial=name in initial)
            runs[name] = replace(run, name=name)
        if all(runs[name].does_its_work for name in initial):
            return runs
        # No container is so much as pulled before the init containers have done their work.
        return {n: run if n in initial else replace(run, pull_at=None, start_at=inf) for n, run in runs.items()}

    @staticmethod
    def _kept(group: Group, name: str, pulls: bool) -> Run | None:
        """The run whose image stays in use, where nothing is pulled."""
        kept = group.launches[-1].runs.get(name) if group.launches and not pulls else None
        return kept if kept and kept.conduct.pullable else None

    def _run(self, image: str, begins: float, ends: float, policy: str, kept: Run | None, *, initial: bool) -> Run:
        time = ends - begins
        pulling = 0.0 if kept else min(self.options.pull_seconds, time)
        pull_at = begins + (time - pulling) / 2
        conduct = kept.conduct if kept else self.images.conduct(image)
        if initial:
            conduct = conduct.as_init_container()
        failing = conduct.exit_code != 0
        restarts = (policy == "Always" and (failing or not initial)) or (policy == "OnFailure" and failing)
        return Run(
            image=image,
            digest=kept.digest if kept else self.images.digest(image),
            conduct=conduct,
            restarts=restarts,
            pull_at=None if kept else pull_at,
            start_at=pull_at + pulling,
            back_off=max(self.options.back_off_seconds, _SHORTEST_TRANSITION),
            digests_in_failures=self.options.digests_in_failures,
        )
