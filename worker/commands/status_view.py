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

    name_of = names_of(one.target for one in found)
    reasons = []
    for one in found:
        name = text(name_of(one.target), "bold")
        reasons += [name.copy().append(text(f": {why}")) for why in _why(one)]
    is_roomy = console().width >= ROOMY
    shown = _table(found, name_of) if is_roomy else _blocks(found, name_of)
    if not reasons:
        return Group(shown)
    return Group(shown, text(""), *reasons, text(""))


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
        for column, cell in zip(COLUMNS[TITLED:], cells[TITLED:], strict=True):
            if cell:
                # What is held or waits says so itself.
                label = "" if column == "held or waiting" else f"{column}: "
                lines.append(Padding(text(label).append(cell), (0, 0, 0, 2)))
    return Group(*lines)


def _row(one: Status, name_of: Callable[[TargetId], str]) -> list[Any]:
    rollout = last = ""
    if one.rollout:
        age = _age(one.rollout.since)
        rollout = f"{one.rollout.image}, {one.rollout.phase}, since {age}"
    if one.last:
        # Without registry and namespace, which most groups share and the column has no room for.
        image = one.last.image.rpartition("/")[2]
        last = f"{one.last.result} {image}, {_age(one.last.at)} ago"
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


def _age(at: datetime) -> str:
    # Another machine's clock has written the time, so it may seem to lie in the future.
    return how_long(max(0.0, (datetime.now(UTC) - at).total_seconds()))


def _runs(one: Status) -> Any:
    runs = text("")
    for number, each in enumerate(one.containers):
        restarts = f" ({count_of(each.restarts, 'restart')})" if each.restarts else ""
        runs.append(", " if number else "").append(text(f"{each.name} {each.image} "))
        runs.append(text(f"{each.health}{restarts}", _HEALTH.get(each.health, "green")))
    return runs
