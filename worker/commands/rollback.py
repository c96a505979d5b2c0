"""`aci-hooks rollback`: a group goes back to earlier images, and is held there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from worker.commands.hold import Changed, until_written, waiting_images
from worker.commands.naming import GROUP_HELP, complete_group, find_group
from worker.commands.output import example, print_json, print_line
from worker.commands.people import by_option, in_unicode

if TYPE_CHECKING:
    from shared.image import ImageReference
    from shared.message import TargetId
    from worker.record.overrides import Wish
    from worker.record.record import Record
    from worker.wiring.deployment import Deployment


@click.command(
    help=f"Bring GROUP back to its previous good images, and hold it there until it is released. {GROUP_HELP}",
    short_help="Bring GROUP back to an earlier image, and hold it.",
    epilog=example("rollback web/shop --to acme/shop:v1 --reason 'v2 is slow'"),
)
@click.argument("group", shell_complete=complete_group)
@click.option(
    "--to",
    metavar="IMAGE",
    help="Go back to this image of a container's own repository, by tag or digest.",
)
@click.option("--reason", help="Why; the history shows it.")
@by_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object, with the id of the rollback.",
)
@click.pass_context
def rollback(
    context: click.Context,
    *,
    group: str,
    to: str | None,
    reason: str | None,
    by: str | None,
    as_json: bool,
) -> None:
    """`aci-hooks rollback GROUP`."""
    from worker.record.overrides import NothingToRollBackTo, Wish, what_comes_back

    wish = Wish(_image(to), in_unicode(reason or "").strip() or None, by)
    deployment: Deployment = context.obj()
    target = find_group(deployment, group)
    message_id = uuid.uuid4().hex
    try:
        before, record = _roll_back(deployment, target, message_id, wish)
    except NothingToRollBackTo as error:
        raise click.ClickException(str(error)) from error
    images = what_comes_back(record)
    dropped = sorted(waiting_images(before) - waiting_images(record))
    if as_json:
        told = {"images": images, "dropped": dropped}
        print_json({"id": message_id, "target": target.model_dump(), **told})
    else:
        _print(f"{target} goes back to {', '.join(images)}", group, dropped)


def _roll_back(
    deployment: Deployment, target: TargetId, message_id: str, wish: Wish
) -> Changed:
    """Pin the earlier images in the record, and have the group looked at. Raises NothingToRollBackTo."""
    from worker.controller.timers import change
    from worker.record.overrides import roll_back, what_comes_back

    now, running = datetime.now(UTC), _running(deployment, target)

    # May be called again with a newer record. The id and the time stay, so that what was done is one deed.
    def went_back(record: Record) -> Record:
        changed = roll_back(record, message_id, now, running, wish)
        # The group is on its way back already.
        if changed == record:
            return record
        images = ", ".join(what_comes_back(changed))
        why = f": {wish.reason}" if wish.reason else ""
        return changed.with_deed(f"rolled back to {images}{why}", wish.by, now)

    return until_written(lambda: change(deployment.ports, target, went_back))


def _print(what: str, group: str, dropped: list[str]) -> None:
    print_line(f"{what}, and is held there until `aci-hooks release {group}`")
    if dropped:
        print_line(f"not rolled out any more: {', '.join(dropped)}")


def _running(deployment: Deployment, target: TargetId) -> Mapping[str, str]:
    """The images that run; none if Azure does not answer, as a rollback may be needed just then.

    What the record knows is enough, unless a failed push was left on the group.
    """
    from shared.errors import RemoteError

    try:
        return deployment.arm.get(target).images
    except RemoteError:
        return {}


def _image(to: str | None) -> ImageReference | None:
    from shared.image import ImageReference, InvalidImage

    if to is None:
        return None
    try:
        image = ImageReference.parse(to)
    except InvalidImage as error:
        raise click.BadParameter(str(error), param_hint="--to") from error
    if image.tag is None and image.digest is None:
        raise click.BadParameter(
            f"the tag is missing; expected for example {image.name}:v2",
            param_hint="--to",
        )
    return image
