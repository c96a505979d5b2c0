"""`aci-hooks plan`: what a push would do to each target, and why. Reads only."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from worker.commands.naming import names_of
from worker.commands.output import console, example, print_json, print_line, text
from worker.commands.push import pushed
from worker.commands.side_by_side import Once, side_by_side

if TYPE_CHECKING:
    from rich.text import Text

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
    help="One line for each group, without the diff; groups with the same result share a line.",
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
        entries = [_as_json(planned) for planned in plans]
        entries += [_unseen_as_json(problem) for problem in unseen]
        print_json(entries)
    else:
        _print_all(plans, short=short)
        for problem in unseen:
            console().print(text(f"not looked at: {problem}", style="bold red"))
        print_line(_summary(plans, message))
    would_fail = any(planned.action == "fail" for planned in plans)
    sys.exit(1 if unseen or would_fail else 0)


def _plans(deployment: Deployment, message: UpdateMessage) -> list[Plan]:
    concerned = deployment.catalogue.concerned(message.push.image)
    # After `concerned`, which lists the groups: before that, no tag has made a target. A group with invalid tags is
    # among the concerned, as its pushes wait; but it is not a target, and has no rules to plan by. `problems` names
    # it.
    known = {target.id for target in deployment.catalogue.all()}
    targets = [target for target in concerned if target.id in known]
    # Asked for once, and only if a group runs that repository: whoever names an image does not say where we connect to.
    ask_once = Once(lambda: _digest(deployment, message))
    plan_one = partial(_plan, deployment, message, ask_once)
    return side_by_side(plan_one, targets, "reading the targets")


def _plan(
    deployment: Deployment,
    message: UpdateMessage,
    ask_once: Callable[[], Digest],
    target: Target,
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
        is_followed = any(
            repository.name == message.push.image.name for repository in followed
        )
        digest = ask_once() if is_followed else None
        rules = replace(deployment.rules(), secrets=frozenset(target.secrets))
        known = None if isinstance(digest, Absence) else digest
        # By Azure's clock, as a worker would: this machine's may be wrong.
        now = group.azure_time(datetime.now(UTC))
        planned = plan_target(target, group, record, message, known, rules, now)
        # People plan before they push, so a missing image is planned as if it were there, with a word of warning.
        if isinstance(digest, Absence):
            planned = replace(planned, reasons=(*planned.reasons, NOT_THERE))
        # The rollout would read the secrets that Azure withholds. Only reading them shows that it could. Their values
        # are not used: the differences show *** for each.
        if planned.changes and group.withheld():
            deployment.secrets.resolve(dict(target.secrets))
    except RemoteError as error:
        # One group that can't be read must not hide what would become of the others.
        return Plan(target, "fail", (str(error),))
    return planned


def _digest(deployment: Deployment, message: UpdateMessage) -> Digest:
    """What the registry says about the pushed image."""
    from shared.errors import RemoteError
    from worker.core.look import Absence

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
            {"container": each.container, "from": each.before, "to": each.after}
            for each in planned.changes
        ],
        "restarts": planned.restarts,
        "diff": "\n".join(planned.diff),
    }


def _unseen_as_json(problem: str) -> dict[str, Any]:
    return {
        "target": None,
        "action": "fail",
        "changes": [],
        "restarts": [],
        "diff": "",
        "reasons": [problem],
    }


def _print_all(plans: list[Plan], *, short: bool) -> None:
    name_of = names_of(planned.target.id for planned in plans)
    if not short:
        for planned in plans:
            _print(planned, name_of)
        return
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for planned in plans:
        alike.setdefault((planned.action, planned.reasons), []).append(
            name_of(planned.target.id)
        )
    for (action, reasons), names in alike.items():
        why = f": {'; '.join(reasons)}" if reasons else ""
        console().print(_line(", ".join(names), action).append(text(why)))


def _line(names: str, action: str) -> Text:
    """What would become of these groups."""
    would = text(_WOULD[action], _ACTIONS.get(action, "bold"))
    return text(f"{names}: ", "bold").append(would)


def _print(planned: Plan, name_of: Callable[[TargetId], str]) -> None:
    out = console()
    out.print(_line(name_of(planned.target.id), planned.action))
    for reason in planned.reasons:
        out.print(text(f"  {reason}"))
    if planned.restarts:
        out.print(text(f"  restarts: {', '.join(planned.restarts)}"))
    for line in planned.diff:
        out.print(text(f"  {line}", style=_LINES.get(line[:1], "")))


def _summary(plans: list[Plan], message: UpdateMessage) -> str:
    if not plans:
        return f"no target runs {message.push.image.name}: a push of it is ignored"
    counted = Counter(planned.action for planned in plans)
    counts = [f"{count} {_WOULD[action]}" for action, count in counted.most_common()]
    return f"total: {', '.join(counts)}"
