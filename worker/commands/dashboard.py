"""`aci-hooks dashboard`: the status page, until SIGTERM. Reads only.

The page itself is in worker.dashboard. Here it gets the deployment's adapters, and a host that it may listen on.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import click

from worker.commands.opening import fail
from worker.commands.output import example

if TYPE_CHECKING:
    from worker.dashboard.sources import Sources
    from worker.wiring.deployment import Deployment

PORT = 8082


@click.command(
    help="Serve a read-only page that shows the groups, the rollouts, the history and the dead letters. Without "
    "ACI_HOOKS_DASHBOARD_TOKENS it is served to this machine alone.",
    short_help="The status page, for a browser.",
    epilog=example("dashboard --port 8082"),
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
)
@click.option(
    "--port",
    default=PORT,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port to listen on.",
)
@click.pass_context
def dashboard(context: click.Context, *, host: str, port: int) -> None:
    """`aci-hooks dashboard [--host H] [--port P]`."""
    import structlog

    from shared.serving import listen, serve
    from worker.dashboard.admission import is_loopback
    from worker.dashboard.app import create_app
    from worker.dashboard.front import Front
    from worker.dashboard.reader import Reader

    deployment: Deployment = context.obj()
    tokens = [
        token.get_secret_value() for token in deployment.settings.dashboard_tokens
    ]
    if not tokens and not is_loopback(host):
        fail([_open_to_others(host)])
    try:
        listener = listen(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}, port {port}: {error.strerror or error}"
        ) from error
    reader, stopping = Reader(_sources(deployment)), threading.Event()
    reader.start(stopping)
    structlog.get_logger().info(
        "serving", url=f"http://{host}:{port}/", tokens=len(tokens)
    )
    serve(Front(create_app(reader, tokens), reader), listener)  # until SIGTERM
    stopping.set()


def _open_to_others(host: str) -> str:
    return (
        f"ACI_HOOKS_DASHBOARD_TOKENS: not set, so the status page would be open to everybody who reaches {host}; set "
        "it to one or more secrets of at least 16 characters, or leave --host out to serve this machine alone"
    )


def _sources(deployment: Deployment) -> Sources:
    from worker.dashboard.sources import Sources

    return Sources(
        groups=deployment.arm,
        records=deployment.records,
        targets=deployment.catalogue,
        updates=deployment.updates,
        poison=deployment.poison,
        redact=deployment.redaction.text,
        rollback=deployment.settings.rollback,
    )
