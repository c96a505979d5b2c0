"""Commands that only look: plan and history."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime

import click
from rich.text import Text

from shared.errors import RemoteError
from shared.message import UpdateMessage
from worker.commands.groups import GROUP_HELP, find_group
from worker.commands.operate import pushed
from worker.commands.output import console, example, print_json, print_table, when
from worker.planning import Plan
from worker.planning import plan as plan_target
from worker.record import Record
from worker.wiring import Deployment

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command(
    help="Show what a push of IMAGE would do to each target, and why. Reads only; exit 1 if a target can't be read.",
    short_help="What would a push of IMAGE do, and why?",
    epilog=example("plan acme/shop:v2"),
)
@click.argument("image")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def plan(context: click.Context, *, image: str, as_json: bool) -> None:
    """`aci-hooks-worker plan IMAGE`."""
    message = pushed(image)
    deployment: Deployment = context.obj()
    with console().status("reading the targets…"):
        plans, unread = _plans(deployment, message)
    if as_json:
        print_json(
            [
                {
                    "target": one.target.id.model_dump(),
                    "action": one.action,
                    "reasons": one.reasons,
                    "diff": "\n".join(one.diff),
                }
                for one in plans
            ]
        )
    elif not plans:
        click.echo(f"no target runs {message.push.image.name}: a push of it is ignored")
    else:
        for one in plans:
            _print_plan(one)
    sys.exit(1 if unread else 0)


def _plans(deployment: Deployment, message: UpdateMessage) -> tuple[list[Plan], int]:
    """The plan of each target, and how many targets could not be read."""
    targets = deployment.catalogue.concerned(message.push.image)
    digest, absent = _digest(deployment, message) if targets else (None, ())
    plans, unread = [], 0
    for target in targets:
        try:
            group = deployment.arm.get(target.id)
            record, _ = deployment.records.load(target.id)
        except RemoteError as error:
            plans.append(Plan(target, "fail", (str(error),)))
            unread += 1
            continue
        one = plan_target(target, group, record, message, digest, deployment.rules(), datetime.now(UTC))
        plans.append(replace(one, reasons=(*one.reasons, *absent)))
    return plans, unread


def _digest(deployment: Deployment, message: UpdateMessage) -> tuple[str | None, tuple[str, ...]]:
    """The pushed image's digest, and what is to be said if its registry has no such image."""
    try:
        return deployment.digest(message), ()
    except RemoteError as error:
        if error.code != "ManifestUnknown":
            raise
        return None, ("not in its registry yet: a push of it now would be a dead letter",)


@click.command(
    help=f"Show how the last pushes ended, of every target or of GROUP. {GROUP_HELP}",
    short_help="How did the last pushes end, and what is held?",
    epilog=example("history web/shop"),
)
@click.argument("group", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def history(context: click.Context, *, group: str | None, as_json: bool) -> None:
    """`aci-hooks-worker history [GROUP]`."""
    deployment: Deployment = context.obj()
    targets = [find_group(deployment, group)] if group else sorted(deployment.records.all(), key=lambda one: one.key)
    records = [deployment.records.load(target)[0] for target in targets]
    if as_json:
        print_json([_history(record) for record in records])
        return
    rows = [
        (record.target, when(outcome.at), outcome.result, outcome.image, ", ".join(outcome.containers), outcome.detail)
        for record in records
        for outcome in record.outcomes
    ]
    columns = ("target", "at (UTC)", "result", "image", "containers", "detail")
    print_table(columns, rows, empty="nothing has been rolled out yet", titled=3)
    for record in records:
        if record.hold:
            click.echo(f"{record.target} is held since {when(record.hold.since)} UTC: {record.hold.reason}")
        for name, wanted in record.open().items():
            click.echo(f"{record.target}: {name} is to run {wanted.image} (since {when(wanted.admitted_at)} UTC)")


def _print_plan(one: Plan) -> None:
    out = console()
    out.print(Text(f"{one.target.id}: {one.action}", style="bold"))
    for reason in one.reasons:
        out.print(Text(f"  {reason}"))
    for line in one.diff:
        out.print(Text(f"  {line}", style=_COLOURS.get(line[:1], "")))


def _history(record: Record) -> dict[str, object]:
    return {
        "target": record.target.model_dump(),
        "hold": record.hold.model_dump(mode="json") if record.hold else None,
        "wanted": {name: wanted.image for name, wanted in record.open().items()},
        "outcomes": [outcome.model_dump(mode="json") for outcome in record.outcomes],
    }
