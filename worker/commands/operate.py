"""Commands that change something: push, sweep, hold, release, rollback."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import click

from shared.errors import RemoteError
from shared.image import ImageReference, InvalidImage
from shared.message import TargetId, UpdateMessage
from shared.push import Push
from shared.telemetry import new_traceparent
from worker.adapters.record_blobs import Conflict
from worker.commands.naming import GROUP_HELP, complete_group, find_group, held_back, names_of
from worker.commands.output import console, example, print_json, print_table, when
from worker.endings import fresh
from worker.manual import NothingToRollBackTo, roll_back
from worker.manual import hold as hold_record
from worker.manual import release as release_record
from worker.record import Record
from worker.record_parts import MANUAL
from worker.sweep import Swept
from worker.wiring import Deployment


@click.command(
    help="Enqueue a push of IMAGE by hand, as if its registry had sent a webhook.",
    short_help="Enqueue a push of IMAGE by hand.",
    epilog=example("push acme/shop:v2"),
)
@click.argument("image")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with the id of the message.")
@click.pass_context
def push(context: click.Context, *, image: str, as_json: bool) -> None:
    """`aci-hooks-worker push IMAGE`."""
    message = pushed(image)
    deployment: Deployment = context.obj()
    deployment.send(message)
    if as_json:
        print_json({"id": message.id, "image": str(message.push.image)})
    else:
        click.echo(f"queued {message.push.image} as {message.id}")
    # Only a remark: what can't be told now, the worker will find out.
    with contextlib.suppress(RemoteError):
        if not deployment.catalogue.concerned(message.push.image):
            click.echo(f"no target runs {message.push.image.name} now: as it is, the push will be ignored", err=True)


@click.command(
    help="Compare every target with its registry once; enqueue what was missed and wake what was lost.",
    short_help="Enqueue what no webhook told, by the registries.",
    epilog=example("sweep"),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def sweep(context: click.Context, *, as_json: bool) -> None:
    """`aci-hooks-worker sweep`."""
    deployment: Deployment = context.obj()
    with console().status("sweeping…"):
        results = list(deployment.sweeper().sweep(deployment.catalogue.known()))
    unseen = deployment.catalogue.problems()
    if as_json:
        places: list[dict[str, object]] = [
            {"target": None, "missed": [], "woken": 0, "problem": problem} for problem in unseen
        ]
        print_json([*map(_as_json, results), *places])
    else:
        name_of = names_of(one.target for one in results)
        rows = [
            (name_of(one.target), ", ".join(str(push.image) for push in one.missed), one.woken, one.problem or "")
            for one in results
        ]
        rows += [("", "", 0, problem) for problem in unseen]
        print_table(("target", "missed pushes enqueued", "woken", "problem"), rows, empty="no targets")
    sys.exit(1 if unseen or any(one.problem and not one.held for one in results) else 0)


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
    before, _ = _change(deployment, target, lambda record: hold_record(record, reason, datetime.now(UTC)))
    earlier = f" (before, since {when(before.hold.since)} UTC: {before.hold.reason})" if before.hold else ""
    click.echo(f"{target} is held: {reason}{earlier}")


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
    before, record = _change(deployment, target, lambda record: release_record(record, datetime.now(UTC)))
    for message in record.unfinished():
        deployment.send(fresh(message))
    done = f"{target} {'is released' if before.hold else 'was not held by hand'}"
    images = ", ".join(sorted(_wanted_images(record)))
    if still := _still_held(deployment, record):
        click.echo(f"{done}, but its updates still wait: {still}{f'; waiting: {images}' if images else ''}")
    else:
        click.echo(f"{done}{f'; applying {images}' if images else ''}")


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
    messages: list[UpdateMessage] = []

    def change(record: Record) -> Record:
        changed, message = roll_back(record, lambda: uuid.uuid4().hex, datetime.now(UTC))
        messages.append(message)
        return changed

    try:
        before, record = _change(deployment, target, change)
    except NothingToRollBackTo as error:
        raise click.ClickException(str(error)) from error
    deployment.send(messages[-1])
    images = ", ".join(sorted(wanted.image for wanted in record.owned_by(messages[-1].id).values()))
    click.echo(f"{target} goes back to {images}, and is held there until `aci-hooks-worker release {group}`")
    if dropped := sorted(_wanted_images(before) - _wanted_images(record)):
        click.echo(f"not rolled out any more: {', '.join(dropped)}")


def pushed(image: str) -> UpdateMessage:
    """The message of a push of `image`; raises BadParameter if it is no image with a tag."""
    try:
        reference = ImageReference.parse(image)
    except InvalidImage as error:
        raise click.BadParameter(str(error), param_hint="IMAGE") from error
    if reference.tag is None:
        raise click.BadParameter(f"say which tag, as in {reference.name}:v2", param_hint="IMAGE")
    now = datetime.now(UTC)
    push = Push.of(MANUAL, reference, pushed_at=now)
    return UpdateMessage(id=uuid.uuid4().hex, kind="push", push=push, received_at=now, traceparent=new_traceparent())


def _as_json(one: Swept) -> dict[str, object]:
    return {
        "target": one.target.model_dump(),
        "missed": [push.model_dump(mode="json") for push in one.missed],
        "woken": one.woken,
        "problem": one.problem,
    }


def _wanted_images(record: Record) -> set[str]:
    return {wanted.image for wanted in record.open().values()}


def _still_held(deployment: Deployment, record: Record) -> str:
    """What keeps the group's updates back though no record does; nothing if that can't be told."""
    try:
        return " and ".join(held_back(record, deployment.arm.get(record.target)))
    except RemoteError as error:
        click.echo(f"can't tell whether it is held by a resource tag or stopped: {error}", err=True)
        return ""


def _change(deployment: Deployment, target: TargetId, change: Callable[[Record], Record]) -> tuple[Record, Record]:
    """The record before and after the change."""
    while True:
        record, etag = deployment.records.load(target)
        changed = change(record)
        try:
            deployment.records.save(changed, etag)
        except Conflict:
            continue
        return record, changed
