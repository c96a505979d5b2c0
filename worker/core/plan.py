"""What a push would do to a target: the functions of a look, applied to a copy. Nothing is changed. Pure."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, replace
from datetime import datetime

from shared.message import UpdateMessage
from worker.core.acquaint import acquaint
from worker.core.admit import consider, too_young
from worker.core.following import followings
from worker.core.look import Digest, Situation
from worker.core.receive import receive
from worker.core.resolve import LOOKUP_INTERVAL
from worker.core.rules import Action, Put, RolloutRules, Wait
from worker.groups.group import ContainerGroup
from worker.groups.secret_paths import is_object
from worker.groups.withheld import Secret
from worker.record.record import Record
from worker.record.values import Ending, Result
from worker.targets.target import Target

MASK = "***"
MOST_LOOKUPS = 50
"""More lookups than a record can have candidates at the top; a limit, in case one is never answered."""
_SECRET_KEYS = frozenset(
    {
        "value",
        "secureValue",
        "password",
        "storageAccountKey",
        "workspaceKey",
        "command",
        "keyValuePairs",
    }
)
# How a push ends in its very first look, before anything could be put, as the word for what it would do.
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
    """The image that a container runs now, and the one that it would get."""

    container: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a push would do to one target.

    `action` is one word; `reasons` has a sentence for each container concerned. `restarts` are the containers that
    would be restarted, and `diff` has the lines that show the changes.
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
    """Receive, admit and reconcile as the worker would, and write nothing. `digest` is the pushed image's."""
    reasons = _reasons(record, group, target, message, now)
    if not reasons:
        return Plan(
            target,
            "ignore",
            (f"no container that is kept up to date runs {message.push.image.name}",),
        )
    received, _ = receive(record, [message])
    situation = Situation(received, group, target, rules, now)
    decided, action = situation.reconciled(_all_looked_up(situation, message, digest))
    if ended := next(
        (ending for ending in decided.outbox if ending.message.id == message.id), None
    ):
        return Plan(target, _WORDS[ended.result], _with_end(reasons, ended))
    word, more = _describe(action, decided)
    changed = _changed_images(action, group)
    return Plan(
        target,
        word,
        (*reasons, *more),
        changes=tuple(
            PlannedImage(name, group.images[name], image)
            for name, image in changed.items()
        ),
        # A PUT restarts all containers of the group, as a restart does.
        restarts=tuple(group.images) if isinstance(action, Put) else (),
        diff=difference(group, changed, tuple(target.secrets)),
    )


def _all_looked_up(
    situation: Situation,
    message: UpdateMessage,
    digest: Digest,
) -> Record:
    """The record with every lookup answered: `digest` for the planned push, the sender's digest for any other."""
    decided = situation.admitted()
    for _ in range(MOST_LOOKUPS):
        asked = situation.to_look_up(decided)
        if asked is None:
            break
        answer = digest if asked.id == message.id else asked.push.digest
        decided = situation.looked_up(decided, asked, answer)
        # The next lookup of an image that does not exist yet counts only after a while.
        situation = replace(situation, now=situation.now + LOOKUP_INTERVAL)
    return decided


def _changed_images(action: Action, group: ContainerGroup) -> dict[str, str]:
    if not isinstance(action, Put) or action.restart:
        return {}
    return {
        name: image
        for name, image in action.images.items()
        if image != group.images[name]
    }


def _reasons(
    record: Record,
    group: ContainerGroup,
    target: Target,
    message: UpdateMessage,
    now: datetime,
) -> tuple[str, ...]:
    """What the policy says about the push: a sentence for each container that runs its repository."""
    # On the record as it was before the push was received. Afterwards, the push would be a repetition of itself.
    known, followed = (
        acquaint(record, group, target, now),
        followings(group.images, target),
    )
    _, rulings = consider(known, followed, message)
    reasons = [f"{ruling.container}: {ruling.reason}" for ruling in rulings]
    is_wanted = any(ruling.verdict == "wanted" for ruling in rulings)
    if is_wanted and (age := too_young(followed, message, now)):
        reasons.append(age)
    return tuple(reasons)


def _with_end(reasons: tuple[str, ...], ended: Ending) -> tuple[str, ...]:
    """The reasons, and how the push ended, unless one of the reasons says that already."""
    sentences = {
        sentence
        for _container, _, sentence in (reason.partition(": ") for reason in reasons)
    }
    return reasons if ended.detail in sentences else (*reasons, ended.detail)


def _describe(action: Action, record: Record) -> tuple[str, tuple[str, ...]]:
    match action:
        case Put(_, restart) if restart:
            return "restart", (
                "its digest is not known, so the tag may point at another image by now",
            )
        case Put():
            return "update", ()
        case Wait(_, reason, owner):
            return ("held" if owner else "wait"), (reason,)
        case _:
            # The push has not ended, yet there is nothing to do: it waits for an operator to release the group.
            return "held", (
                f"held by hand: {record.hold.reason}",
            ) if record.hold else ()


def difference(
    group: ContainerGroup,
    images: dict[str, str],
    secret_paths: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """The lines of a diff: each container as it is, and with these images. Each part is headed by the container's name.

    Secrets are masked.
    """
    # Protected settings are an object, every other secret is a text (worker.groups.withheld): a mask for each.
    secrets: dict[str, Secret] = {
        path: "{}" if is_object(path) else MASK for path in secret_paths
    }
    before = _containers(group.definition({}, secrets))
    after = _containers(group.definition(images, secrets))
    lines: list[str] = []
    for name, running in before.items():
        lines += _difference_of_one(name, running, after[name])
    return ("--- running", "+++ planned", *lines) if lines else ()


def _difference_of_one(name: str, running: list[str], planned: list[str]) -> list[str]:
    with_file_names = list(difflib.unified_diff(running, planned, lineterm="", n=2))
    diff = with_file_names[2:]
    # The line numbers of a hunk would count lines of our own rendering, which nobody can look up.
    return [
        f"@@ container {name} @@" if line.startswith("@@") else line for line in diff
    ]


def _containers(definition: bytes) -> dict[str, list[str]]:
    containers = json.loads(definition)["properties"]["containers"]
    return {
        container["name"]: json.dumps(
            _masked(container), indent=2, ensure_ascii=False
        ).splitlines()
        for container in containers
    }


def _masked(value: object, *, hide: bool = False) -> object:
    """The definition with every value hidden that may be a secret. Plain environment variables often hold some, too."""
    if isinstance(value, dict):
        return {
            key: _masked(part, hide=hide or _is_secret(key, part))
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_masked(part, hide=hide) for part in value]
    return MASK if hide else value


def _is_secret(key: str, part: object) -> bool:
    # Under `secret`, a volume has an object with its files.
    return key in _SECRET_KEYS or (key == "secret" and isinstance(part, dict))
