"""What a push would do to a target, without doing it: the functions of a look, on a copy. Pure."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from datetime import datetime

from shared.message import UpdateMessage
from worker.core.admit import acquaint, consider, too_young
from worker.core.following import followings
from worker.core.look import Digest, Situation
from worker.core.receive import receive
from worker.core.rules import Action, Put, RolloutRules, Wait
from worker.groups.group import ContainerGroup
from worker.groups.secret_paths import is_object
from worker.groups.withheld import Secret
from worker.record.record import Record
from worker.record.values import Ending, Result
from worker.targets.target import Target

MASK = "***"
MOST_LOOKUPS = 50
_WORDS: dict[Result, str] = {
    "unchanged": "nothing",
    "superseded": "skip",
    "ignored": "skip",
    "failed": "fail",
    "rolled-back": "fail",
    "updated": "nothing",
}


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """The image that a container has, and the one that it would get."""

    container: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a push would do to one target: `action` is a word, `reasons` a sentence for each container concerned.

    `restarts` are the containers that would be restarted, `diff` the lines that show the changes.
    """

    target: Target
    action: str
    reasons: tuple[str, ...]
    changes: tuple[PlannedImage, ...] = ()
    restarts: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()


def plan(
    target: Target,
    group: ContainerGroup,
    record: Record,
    message: UpdateMessage,
    digest: Digest,
    rules: RolloutRules,
    now: datetime,
) -> Plan:
    """Receive, admit and reconcile as the worker would; nothing is written. `digest` is the pushed image's."""
    reasons = _reasons(record, group, target, message, now)
    if not reasons:
        return Plan(target, "ignore", (f"no container that is kept up to date runs {message.push.image.name}",))
    received, _ = receive(record, [message])
    situation = Situation(received, group, target, rules, now)
    decided = situation.admitted()
    for _ in range(MOST_LOOKUPS):
        asked = situation.to_look_up(decided)
        if asked is None:
            break
        known = digest if asked.id == message.id else asked.push.digest
        decided = situation.looked_up(decided, asked, known)
    decided, action = situation.reconciled(decided)
    if ended := next((ending for ending in decided.outbox if ending.message.id == message.id), None):
        return Plan(target, _WORDS[ended.result], _with_end(reasons, ended))
    word, more = _describe(action, decided)
    images = dict(action.images) if isinstance(action, Put) and not action.restart else {}
    changed = {name: image for name, image in images.items() if image != group.images[name]}
    return Plan(
        target,
        word,
        (*reasons, *more),
        changes=tuple(PlannedImage(name, group.images[name], image) for name, image in changed.items()),
        restarts=tuple(group.images) if isinstance(action, Put) else (),
        diff=difference(group, changed, tuple(target.secrets)),
    )


def _reasons(
    record: Record, group: ContainerGroup, target: Target, message: UpdateMessage, now: datetime
) -> tuple[str, ...]:
    """What the policy says of the push, a sentence for each container that runs its repository."""
    known, followed = acquaint(record, group, target, now), followings(group.images, target)
    _, rulings = consider(known, followed, message)
    reasons = [f"{ruling.container}: {ruling.reason}" for ruling in rulings]
    is_wanted = any(ruling.verdict == "wanted" for ruling in rulings)
    if is_wanted and (age := too_young(followed, message, now)):
        reasons.append(age)
    return tuple(reasons)


def _with_end(reasons: tuple[str, ...], ended: Ending) -> tuple[str, ...]:
    told = ended.detail in {reason.partition(": ")[2] for reason in reasons}
    return reasons if told else (*reasons, ended.detail)


def _describe(action: Action, record: Record) -> tuple[str, tuple[str, ...]]:
    match action:
        case Put(_, restart) if restart:
            return "restart", ("its digest is not known, so the tag may stand for another image by now",)
        case Put():
            return "update", ()
        case Wait(_, reason, owner):
            return ("held" if owner else "wait"), (reason,)
        case _:
            # What has not ended and leaves nothing to be done waits for an operator's release.
            return "held", (f"held by hand: {record.hold.reason}",) if record.hold else ()


def difference(group: ContainerGroup, images: dict[str, str], secret_paths: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The lines of a diff between each container and the same with these images, secrets masked, headed by its name."""
    secrets: dict[str, Secret] = {path: "{}" if is_object(path) else MASK for path in secret_paths}
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
    return {
        container["name"]: json.dumps(_masked(container), indent=2, ensure_ascii=False).splitlines()
        for container in containers
    }


def _masked(value: object, *, hide: bool = False) -> object:
    """The definition with every value that may be a secret hidden; plain environment variables often are some, too."""
    if isinstance(value, dict):
        secret = {"value", "secureValue", "password", "storageAccountKey", "workspaceKey", "command", "keyValuePairs"}
        return {
            key: _masked(part, hide=hide or key in secret or (key == "secret" and isinstance(part, dict)))
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_masked(part, hide=hide) for part in value]
    return MASK if hide else value
