"""Which container group a person means by GROUP on the command line, and what keeps its updates back."""

from __future__ import annotations

import difflib

import click

from shared.message import TargetId
from worker.group import ContainerGroup
from worker.record import Record
from worker.targets import hold_reason
from worker.wiring import Deployment

GROUP_HELP = "GROUP is a container group's name, or `resource group/name`, or `subscription/resource group/name`."


def find_group(deployment: Deployment, text: str) -> TargetId:
    """The one group that `text` names, among the targets and the groups with a record; raises ClickException."""
    known = {target.id for target in deployment.catalogue.known()} | set(deployment.records.all())
    wanted = f"/{text.lower().strip('/')}"
    found = [target for target in known if f"/{target.key}".endswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted(target.key for target in found))
        raise click.ClickException(f"{text} may be any of {names}: say which")
    names_known = sorted(str(target) for target in known)
    near = difflib.get_close_matches(text, [*names_known, *(name.rpartition("/")[2] for name in names_known)], n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names_known) or 'none'}"
    raise click.ClickException(f"no target and no record is named {text}{hint}")


def held_back(record: Record, group: ContainerGroup) -> list[str]:
    """Everything that keeps a group's updates back, a phrase each: what a rollout is told is only the first of it."""
    by_hand = f"held by hand: {record.hold.reason}" if record.hold else ""
    by_tag = hold_reason(group.tags)
    reasons = (by_hand, f"held by a resource tag: {by_tag}" if by_tag else "")
    return [*filter(None, reasons), *(["stopped by its owner"] if group.stopped else [])]
