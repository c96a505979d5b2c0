"""`aci-hooks sweep`: compare every target with its registry once.

The same as a running worker does now and then (ACI_HOOKS_SWEEP_INTERVAL), for whoever does not want to wait for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from worker.commands.naming import names_of
from worker.commands.output import console, example, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.controller.sweep import Swept
    from worker.wiring.deployment import Deployment


@click.command(
    help="Compare every target with its registry once, enqueue the pushes that were missed, and have groups looked at "
    "that have drifted.",
    short_help="Enqueue pushes that no webhook reported.",
    epilog=example("sweep"),
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def sweep(context: click.Context, *, as_json: bool) -> None:
    """`aci-hooks sweep`."""
    deployment: Deployment = context.obj()
    with console().status("sweeping…"):
        results = list(deployment.sweeper().sweep(deployment.catalogue.known()))
    unseen = deployment.catalogue.problems()
    if as_json:
        # A place that could not be listed is an entry, too, so that no program takes the array for complete.
        places: list[dict[str, object]] = [
            {"target": None, "missed": [], "woken": 0, "problem": problem}
            for problem in unseen
        ]
        print_json([*map(_as_json, results), *places])
    else:
        _print(results, unseen)
    # That a group is held is told as its problem, but is intended.
    has_failed = any(swept.problem and not swept.held for swept in results)
    sys.exit(1 if unseen or has_failed else 0)


def _print(results: list[Swept], unseen: Iterable[str]) -> None:
    name_of = names_of(swept.target for swept in results)
    rows = [
        (
            name_of(swept.target),
            ", ".join(str(push.image) for push in swept.missed),
            swept.woken,
            swept.problem or "",
        )
        for swept in results
    ]
    rows += [("", "", 0, problem) for problem in unseen]
    columns = ("target", "missed pushes enqueued", "woken", "problem")
    print_table(columns, rows, empty="no targets")


def _as_json(swept: Swept) -> dict[str, object]:
    return {
        "target": swept.target.model_dump(),
        "missed": [push.model_dump(mode="json") for push in swept.missed],
        "woken": swept.woken,
        "problem": swept.problem,
    }
