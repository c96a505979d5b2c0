"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 160
"""Columns where nobody's terminal sets them."""


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table on stdout, nothing cut; the sentence `empty` where there are no rows."""
    table = Table(*columns, show_lines=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in row))
    console().print(table if table.row_count else empty, markup=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def console() -> Console:
    """The console of stdout, as wide as the terminal or WIDE."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=WIDE, highlight=False)


def when(at: datetime | None) -> str:
    """A time as people read it, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
