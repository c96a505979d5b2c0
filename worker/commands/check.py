"""What `aci-hooks check` looks at: is everything in place for a rollout? Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from shared.environment import SettingsError
from shared.errors import RemoteError
from shared.queue import Queue, open_queues
from shared.settings import WorkerSettings
from shared.storage_actions import explained
from worker.adapters.notifications.destination import destination_of
from worker.adapters.notifications.services import Unfit
from worker.adapters.record_blobs.client import Records, open_records
from worker.adapters.targets_source import TargetsSource
from worker.commands.logs_right import LogsRight
from worker.commands.naming import held_back, names_of
from worker.commands.output import count_of
from worker.commands.side_by_side import side_by_side
from worker.groups.group import ContainerGroup
from worker.groups.secret_paths import is_file, provides
from worker.groups.withheld import missing_secrets
from worker.targets.file import TargetsError, TargetsFile
from worker.targets.recipients import OUTCOMES, Recipient
from worker.targets.tags import tags_for_later, unknown_tags
from worker.targets.target import Target
from worker.wiring.deployment import Deployment

State = Literal["ok", "HELD", "missing", "hint", "FAILED"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Only FAILED is a failure: a hold is intended, what is missing gets created, and a hint is good to know.
    """

    what: str
    detail: str = ""
    state: State = "ok"


class Opening(Protocol):
    """What opens the deployment step by step, so that one mistake hides no other; worker.__main__'s."""

    @property
    def settings(self) -> WorkerSettings:
        """The settings; raises SettingsError."""

    def deployment(self) -> Deployment:
        """Everything; raises TargetsError, too."""


def check(opening: Opening) -> Iterator[Finding]:
    """Everything that a rollout needs, one finding after the other."""
    try:
        settings = opening.settings
    except SettingsError as error:
        yield from (
            Finding("settings", problem, "FAILED") for problem in error.problems
        )
        return
    yield Finding("settings")
    file = None
    try:
        if settings.targets_file:
            file = TargetsSource(
                Path(settings.targets_file), settings.subscription, lambda _: None
            ).current()
            yield Finding("targets file", settings.targets_file)
    except TargetsError as error:
        yield from (
            Finding("targets file", problem, "FAILED")
            for problem in str(error).splitlines()
        )
        yield from _check_storage(settings)
        return
    yield from _check_storage(settings)
    deployment = opening.deployment()
    yield from _check_targets(deployment)
    if file:
        yield from _check_sources(deployment, file)


def _check_storage(settings: WorkerSettings) -> Iterator[Finding]:
    updates, poison = open_queues(settings)
    records = open_records(settings)
    number_of_records = partial(_number_of, records)
    looks: list[Callable[[], list[Finding]]] = [
        lambda: [
            _try(
                "updates queue",
                lambda: _store(settings, "queue", updates, updates.count, "message"),
            )
        ],
        lambda: [
            _try(
                "poison queue",
                lambda: _store(settings, "queue", poison, poison.count, "dead letter"),
            )
        ],
        lambda: [
            _try(
                "records",
                lambda: _store(
                    settings, "container", records, number_of_records, "record"
                ),
            )
        ],
        lambda: list(_check_foreign(records)),
    ]
    # Each of them asks several things one after the other.
    for findings in side_by_side(lambda look: look(), looks, None):
        yield from findings


def _number_of(records: Records) -> int:
    return sum(1 for _ in records.all())


def _check_foreign(records: Records) -> Iterator[Finding]:
    """Blobs among the records that are not records. They do no harm, but somebody probably made a mistake."""
    try:
        foreign = records.foreign()
    except RemoteError:
        return  # the finding before has reported it
    for name in foreign:
        yield Finding(
            "records",
            f"{name} is not the name of a record; delete the blob or move it elsewhere",
            "FAILED",
        )


def _store(
    settings: WorkerSettings,
    kind: str,
    store: Queue | Records,
    count: Callable[[], int],
    noun: str,
) -> tuple[str, State]:
    if missing := store.missing_actions():
        return (
            f"the role lacks, on {store.name}: {'; '.join(map(explained, missing))}",
            "FAILED",
        )
    if store.exists():
        return f"{count_of(count(), noun)} in {store.name}", "ok"
    # An account key permits everything. The roles that the README recommends don't permit creating anything.
    if settings.connection_string:
        return (
            f"{store.name} does not exist yet; the worker creates it when needed",
            "missing",
        )
    make = f"az storage {kind} create --account-name {settings.storage_account} -n {store.name} --auth-mode login"
    return (
        f"{store.name} does not exist; the worker creates it if its role permits, otherwise run: {make}",
        "FAILED",
    )


def _check_targets(deployment: Deployment) -> Iterator[Finding]:
    unseen = []
    try:
        deployment.catalogue.known()
    except RemoteError as error:
        unseen.append(str(error))
    unseen += deployment.catalogue.problems()
    yield from (Finding("discovery", problem, "FAILED") for problem in unseen)
    targets = deployment.catalogue.all()
    if not targets and not unseen:
        yield Finding(
            "targets",
            "none: the targets file lists none and discovery found none",
            "FAILED",
        )
    name_of = names_of(target.id for target in targets)

    right = LogsRight(deployment)

    def check_one(target: Target) -> list[Finding]:
        return list(
            _check_target(deployment, target, f"target {name_of(target.id)}", right)
        )

    for findings in side_by_side(check_one, targets, "checking the targets"):
        yield from findings


def _check_target(
    deployment: Deployment, target: Target, what: str, right: LogsRight
) -> Iterator[Finding]:
    try:
        group = deployment.arm.get(target.id)
        record, _ = deployment.records.load(target.id)
    except RemoteError as error:
        yield Finding(what, str(error), "FAILED")
        return
    problems = list(_problems(deployment, target, group))
    yield from (Finding(what, problem, "FAILED") for problem in problems)
    yield from (Finding(what, hint, "hint") for hint in tags_for_later(group.tags))
    if missing := right.missing(group):
        yield Finding("crash logs", missing, "hint")
    policies = [
        f"{name} {rule.policy}"
        for name in group.images
        if (rule := target.rule_for(name))
    ]
    said = [*policies, *_promised(target, group)]
    if held := held_back(record, group):
        yield Finding(what, "; ".join([*held, *said]), "HELD")
    elif not problems:
        yield Finding(what, "; ".join(said))


def _promised(target: Target, group: ContainerGroup) -> Iterator[str]:
    """What can't be checked, as Azure withholds it: only the targets file can promise that nothing is missing."""
    for path in group.withheld():
        files = sorted(
            name for name in target.secrets if is_file(name) and provides(name, path)
        )
        if files:
            names = ", ".join(name.rpartition("/")[2] for name in files)
            volume = path.split("/")[1]
            yield f"volume {volume} gets the files {names} alone: Azure does not say whether it has more, so name all"


def _problems(
    deployment: Deployment, target: Target, group: ContainerGroup
) -> Iterator[str]:
    if unknown := sorted(target.containers.keys() - group.images.keys()):
        yield f"the group has no container {', '.join(unknown)}; it has {', '.join(sorted(group.images))}"
    yield from unknown_tags(group.tags)
    if why := group.not_ours:
        yield why
    missing = missing_secrets(group.withheld(), target.secrets.keys())
    if missing:
        yield f"Azure withholds secrets that are not configured: {', '.join(missing)}"
    for path in sorted(target.secrets.keys() - group.withheld()):
        if near := get_close_matches(path, missing, 1):
            yield f"{path} is configured but is not a secret of this group; did you mean {near[0]}?"
    try:
        deployment.secrets.resolve(target.secrets)
    except RemoteError as error:
        yield str(error)


def _check_sources(deployment: Deployment, file: TargetsFile) -> Iterator[Finding]:
    """The secrets that do not belong to a target."""
    for key, entry in file.registries.items():
        login = {"username": entry.username, "password": entry.password}
        sources = {
            f"registries/{key}.{name}": source
            for name, source in login.items()
            if source
        }
        yield _try(f"registry {key}", partial(_check_login, deployment, sources))
    for number, recipient in enumerate(file.notify):
        yield _try(
            f"notify[{number}]",
            partial(_check_recipient, deployment, recipient, f"notify[{number}]"),
        )


def _check_login(deployment: Deployment, sources: dict[str, str]) -> tuple[str, State]:
    deployment.secrets.resolve(sources)
    return "", "ok"


def _check_recipient(
    deployment: Deployment, recipient: Recipient, place: str
) -> tuple[str, State]:
    try:
        service = destination_of(deployment.secrets.read(recipient.source, place)).name
    except Unfit as error:
        return (
            f"nothing can be sent to the URL in {recipient.source}: {error}",
            "FAILED",
        )
    groups = f" of {', '.join(recipient.groups)}" if recipient.groups else ""
    return (
        f"{service}: {', '.join(word for word in OUTCOMES if word in recipient.on)}{groups}",
        "ok",
    )


def _try(what: str, look: Callable[[], tuple[str, State]]) -> Finding:
    try:
        return Finding(what, *look())
    except RemoteError as error:
        return Finding(what, str(error), "FAILED")
