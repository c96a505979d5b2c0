"""`aci-hooks-worker hold`, `release` and `rollback`: what an operator changes by hand."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import click

from shared.errors import RemoteError
from shared.message import TargetId
from worker.commands.naming import GROUP_HELP, complete_group, find_group, held_back
from worker.commands.output import example, print_line, when
from worker.controller.timers import change
from worker.ports import Conflict
from worker.record.overrides import NothingToRollBackTo, roll_back, what_comes_back
from worker.record.overrides import hold as hold_record
from worker.record.overrides import release as release_record
from worker.record.record import Record
from worker.wiring import Deployment


@click.command(
    help=f"Stop updates of GROUP; pushes are admitted and wait. {GROUP_HELP}",
    short_help="Stop updates of GROUP; pushes wait.",
    epilog=example('hold shop --reason "sale until Monday"'),
)
@click.argument("group", shell_complete=complete_group)
@click.option("--reason", required=True, help="Why, for whoever looks at its history.")
@click.pass_context
def hold(context: click.Context, *, group: str, reason: str) -> None:
    """`aci-hooks-worker hold GROUP --reason R`."""
    reason = reason.strip()
    if not reason:
        raise click.BadParameter("say why", param_hint="--reason")
    deployment: Deployment = context.obj()
    target = find_group(deployment, group)
    before, _ = _change(lambda: _write(deployment, target, reason))
    earlier = f" (before, since {when(before.hold.since)} UTC: {before.hold.reason})" if before.hold else ""
    print_line(f"{target} is held: {reason}{earlier}")


@click.command(
    help=f"Let updates of GROUP go on, with the newest push of each container. {GROUP_HELP}",
    short_help="Let updates of GROUP go on, with the newest push.",
    epilog=example("release shop"),
)
@click.argument("group", shell_complete=complete_group)
@click.pass_context
def release(context: click.Context, *, group: str) -> None:
    """`aci-hooks-worker release GROUP`."""
    deployment: Deployment = context.obj()
    target = find_group(deployment, group)
    before, record = _change(lambda: change(deployment.ports, target, release_record))
    done = f"{target} {'is released' if before.hold else 'was not held by hand'}"
    images = ", ".join(sorted(_waiting_images(record)))
    if still := _still_held(deployment, record):
        print_line(f"{done}, but its updates still wait: {still}{f'; waiting: {images}' if images else ''}")
    else:
        print_line(f"{done}{f'; applying {images}' if images else ''}")


@click.command(
    help=f"Bring GROUP back to the good images before, and hold it there until released. {GROUP_HELP}",
    short_help="Bring GROUP back to the good images before, and hold it.",
    epilog=example("rollback web/shop"),
)
@click.argument("group", shell_complete=complete_group)
@click.pass_context
def rollback(context: click.Context, *, group: str) -> None:
    """`aci-hooks-worker rollback GROUP`."""
    deployment: Deployment = context.obj()
    target = find_group(deployment, group)
    message_id = uuid.uuid4().hex
    running: Mapping[str, str] = {}
    with contextlib.suppress(RemoteError):  # what the record knows is enough, unless a failed push was left there
        running = deployment.arm.get(target).images
    try:
        before, record = _change(
            lambda: change(
                deployment.ports, target, lambda record: roll_back(record, message_id, datetime.now(UTC), running)
            )
        )
    except NothingToRollBackTo as error:
        raise click.ClickException(str(error)) from error
    images = ", ".join(what_comes_back(record))
    print_line(f"{target} goes back to {images}, and is held there until `aci-hooks-worker release {group}`")
    if dropped := sorted(_waiting_images(before) - _waiting_images(record)):
        print_line(f"not rolled out any more: {', '.join(dropped)}")


def _write(deployment: Deployment, target: TargetId, reason: str) -> tuple[Record, Record]:
    """Write the hold. Nothing needs to look at the group for it."""
    record, etag = deployment.records.load(target)
    changed = hold_record(record, reason, datetime.now(UTC))
    deployment.records.save(changed, etag)
    return record, changed


def _change(write: Callable[[], tuple[Record, Record]]) -> tuple[Record, Record]:
    """The record before and after, however often others write it first."""
    while True:
        try:
            return write()
        except Conflict:
            continue


def _waiting_images(record: Record) -> set[str]:
    return {str(message.push.image) for message in record.waiting().values()}


def _still_held(deployment: Deployment, record: Record) -> str:
    """What keeps the group's updates back though no record does; nothing if that can't be told."""
    try:
        return " and ".join(held_back(record, deployment.arm.get(record.target)))
    except RemoteError as error:
        print_line(f"can't tell whether it is held by a resource tag or stopped: {error}", err=True)
        return ""
