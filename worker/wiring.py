"""Wiring: the adapters and the worker that a set of settings asks for. Opens clients; calls nothing yet."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

import structlog

from shared.credential import azure_credential
from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage
from shared.queue import Queue, open_queues
from shared.settings import WorkerSettings
from shared.telemetry import TARGETS_FILE_VALID, Redaction
from worker.adapters.arm import Arm, open_arm
from worker.adapters.notifications import Notifier
from worker.adapters.record_blobs import Records, open_records
from worker.adapters.registry.client import Absent, Found, Registry, Unknown
from worker.adapters.secret_sources import Secrets
from worker.adapters.targets_source import TargetsSource
from worker.adapters.transitions import Watch
from worker.discovery.catalogue import Catalogue, Scope
from worker.failures.classify import Retry
from worker.latecomers import Latecomers
from worker.loop import Pace, Worker
from worker.ports import Ports
from worker.situation import Rules
from worker.step import Stepper
from worker.sweep import Sweeper
from worker.targets.file import TargetsError, TargetsFile
from worker.targets.target import Target, single_target

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
    secrets: Secrets
    registry: Registry
    redaction: Redaction
    notifier: Notifier

    @cached_property
    def latecomers(self) -> Latecomers:
        """What looks at the list of groups now and then."""
        return Latecomers(self.catalogue, self.send, lambda target: self.sweeper().wake(target))

    def worker(self) -> Worker:
        """A worker that is ready to run."""
        settings = self.settings
        retry = Retry(settings.max_attempts, settings.retry_base, settings.retry_max)
        ports = Ports(
            groups=self.arm,
            records=self.records,
            targets=self.catalogue,
            watch=Watch(self.arm, settings.check_interval),
            send=self.send,
            resolve=self.secrets.resolve,
            digest=self.digest,
            redact=self.redaction.text,
            tell=self.notifier.tell,
            fanned_out=self.latecomers.fanned_out,
        )
        pace = Pace(
            concurrency=settings.concurrency,
            poll_min=settings.poll_min,
            poll_max=settings.poll_max,
            visibility_timeout=settings.visibility_timeout,
            max_attempts=settings.max_attempts,
        )
        return Worker(self.updates, self.poison, Stepper(ports, self.rules(), retry), pace)

    def rules(self) -> Rules:
        """What governs its rollouts."""
        settings = self.settings
        return Rules(
            soak=timedelta(seconds=settings.soak),
            timeout=timedelta(seconds=settings.rollout_timeout),
            check_interval=timedelta(seconds=settings.check_interval),
            lease=timedelta(seconds=settings.visibility_timeout),
            rollback=settings.rollback,
        )

    def sweeper(self) -> Sweeper:
        """What sweeps its targets."""
        rules = self.rules()
        return Sweeper(
            groups=self.arm,
            records=self.records,
            registry=self.registry,
            send=self.send,
            new_id=lambda: uuid.uuid4().hex,
            now=lambda: datetime.now(UTC),
            # A living message is heard of within that: twice the time-out in transition, or in its own rollout.
            settle_time=2 * rules.timeout + rules.soak + rules.lease,
        )

    def digest(self, message: UpdateMessage) -> str | None:
        """The pushed image's digest, by its registry or else its sender; None if neither can tell.

        Raises RemoteError with the code ManifestUnknown if the registry has no such image.
        """
        push = message.push
        pushed = ImageReference(push.registry, push.repository, push.tag, push.digest)
        match self.registry.lookup(pushed):
            case Found(digest):
                return digest
            case Absent(detail):
                raise RemoteError("registry", 404, "ManifestUnknown", f"{pushed} does not exist there: {detail}")
            case Unknown(detail):
                log.info("registry can't tell", detail=detail)
                return push.digest

    def send(self, message: UpdateMessage) -> None:
        """Put a message onto the updates queue."""
        self.updates.send(message.encode())

    def ensure_storage(self) -> None:
        """Create the queues and the records' container where they are missing. Raises RemoteError."""
        for store in (self.updates, self.poison, self.records):
            store.ensure()

    def sweep_if_due(self) -> None:
        """Sweep every target, the results in the log alone, if no other worker has lately. Raises RemoteError."""
        if not self.records.claim("sweep", datetime.now(UTC), timedelta(seconds=self.settings.sweep_interval)):
            return
        for swept in self.sweeper().sweep(self.catalogue.known()):
            log.info(
                "swept", target=str(swept.target), missed=len(swept.missed), woken=swept.woken, problem=swept.problem
            )


def wire(settings: WorkerSettings, environment: Mapping[str, str], redaction: Redaction) -> Deployment:
    """The deployment of these settings. Raises TargetsError if the targets file is broken."""
    updates, poison = open_queues(settings, visibility_timeout=settings.visibility_timeout)
    arm = open_arm(settings)
    file = _targets_file(settings)
    secrets = Secrets(environment, lambda: azure_credential(settings), redaction.learn)
    return Deployment(
        settings=settings,
        updates=updates,
        poison=poison,
        records=open_records(settings),
        arm=arm,
        catalogue=Catalogue(lambda: file().targets, lambda: _scopes(file()), arm),
        secrets=secrets,
        registry=Registry(lambda host: _registry_login(file(), secrets, host)),
        redaction=redaction,
        notifier=Notifier(
            lambda: list(file().notify), read=lambda source: secrets.read(source, "notify"), hide=redaction.text
        ),
    )


def _targets_file(settings: WorkerSettings) -> Callable[[], TargetsFile]:
    """What the targets file says by now; without one, the one target of the environment."""
    if settings.targets_file:
        path = settings.targets_file
        source = TargetsSource(Path(path), settings.subscription, partial(_report, path))
        TARGETS_FILE_VALID.labels(path).set(1)
        return source.current
    group = TargetId.model_validate(
        {
            "subscription": settings.subscription,
            "resource_group": settings.resource_group,
            "container_group": settings.container_group,
        }
    )
    one = TargetsFile(targets=(single_target(group),), discover=None, registries={}, notify=())
    return lambda: one


def _registry_login(file: TargetsFile, secrets: Secrets, host: str) -> tuple[str, str] | None:
    sources = file.registries.get(host)
    if sources is None:
        return None
    where = f"registries/{host}"
    return secrets.read(sources.username, where), secrets.read(sources.password, where)


def _scopes(file: TargetsFile) -> tuple[Scope, ...]:
    """What is listed: where to discover, and where the file's targets are, unless one alone is all there is."""
    scopes: dict[tuple[str, str | None], Scope] = {}
    if len(file.targets) > 1 or file.discover:
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


def _report(path: str, version: TargetsFile | TargetsError) -> None:
    TARGETS_FILE_VALID.labels(path).set(isinstance(version, TargetsFile))
    if isinstance(version, TargetsError):
        log.error("the targets file is broken, keeping the version before", problems=str(version).splitlines())
    else:
        log.info("the targets file has changed", targets=len(version.targets), discovers=version.discover is not None)
