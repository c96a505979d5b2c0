"""`aci-hooks-worker push`: enqueue a push by hand."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime

import click

from shared.errors import RemoteError
from shared.image import ImageReference, InvalidImage
from shared.message import UpdateMessage
from shared.push import Push
from shared.telemetry import new_traceparent
from worker.commands.output import example, print_json, print_line
from worker.record.values import MANUAL
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
        print_line(f"queued {message.push.image} as {message.id}")
    # Only a remark: what can't be told now, the worker will find out.
    with contextlib.suppress(RemoteError):
        if not deployment.catalogue.concerned(message.push.image):
            print_line(f"no target runs {message.push.image.name} now: as it is, the push will be ignored", err=True)


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
