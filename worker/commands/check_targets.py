"""What `aci-hooks check` finds about the targets: groups, policies, resource tags, secrets and holds."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from shared.errors import RemoteError
from worker.commands.finding import Finding
from worker.commands.logs_right import LogsRight
from worker.commands.naming import held_back, names_of
from worker.commands.side_by_side import side_by_side
from worker.groups.group import ContainerGroup
from worker.groups.secret_paths import is_file, provides
from worker.groups.withheld import missing_secrets
from worker.targets.tags import tags_for_later, unknown_tags
from worker.targets.target import Target
from worker.wiring.deployment import Deployment


def check_targets(deployment: Deployment) -> Iterator[Finding]:
    """Each target, and each place whose groups could not be listed."""
    unseen = []
    # Some errors are raised, others become problems of the catalogue: a scope that is refused keeps the others listed.
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
    said = [*_policies(target, group), *_promised(target, group)]
    if held := held_back(record, group):
        yield Finding(what, "; ".join([*held, *said]), "HELD")
    elif not problems:
        yield Finding(what, "; ".join(said))


def _policies(target: Target, group: ContainerGroup) -> Iterator[str]:
    for name in group.images:
        if rule := target.rule_for(name):
            yield f"{name} {rule.policy}"


def _promised(target: Target, group: ContainerGroup) -> Iterator[str]:
    """What can't be checked, as Azure withholds it: only the targets file can promise that nothing is missing."""
    for path in group.withheld():
        # Not even the names of a secret volume's files come back in a GET. A PUT replaces the volume by those that are
        # configured, and a file that somebody forgot to name would be gone.
        files = sorted(
            name for name in target.secrets if is_file(name) and provides(name, path)
        )
        if files:
            names = ", ".join(name.rpartition("/")[2] for name in files)
            volume = path.split("/")[1]
            only = f"volume {volume} will have only the files {names}"
            yield f"{only}: Azure does not say whether it has more, so name all"


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
    # A configured secret that Azure does not withhold is not used, which is harmless. But one that resembles a
    # missing secret is most likely that secret, misspelt.
    for path in sorted(target.secrets.keys() - group.withheld()):
        if near := get_close_matches(path, missing, 1):
            yield f"{path} is configured but is not a secret of this group; did you mean {near[0]}?"
    # Read, as only that shows that the file is there or that Key Vault lets the worker in. The values are not kept.
    try:
        deployment.secrets.resolve(target.secrets)
    except RemoteError as error:
        yield str(error)
