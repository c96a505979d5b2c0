"""`aci-hooks history`: how the last pushes ended. Reads only."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from worker.commands.naming import GROUP_HELP, complete_group, find_group, names_of
from worker.commands.output import example, print_json, print_line, print_table, when
from worker.commands.side_by_side import side_by_side
from worker.commands.times import HOW, ago, how_long

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.message import TargetId
    from worker.record.record import Record
    from worker.record.trace import End
    from worker.record.values import Hold
    from worker.wiring.deployment import Deployment

NOWHERE = "(no target)"


@click.command(
    help=f"Show how the last pushes ended, of every target or of these GROUPs, newest first. {GROUP_HELP}",
    short_help="How did the last pushes end, and which groups are held?",
    epilog=example("history web/shop"),
)
@click.argument("groups", metavar="[GROUP]…", nargs=-1, shell_complete=complete_group)
@click.option("--failed", is_flag=True, help="Only what failed or was rolled back.")
@click.option("--since", metavar="TIME", help=f"Only what ended since then: {HOW}.")
@click.option("--limit", metavar="N", type=click.IntRange(1), help="At most this many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def history(
    context: click.Context,
    *,
    groups: tuple[str, ...],
    failed: bool,
    since: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """`aci-hooks history [GROUP…]`."""
    from worker.record.history import all_ends, chosen, entry
    from worker.record.trace import Trace

    earliest = _earliest(since)
    deployment: Deployment = context.obj()
    # Without arguments the records decide, not the targets: what was rolled out to a former target is history, too.
    targets = [find_group(deployment, group) for group in groups] or list(
        deployment.records.all()
    )
    records, unreadable = _read(
        deployment, sorted(set(targets), key=lambda target: target.key)
    )
    # Pushes that no target runs are of no group.
    trace = Trace() if groups else deployment.records.trace()
    ends = chosen(all_ends(records, trace), failed=failed, since=earliest, limit=limit)
    if as_json:
        print_json([entry(end.target, end.outcome) for end in ends])
    else:
        name_of = names_of(targets)
        _print(ends, name_of)
        _print_now(records, name_of)
    for problem in unreadable:
        print_line(problem, err=True)
    sys.exit(1 if unreadable else 0)


def _earliest(since: str | None) -> datetime | None:
    if since is None:
        return None
    earliest = ago(since, datetime.now(UTC))
    if earliest is None:
        raise click.BadParameter(
            f"{since!r} is not a time; write {HOW}", param_hint="--since"
        )
    return earliest


def _read(
    deployment: Deployment, targets: Sequence[TargetId]
) -> tuple[list[Record], list[str]]:
    """The records, and why some can't be read: that keeps nobody from seeing the others."""
    from shared.errors import RemoteError
    from worker.ports import UNREADABLE

    def read(target: TargetId) -> Record | str:
        try:
            return deployment.records.load(target)[0]
        except RemoteError as error:
            # Storage that is down would say the same of every record: then the command ends with that one error.
            if error.code != UNREADABLE:
                raise
            return str(error)

    found = side_by_side(read, targets, "reading the records")
    records = [answer for answer in found if not isinstance(answer, str)]
    problems = [answer for answer in found if isinstance(answer, str)]
    return records, problems


def _print(ends: Sequence[End], name_of: Callable[[TargetId], str]) -> None:
    rows = [_row(end, name_of) for end in ends]
    columns = (
        "at (UTC)",
        "target",
        "result",
        "image",
        "containers",
        "took",
        "who",
        "detail",
    )
    print_table(columns, rows, empty="nothing has been rolled out yet", titled=3)


def _row(end: End, name_of: Callable[[TargetId], str]) -> tuple[str, ...]:
    outcome = end.outcome
    # Pushes that were superseded in a row are one entry.
    in_a_row = f", {outcome.count} in a row" if outcome.count != 1 else ""
    before = ", ".join(sorted(set(outcome.before.values())))
    return (
        when(outcome.at),
        name_of(end.target) if end.target else NOWHERE,
        f"{outcome.result}{in_a_row}",
        f"{outcome.image} (from {before})" if before else outcome.image,
        ", ".join(outcome.containers),
        "" if outcome.seconds is None else how_long(outcome.seconds),
        outcome.by or outcome.pusher or "",
        outcome.detail,
    )


def _print_now(records: Sequence[Record], name_of: Callable[[TargetId], str]) -> None:
    """What is held, what waits, and what was last done by hand."""
    from worker.core.status import trouble_of

    for record in records:
        name = name_of(record.target)
        if record.hold:
            print_line(f"{name} {_told_hold(record.hold)}")
        elif record.deeds:
            last = record.deeds[0]
            by = f" by {last.by}" if last.by else ""
            print_line(f"{name}: {last.what}, at {when(last.at)} UTC{by}")
        trouble = trouble_of(record)
        why = f": {trouble}" if trouble else ""
        for message in record.waiting().values():
            received = when(message.received_at)
            print_line(
                f"{name}: {message.push.image} waits (received {received} UTC){why}"
            )


def _told_hold(hold: Hold) -> str:
    by = f"by {hold.by}" if hold.by else ""
    until = f"until {when(hold.until)} UTC" if hold.until else ""
    more = ", ".join(filter(None, (by, until)))
    told = f"is held since {when(hold.since)} UTC: {hold.reason}"
    return f"{told} ({more})" if more else told
