"""`python -m tests.fuzz`: requests, then messages, a report, and exit code 0 if no promise was broken."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from math import inf

from rich.console import Console
from rich.table import Table

from tests.azurite import Azurite
from tests.fuzz.backlog import Backlog, messages
from tests.fuzz.handling import handled
from tests.fuzz.memory import tenths, verdict
from tests.fuzz.onslaught import Onslaught, requests

A_REAL_ONE = 10
"""Of so many messages, one goes through a real worker and a real queue, which take a hundred in a second."""
_MOST_SHOWN = 20


def main() -> int:
    arguments = _parser().parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    seed, seconds = arguments.seed, arguments.seconds or inf
    console.print(f"seed {seed}: {arguments.requests} requests, {arguments.messages} messages")
    violations: list[str] = []
    if arguments.requests:
        with Azurite() as azurite:
            onslaught = requests(azurite.connection_string, arguments.requests, seed, seconds)
        _show_requests(onslaught, console)
        violations += onslaught.violations
    if arguments.messages:
        in_memory = handled(arguments.messages, seed, seconds)
        _show_messages("messages for the handler in memory", in_memory, console)
        with Azurite() as azurite:
            backlog = messages(azurite, -(-arguments.messages // A_REAL_ONE), seed, seconds)
        _show_messages("messages for a worker on a real queue", backlog, console)
        violations += [*in_memory.violations, *backlog.violations]
    console.print(f"violations: {len(violations)}", style="bold red" if violations else "bold green")
    for violation in violations[:_MOST_SHOWN]:
        console.print(f"  {violation}", markup=False)
    return 1 if violations else 0


def _show_requests(done: Onslaught, console: Console) -> None:
    table = Table(title="requests", show_header=False)
    table.add_row("sent", f"{done.tally.requests}, {done.tally.requests / done.seconds:.0f} a second")
    for what, count in done.tally.statuses.most_common():
        table.add_row(what, str(count))
    table.add_row("pushes that were answered 202; on the queue", f"{done.tally.pushes}; {done.queued}")
    _add_memory(table, "ingress", done.memory)
    console.print(table)


def _show_messages(title: str, done: Backlog, console: Console) -> None:
    table = Table(title=title, show_header=False)
    table.add_row("sent", str(done.sent))
    for what, count in done.ends.most_common():
        table.add_row(what, str(count))
    _add_memory(table, "process", done.memory)
    console.print(table)


def _add_memory(table: Table, who: str, samples: Sequence[float]) -> None:
    table.add_row(f"MiB of the {who} by tenths of the run", ", ".join(f"{part:.0f}" for part in tenths(samples)))
    table.add_row(f"memory of the {who}", verdict(samples))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=int(os.environ.get("REQUESTS") or 20_000))
    parser.add_argument("--messages", type=int, default=int(os.environ.get("MESSAGES") or 2_000))
    parser.add_argument("--seconds", type=float, help="for each part, however many are left then")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or secrets.randbelow(1_000_000)))
    return parser


if __name__ == "__main__":
    sys.exit(main())
