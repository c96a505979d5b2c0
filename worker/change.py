"""A change of a group: sent once its intent is written, taken back if it was refused, and made good if it came late."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta

import structlog

from shared.errors import RemoteError
from shared.message import TargetId, UpdateMessage
from shared.queue import LeaseLost
from worker.adapters.record_blobs import Conflict
from worker.endings import fresh
from worker.failures.classify import Permanent, classify, nothing_done
from worker.groups.group import ContainerGroup
from worker.ports import Ports
from worker.record import Record
from worker.settlement import Reschedule, Settlement
from worker.steps import Apply, RollBack
from worker.targets.target import Target

CONFLICTS = 5
"""Times that a step decides anew because somebody else wrote the record first, before it leaves it to later."""

log = structlog.get_logger()


class Changes:
    """Carries changes out, for many threads at once; `check_interval` is the time until the first look at one."""

    def __init__(self, ports: Ports, check_interval: timedelta) -> None:
        self._ports = ports
        self._check_interval = check_interval

    def carry_out(
        self,
        message: UpdateMessage,
        target: Target,
        group: ContainerGroup,
        step: Apply | RollBack,
        held: Callable[[], bool],
        etag: str | None,
    ) -> Settlement:
        """Send it; `etag` is that of the record that holds its intent. Raises RemoteError, LeaseLost."""
        self._ports.watch.waits(target.id)

        def make_good() -> None:
            """What may have come to its end while the change was on its way."""
            still_held = held()
            if not still_held or self._written_since(target.id, etag):
                self._heal(step.record, group)
            if not still_held:
                raise LeaseLost(message.id)

        def insist() -> None:
            if not held():
                raise LeaseLost(message.id)

        try:
            self._send(target, group, step, insist)
        except RemoteError as error:
            if not nothing_done(error):
                make_good()
            self._take_back(step, error, etag)
            alone = step.rollout.images.keys() <= step.record.owned_by(message.id).keys()
            if alone or message.attempts or isinstance(step, RollBack) or not isinstance(classify(error), Permanent):
                raise
            log.warning("refused together with other pushes, trying alone", code=error.code)
            return Reschedule(message.model_copy(update={"attempts": message.attempts + 1}), 0)
        make_good()
        return Reschedule(message.model_copy(update={"attempts": 0}), self._check_interval.total_seconds())

    def _send(self, target: Target, group: ContainerGroup, step: Apply | RollBack, insist: Callable[[], None]) -> None:
        rollout = step.rollout
        secrets = self._ports.resolve(dict(target.secrets)) if group.withheld() else {}
        verb = "restarting" if rollout.restart else "applying"
        log.info("rolling back" if isinstance(step, RollBack) else verb, images=rollout.images)
        if rollout.restart:
            self._ports.groups.restart(target.id, insist)
        else:
            self._ports.groups.put(target.id, group.definition(rollout.images, secrets), insist)

    def _take_back(self, step: Apply | RollBack, error: RemoteError, etag: str | None) -> None:
        """A change that Azure refused was never begun, and one that may not have come through was no try.

        Best effort: a record that somebody else has written since is theirs.
        """
        tried = step.rollout.but(tries=step.rollout.tries - 1)
        record = step.unsent if nothing_done(error) else step.record.but(rollout=tried)
        with contextlib.suppress(Conflict, RemoteError):
            self._ports.records.save(record, etag)

    def _written_since(self, target: TargetId, etag: str | None) -> bool:
        with contextlib.suppress(RemoteError):
            return self._ports.load(target)[1] != etag
        return False

    def _heal(self, before: Record, group: ContainerGroup) -> None:
        """The change may have come after a newer one that has ended, and have overwritten it: have that made good."""
        images: dict[str, str] = {}  # without an answer, everything is brought here once more
        with contextlib.suppress(RemoteError):
            images = self._ports.groups.get(before.target).images
        for _ in range(CONFLICTS):
            record, etag = self._ports.load(before.target)
            reopened = record.reopen(images, _brought_by_us(record, before, group), self._ports.now())
            try:
                self._ports.save(record, reopened, etag)
            except Conflict:
                continue
            for name, one in reopened.containers.items():
                if one != record.containers[name] and one.wanted:
                    log.warning("a late change has overwritten a newer one; making that good", container=name)
                    self._ports.send(fresh(one.wanted.message))
            return


def _brought_by_us(record: Record, before: Record, group: ContainerGroup) -> frozenset[str]:
    """The containers but for those whose owner had brought them to another image when the record was `before`."""
    done = {name: one.wanted for name, one in before.containers.items() if one.wanted and one.wanted.status == "done"}
    elsewhere = {name for name, wanted in done.items() if group.images.get(name) != wanted.image}
    # A push that was wanted there since has taken it back from the owner.
    still = {name for name in elsewhere if name in record.owned_by(done[name].message.id)}
    return frozenset(record.containers.keys() - still)
