"""What a worker does beside the queue, now and then, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from shared.errors import RemoteError

log = structlog.get_logger()


def regularly(name: str, stopping: threading.Event, pause: Callable[[], float], work: Callable[[], None]) -> None:
    """Start a thread that does `work` after each `pause` (seconds) until `stopping`. No failure ends it."""
    threading.Thread(target=_repeat, args=(name, stopping, pause, work), name=name, daemon=True).start()


def _repeat(name: str, stopping: threading.Event, pause: Callable[[], float], work: Callable[[], None]) -> None:
    while not stopping.wait(pause()):
        try:
            work()
        except RemoteError as error:
            log.warning(f"{name} failed, retrying later", error=str(error))
        except Exception:  # whatever it is, this thread is the only one that does the work
            log.exception(f"{name} failed, retrying later")
