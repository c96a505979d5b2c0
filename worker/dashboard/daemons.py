"""Reading several things at the same time, in threads that hold up nothing when the program ends."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

import structlog

from shared.message import TargetId

AT_A_TIME = 8
"""Reads of Azure, and of records, at the same time."""

log = structlog.get_logger()


def side_by_side(
    name: str, read: Callable[[TargetId], None], targets: Iterable[TargetId]
) -> None:
    """Read each of these, AT_A_TIME at the same time, and wait for them all.

    In daemons: a ThreadPoolExecutor would hold up the end of the program for as long as anything hangs.
    """
    left = deque(targets)

    def work() -> None:
        while True:
            try:
                target = left.popleft()
            except IndexError:
                return
            try:
                read(target)
            except Exception:  # the others are read all the same
                log.exception(
                    "not read for the status page", what=name, target=str(target)
                )

    threads = [
        threading.Thread(target=work, name=name, daemon=True)
        for _ in range(min(AT_A_TIME, len(left)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
