"""`aci-hooks init`: a targets file for the groups that exist. Reads only, and needs neither targets nor storage."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.commands.output import count_of, example, print_json, print_line
from worker.commands.side_by_side import side_by_side

if TYPE_CHECKING:
    from worker.adapters.arm.client import Arm
    from worker.commands.opening import Opening
    from worker.groups.group import ContainerGroup


@click.command(
    help="Print a targets file for the container groups that exist, with the secrets that Azure withholds for each. "
    "It lists the groups of AZURE_SUBSCRIPTION_ID or --subscription, or only those of --resource-group.",
    short_help="Print a targets file for the groups that exist.",
    epilog=example("init --resource-group web > targets.yaml"),
)
@click.option(
    "--subscription",
    metavar="ID",
    help="The subscription to list.  [default: AZURE_SUBSCRIPTION_ID]",
)
@click.option(
    "--resource-group", metavar="NAME", help="Look only in this resource group."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON array: groups, images and withheld secrets.",
)
@click.pass_context
def init(
    context: click.Context,
    *,
    subscription: str | None,
    resource_group: str | None,
    as_json: bool,
) -> None:
    """`aci-hooks init`."""
    from worker.targets.starter import starter

    opening: Opening = context.obj
    arm, settings = opening.arm()
    where = subscription or settings.subscription
    if not where:
        raise click.UsageError(
            "Give the subscription: --subscription, or AZURE_SUBSCRIPTION_ID."
        )
    groups, problems = _read(arm, where, resource_group)
    if as_json:
        ordered = sorted(groups, key=lambda group: group.id.key)
        print_json([_as_json(group) for group in ordered])
    else:
        click.echo(starter(groups, settings.subscription), nl=False)
    # On stderr, since stdout is most likely a file by now.
    for problem in problems:
        print_line(problem, err=True)
    print_line(f"{count_of(len(groups), 'group')} found", err=True)
    sys.exit(1 if problems else 0)


def _as_json(group: ContainerGroup) -> dict[str, object]:
    return {
        "target": group.id.model_dump(),
        "images": group.images,
        "secrets": group.withheld(),
    }


def _read(
    arm: Arm, subscription: str, resource_group: str | None
) -> tuple[list[ContainerGroup], list[str]]:
    """The groups, each read by itself as a rollout would read it; and why some can't be.

    A role may allow the list and not the reads, and whoever sets everything up should hear of that now.
    """
    from shared.errors import RemoteError

    def read(group: ContainerGroup) -> ContainerGroup | str:
        try:
            return arm.get(group.id)
        except RemoteError as error:
            return f"{group.id}: {error}"

    listed = list(arm.list(subscription, resource_group))
    found = side_by_side(read, listed, "reading the groups")
    groups = [answer for answer in found if not isinstance(answer, str)]
    problems = [answer for answer in found if isinstance(answer, str)]
    return groups, problems
