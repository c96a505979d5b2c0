"""`aci-hooks-worker history`: how the last pushes ended. Reads only."""

from __future__ import annotations

import sys

import click

from shared.errors import RemoteError
from shared.message import TargetId
from worker.commands.naming import GROUP_HELP, complete_group, find_group, names_of
from worker.commands.output import example, print_json, print_line, print_table, when
from worker.ports import UNREADABLE
from worker.record.record import Record
from worker.wiring import Deployment


@click.command(
    help=f"Show how the last pushes ended, of every target or of GROUP. {GROUP_HELP}",
    short_help="How did the last pushes end, and what is held?",
    epilog=example("history web/shop"),
)
@click.argument("group", required=False, shell_complete=complete_group)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def history(context: click.Context, *, group: str | None, as_json: bool) -> None:
    """`aci-hooks-worker history [GROUP]`."""
    deployment: Deployment = context.obj()
    targets = [find_group(deployment, group)] if group else sorted(deployment.records.all(), key=lambda one: one.key)
    records, unreadable = _read(deployment, targets)
    if as_json:
        print_json([_history(record) for record in records])
    else:
        _print(records, targets)
    for problem in unreadable:
        print_line(problem, err=True)
    sys.exit(1 if unreadable else 0)


def _read(deployment: Deployment, targets: list[TargetId]) -> tuple[list[Record], list[str]]:
    """The records, and why some can't be read: that keeps nobody from seeing the others."""
    records, unreadable = [], []
    for target in targets:
        try:
            records.append(deployment.records.load(target)[0])
        except RemoteError as error:
            if error.code != UNREADABLE:
                raise
            unreadable.append(str(error))
    return records, unreadable


def _print(records: list[Record], targets: list[TargetId]) -> None:
    name_of = names_of(targets)
    rows = [
        (
            name_of(record.target),
            when(outcome.at),
            outcome.result if outcome.count == 1 else f"{outcome.result}, {outcome.count} in a row",
            outcome.image,
            ", ".join(outcome.containers),
            outcome.detail,
        )
        for record in records
        for outcome in record.outcomes
    ]
    columns = ("target", "at (UTC)", "result", "image", "containers", "detail")
    print_table(columns, rows, empty="nothing has been rolled out yet", titled=3)
    for record in records:
        if record.hold:
            print_line(f"{name_of(record.target)} is held since {when(record.hold.since)} UTC: {record.hold.reason}")
        for message in record.waiting().values():
            what = f"{message.push.image} waits (received {when(message.received_at)} UTC)"
            print_line(f"{name_of(record.target)}: {what}")


def _history(record: Record) -> dict[str, object]:
    return {
        "target": record.target.model_dump(),
        "hold": record.hold.model_dump(mode="json") if record.hold else None,
        "waiting": [str(message.push.image) for message in record.waiting().values()],
        "outcomes": [outcome.model_dump(mode="json") for outcome in record.outcomes],
    }
