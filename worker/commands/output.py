"""How commands print: tables for people, JSON for programs. Texts of outside systems can't control the terminal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from shared.printable import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

WIDE = 160
"""Columns where neither a terminal nor COLUMNS says how many there are."""
ROOMY = 120
"""Columns below which a wide table would break up ids and names."""


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str,
    titled: int = 0,
) -> None:
    """A table on stdout in full width; the sentence `empty` if there are no rows.

    With `titled`, and in less than ROOMY columns, each row is a block: so many cells as its title, the others beneath.
    """
    from rich.table import Table
    from rich.text import Text

    out = console()
    rows = list(rows)
    if not rows:
        # rich takes [brackets] in a plain string for markup.
        out.print(printable(empty), markup=False)
    elif titled and out.width < ROOMY:
        for row in rows:
            _print_block(out, columns, [str(cell) for cell in row], titled)
    else:
        table = Table(*columns, show_lines=False)
        for number, column in enumerate(table.columns):
            column.overflow = "fold"
            column.no_wrap = number < titled
        for row in rows:
            table.add_row(
                *(cell if isinstance(cell, Text) else text(str(cell)) for cell in row)
            )
        out.print(table)


def print_json(value: Any, *, in_a_line: bool = False) -> None:
    """One JSON document on stdout."""
    indent = None if in_a_line else 2
    click.echo(
        printable_json(
            json.dumps(value, indent=indent, ensure_ascii=False, default=str)
        )
    )


def print_line(line: str, *, err: bool = False) -> None:
    """A line for people, on stdout or stderr."""
    click.echo(printable(line), err=err)


def text(said: str, style: str = "") -> Text:
    """A text for a table or the console, whoever said it."""
    from rich.text import Text

    return Text(printable(said), style=style)


def console() -> Console:
    """The console of stdout, as wide as COLUMNS or the terminal says, else WIDE."""
    from rich.console import Console

    # Where stdout is a file or a pipe, rich takes it to have 80 columns, which would break up ids and names.
    return Console(width=shutil.get_terminal_size((WIDE, 0)).columns, highlight=False)


def when(at: datetime | None) -> str:
    """A time as people read it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def count_of(number: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def example(arguments: str) -> str:
    """What stands at the end of a command's help."""
    return f"Example: aci-hooks {arguments}"


def _print_block(
    out: Console, columns: Sequence[str], cells: Sequence[str], titled: int
) -> None:
    from rich.padding import Padding

    out.print(text("  ".join(cell for cell in cells[:titled] if cell), style="bold"))
    for name, cell in zip(columns[titled:], cells[titled:], strict=True):
        if cell:
            line = text(f"{name}: {cell}")
            line.overflow = "fold"
            out.print(Padding(line, (0, 0, 0, 2)))
