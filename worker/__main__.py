"""aci-hooks-worker: brings pushed images onto container groups. Composition root and command line."""

from __future__ import annotations

import os
import random
import signal
import sys
from functools import cached_property, partial
from typing import NoReturn

import click
import structlog

from shared.environment import SettingsError, misspelt, read_settings
from shared.errors import RemoteError
from shared.queue import Queue
from shared.settings import IngressSettings, WorkerSettings, variables
from shared.telemetry import MESSAGES, Redaction, configure_logging
from worker.adapters.monitoring import serve_monitoring
from worker.commands.check import check
from worker.commands.dead_letters import dead_letters
from worker.commands.history import history
from worker.commands.operate import hold, push, release, rollback, sweep
from worker.commands.output import example
from worker.commands.plan import plan
from worker.commands.schema import schema
from worker.controller.background import regularly
from worker.targets.file import TargetsError
from worker.wiring import Deployment, wire

log = structlog.get_logger()
MISCONFIGURED = 2
LOOK = 5.0
"""Seconds between two looks at the targets file, and at the age of the list of groups."""


class Opening:
    """Opens the deployment that the environment describes, once a command asks for it."""

    def __init__(self, command: str | None) -> None:
        self._command = command
        self._redaction = Redaction()

    @cached_property
    def settings(self) -> WorkerSettings:
        """The settings; reading them sets up the logs. Raises SettingsError, with a hint at each misspelt variable."""
        hints = misspelt(os.environ, [*variables(WorkerSettings), *variables(IngressSettings)])
        try:
            settings = read_settings(WorkerSettings, os.environ)
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
        return wire(self.settings, os.environ, self._redaction)

    def __call__(self) -> Deployment:
        """The same; ends the program with exit code 2 and every error if anything is wrong."""
        try:
            return self.deployment()
        except SettingsError as error:
            _fail(error.problems)
        except TargetsError as error:
            _fail(str(error).splitlines())


class Commands(click.Group):
    """The commands; an outside system that fails one of them is told in a line, never in a stack trace."""

    def invoke(self, context: click.Context) -> object:
        """Run a command."""
        try:
            return super().invoke(context)
        except RemoteError as error:
            raise click.ClickException(str(error)) from error


@click.group(
    cls=Commands,
    # While a shell completes a line, no command runs that could open it.
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "obj": Opening(None)},
)
@click.version_option(package_name="aci-hooks")
@click.pass_context
def main(context: click.Context) -> None:
    """Bring pushed images onto running Azure container groups, in place.

    Everything is configured by environment variables; the README lists them. These it can't do without:

    \b
      AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT for its name
      ACI_HOOKS_TARGETS, a file; or for one container group alone:
      AZURE_SUBSCRIPTION_ID, RESOURCE_GROUP_NAME and CONTAINER_GROUP_NAME

    \b
      aci-hooks-worker check                  is everything there that a rollout needs?
      aci-hooks-worker plan acme/shop:v2      what would a push of it do?
      aci-hooks-worker run                    work until SIGTERM
      aci-hooks-worker dead-letters list      what could not be done, and why?

    \b
    Exit codes: 0 done, 1 something failed or could not be looked at, 2 wrong settings or arguments.

    \b
    Completion of commands, options and groups, for ~/.bashrc, ~/.zshrc, ~/.config/fish/config.fish:
      eval "$(_ACI_HOOKS_WORKER_COMPLETE=bash_source aci-hooks-worker)"
      eval "$(_ACI_HOOKS_WORKER_COMPLETE=zsh_source aci-hooks-worker)"
      _ACI_HOOKS_WORKER_COMPLETE=fish_source aci-hooks-worker | source
    """
    context.obj = Opening(context.invoked_subcommand)


@main.command(
    help="Work on the queue until SIGTERM or SIGINT; then finish the steps in hand and exit 0.",
    short_help="Work on the queue until SIGTERM.",
    epilog=example("run --drain"),
)
@click.option("--drain", is_flag=True, help="Exit 0 once the queue is empty: no message visible and none in flight.")
@click.pass_context
def run(context: click.Context, *, drain: bool) -> None:
    """`aci-hooks-worker run [--drain]`."""
    deployment: Deployment = context.obj()
    settings = deployment.settings
    worker = deployment.worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    for queue in (deployment.updates, deployment.poison):
        MESSAGES.labels(queue.name).set_function(partial(_count, queue))
    if settings.worker_port:
        try:
            serve_monitoring(settings.worker_port, lambda: _not_ready(deployment))
        except OSError as error:
            _fail([f"ACI_HOOKS_WORKER_PORT: cannot listen on {settings.worker_port}: {error.strerror}"])
    try:
        deployment.ensure_storage()
    except RemoteError as error:
        log.warning("storage not ready yet, working on", error=str(error))
    regularly("list of groups", worker.stopping, lambda: LOOK, deployment.latecomers.look)
    if settings.sweep_interval:
        jittered = partial(random.uniform, settings.sweep_interval / 2, settings.sweep_interval)
        regularly("sweep", worker.stopping, jittered, deployment.sweep_if_due)
    log.info("worker started", queue=deployment.updates.name, drain=drain)
    worker.run(drain=drain)
    deployment.notifier.close()
    log.info("worker stopped")


for command in (check, dead_letters, history, hold, plan, push, release, rollback, schema, sweep):
    main.add_command(command)


def _not_ready(deployment: Deployment) -> str | None:
    try:
        deployment.updates.count()
    except RemoteError as error:
        return str(error)
    return None


def _count(queue: Queue) -> float:
    try:
        return queue.count()
    except RemoteError:
        return float("nan")


def _fail(problems: list[str]) -> NoReturn:
    click.echo("aci-hooks-worker: not configured:", err=True)
    for problem in problems:
        click.echo(f"  {problem}", err=True)
    sys.exit(MISCONFIGURED)


if __name__ == "__main__":
    main()
