"""`aci-hooks status`: what runs, what is under way, and what needs somebody. Reads only."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from worker.commands.naming import (
    GROUP_HELP,
    complete_group,
    find_group,
    known_targets,
)
from worker.commands.output import (
    console,
    count_of,
    example,
    print_json,
    print_line,
    text,
)
from worker.commands.side_by_side import side_by_side
from worker.commands.status_view import groups_shown

if TYPE_CHECKING:
    from rich.console import Group

    from shared.message import TargetId
    from worker.core.status import Status
    from worker.wiring.deployment import Deployment

PAUSE = 5.0
"""Seconds between two looks of `--watch`, at the least; so many that Azure is asked for READS a second at most."""
READS = 10


@click.command(
    help=f"Show every group, or these GROUPs, one line each and trouble first. {GROUP_HELP}",
    short_help="What runs, what is under way, and what needs attention?",
    epilog=example("status --watch"),
)
@click.argument("groups", metavar="[GROUP]…", nargs=-1, shell_complete=complete_group)
@click.option("--watch", is_flag=True, help="Refresh every few seconds, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON array; with --watch, one a line."
)
@click.pass_context
def status(
    context: click.Context, *, groups: tuple[str, ...], watch: bool, as_json: bool
) -> None:
    """`aci-hooks status [GROUP…]`."""
    deployment: Deployment = context.obj()
    targets = [find_group(deployment, group) for group in groups]
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(deployment, targets, as_json=as_json)
        return
    from worker.core.entries import as_entry

    found = look(deployment, targets)
    if as_json:
        print_json([as_entry(seen) for seen in found])
    else:
        console().print(groups_shown(found) if found else "no targets")
        print_line(_queues(deployment))
        _say_unlisted(deployment)
    # Trouble in a group is not a failure of this command. Being unable to look at something is one.
    is_incomplete = (
        any(seen.unread for seen in found) or deployment.catalogue.problems()
    )
    sys.exit(1 if is_incomplete else 0)


def look(
    deployment: Deployment,
    targets: Sequence[TargetId] = (),
    doing: str | None = "reading the groups",
) -> list[Status]:
    """The status of these groups, or of every target, trouble first."""
    chosen = list(targets) or known_targets(deployment)
    found = side_by_side(lambda target: _status(deployment, target), chosen, doing)
    return sorted(found, key=lambda seen: (seen.rank, seen.target.key))


def _status(deployment: Deployment, target: TargetId) -> Status:
    from shared.errors import RemoteError
    from worker.core.status import status_of

    record = group = None
    # The record and the group come from different systems. One that can't be read must not hide what the other says: it
    # is in an outage of one of them that somebody looks here.
    problems = []
    try:
        record = deployment.records.load(target)[0]
    except RemoteError as error:
        problems.append(str(error))
    try:
        group = deployment.arm.get(target)
    except RemoteError as error:
        problems.append(str(error))
    return status_of(target, record, group, problems)


def _queues(deployment: Deployment) -> str:
    """The queue and the dead letters in a line."""
    letters = deployment.poison.count()
    hint = "; see `aci-hooks dead-letters list`" if letters else ""
    messages = count_of(deployment.updates.count(), "message")
    return f"queue: {messages}; dead letters: {letters or 'none'}{hint}"


def _say_unlisted(deployment: Deployment) -> None:
    for problem in deployment.catalogue.problems():
        print_line(f"not looked at: {problem}", err=True)


def _watch(
    deployment: Deployment, targets: Sequence[TargetId], *, as_json: bool
) -> None:
    """Look until Ctrl-C: in place on a terminal, else one after the other."""
    from rich.live import Live

    from worker.core.entries import as_entry

    out = console()
    # Only a screen can be drawn over: a file or a pipe gets one view after the other.
    is_screen = out.is_terminal and not out.is_dumb_terminal
    if as_json or not is_screen:
        while True:
            found = look(deployment, targets, doing=None)
            if as_json:
                print_json([as_entry(seen) for seen in found], in_a_line=True)
            else:
                out.print(_view(deployment, found))
            time.sleep(_pause(found))
    with Live(console=out, screen=True, auto_refresh=False) as live:
        while True:
            found = look(deployment, targets, doing=None)
            live.update(_view(deployment, found), refresh=True)
            time.sleep(_pause(found))


def _view(deployment: Deployment, found: Sequence[Status]) -> Group:
    from rich.console import Group

    now = f"{datetime.now(UTC):%H:%M:%S} UTC"
    return Group(groups_shown(found), text(f"{now}; {_queues(deployment)}", "dim"))


def _pause(found: Sequence[Status]) -> float:
    return max(PAUSE, len(found) / READS)
