"""Opening: the deployment that the environment describes, or every error of it at once."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NoReturn

import structlog

from shared.environment import SettingsError, misspelt, read_settings
from shared.settings import IngressSettings, WorkerSettings, variables
from shared.telemetry import Redaction, configure_logging
from worker.commands.output import print_line
from worker.targets.file import TargetsError
from worker.wiring import Deployment, wire

MISCONFIGURED = 2

log = structlog.get_logger()


class Opening:
    """Opens the deployment that the environment describes, once a command asks for it."""

    def __init__(self, command: str | None, environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._redaction = Redaction()

    @cached_property
    def settings(self) -> WorkerSettings:
        """The settings; reading them sets up the logs. Raises SettingsError, with a hint at each misspelt variable."""
        hints = misspelt(self._environment, [*variables(WorkerSettings), *variables(IngressSettings)])
        try:
            settings = read_settings(WorkerSettings, self._environment)
        except SettingsError as error:
            raise SettingsError([*error.problems, *hints]) from error
        for secret in settings.secret_values():
            self._redaction.learn(secret)
        for_a_person = self._command != "run" and sys.stderr.isatty()
        configure_logging("console" if for_a_person else settings.log_format, self._redaction)
        for hint in hints:
            log.warning(hint)
        return settings

    def deployment(self) -> Deployment:
        """The adapters. Raises SettingsError or TargetsError."""
        return wire(self.settings, self._environment, self._redaction)

    def __call__(self) -> Deployment:
        """The same; ends the program with exit code 2 and every error if anything is wrong."""
        try:
            return self.deployment()
        except SettingsError as error:
            fail(error.problems)
        except TargetsError as error:
            fail(str(error).splitlines())


def fail(problems: Iterable[str]) -> NoReturn:
    """End the program with exit code 2 and these problems."""
    print_line("aci-hooks-worker: not configured:", err=True)
    for problem in problems:
        print_line(f"  {problem}", err=True)
    sys.exit(MISCONFIGURED)
