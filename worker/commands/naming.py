"""Which container group a person means by GROUP on the command line, how it is called, and what keeps it back."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from shared.errors import RemoteError
from shared.printable import printable
from worker.commands.output import print_line
from worker.core.names import names_of as names_of

if TYPE_CHECKING:
    from shared.message import TargetId
    from worker.groups.group import ContainerGroup
    from worker.record.record import Record
    from worker.wiring.deployment import Deployment

GROUP_HELP = "GROUP is a container group's name, or `resource group/name`, or `subscription/resource group/name`."
_WHOLE = 3
_ID = re.compile(r"[0-9a-fA-F-]{8,}(\.\d+)?")


def find_group(deployment: Deployment, text: str) -> TargetId:
    """The one group that `text` names, among the targets and the groups with a record; raises ClickException.

    A full name needs no call to Azure Resource Manager. A short one works without an answer, too: a hold may have to
    be set while Azure is down. A name that means no group, or several, is a wrong argument (click.UsageError), unless
    some groups could not be listed: it may be the name of one of those.
    """
    near_by = set(deployment.records.all()) | {
        target.id for target in deployment.catalogue.all()
    }
    # Names are compared by their ends, so that one, two or three parts may be given. With a slash in front, `shop`
    # means no group that is called `workshop`.
    wanted = f"/{text.lower().strip('/')}"
    if wanted.count("/") == _WHOLE and (found := _named(wanted, near_by)):
        return found[0]
    # Also where a short name fits one group that is known already: another one of that name may be in the list, and the
    # wrong group would be held.
    listed = _listed(deployment)
    known = near_by | (listed or set())
    found = _named(wanted, known)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(sorted(target.key for target in found))
        raise click.UsageError(f"{text} is ambiguous: it may be any of {names}")
    unseen = deployment.catalogue.problems()
    # click writes it as it is, and the problems hold what Azure says.
    sentence = printable(
        "; ".join(
            [
                _unknown(text, known),
                *(f"not looked at: {problem}" for problem in unseen),
            ]
        )
    )
    # Exit code 1, as for every trouble with an outside system: in a place that nobody could list, the group may exist.
    if unseen or listed is None:
        raise click.ClickException(sentence)
    raise click.UsageError(sentence)


def known_targets(deployment: Deployment) -> list[TargetId]:
    """Every target, as far as the groups can be listed now; says so where they can't."""
    known = (_listed(deployment) or set()) | {
        target.id for target in deployment.catalogue.all()
    }
    return sorted(known, key=lambda target: target.key)


def is_group(deployment: Deployment, text: str) -> bool:
    """Does it name a group, or several? An id of a push has no slash in it, and is hexadecimal."""
    if "/" in text:
        return True
    wanted = f"/{text.lower()}"
    known = set(deployment.records.all()) | {
        target.id for target in deployment.catalogue.all()
    }
    if _named(wanted, known):
        return True
    # What can't be an id is the name of a group, which find_group then explains if it is unknown.
    if not _ID.fullmatch(text):
        return True
    # A group may be called `deadbeef`. Azure is asked last, as an id must be followed while it is down.
    return bool(_named(wanted, _listed(deployment) or ()))


def complete_group(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[str]:
    """What GROUP may become in a shell: the groups of the targets file and those with a record."""
    from shared.environment import SettingsError
    from worker.targets.file import TargetsError

    try:
        deployment: Deployment = context.obj.deployment()
        known = {target.id for target in deployment.catalogue.all()} | set(
            deployment.records.all()
        )
    except (SettingsError, TargetsError, RemoteError):
        return []  # the command itself says what is wrong, not the middle of a line that is being typed
    # A group's own name alone, where it means one group.
    alone = Counter(target.container_group for target in known)
    names = {
        *map(names_of(known), known),
        *(name for name, count in alone.items() if count == 1),
    }
    return sorted(name for name in names if name.lower().startswith(incomplete.lower()))


def held_back(record: Record, group: ContainerGroup) -> list[str]:
    """Everything that keeps a group's updates back, a phrase each: what a rollout is told is only the first of it."""
    from worker.targets.tags import hold_reason

    reasons = []
    if record.hold:
        reasons.append(f"held by hand: {record.hold.reason}")
    if by_tag := hold_reason(group.tags):
        reasons.append(f"held by a resource tag: {by_tag}")
    if group.stopped:
        reasons.append("stopped by its owner")
    return reasons


def _listed(deployment: Deployment) -> set[TargetId] | None:
    """The targets, as they can be listed now; None, with a word about it, if they can't be."""
    try:
        return {target.id for target in deployment.catalogue.known()}
    except RemoteError as error:
        print_line(f"not all targets could be listed: {error}", err=True)
        return None


def _named(wanted: str, known: Collection[TargetId]) -> list[TargetId]:
    return [target for target in known if f"/{target.key}".endswith(wanted)]


def _unknown(text: str, known: Collection[TargetId]) -> str:
    name_of = names_of(known)
    names_known = sorted(name_of(target) for target in known)
    names_alone = [name.rpartition("/")[2] for name in names_known]
    near = difflib.get_close_matches(text, [*names_known, *names_alone], n=1)
    known_are = f"known are {', '.join(names_known) or 'none'}"
    hint = f"did you mean {near[0]}?" if near else known_are
    return f"no target and no record is named {text}; {hint}"
