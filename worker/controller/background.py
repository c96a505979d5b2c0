"""The work that a worker does at intervals besides the queue, each kind in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from shared.errors import RemoteError

log = structlog.get_logger()


def run_every(
    name: str,
    stopping: threading.Event,
    pause: Callable[[], float],
    work: Callable[[], None],
) -> None:
    """Start a thread that waits for `pause()` seconds and does `work`, again and again until `stopping` is set.

    A failure is logged and ends nothing.
    """
    threading.Thread(
        target=_repeat, args=(name, stopping, pause, work), name=name, daemon=True
    ).start()


def _repeat(
    name: str,
    stopping: threading.Event,
    pause: Callable[[], float],
    work: Callable[[], None],
) -> None:
    while not stopping.wait(pause()):
        try:
            work()
        except RemoteError as error:
            log.warning(f"{name} failed, retrying later", error=str(error))
        except (
            Exception
        ):  # this thread is the only one that does the work, so nothing may end it
            log.exception(f"{name} failed, retrying later")
