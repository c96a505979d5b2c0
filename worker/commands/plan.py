"""`aci-hooks-worker plan`: what a push would do to each target, and why. Reads only."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import click
from rich.text import Text

from shared.errors import RemoteError
from shared.message import TargetId, UpdateMessage
from worker.commands.naming import names_of
from worker.commands.output import console, example, print_json, print_line, text
from worker.commands.push import pushed
from worker.core.following import followings
from worker.core.look import Absence, Digest
from worker.core.plan import Plan
from worker.core.plan import plan as plan_target
from worker.targets.target import Target
from worker.wiring import Deployment

NOT_THERE = "not in its registry yet: a push of it now would be a dead letter"
_LINES = {"+": "green", "-": "red", "@": "cyan"}
_ACTIONS = {"update": "bold green", "restart": "bold green", "fail": "bold red", "held": "bold yellow"}
_WOULD = {
    "update": "would be updated",
    "restart": "would be restarted",
    "nothing": "would be unchanged",
    "held": "would be held",
    "wait": "would wait",
    "skip": "would be skipped",
    "ignore": "would be ignored",
    "fail": "would fail",
}
"""The actions as people read them; --json gives the words alone."""


@click.command(
    help="Show what a push of IMAGE would do to each target, and why. Reads only; exit 1 if it would fail anywhere, "
    "or a place could not be looked at.",
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
        plans = _plans(deployment, message)
    unseen = deployment.catalogue.problems()
    if as_json:
        failed: dict[str, Any] = {"target": None, "action": "fail", "changes": [], "restarts": [], "diff": ""}
        print_json([*map(_as_json, plans), *({**failed, "reasons": [problem]} for problem in unseen)])
    else:
        name_of = names_of(planned.target.id for planned in plans)
        for planned in plans:
            _print(planned, name_of)
        for problem in unseen:
            console().print(text(f"not looked at: {problem}", style="bold red"))
        print_line(_summary(plans) if plans else f"no target runs {message.push.image.name}: a push of it is ignored")
    sys.exit(1 if unseen or any(planned.action == "fail" for planned in plans) else 0)


def _plans(deployment: Deployment, message: UpdateMessage) -> list[Plan]:
    known = {target.id for target in deployment.catalogue.all()}
    targets = [target for target in deployment.catalogue.concerned(message.push.image) if target.id in known]
    # Asked for once, and only if a group runs that repository: whoever names an image does not say where we connect to.
    told = cache(lambda: _digest(deployment, message))
    return [_plan(deployment, target, message, told) for target in targets]


def _plan(deployment: Deployment, target: Target, message: UpdateMessage, told: Callable[[], Digest]) -> Plan:
    try:
        group = deployment.arm.get(target.id)
        record, _ = deployment.records.load(target.id)
        followed = followings(group.images, target).values()
        is_followed = any(following.name == message.push.image.name for following in followed)
        digest = told() if is_followed else None
        rules = replace(deployment.rules(), secrets=frozenset(target.secrets))
        known = None if isinstance(digest, Absence) else digest
        planned = plan_target(target, group, record, message, known, rules, group.azure_time(datetime.now(UTC)))
        if isinstance(digest, Absence):  # people plan before they push: what it would do is what they ask
            planned = replace(planned, reasons=(*planned.reasons, NOT_THERE))
        if planned.changes and group.withheld():
            deployment.secrets.resolve(dict(target.secrets))
    except RemoteError as error:
        return Plan(target, "fail", (str(error),))
    return planned


def _digest(deployment: Deployment, message: UpdateMessage) -> Digest:
    """What the registry tells of the pushed image."""
    try:
        return deployment.ports.digest(message.push)
    except RemoteError as error:
        if error.code != "ManifestUnknown":
            raise
        return Absence(error.code, error.message)


def _as_json(planned: Plan) -> dict[str, Any]:
    return {
        "target": planned.target.id.model_dump(),
        "action": planned.action,
        "reasons": planned.reasons,
        "changes": [
            {"container": image.container, "from": image.before, "to": image.after} for image in planned.changes
        ],
        "restarts": planned.restarts,
        "diff": "\n".join(planned.diff),
    }


def _print(planned: Plan, name_of: Callable[[TargetId], str]) -> None:
    out = console()
    action = Text(_WOULD[planned.action], style=_ACTIONS.get(planned.action, "bold"))
    out.print(text(f"{name_of(planned.target.id)}: ", style="bold").append(action))
    for reason in planned.reasons:
        out.print(text(f"  {reason}"))
    if planned.restarts:
        out.print(text(f"  restarts: {', '.join(planned.restarts)}"))
    for line in planned.diff:
        out.print(text(f"  {line}", style=_LINES.get(line[:1], "")))


def _summary(plans: list[Plan]) -> str:
    counted = Counter(planned.action for planned in plans)
    return f"total: {', '.join(f'{count} {_WOULD[action]}' for action, count in counted.most_common())}"
