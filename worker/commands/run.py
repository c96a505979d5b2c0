"""`aci-hooks run`: work until SIGTERM.

The work is in worker.controller.loop. This command starts what surrounds it (signals, traces, metrics, the threads for
patrol and sweep), and sees to it that the process is over in time, whatever hangs.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from worker.commands.opening import fail
from worker.commands.output import example

if TYPE_CHECKING:
    from shared.readiness import Readiness
    from worker.adapters.monitoring import Turn
    from worker.controller.loop import Worker
    from worker.wiring.deployment import Deployment

LOOK = 5.0
"""Seconds between two looks at the targets file, and at the age of the list of groups."""

DRAIN_PATIENCE = 60.0
"""Seconds that `--drain` waits at most for notifications, once everything else is done."""

LATEST_EXIT = 9.0
"""Seconds after a signal at which the program is over, whatever hangs: Docker kills what is there after ten."""

LONGEST_PROBE = 4.0
"""Seconds that /readyz waits for the queue: platforms' probes give up after about as long."""

GAUGES = "gauges"
"""The blob whose lease is the turn to report what all workers share."""


@click.command(
    help="Process the queue until SIGTERM or SIGINT; then finish the steps in progress and exit 0.",
    short_help="Process the queue until SIGTERM.",
    epilog=example("run --drain"),
)
@click.option(
    "--drain",
    is_flag=True,
    help="Exit 0 once nothing is left except groups that wait for their owner.",
)
@click.pass_context
def run(context: click.Context, *, drain: bool) -> None:
    """`aci-hooks run [--drain]`."""
    import structlog

    from shared import tracing
    from shared.metrics import SWEEP_INTERVAL, tell_build

    log = structlog.get_logger()
    deployment: Deployment = context.obj()
    settings = deployment.settings
    worker = deployment.worker()
    # Before anything that takes time, so that a worker that is stopped while it starts ends well, too.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(worker))
    tracing.start(settings, "aci-hooks-worker", deployment.redaction)
    tell_build()
    SWEEP_INTERVAL.set(settings.sweep_interval)
    turn = _turn_of(deployment)
    # Before storage is asked for: a probe of the platform must be answered although storage may take its time.
    if settings.worker_port:
        _serve_monitoring(deployment)
    _ensure_storage(deployment)
    _start_background(deployment, worker, turn)
    log.info("worker started", queue=deployment.updates.name, drain=drain)
    finished = worker.run(drain=drain)
    if finished:
        turn.end()
    _tell_the_rest(deployment, is_drained=drain and not worker.stopping.is_set())
    tracing.stop()
    log.info("worker stopped")
    if not finished:
        # Steps that hang in a call to storage or Azure would keep the interpreter from exiting: it joins every thread
        # that is no daemon. Their messages become visible again when their leases end.
        sys.stderr.flush()
        os._exit(0)


def _serve_monitoring(deployment: Deployment) -> None:
    from worker.adapters.monitoring import serve_monitoring

    host, port = deployment.settings.worker_host, deployment.settings.worker_port
    try:
        serve_monitoring(host, port, _readiness(deployment.updates.count).trouble)
    except OSError as error:
        where = "ACI_HOOKS_WORKER_HOST, ACI_HOOKS_WORKER_PORT"
        fail([f"{where}: cannot listen on {host}, port {port}: {error.strerror}"])


def _ensure_storage(deployment: Deployment) -> None:
    import structlog

    from shared.errors import RemoteError

    try:
        deployment.ensure_storage()
    except RemoteError as error:
        # The loop tries again for as long as it takes. Ending here would only have the platform start us again.
        structlog.get_logger().warning(
            "storage is not ready yet, continuing", error=str(error)
        )


def _start_background(deployment: Deployment, worker: Worker, turn: Turn) -> None:
    """Start the threads that do something now and then, until the worker stops."""
    from worker.adapters.monitoring import RENEWAL
    from worker.controller.background import run_every

    settings = deployment.settings
    if settings.worker_port:
        # At once, so that the first scrape has all there is.
        turn.try_to_renew()
        run_every("turn", worker.stopping, lambda: RENEWAL, turn.renew)
    run_every("patrol", worker.stopping, lambda: LOOK, deployment.patrol_if_due)
    if settings.sweep_interval:
        # With jitter: workers that were started together would otherwise all ask for the turn at the same moment.
        jittered = partial(
            random.uniform, settings.sweep_interval / 2, settings.sweep_interval
        )
        run_every("sweep", worker.stopping, jittered, deployment.sweep_if_due)


def _tell_the_rest(deployment: Deployment, *, is_drained: bool) -> None:
    """Send the notifications that are under way, as far as there is time."""
    if is_drained:
        # Nobody waits for the exit, and a service may take no more than a message a second.
        deployment.notifier.close(DRAIN_PATIENCE)
    else:
        # Docker kills what is still there ten seconds after its signal; other platforms wait longer.
        deployment.notifier.close()


def _stop(worker: Worker) -> None:
    """Stop soon, even if the main thread hangs in a call to storage. Messages in progress are delivered again."""
    worker.stop()
    # Not from here: the handler may have interrupted the main thread in the middle of a line of the log, and would wait
    # without end for the lock that this very thread holds.
    threading.Thread(target=_say_stopping, name="say stopping", daemon=True).start()
    # os._exit, as sys.exit would only end the timer's own thread.
    last_resort = threading.Timer(LATEST_EXIT, os._exit, (0,))
    last_resort.daemon = True
    last_resort.start()


def _say_stopping() -> None:
    import structlog

    structlog.get_logger().info("stopping")


def _readiness(count: Callable[[], int]) -> Readiness:
    """Whether the queue can be reached: asked at most once a second, and waited for as long as a probe waits."""
    from shared.readiness import Readiness
    from shared.time_limit import TimeLimit

    limit = TimeLimit("queue", slots=2)

    def check() -> None:
        limit.run(count, time.monotonic() + LONGEST_PROBE)

    return Readiness(check)


def _turn_of(deployment: Deployment) -> Turn:
    """The turn to report what all workers share; /metrics asks for it."""
    from prometheus_client import REGISTRY

    from worker.adapters.monitoring import TURN, SharedGauges, Turn

    name, turns = str(uuid.uuid4()), deployment.records.turns
    turn = Turn(
        take=lambda: turns.take(GAUGES, name, TURN),
        give=lambda: turns.end(GAUGES, name),
    )
    REGISTRY.register(SharedGauges(turn, deployment.gauging().read))
    return turn
