"""What a push would do to a target, without doing it: the decision, and the difference of the two definitions. Pure."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, replace
from datetime import datetime

from shared.message import UpdateMessage
from worker.admission import Ruling, admit
from worker.groups.group import ContainerGroup
from worker.record import Record
from worker.rollout import next_step
from worker.situation import Rules
from worker.steps import Apply, Finish, GiveUp, RollBack, Step, Wait
from worker.targets.target import Target

MASK = "***"


@dataclass(frozen=True, slots=True)
class Change:
    """The image that a container has, and the one that it would get."""

    container: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a push would do to one target: `action` is a word, `reasons` a sentence for each container concerned.

    `restarts` are the containers that would be started anew, `diff` the lines that show the changes.
    """

    target: Target
    action: str
    reasons: tuple[str, ...]
    changes: tuple[Change, ...] = ()
    restarts: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()


def plan(
    target: Target,
    group: ContainerGroup,
    record: Record,
    message: UpdateMessage,
    digest: str | None,
    rules: Rules,
    now: datetime,
) -> Plan:
    """Decide as the worker would; nothing is written."""
    admission = admit(record, group, message, target, digest, now)
    reasons = tuple(f"{ruling.container}: {ruling.reason}" for ruling in admission.rulings)
    ruling = admission.verdict()
    if ruling is None:
        return Plan(target, "ignore", (f"no container that is kept up to date runs {message.push.image.name}",))
    if ruling.verdict != "wanted":
        return Plan(target, _word(ruling), reasons)
    step = next_step(admission.record, group, message, replace(rules, secrets=frozenset(target.secrets)), now)
    action, more = _describe(step)
    images = step.rollout.images if isinstance(step, Apply) and not step.rollout.restart else {}
    return Plan(
        target,
        action,
        (*reasons, *more),
        changes=tuple(Change(name, group.images[name], image) for name, image in images.items()),
        restarts=tuple(group.images) if isinstance(step, Apply) else (),
        diff=difference(group, images, tuple(target.secrets)),
    )


def difference(group: ContainerGroup, images: dict[str, str], secret_paths: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The lines of a diff between each container and the same with these images, secrets masked, headed by its name."""
    secrets = dict.fromkeys(secret_paths, MASK)
    before, after = (_containers(group.definition(changed, secrets)) for changed in ({}, images))
    lines = [
        # Line numbers would be those of nothing that anybody can look at.
        f"@@ container {name} @@" if line.startswith("@@") else line
        for name, running in before.items()
        for line in list(difflib.unified_diff(running, after[name], lineterm="", n=2))[2:]
    ]
    return ("--- running", "+++ planned", *lines) if lines else ()


def _containers(definition: bytes) -> dict[str, list[str]]:
    containers = json.loads(definition)["properties"]["containers"]
    return {one["name"]: json.dumps(_masked(one), indent=2, ensure_ascii=False).splitlines() for one in containers}


def _masked(value: object, *, hide: bool = False) -> object:
    """The definition with every value that may be a secret hidden; plain environment variables often are some, too."""
    if isinstance(value, dict):
        secret = {"value", "secureValue", "password", "storageAccountKey", "workspaceKey", "command", "keyValuePairs"}
        return {
            key: _masked(one, hide=hide or key in secret or (key == "secret" and isinstance(one, dict)))
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_masked(one, hide=hide) for one in value]
    return MASK if hide else value


def _word(ruling: Ruling) -> str:
    return {"unchanged": "nothing", "superseded": "skip", "ignored": "skip", "failed": "skip"}[ruling.verdict]


def _describe(step: Step) -> tuple[str, tuple[str, ...]]:
    match step:
        case Apply() if step.rollout.restart:
            return "restart", ("its digest is not known, so that the tag may stand for another image by now",)
        case Apply():
            return "update", ()
        case Wait(_, _, reason):
            return "wait", (reason,)
        case Finish(_, result, detail):
            return result, (detail,)
        case GiveUp(_, code, detail):
            return "fail", (f"{code}: {detail}",)
        case RollBack():
            return "roll back", ()
