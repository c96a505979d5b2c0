"""What `aci-hooks check` looks at: is everything in place for a rollout? Reads only.

The parts are in check_storage, check_targets and check_sources; check_command prints them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from shared.environment import SettingsError
from shared.settings import WorkerSettings
from worker.adapters.targets_source import TargetsSource
from worker.commands.check_sources import check_sources
from worker.commands.check_storage import check_storage
from worker.commands.check_targets import check_targets
from worker.commands.finding import Finding
from worker.targets.file import TargetsError
from worker.wiring import Deployment


class Opening(Protocol):
    """What opens the deployment step by step, so that one mistake hides no other; worker.__main__'s."""

    @property
    def settings(self) -> WorkerSettings:
        """The settings; raises SettingsError."""

    def deployment(self) -> Deployment:
        """Everything; raises TargetsError, too."""


def check(opening: Opening) -> Iterator[Finding]:
    """Everything that a rollout needs, one finding after the other."""
    try:
        settings = opening.settings
    except SettingsError as error:
        yield from (
            Finding("settings", problem, "FAILED") for problem in error.problems
        )
        return
    yield Finding("settings")
    file = None
    try:
        if settings.targets_file:
            file = TargetsSource(
                Path(settings.targets_file), settings.subscription, lambda _: None
            ).current()
            yield Finding("targets file", settings.targets_file)
    except TargetsError as error:
        yield from (
            Finding("targets file", problem, "FAILED")
            for problem in str(error).splitlines()
        )
        yield from check_storage(settings)
        return
    yield from check_storage(settings)
    deployment = opening.deployment()
    yield from check_targets(deployment)
    if file:
        yield from check_sources(deployment, file)
