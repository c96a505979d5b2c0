"""Opening: the deployment that the environment describes, or every error of it at once.

What stands behind it is imported once a command asks for it: see worker.commands.lazily.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from worker.commands.output import print_line

if TYPE_CHECKING:
    from shared.settings import WorkerSettings
    from shared.telemetry import Redaction
    from worker.adapters.arm.client import Arm
    from worker.wiring.deployment import Deployment

MISCONFIGURED = 2


class Opening:
    """Opens the deployment that the environment describes, once a command asks for it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment's variables."""
        return self._environment

    @cached_property
    def _redaction(self) -> Redaction:
        from shared.telemetry import Redaction

        return Redaction()

    @cached_property
    def settings(self) -> WorkerSettings:
        """The settings; reading them sets up the logs. Raises SettingsError, with a hint at each misspelt variable."""
        # Cached, as `check` asks for the settings first and for the deployment later: the hints are logged once.
        return self._read(self._environment)

    def deployment(self) -> Deployment:
        """The adapters. Raises SettingsError or TargetsError."""
        from worker.wiring.wire import wire

        return wire(self.settings, self._environment, self._redaction)

    def arm(self) -> tuple[Arm, WorkerSettings]:
        """Azure alone, for whoever has neither targets nor storage yet; ends the program like a call of this."""
        from shared.environment import SettingsError
        from worker.adapters.arm.client import open_arm

        # Nothing of either is opened; a setting that is there is checked all the same.
        stand_ins = {"ACI_HOOKS_TARGETS": "none", "ACI_HOOKS_TARGETS_FILE": ""}
        if not any(name.startswith("AZURE_STORAGE_") for name in self._environment):
            stand_ins["AZURE_STORAGE_ACCOUNT"] = "unused"
        try:
            settings = self._read({**self._environment, **stand_ins})
        except SettingsError as error:
            fail(error.problems)
        return open_arm(settings), settings

    def __call__(self) -> Deployment:
        """The same; ends the program with exit code 2 and every error if anything is wrong."""
        from shared.environment import SettingsError
        from worker.targets.file import TargetsError

        try:
            return self.deployment()
        except SettingsError as error:
            fail(error.problems)
        except TargetsError as error:
            fail(str(error).splitlines())

    def _read(self, environment: Mapping[str, str]) -> WorkerSettings:
        import structlog

        from shared.environment import SettingsError, misspelt, read_settings
        from shared.settings import IngressSettings, WorkerSettings, variables
        from shared.telemetry import configure_logging

        hints = misspelt(
            environment, [*variables(WorkerSettings), *variables(IngressSettings)]
        )
        try:
            settings = read_settings(WorkerSettings, environment)
        except SettingsError as error:
            raise SettingsError([*error.problems, *hints]) from error
        # Before the first line is logged, which may repeat what an outside system says of a connection string.
        for secret in settings.secret_values():
            self._redaction.learn(secret)
        configure_logging(settings.log_format, self._redaction)
        for hint in hints:
            structlog.get_logger().warning(hint)
        return settings


def fail(problems: Iterable[str]) -> NoReturn:
    """End the program with exit code 2 and these problems."""
    print_line("aci-hooks: invalid configuration:", err=True)
    for problem in problems:
        print_line(f"  {problem}", err=True)
    sys.exit(MISCONFIGURED)
