"""aci-hooks-ingress: the command, and where the ingress is put together. The only reader of its environment."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping

import click
import structlog

from ingress.app import create_app
from ingress.front import Front
from ingress.outbox import CLIENT_TIMEOUTS, Outbox
from ingress.receivers import Limits, read_receivers
from ingress.traced import Traced
from shared import tracing
from shared.environment import SettingsError, misspelt, read_settings
from shared.errors import RemoteError
from shared.memory import return_freed_memory
from shared.queue import open_queues
from shared.serving import listen, serve
from shared.settings import SENDERS, IngressSettings, WorkerSettings, variables
from shared.telemetry import Redaction, configure_logging

_MISCONFIGURED = 2

_log = structlog.get_logger()


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--host",
    default="0.0.0.0",  # noqa: S104 - the container's own network
    show_default=True,
    help="Address to listen on.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to listen on.  [default: PORT, else 8080]",
)
@click.version_option(package_name="aci-hooks")
def main(host: str, port: int | None) -> None:
    """Take registries' webhooks and put the pushes in them onto an Azure Storage queue.

    Settings come from the environment; each may be given as NAME_FILE, a path to read it from. At the least:

    \b
      AZURE_STORAGE_CONNECTION_STRING   or AZURE_STORAGE_ACCOUNT: where the queue is
      ACI_HOOKS_WEBHOOK_TOKENS          secrets for senders, of at least 16 characters

    A sender then posts to http(s)://HOST:PORT/webhooks/SENDER/TOKEN. Put TLS in front: the token is in the URL.

    Ends with 0 after SIGTERM, once the requests in hand are answered; with 2 if the settings are wrong, naming every
    one of them.
    """
    return_freed_memory()
    # The option wins, over both forms of its variable.
    environment = {
        **os.environ,
        **({"PORT": str(port), "PORT_FILE": ""} if port else {}),
    }
    # Both programs may be given the same environment: the worker's settings are not misspelt ones of the ingress.
    hints = misspelt(
        environment, {*variables(IngressSettings), *variables(WorkerSettings)}
    )
    try:
        settings, limits, redaction = _configuration(environment)
    except SettingsError as error:
        for problem in [*error.problems, *hints]:
            click.echo(f"aci-hooks-ingress: {problem}", err=True)
        sys.exit(_MISCONFIGURED)
    configure_logging(settings.log_format, redaction)
    for hint in hints:
        _log.warning("unknown setting", detail=hint)
    try:
        listener = listen(host, settings.port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}, port {settings.port}: {error.strerror}"
        ) from error
    _log.info("serving", url=f"http://{host}:{settings.port}", queue=settings.queue)
    with tracing.traced(settings, "aci-hooks-ingress", redaction):
        serve(_assemble(settings, limits), listener)


def _configuration(
    environment: Mapping[str, str],
) -> tuple[IngressSettings, Limits, Redaction]:
    """The settings, the receivers file and what the logs hide; raises SettingsError with the problems of both."""
    settings, limits, redaction, problems = None, Limits(), Redaction(), list[str]()
    try:
        settings = read_settings(IngressSettings, environment)
        redaction = Redaction(settings.secret_values())
    except SettingsError as error:
        problems += error.problems
    # The file is read even if the settings are wrong, so that the person who sets it up sees all mistakes at once.
    if settings:
        path, served = settings.receivers_file, settings.senders
    else:
        path, served = environment.get("ACI_HOOKS_RECEIVERS"), SENDERS
    try:
        if path:
            limits = read_receivers(path, environment, served, redaction.learn)
    except SettingsError as error:
        problems += error.problems
    if settings is None or problems:
        raise SettingsError(problems)
    return settings, limits, redaction


def _assemble(settings: IngressSettings, limits: Limits) -> Front:
    updates, _ = open_queues(settings, timeouts=CLIENT_TIMEOUTS)
    outbox = Outbox(updates)
    # The first look at the queue is the slowest: it may make the queue, and ask for a credential's token. No sender
    # should wait for it.
    threading.Thread(target=_greet, args=(outbox,), daemon=True).start()
    app = create_app(settings, outbox, limits=limits)
    return Front(
        Traced(app, settings.senders) if tracing.is_on() else app, settings.max_body
    )


def _greet(outbox: Outbox) -> None:
    try:
        outbox.check()
    except RemoteError as error:
        _log.warning(
            "the queue cannot be reached yet; deliveries are answered 503 until it can",
            error=str(error),
        )


if __name__ == "__main__":
    main()
