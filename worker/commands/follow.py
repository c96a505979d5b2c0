"""`aci-hooks follow`: what happens to a push, or to a group, until it has ended. Reads only."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.commands.naming import GROUP_HELP, complete_group, find_group, is_group
from worker.commands.output import example

if TYPE_CHECKING:
    from worker.wiring.deployment import Deployment


@click.command(
    help="Print what happens to a push or to a group, as it happens, until it has ended. ID is the push's id: `push`, "
    f"the webhook's 202 and the log show it. {GROUP_HELP} Exit 0 if every target was updated or runs it already, 1 if "
    "not, 3 if it has not ended in time. If nothing is under way in a group, its last push decides.",
    short_help="What happens to a push or a group, until it has ended?",
    epilog=example("follow web/shop"),
)
@click.argument("what", metavar="ID|GROUP", shell_complete=complete_group)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0),
    help="Wait no longer than this.  [default: forever]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.pass_context
def follow(
    context: click.Context, *, what: str, timeout: float | None, as_json: bool
) -> None:
    """`aci-hooks follow ID|GROUP`."""
    from worker.commands.following import Screen, follow_group, follow_push

    deployment: Deployment = context.obj()
    screen = Screen(as_json=as_json)
    if is_group(deployment, what):
        sys.exit(
            follow_group(deployment, find_group(deployment, what), screen, timeout)
        )
    sys.exit(follow_push(deployment, what, screen, timeout))
