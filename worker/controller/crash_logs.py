"""Crash logs: the last lines of crashed containers, read before a rollback takes them away.

They are a help, and never in the way. Whatever goes wrong here, the look goes on without them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import structlog

from shared.dead_letter import last_lines
from shared.errors import RemoteError
from shared.masking import MASK, without_credentials
from shared.message import TargetId
from shared.printable import plain
from shared.time_limit import TimeLimit
from worker.core.crashed import crashed
from worker.groups.group import ContainerGroup
from worker.ports import Ports
from worker.record.crash_logs import LONGEST_LOG, with_logs
from worker.record.record import Record
from worker.targets.target import Target

LONGEST_WAIT = 5.0
"""Seconds for which a rollback waits for the lines of all its crashed containers together."""
MOST_CONTAINERS = 5
LOOKED_THROUGH = 64 * 1024
"""Characters of a log that are searched for secrets: far more than are kept, so that no secret is cut among those."""
RIGHT = "Microsoft.ContainerInstance/containerGroups/containers/logs/read"
"""The action that the worker's role has to have."""

_Read = Callable[[TargetId, str, float], str]

log = structlog.get_logger()


class CrashLogs:
    """Reads the last lines of crashed containers, for many threads at once."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._limit = TimeLimit("secrets", slots=4)
        self._said_which_right_is_missing = False

    def added(
        self,
        before: Record,
        decided: Record,
        group: ContainerGroup,
        target: Target,
    ) -> Record:
        """The decided record, with the last lines of the containers that this look has found to be at fault."""
        if self._ports.last_lines is None:
            return decided
        try:
            if at_fault := crashed(before, decided, group):
                return self._with_lines(
                    decided, at_fault, target, self._ports.last_lines
                )
        except RemoteError as error:
            self._not_read(target, error)
        except Exception:  # a bug of ours, or no thread left, must not keep a broken group from being rolled back
            log.exception("crash log not read")
        return decided

    def _with_lines(
        self,
        decided: Record,
        at_fault: Mapping[str, Sequence[str]],
        target: Target,
        read: _Read,
    ) -> Record:
        deadline = time.monotonic() + LONGEST_WAIT
        # Nobody knows what a container prints, so all secrets of its group must be known to be masked, as they are now:
        # this worker may never have read them, or they may have been rotated since.
        self._limit.run(lambda: self._ports.resolve(dict(target.secrets)), deadline)
        # Each name appears once, because several pushes may have failed because of one container.
        names = dict.fromkeys(chain.from_iterable(at_fault.values()))
        lines = self._lines(target, list(names)[:MOST_CONTAINERS], read, deadline)
        return with_logs(
            decided,
            {
                message_id: _joined(names, lines)
                for message_id, names in at_fault.items()
            },
        )

    def _lines(
        self,
        target: Target,
        containers: list[str],
        read: _Read,
        deadline: float,
    ) -> dict[str, str]:
        """The last lines of each container that could be read (container → text)."""
        found: dict[str, str] = {}
        for container in containers:
            try:
                found[container] = self._safe(read(target.id, container, deadline))
            except RemoteError as error:
                self._not_read(target, error)
                # A missing right or an outage would only be met again with the next one, while a group is down.
                is_about_this_container = error.status == 404
                if not is_about_this_container:
                    break
        return found

    def _safe(self, text: str) -> str:
        """The end of the text without secrets and control characters: first masked, then cut."""
        written = text[-LOOKED_THROUGH:]
        # Masking what was written, before the colours are taken out of it, is tempting. But a colour may split a secret
        # in two, and once its one half is masked, nobody knows the other half.
        pairs = zip(written.split("\n"), plain(written).split("\n"), strict=True)
        readable = "\n".join(self._unless_secret(line, shown) for line, shown in pairs)
        return last_lines(
            without_credentials(self._ports.redact(readable)).strip("\n"), LONGEST_LOG
        )

    def _unless_secret(self, line: str, shown: str) -> str:
        """The line as it is shown. A secret that itself contains control characters is only found as it was written."""
        redact = self._ports.redact
        is_found_as_written_alone = redact(line) != line and redact(shown) == shown
        return MASK if is_found_as_written_alone else shown

    def _not_read(self, target: Target, error: RemoteError) -> None:
        failure = self._ports.classified(error)
        is_right_missing = error.service == "arm" and error.status == 403
        if not is_right_missing:
            log.info(
                "crash log not read",
                target=str(target.id),
                code=failure.code,
                detail=failure.detail,
            )
        elif not self._said_which_right_is_missing:
            self._said_which_right_is_missing = True
            log.warning(
                "dead letters will lack the last lines of crashed containers: the worker's role may not read them",
                missing_action=RIGHT,
                detail=failure.detail,
            )


def _joined(names: Sequence[str], lines: Mapping[str, str]) -> str:
    """The lines of one container as they are; those of several with a heading each."""
    read = {name: lines[name] for name in names if lines.get(name)}
    if len(read) == 1:
        return next(iter(read.values()))
    # Each gets the same room, so that a container that prints a lot does not push the others out.
    share = LONGEST_LOG // max(1, len(read))
    return "\n".join(_headed(name, text, share) for name, text in read.items())


def _headed(name: str, text: str, limit: int) -> str:
    heading = f"--- {name} ---\n"
    return heading + last_lines(text, limit - len(heading) - 1)
