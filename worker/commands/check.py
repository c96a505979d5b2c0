"""What `aci-hooks check` looks at: is everything in place for a rollout? Reads only.

The parts are in check_storage, check_targets and check_sources; check_command prints them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from shared.environment import SettingsError
from shared.settings import WorkerSettings
from worker.adapters.targets_source import TargetsSource
from worker.commands.check_sources import check_sources
from worker.commands.check_storage import check_storage
from worker.commands.check_targets import check_targets
from worker.commands.finding import Finding
from worker.targets.file import TargetsError, TargetsFile
from worker.wiring.deployment import Deployment


class OpensInSteps(Protocol):
    """What opens the deployment step by step, so that one mistake hides no other; worker.__main__'s."""

    @property
    def settings(self) -> WorkerSettings:
        """The settings; raises SettingsError."""

    def deployment(self) -> Deployment:
        """Everything; raises TargetsError, too."""


def check(opening: OpensInSteps) -> Iterator[Finding]:
    """Everything that a rollout needs, one finding after the other."""
    try:
        settings = opening.settings
    except SettingsError as error:
        yield from _failed("settings", error.problems)
        return
    yield Finding("settings")
    file = None
    try:
        if settings.targets_file:
            file = _read(settings.targets_file, settings.subscription)
            yield Finding("targets file", settings.targets_file)
    except TargetsError as error:
        yield from _failed("targets file", str(error).splitlines())
        # The deployment can't be opened with a broken file. Storage can be looked at all the same.
        yield from check_storage(settings)
        return
    yield from check_storage(settings)
    deployment = opening.deployment()
    yield from check_targets(deployment)
    if file:
        yield from check_sources(deployment, file)


def _read(path: str, subscription: str | None) -> TargetsFile:
    def ignore_changes(_later: TargetsFile | TargetsError) -> None:
        """The file is read once: nobody has to hear of a later version."""

    return TargetsSource(Path(path), subscription, ignore_changes).current()


def _failed(what: str, problems: Iterable[str]) -> Iterator[Finding]:
    return (Finding(what, problem, "FAILED") for problem in problems)
