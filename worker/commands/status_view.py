"""How `aci-hooks status` shows the groups on a terminal: a table, or a block a group where that is too narrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worker.commands.naming import names_of
from worker.commands.output import ROOMY, console, count_of, text
from worker.commands.times import how_long

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from shared.message import TargetId
    from worker.core.status import Status

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


def groups_shown(found: Sequence[Status]) -> Group:
    """The groups, and beneath them why those at the top are there: that is too long for a column."""
    from rich.console import Group

    name_of = names_of(status.target for status in found)
    reasons = []
    for status in found:
        name = text(name_of(status.target), "bold")
        reasons += [name.copy().append(text(f": {why}")) for why in _why(status)]
    is_roomy = console().width >= ROOMY
    shown = _table(found, name_of) if is_roomy else _blocks(found, name_of)
    if not reasons:
        return Group(shown)
    return Group(shown, text(""), *reasons, text(""))


def _why(status: Status) -> Iterator[str]:
    from worker.record.record import is_dead

    if status.problem:
        yield status.problem
    if status.last and is_dead(status.last.result) and status.last.detail:
        yield f"{status.last.image} {status.last.result}: {status.last.detail}"


def _table(found: Sequence[Status], name_of: Callable[[TargetId], str]) -> Table:
    from rich.table import Table

    table = Table(*COLUMNS, box=None, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for status in found:
        table.add_row(*_row(status, name_of))
    return table


def _blocks(found: Sequence[Status], name_of: Callable[[TargetId], str]) -> Group:
    """The same for a narrow place, where a table would break up each name: a line a group, and what else there is."""
    from rich.console import Group
    from rich.padding import Padding

    lines: list[Any] = []
    for status in found:
        cells = _row(status, name_of)
        lines.append(text("  ").join(cell for cell in cells[:TITLED] if cell))
        for column, cell in zip(COLUMNS[TITLED:], cells[TITLED:], strict=True):
            if cell:
                # What is held or waits says so itself.
                label = "" if column == "held or waiting" else f"{column}: "
                lines.append(Padding(text(label).append(cell), (0, 0, 0, 2)))
    return Group(*lines)


def _row(status: Status, name_of: Callable[[TargetId], str]) -> list[Any]:
    rollout = last = ""
    if status.rollout:
        age = _age(status.rollout.since)
        rollout = f"{status.rollout.image}, {status.rollout.phase}, since {age}"
    if status.last:
        # Without registry and namespace, which most groups share and the column has no room for.
        image = status.last.image.rpartition("/")[2]
        last = f"{status.last.result} {image}, {_age(status.last.at)} ago"
    waiting = f"waiting: {', '.join(status.waiting)}" if status.waiting else ""
    kept_back = "; ".join(filter(None, (status.held, waiting)))
    return [
        text(name_of(status.target), "bold"),
        text(status.word, _STYLES[status.word]),
        _runs(status),
        text(status.address or ""),
        text(rollout),
        text(kept_back),
        text(last),
    ]


def _age(at: datetime) -> str:
    # Another machine's clock has written the time, so it may seem to lie in the future.
    return how_long(max(0.0, (datetime.now(UTC) - at).total_seconds()))


def _runs(status: Status) -> Any:
    runs = text("")
    for number, each in enumerate(status.containers):
        restarts = f" ({count_of(each.restarts, 'restart')})" if each.restarts else ""
        runs.append(", " if number else "").append(text(f"{each.name} {each.image} "))
        runs.append(text(f"{each.health}{restarts}", _HEALTH.get(each.health, "green")))
    return runs
