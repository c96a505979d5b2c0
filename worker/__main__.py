"""aci-hooks-worker: brings pushed images onto container groups. Composition root and command line."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial

import click
import structlog

from shared.environment import SettingsError, misspelt, read_settings
from shared.errors import RemoteError
from shared.settings import IngressSettings, WorkerSettings, variables
from shared.telemetry import Redaction, configure_logging
from worker.commands.dead_letters import dead_letters
from worker.monitoring import serve_monitoring
from worker.targets_file import TargetsError
from worker.wiring import Deployment, wire

log = structlog.get_logger()
MISCONFIGURED = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="aci-hooks")
@click.pass_context
def main(context: click.Context) -> None:
    """Bring pushed images onto running Azure container groups, in place.

    Everything is configured by environment variables (see the README); a queue message says what was pushed.

    \b
      aci-hooks-worker run                      work until SIGTERM
      aci-hooks-worker dead-letters list        what could not be done, and why
    """
    context.obj = partial(_deployment, context)


@main.command()
@click.option(
    "--drain", is_flag=True, help="End, with exit code 0, once the queue is empty: nothing visible or in flight."
)
@click.pass_context
def run(context: click.Context, *, drain: bool) -> None:
    """Work on the queue until SIGTERM or SIGINT; then finish the steps in hand and exit 0."""
    deployment: Deployment = context.obj()
    worker = deployment.worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    if deployment.settings.worker_port:
        try:
            serve_monitoring(deployment.settings.worker_port, lambda: _not_ready(deployment))
        except OSError as error:
            _fail([f"ACI_HOOKS_WORKER_PORT: cannot listen on {deployment.settings.worker_port}: {error.strerror}"])
    try:
        deployment.ensure_storage()
    except RemoteError as error:
        log.warning("storage not ready yet, working on", error=str(error))
    log.info("worker started", queue=deployment.updates.name, drain=drain)
    worker.run(drain=drain)
    log.info("worker stopped")


main.add_command(dead_letters)


def _deployment(context: click.Context) -> Deployment:
    """Settings, logs and adapters; ends the program with exit code 2 and every error if anything is wrong with them."""
    redaction = Redaction()
    try:
        settings = read_settings(WorkerSettings, os.environ)
        for secret in settings.secret_values():
            redaction.learn(secret)
        quiet = context.invoked_subcommand != "run"
        configure_logging("console" if quiet and sys.stderr.isatty() else settings.log_format, redaction)
        for warning in misspelt(os.environ, [*variables(WorkerSettings), *variables(IngressSettings)]):
            log.warning(warning)
        return wire(settings, os.environ, redaction)
    except SettingsError as error:
        _fail(error.problems)
    except TargetsError as error:
        _fail(str(error).splitlines())
    raise AssertionError


def _not_ready(deployment: Deployment) -> str | None:
    try:
        deployment.updates.count()
    except RemoteError as error:
        return str(error)
    return None


def _fail(problems: list[str]) -> None:
    click.echo("aci-hooks-worker: not configured:", err=True)
    for problem in problems:
        click.echo(f"  {problem}", err=True)
    sys.exit(MISCONFIGURED)


if __name__ == "__main__":
    main()
