"""`aci-hooks plan`: what a push would do to each target, and why. Reads only."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from worker.commands.naming import names_of
from worker.commands.output import console, example, print_json, print_line, text
from worker.commands.push import pushed
from worker.commands.side_by_side import Once, side_by_side

if TYPE_CHECKING:
    from shared.message import TargetId, UpdateMessage
    from worker.core.look import Digest
    from worker.core.plan import Plan
    from worker.targets.target import Target
    from worker.wiring.deployment import Deployment

NOT_THERE = "not in its registry yet: a push of it now would be a dead letter"
_LINES = {"+": "green", "-": "red", "@": "cyan"}
_ACTIONS = {
    "update": "bold green",
    "restart": "bold green",
    "fail": "bold red",
    "held": "bold yellow",
}
_WOULD = {
    "update": "would be updated",
    "restart": "would be restarted",
    "nothing": "would be unchanged",
    "held": "would wait: held",
    "wait": "would wait",
    "skip": "push would be skipped",
    "ignore": "push would be ignored",
    "fail": "push would fail",
}
"""The actions as people read them; --json gives the words alone."""


@click.command(
    help="Show what a push of IMAGE would do to each target, and why. Reads only; exit 1 if it would fail anywhere, "
    "or a place could not be looked at.",
    short_help="What would a push of IMAGE do, and why?",
    epilog=example("plan acme/shop:v2"),
)
@click.argument("image")
@click.option(
    "--short",
    is_flag=True,
    help="A line a group, without the differences. Several alike are one line.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
def plan(context: click.Context, *, image: str, short: bool, as_json: bool) -> None:
    """`aci-hooks plan IMAGE`."""
    message = pushed(image)
    deployment: Deployment = context.obj()
    plans = _plans(deployment, message)
    unseen = deployment.catalogue.problems()
    if as_json:
        # A place that could not be looked at is an entry, too, so that no program takes the array for complete.
        failed: dict[str, Any] = {
            "target": None,
            "action": "fail",
            "changes": [],
            "restarts": [],
            "diff": "",
        }
        print_json(
            [
                *map(_as_json, plans),
                *({**failed, "reasons": [problem]} for problem in unseen),
            ]
        )
    else:
        _print_all(plans, short=short)
        for problem in unseen:
            console().print(text(f"not looked at: {problem}", style="bold red"))
        print_line(
            _summary(plans)
            if plans
            else f"no target runs {message.push.image.name}: a push of it is ignored"
        )
    sys.exit(1 if unseen or any(one.action == "fail" for one in plans) else 0)


def _plans(deployment: Deployment, message: UpdateMessage) -> list[Plan]:
    known = {target.id for target in deployment.catalogue.all()}
    targets = [
        target
        for target in deployment.catalogue.concerned(message.push.image)
        if target.id in known
    ]
    # Asked for once, and only if a group runs that repository: whoever names an image does not say where we connect to.
    ask_once = Once(lambda: _digest(deployment, message))
    return side_by_side(
        lambda target: _plan(deployment, target, message, ask_once),
        targets,
        "reading the targets",
    )


def _plan(
    deployment: Deployment,
    target: Target,
    message: UpdateMessage,
    ask_once: Callable[[], Digest],
) -> Plan:
    from shared.errors import RemoteError
    from worker.core.following import followings
    from worker.core.look import Absence
    from worker.core.plan import Plan
    from worker.core.plan import plan as plan_target

    try:
        group = deployment.arm.get(target.id)
        record, _ = deployment.records.load(target.id)
        followed = followings(group.images, target).values()
        is_followed = any(one.name == message.push.image.name for one in followed)
        digest = ask_once() if is_followed else None
        rules = replace(deployment.rules(), secrets=frozenset(target.secrets))
        known = None if isinstance(digest, Absence) else digest
        one = plan_target(
            target,
            group,
            record,
            message,
            known,
            rules,
            group.azure_time(datetime.now(UTC)),
        )
        # People plan before they push, so a missing image is planned as if it were there, with a word of warning.
        if isinstance(digest, Absence):
            one = replace(one, reasons=(*one.reasons, NOT_THERE))
        # The rollout would read the secrets that Azure withholds. Only reading them shows that it could.
        if one.changes and group.withheld():
            deployment.secrets.resolve(dict(target.secrets))
    except RemoteError as error:
        return Plan(target, "fail", (str(error),))
    return one


def _digest(deployment: Deployment, message: UpdateMessage) -> Digest:
    """What the registry tells of the pushed image."""
    from shared.errors import RemoteError
    from worker.core.look import Absence

    try:
        return deployment.ports.digest(message.push)
    except RemoteError as error:
        if error.code != "ManifestUnknown":
            raise
        return Absence(error.code, error.message)


def _as_json(one: Plan) -> dict[str, Any]:
    return {
        "target": one.target.id.model_dump(),
        "action": one.action,
        "reasons": one.reasons,
        "changes": [
            {"container": each.container, "from": each.before, "to": each.after}
            for each in one.changes
        ],
        "restarts": one.restarts,
        "diff": "\n".join(one.diff),
    }


def _print_all(plans: list[Plan], *, short: bool) -> None:
    name_of = names_of(one.target.id for one in plans)
    if not short:
        for one in plans:
            _print(one, name_of)
        return
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in plans:
        alike.setdefault((one.action, one.reasons), []).append(name_of(one.target.id))
    for (action, reasons), names in alike.items():
        line = text(f"{', '.join(names)}: ", "bold").append(
            text(_WOULD[action], _ACTIONS.get(action, "bold"))
        )
        console().print(line.append(text(f": {'; '.join(reasons)}" if reasons else "")))


def _print(one: Plan, name_of: Callable[[TargetId], str]) -> None:
    out = console()
    action = text(_WOULD[one.action], _ACTIONS.get(one.action, "bold"))
    out.print(text(f"{name_of(one.target.id)}: ", style="bold").append(action))
    for reason in one.reasons:
        out.print(text(f"  {reason}"))
    if one.restarts:
        out.print(text(f"  restarts: {', '.join(one.restarts)}"))
    for line in one.diff:
        out.print(text(f"  {line}", style=_LINES.get(line[:1], "")))


def _summary(plans: list[Plan]) -> str:
    counted = Counter(one.action for one in plans)
    return f"total: {', '.join(f'{count} {_WOULD[action]}' for action, count in counted.most_common())}"
