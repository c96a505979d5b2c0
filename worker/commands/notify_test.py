"""`aci-hooks notify-test`: a test notification to everybody who would be told of a rollout."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.commands.output import example, print_json, print_table

if TYPE_CHECKING:
    from worker.wiring import Deployment


@click.command(
    help="Send a test notification to every entry of `notify` in the targets file. Exit 1 if one was not delivered.",
    short_help="Send a test notification.",
    epilog=example("notify-test"),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def notify_test(context: click.Context, *, as_json: bool) -> None:
    """`aci-hooks notify-test`."""
    from worker.ports import Notice

    deployment: Deployment = context.obj()
    notice = Notice(
        "updated",
        "example.com/aci-hooks/test:v1",
        "test/notify-test",
        "this is a test of notifications by `aci-hooks notify-test`; nothing was changed",
    )
    results = deployment.notifier.try_each(notice)
    if as_json:
        print_json([{"notify": name, "delivered": why is None, "problem": why} for name, why in results])
    else:
        rows = [(name, "delivered" if why is None else f"NOT DELIVERED: {why}") for name, why in results]
        print_table(("notify", "result"), rows, empty="nobody is notified: the targets file has no `notify`")
    sys.exit(1 if any(why for _, why in results) else 0)
