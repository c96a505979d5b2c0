"""Wiring: the adapters and the worker that a set of settings asks for. Opens clients; calls nothing yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from shared.credential import azure_credential
from shared.message import TargetId, UpdateMessage
from shared.queue import Queue, open_queues
from shared.settings import WorkerSettings
from shared.telemetry import Redaction
from worker.arm import Arm, open_arm
from worker.catalogue import Catalogue, Scope
from worker.failures import Retry
from worker.loop import Pace, Worker
from worker.records import Records, open_records
from worker.secrets import Secrets
from worker.situation import Rules
from worker.step import Ports, Stepper
from worker.targets import Target, single_target
from worker.targets_file import TargetsError, TargetsFile
from worker.targets_source import TargetsSource

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything that the commands work with."""

    settings: WorkerSettings
    updates: Queue
    poison: Queue
    records: Records
    arm: Arm
    catalogue: Catalogue
    secrets: Secrets

    def worker(self) -> Worker:
        """A worker that is ready to run."""
        settings = self.settings
        retry = Retry(settings.max_attempts, settings.retry_base, settings.retry_max)
        rules = Rules(
            soak=timedelta(seconds=settings.soak),
            timeout=timedelta(seconds=settings.rollout_timeout),
            check_interval=timedelta(seconds=settings.check_interval),
            lease=timedelta(seconds=settings.visibility_timeout),
            rollback=settings.rollback,
        )
        ports = Ports(
            groups=self.arm,
            records=self.records,
            targets=self.catalogue,
            send=self.send,
            resolve=self.secrets.resolve,
            digest=lambda message: message.push.digest,
        )
        pace = Pace(
            concurrency=settings.concurrency,
            poll_min=settings.poll_min,
            poll_max=settings.poll_max,
            visibility_timeout=settings.visibility_timeout,
            max_attempts=settings.max_attempts,
        )
        return Worker(self.updates, self.poison, Stepper(ports, rules, retry), pace)

    def send(self, message: UpdateMessage) -> None:
        """Put a message onto the updates queue."""
        self.updates.send(message.encode())

    def ensure_storage(self) -> None:
        """Create the queues and the records' container where they are missing. Raises RemoteError."""
        for store in (self.updates, self.poison, self.records):
            store.ensure()


def wire(settings: WorkerSettings, environment: Mapping[str, str], redaction: Redaction) -> Deployment:
    """The deployment of these settings. Raises TargetsError if the targets file is broken."""
    updates, poison = open_queues(settings, visibility_timeout=settings.visibility_timeout)
    arm = open_arm(settings)
    return Deployment(
        settings=settings,
        updates=updates,
        poison=poison,
        records=open_records(settings),
        arm=arm,
        catalogue=_catalogue(settings, arm),
        secrets=Secrets(environment, lambda: azure_credential(settings), redaction.learn),
    )


def _catalogue(settings: WorkerSettings, arm: Arm) -> Catalogue:
    if not settings.targets_file:
        one = (single_target(_configured_group(settings)),)
        return Catalogue(lambda: one, lambda: (), arm)
    source = TargetsSource(Path(settings.targets_file), settings.subscription, _report)
    return Catalogue(lambda: source.current().targets, lambda: _scopes(source.current()), arm)


def _configured_group(settings: WorkerSettings) -> TargetId:
    return TargetId.model_validate(
        {
            "subscription": settings.subscription,
            "resource_group": settings.resource_group,
            "container_group": settings.container_group,
        }
    )


def _scopes(file: TargetsFile) -> tuple[Scope, ...]:
    """What is listed: where to discover, and where the file's targets are, if there are several to choose from."""
    scopes: dict[tuple[str, str | None], Scope] = {}
    if len(file.targets) > 1:
        for target in file.targets:
            if _needs_list(target):
                place = (target.id.subscription.lower(), target.id.resource_group.lower())
                scopes[place] = Scope(*place)
    if file.discover:
        for subscription in file.discover.subscriptions:
            for group in file.discover.resource_groups or (None,):
                scope = Scope(subscription, group, discover=True)
                scopes[subscription.lower(), group.lower() if group else None] = scope
    return tuple(scopes.values())


def _needs_list(target: Target) -> bool:
    return target.everything is not None or any(rule.image is None for rule in target.containers.values())


def _report(error: TargetsError) -> None:
    log.error("the targets file is broken, keeping the version before", problems=str(error).splitlines())
