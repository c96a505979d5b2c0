"""Wiring: the adapters that a set of settings asks for. Opens clients; calls nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import structlog

from shared.credential import azure_credential
from shared.image import ImageReference
from shared.message import TargetId
from shared.metrics import TARGETS_FILE_VALID
from shared.queue import open_queues
from shared.settings import WorkerSettings
from shared.telemetry import Redaction
from worker.adapters.arm.client import open_arm
from worker.adapters.notifications.notifier import Notifier
from worker.adapters.notifications.url_secrets import secrets_in
from worker.adapters.record_blobs.client import open_records
from worker.adapters.registry.client import Registry
from worker.adapters.registry.granting import Access
from worker.adapters.secret_sources import SecretReader
from worker.adapters.targets_source import TargetsSource
from worker.discovery.catalogue import Catalogue
from worker.discovery.scopes import scopes_of
from worker.targets.file import TargetsError, TargetsFile
from worker.targets.registries import entry_for, shows_identity
from worker.targets.target import single_target
from worker.wiring.deployment import Deployment

log = structlog.get_logger()


def wire(
    settings: WorkerSettings, environment: Mapping[str, str], redaction: Redaction
) -> Deployment:
    """The deployment of these settings. Raises TargetsError if the targets file is broken."""
    updates, poison = open_queues(
        settings, visibility_timeout=settings.visibility_timeout
    )
    arm = open_arm(settings)
    file = _targets_file(settings)
    # The credential is made when it is first needed: whoever keeps no secret in a vault needs no identity for them.
    secrets = SecretReader(
        environment, lambda: azure_credential(settings), redaction.learn
    )
    # The targets file is asked each time, as it may change while the worker runs.
    return Deployment(
        settings=settings,
        updates=updates,
        poison=poison,
        records=open_records(settings),
        arm=arm,
        catalogue=Catalogue(lambda: file().targets, lambda: scopes_of(file()), arm),
        secrets=secrets,
        registry=Registry(
            lambda image: _access(file(), secrets, image),
            lambda: azure_credential(settings),
        ),
        registries=lambda: file().registries,
        redaction=redaction,
        notifier=Notifier(
            lambda: file().notify,
            read=partial(_recipient_url, secrets, redaction),
            hide=redaction.text,
            portal=settings.cloud.portal,
        ),
    )


def _targets_file(settings: WorkerSettings) -> Callable[[], TargetsFile]:
    """What the targets file says by now; without one, the one target of the environment."""
    if settings.targets_file:
        path = settings.targets_file
        # Read now, so that a broken file keeps the worker from starting; later versions only replace a valid one.
        source = TargetsSource(
            Path(path), settings.subscription, partial(_report, path)
        )
        TARGETS_FILE_VALID.labels(path).set(1)
        return source.current
    group = TargetId.model_validate(
        {
            "subscription": settings.subscription,
            "resource_group": settings.resource_group,
            "container_group": settings.container_group,
        }
    )
    file = TargetsFile(
        targets=(single_target(group),), discover=None, registries={}, notify=()
    )
    return lambda: file


def _recipient_url(secrets: SecretReader, redaction: Redaction, source: str) -> str:
    """The URL of a recipient; what is secret in it is hidden from now on."""
    url = secrets.read(source, "notify")
    for secret in secrets_in(url):
        redaction.learn(secret)
    return url


def _access(file: TargetsFile, secrets: SecretReader, image: ImageReference) -> Access:
    """How a repository's registry is to be asked, by the targets file as it is now."""
    entry = entry_for(file.registries, image)
    where = f"registries/{image.registry}"
    username, password = entry.username, entry.password
    identity: Literal["always", "default", "never"] = "never"
    if shows_identity(entry, image.registry):
        identity = "always" if entry.identity else "default"

    def login() -> tuple[str, str] | None:
        # Read with every challenge, because passwords are replaced while a worker runs.
        if not (username and password):
            return None
        return secrets.read(username, where), secrets.read(password, where)

    return Access(
        login=login,
        identity=identity,
        scheme=entry.scheme,
        realms=entry.realms,
        platforms=_wants_platforms(file),
    )


def _wants_platforms(file: TargetsFile) -> bool:
    """Does any policy depend on what an image is built for?"""
    rules = chain.from_iterable(target.containers.values() for target in file.targets)
    return any(rule.policy.conditions.platform for rule in rules)


def _report(path: str, version: TargetsFile | TargetsError) -> None:
    TARGETS_FILE_VALID.labels(path).set(isinstance(version, TargetsFile))
    if isinstance(version, TargetsError):
        log.error(
            "the targets file is invalid, keeping the previous version",
            problems=str(version).splitlines(),
        )
    else:
        log.info(
            "the targets file has changed",
            targets=len(version.targets),
            discovers=version.discover is not None,
        )
