"""The deployment: everything that the commands work with, made of the adapters that worker.wiring.wire has opened."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial

import structlog

from shared.message import TargetId, UpdateMessage
from shared.push import Push
from shared.queue import Queue
from shared.settings import WorkerSettings
from shared.telemetry import Redaction
from worker.adapters.arm.client import Arm
from worker.adapters.notifications.notifier import Notifier
from worker.adapters.record_blobs.client import Records
from worker.adapters.registry.client import Registry
from worker.adapters.secret_sources import SecretReader
from worker.adapters.transitions import Watch
from worker.controller.digest import digest_of
from worker.controller.gauging import Gauging
from worker.controller.handler import Handler
from worker.controller.loop import Pace, Worker
from worker.controller.patrol import Patrol
from worker.controller.sweep import Sweeper
from worker.controller.timers import waiting_for_owners
from worker.core.rules import RolloutRules
from worker.discovery.catalogue import Catalogue
from worker.failures.classify import Retry
from worker.ports import Found, Ports
from worker.targets.registries import RegistryEntry, entry_for

SLOW = timedelta(seconds=60)
"""The longest time between two looks at a group that is waited for."""
PATROL = timedelta(seconds=45)
"""How often all records are compared with the list of groups."""
SWEPT = "swept"
"""The note of when a sweep ended."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Deployment:
    """Everything that the commands work with."""

    settings: WorkerSettings
    updates: Queue
    poison: Queue
    records: Records
    arm: Arm
    catalogue: Catalogue
    secrets: SecretReader
    registry: Registry
    registries: Callable[[], Mapping[str, RegistryEntry]]
    redaction: Redaction
    notifier: Notifier

    def handler(self) -> Handler:
        """What carries messages out."""
        settings = self.settings
        retry = Retry(
            settings.max_attempts,
            settings.retry_base,
            settings.retry_max,
            settings.outage_patience,
        )
        return Handler(
            self.ports, self.rules(), retry, lease=settings.visibility_timeout
        )

    def worker(self) -> Worker:
        """A worker that is ready to run."""
        settings = self.settings
        pace = Pace(
            concurrency=settings.concurrency,
            poll_min=settings.poll_min,
            poll_max=settings.poll_max,
            visibility_timeout=settings.visibility_timeout,
        )
        handler = self.handler()
        return Worker(
            self.updates,
            handler,
            pace,
            lambda: waiting_for_owners(self.ports, handler.awaiting_repair),
        )

    @cached_property
    def ports(self) -> Ports:
        """The outside systems, as the controller needs them."""
        # They are made once: `watch` remembers which groups are waited for, and the clients keep their connections.
        return Ports(
            groups=self.arm,
            records=self.records,
            targets=self.catalogue,
            watch=Watch(self.arm, self.settings.check_interval),
            updates=self.updates,
            poison=self.poison,
            resolve=self.secrets.resolve,
            digest=self._digest,
            new_id=lambda: uuid.uuid4().hex,
            redact=self.redaction.text,
            tell=self.notifier.tell,
            leave_trace=self.records.leave_trace,
            last_lines=self._last_lines if self.settings.crash_log_lines else None,
        )

    def _last_lines(self, target: TargetId, container: str, deadline: float) -> str:
        return self.arm.last_lines(
            target, container, self.settings.crash_log_lines, deadline
        )

    def _digest(self, push: Push) -> Found | str | None:
        believe = entry_for(self.registries(), push.image).believe or "signed"
        return digest_of(self.registry, push, believe)

    def rules(self) -> RolloutRules:
        """What governs the rollouts of this deployment."""
        settings = self.settings
        return RolloutRules(
            soak=timedelta(seconds=settings.soak),
            timeout=timedelta(seconds=settings.rollout_timeout),
            check_interval=timedelta(seconds=settings.check_interval),
            flight=flight_of(settings),
            # The longest pause between two looks can't be shorter than the shortest.
            slow=max(SLOW, timedelta(seconds=settings.check_interval)),
            rollback=settings.rollback,
        )

    def sweeper(self, pause: timedelta = timedelta(0)) -> Sweeper:
        """What sweeps its targets, every `pause` if it does so by itself."""
        return Sweeper(self.ports, self.registry, self.settings.rollback, pause)

    @cached_property
    def patrol(self) -> Patrol:
        """What compares all records with the list of groups."""
        # It is made once, because it remembers what it saw in its last round.
        return Patrol(self.ports, self.sweeper(), self.settings.rollback)

    def gauging(self) -> Gauging:
        """What reads all that the workers share, for the metrics."""
        return Gauging(self.ports, partial(self.records.turns.noted_time, SWEPT))

    def send(self, message: UpdateMessage) -> None:
        """Put a message onto the updates queue."""
        self.updates.send(message.encode())

    def ensure_storage(self) -> None:
        """Create the queues and the records' container where they are missing. Raises RemoteError."""
        for store in (self.updates, self.poison, self.records):
            store.ensure()

    def patrol_if_due(self) -> None:
        """Renew the list of groups; compare all records with it if no other worker has lately. Raises RemoteError."""
        self.catalogue.renew()
        # Claimed before the round, so that a round that fails is made again only when the next one is due.
        if self.records.turns.claim("patrol", datetime.now(UTC), PATROL):
            self.patrol.look_round()

    def sweep_if_due(self) -> None:
        """Sweep every target, the results in the log alone, if no other worker has lately. Raises RemoteError."""
        pause = timedelta(seconds=self.settings.sweep_interval)
        if not self.records.turns.claim("sweep", datetime.now(UTC), pause):
            return
        for swept in self.sweeper(pause).sweep(self.catalogue.known()):
            log.info(
                "swept",
                target=str(swept.target),
                missed=len(swept.missed),
                woken=swept.woken,
                problem=swept.problem,
            )
        # The time is noted when the last target is done: an alert asks when a sweep has ended, not when one began.
        self.records.turns.note_time(SWEPT, datetime.now(UTC))


def flight_of(settings: WorkerSettings) -> timedelta:
    """How long a change whose answer is not known may still take effect.

    Whoever sends one looks at its lease in the last moment, and Azure answers within a minute; but a change that was
    lost must be sent again before the rollout's time is over.
    """
    longest_answer = max(90.0, 3.0 * settings.visibility_timeout)
    return timedelta(seconds=min(longest_answer, settings.rollout_timeout / 2))
