"""`aci-hooks notify-test`: a test notification to everybody who would be told of a rollout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.commands.output import example, print_json, print_table
from worker.commands.people import somebody

if TYPE_CHECKING:
    from worker.adapters.notifications.notifier import Attempt
    from worker.ports import Notice
    from worker.wiring.deployment import Deployment


@click.command(
    help="Send a test notification to every entry of `notify` in the targets file. Exit 1 if one was not delivered.",
    short_help="Send a test notification.",
    epilog=example("notify-test"),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def notify_test(context: click.Context, *, as_json: bool) -> None:
    """`aci-hooks notify-test`."""
    deployment: Deployment = context.obj()
    # Each recipient gets it, whatever outcomes and groups its entry names: the way there is what is tested.
    results = deployment.notifier.try_each(_sample())
    if as_json:
        print_json([_as_json(result) for result in results])
    else:
        rows = [
            (result.place, result.service or "", _what(result)) for result in results
        ]
        print_table(
            ("notify", "service", "result"),
            rows,
            empty="nobody is notified: the targets file has no `notify`",
        )
    sys.exit(1 if any(result.problem for result in results) else 0)


def _sample() -> Notice:
    """A notice with everything in it that a service may show, of a group that can't exist."""
    from datetime import UTC, datetime

    from shared.message import TargetId
    from worker.ports import Notice

    group = TargetId(
        subscription="00000000-0000-0000-0000-000000000000",
        resource_group="test",
        container_group="notify-test",
    )
    return Notice(
        "updated",
        "example.com/aci-hooks/test:v2",
        str(group),
        "this is a test notification from `aci-hooks notify-test`; nothing was changed",
        group=group,
        at=datetime.now(UTC),
        containers=("test",),
        before={"test": "example.com/aci-hooks/test:v1"},
        by=somebody(None),
        seconds=0,
    )


def _as_json(result: Attempt) -> dict[str, object]:
    is_delivered = result.problem is None
    return {
        "notify": result.place,
        "delivered": is_delivered,
        "problem": result.problem,
    }


def _what(result: Attempt) -> str:
    return f"NOT DELIVERED: {result.problem}" if result.problem else "delivered"
