"""`aci-hooks push`: enqueue a push by hand, and follow it to its end."""

from __future__ import annotations

import contextlib
import sys
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from worker.commands.output import example, print_json, print_line
from worker.commands.people import by_option

if TYPE_CHECKING:
    from shared.image import ImageReference
    from shared.message import UpdateMessage
    from worker.wiring.deployment import Deployment

DEFAULT_TIMEOUT = 1800.0
"""Seconds for which `--wait` waits: twice what a rollout may take by default."""


@click.command(
    help="Enqueue a push of IMAGE by hand, as if its registry had sent a webhook. With --wait, follow it until it has "
    "ended everywhere: exit 0 if every target was updated or runs it already, 1 if not, 3 if it has not ended in time.",
    short_help="Enqueue a push of IMAGE by hand.",
    epilog=example("push acme/shop:v2 --wait --timeout 600"),
)
@click.argument("image")
@click.option("--wait", is_flag=True, help="Follow it to its end.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    help="With --wait.",
)
@by_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="JSON: one object with the id; with --wait, one a line.",
)
@click.pass_context
def push(
    context: click.Context,
    *,
    image: str,
    wait: bool,
    timeout: float,
    by: str | None,
    as_json: bool,
) -> None:
    """`aci-hooks push IMAGE`."""
    from shared.errors import RemoteError
    from worker.commands.following import Screen, follow_push

    message = pushed(image, by)
    deployment: Deployment = context.obj()
    _send(deployment, message)
    pushed_image = message.push.image
    if as_json:
        print_json({"id": message.id, "image": str(pushed_image)}, in_a_line=wait)
    else:
        print_line(f"queued {pushed_image} as {message.id}")
    # Only a hint: if the targets can't be listed now, the worker will find them later. After sending, since a push must
    # not wait for Azure.
    with contextlib.suppress(RemoteError):
        if nobody_runs(deployment, pushed_image):
            print_line(
                f"no target runs {pushed_image.name} at present, so the push will be ignored",
                err=True,
            )
    if wait:
        screen = Screen(as_json=as_json)
        sys.exit(follow_push(deployment, message.id, screen, timeout, pushed_image))


def _send(deployment: Deployment, message: UpdateMessage) -> None:
    """Put the message onto the queue, in a span that all spans of this push descend from."""
    from shared import tracing

    about = {
        "aci_hooks.push.id": message.id,
        "aci_hooks.image": str(message.push.image),
    }
    # The block ends before anything is followed, which may take half an hour: the span is sent at its end.
    with (
        tracing.traced(deployment.settings, "aci-hooks", deployment.redaction),
        tracing.span("push by hand", "producer", about) as span,
    ):
        traceparent = span.traceparent or message.traceparent
        deployment.send(message.model_copy(update={"traceparent": traceparent}))


def pushed(image: str, by: str | None = None) -> UpdateMessage:
    """The message of a push of `image`; raises BadParameter if it is not an image with a tag."""
    from shared.image import ImageReference, InvalidImage
    from shared.message import UpdateMessage
    from shared.push import Push
    from shared.telemetry import new_traceparent
    from worker.record.values import MANUAL

    try:
        reference = ImageReference.parse(image)
    except InvalidImage as error:
        raise click.BadParameter(str(error), param_hint="IMAGE") from error
    if reference.tag is None:
        raise click.BadParameter(
            f"the tag is missing; expected for example {reference.name}:v2",
            param_hint="IMAGE",
        )
    now = datetime.now(UTC)
    push = Push.of(MANUAL, reference, pushed_at=now, pusher=by, proof="operator")
    return UpdateMessage(
        id=uuid.uuid4().hex,
        kind="push",
        push=push,
        received_at=now,
        traceparent=new_traceparent(),
    )


def nobody_runs(deployment: Deployment, image: ImageReference) -> bool:
    """Does no target run this repository? Groups that no list shows are read. Raises RemoteError."""
    from worker.targets.target import find_targets

    concerned = deployment.catalogue.concerned(image)
    listed = deployment.catalogue.listed()
    for target in concerned:
        # A target that names every repository it follows is in no list: nothing but a read tells what it runs.
        shown = listed.get(target.id) or deployment.arm.get(target.id)
        images = shown.images
        if find_targets(image.name, [target], {target.id: images}):
            return False
    return True
