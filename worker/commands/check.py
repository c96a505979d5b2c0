"""`aci-hooks-worker check`: is everything there that a rollout needs? Reads only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
from rich.text import Text

from shared.environment import SettingsError
from shared.errors import RemoteError
from worker.commands.output import console, print_json, print_table
from worker.group import missing_secrets
from worker.targets import Target
from worker.targets_file import TargetsError
from worker.wiring import Deployment


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked; `problem` None: it is in order."""

    what: str
    problem: str | None = None
    detail: str = ""


@click.command(
    help="Check settings, targets file, storage, every target and its secrets. Reads only; exit 1 on a problem."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def check(context: click.Context, *, as_json: bool) -> None:
    """`aci-hooks-worker check`."""
    with console().status("checking…"):
        findings = list(_check(context.obj.deployment))
    if as_json:
        print_json(
            [{"check": one.what, "ok": one.problem is None, "detail": one.problem or one.detail} for one in findings]
        )
    else:
        rows = [
            (
                Text("ok", "green") if one.problem is None else Text("FAILED", "bold red"),
                one.what,
                one.problem or one.detail,
            )
            for one in findings
        ]
        print_table(("", "checked", "result"), rows, empty="nothing to check")
    sys.exit(1 if any(one.problem for one in findings) else 0)


def _check(open_deployment: Callable[[], Deployment]) -> Iterator[Finding]:
    try:
        deployment = open_deployment()
    except SettingsError as error:
        yield from (Finding("settings", problem) for problem in error.problems)
        return
    except TargetsError as error:
        yield Finding("settings")
        yield from (Finding("targets file", problem) for problem in str(error).splitlines())
        return
    yield Finding("settings")
    if deployment.settings.targets_file:
        yield Finding("targets file", detail=deployment.settings.targets_file)
    yield _try("updates queue", lambda: f"{deployment.updates.count()} messages in {deployment.updates.name}")
    yield _try("poison queue", lambda: f"{deployment.poison.count()} dead letters in {deployment.poison.name}")
    yield _try("records", lambda: f"{sum(1 for _ in deployment.records.all())} in {deployment.settings.records}")
    yield from _check_targets(deployment)


def _check_targets(deployment: Deployment) -> Iterator[Finding]:
    try:
        targets = deployment.catalogue.known()
    except RemoteError as error:
        yield Finding("discovery", str(error))
        return
    if not targets:
        yield Finding("targets", "none: the targets file lists none and discovery found none")
    for target in targets:
        yield _try(f"target {target.id}", lambda target=target: _check_target(deployment, target))  # type: ignore[misc]


def _check_target(deployment: Deployment, target: Target) -> str:
    group = deployment.arm.get(target.id)
    if unknown := sorted(target.containers.keys() - group.images.keys()):
        raise _Wrong(f"the group has no container {', '.join(unknown)}; it has {', '.join(sorted(group.images))}")
    if missing := missing_secrets(group.withheld(), target.secrets.keys()):
        raise _Wrong(f"Azure withholds secrets that are not configured: {', '.join(missing)}")
    deployment.secrets.resolve(target.secrets)
    policies = (f"{name} {rule.policy}" for name in group.images if (rule := target.rule_for(name)))
    return "; ".join(policies)


class _Wrong(Exception):
    """A check failed; the text says how."""


def _try(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, detail=look())
    except (RemoteError, _Wrong) as error:
        return Finding(what, str(error))
