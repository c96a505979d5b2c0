"""May the worker read the logs of containers? Asked once in a resource group, as that is where roles are given."""

from __future__ import annotations

import threading
import time

from shared.errors import RemoteError
from shared.message import TargetId
from worker.controller.crash_logs import RIGHT
from worker.groups.group import ContainerGroup
from worker.wiring.deployment import Deployment

MOST_ASKED = 8
"""In how many resource groups: as many as are asked within a moment, and nobody gives each of them another role."""
_PATIENCE = 5.0
"""Seconds: nothing but a hint depends on the answer."""


class LogsRight:
    """Asks for the right to read logs, for many threads at once."""

    def __init__(self, deployment: Deployment) -> None:
        self._last_lines = deployment.ports.last_lines
        self._lock = threading.Lock()
        self._asked: set[str] = set()

    def missing(self, group: ContainerGroup) -> str | None:
        """A sentence if the right is missing; None if it is there, is not needed, or was asked for already."""
        last_lines, container = self._last_lines, next(iter(group.images), None)
        if last_lines is None or container is None:
            return None
        if not self._is_first(group.id):
            return None
        try:
            last_lines(group.id, container, time.monotonic() + _PATIENCE)
        except RemoteError as error:
            # Any other error says nothing about the role.
            if error.status == 403:
                return (
                    f"the worker's role lacks {RIGHT} in the resource group {group.id.resource_group}: dead letters "
                    "will not show what a crashed container wrote last"
                )
        return None

    def _is_first(self, target: TargetId) -> bool:
        scope = target.key.rpartition("/")[0]
        with self._lock:
            if scope in self._asked or len(self._asked) >= MOST_ASKED:
                return False
            self._asked.add(scope)
        return True
