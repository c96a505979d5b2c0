"""`aci-hooks status`: what runs, what is under way, and what needs somebody. Reads only."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from worker.commands.naming import (
    GROUP_HELP,
    complete_group,
    find_group,
    known_targets,
    names_of,
)
from worker.commands.output import (
    ROOMY,
    console,
    count_of,
    example,
    print_json,
    print_line,
    text,
)
from worker.commands.side_by_side import side_by_side
from worker.commands.times import how_long

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from shared.message import TargetId
    from worker.core.status import Status
    from worker.wiring.deployment import Deployment

PAUSE = 5.0
"""Seconds between two looks of `--watch`, at the least; so many that Azure is asked for READS a second at most."""
READS = 10
COLUMNS = ("group", "", "runs", "address", "rollout", "held or waiting", "last")
TITLED = 4
"""So many of them are a group's line in a narrow place."""
_STYLES = {
    "TROUBLE": "bold red",
    "failed": "red",
    "rolling out": "cyan",
    "held": "yellow",
    "waits": "yellow",
    "ok": "green",
}
_HEALTH = {"broken": "bold red", "starting": "cyan", "stopped": "yellow"}


@click.command(
    help=f"Show every group, or these GROUPs, one line each and trouble first. {GROUP_HELP}",
    short_help="What runs, what is under way, and what needs somebody?",
    epilog=example("status --watch"),
)
@click.argument("groups", metavar="[GROUP]…", nargs=-1, shell_complete=complete_group)
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
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
        print_json([as_entry(one) for one in found])
    else:
        console().print(_groups(found) if found else "no targets")
        print_line(_queues(deployment))
        _say_unlisted(deployment)
    sys.exit(
        1 if any(one.unread for one in found) or deployment.catalogue.problems() else 0
    )


def look(
    deployment: Deployment,
    targets: Sequence[TargetId] = (),
    doing: str | None = "reading the groups",
) -> list[Status]:
    """The status of these groups, or of every target, trouble first."""
    chosen = list(targets) or known_targets(deployment)
    found = side_by_side(lambda target: _status(deployment, target), chosen, doing)
    return sorted(found, key=lambda one: (one.rank, one.target.key))


def _status(deployment: Deployment, target: TargetId) -> Status:
    from shared.errors import RemoteError
    from worker.core.status import status_of

    record = group = None
    # The record and the group come from different systems. One that can't be read must not hide what the other says.
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


def _groups(found: Sequence[Status]) -> Group:
    """The groups, and beneath them why those at the top are there: that is too long for a column."""
    from rich.console import Group

    name_of = names_of(one.target for one in found)
    told = ((one, why) for one in found for why in _why(one))
    reasons = [
        text(name_of(one.target), "bold").append(text(f": {why}")) for one, why in told
    ]
    shown = (
        _table(found, name_of) if console().width >= ROOMY else _blocks(found, name_of)
    )
    return Group(shown, *(text(""), *reasons, text("")) if reasons else ())


def _why(one: Status) -> Iterator[str]:
    from worker.record.record import is_dead

    if one.problem:
        yield one.problem
    if one.last and is_dead(one.last.result) and one.last.detail:
        yield f"{one.last.image} {one.last.result}: {one.last.detail}"


def _table(found: Sequence[Status], name_of: Callable[[TargetId], str]) -> Table:
    from rich.table import Table

    table = Table(*COLUMNS, box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for one in found:
        table.add_row(*_row(one, name_of))
    return table


def _blocks(found: Sequence[Status], name_of: Callable[[TargetId], str]) -> Group:
    """The same for a narrow place, where a table would break up each name: a line a group, and what else there is."""
    from rich.console import Group
    from rich.padding import Padding

    lines: list[Any] = []
    for one in found:
        cells = _row(one, name_of)
        lines.append(text("  ").join(cell for cell in cells[:TITLED] if cell))
        rest = zip(COLUMNS[TITLED:], cells[TITLED:], strict=True)
        # What is held or waits says so itself.
        named = [
            (f"{name}: " if name != "held or waiting" else "", cell)
            for name, cell in rest
            if cell
        ]
        lines += [
            Padding(text(name).append(cell), (0, 0, 0, 2)) for name, cell in named
        ]
    return Group(*lines)


def _row(one: Status, name_of: Callable[[TargetId], str]) -> list[Any]:
    now = datetime.now(UTC)
    rollout = last = ""
    if one.rollout:
        # Another machine's clock has written the times, so they may seem to lie in the future.
        age = how_long(max(0.0, (now - one.rollout.since).total_seconds()))
        rollout = f"{one.rollout.image}, {one.rollout.phase}, since {age}"
    if one.last:
        age = how_long(max(0.0, (now - one.last.at).total_seconds()))
        last = f"{one.last.result} {one.last.image.rpartition('/')[2]}, {age} ago"
    waiting = f"waiting: {', '.join(one.waiting)}" if one.waiting else ""
    kept_back = "; ".join(filter(None, (one.held, waiting)))
    return [
        text(name_of(one.target), "bold"),
        text(one.word, _STYLES[one.word]),
        _runs(one),
        text(one.address or ""),
        text(rollout),
        text(kept_back),
        text(last),
    ]


def _runs(one: Status) -> Any:
    runs = text("")
    for number, each in enumerate(one.containers):
        restarts = f" ({count_of(each.restarts, 'restart')})" if each.restarts else ""
        runs.append(", " if number else "").append(text(f"{each.name} {each.image} "))
        runs.append(text(f"{each.health}{restarts}", _HEALTH.get(each.health, "green")))
    return runs


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
    # Whatever is no screen can't be drawn over: a file and a pipe get one view after the other.
    if as_json or not out.is_terminal or out.is_dumb_terminal:
        while True:
            found = look(deployment, targets, doing=None)
            if as_json:
                print_json([as_entry(one) for one in found], in_a_line=True)
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
    return Group(_groups(found), text(f"{now}; {_queues(deployment)}", "dim"))


def _pause(found: Sequence[Status]) -> float:
    return max(PAUSE, len(found) / READS)
