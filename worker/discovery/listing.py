"""What one scope contains: by its list of groups, or by an earlier list while the scope can't be listed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import structlog

from shared.durations import how_long_exactly
from shared.errors import RemoteError
from shared.message import TargetId
from worker.discovery.scopes import Scope
from worker.groups.group import ContainerGroup
from worker.policies.policy import AnyTag
from worker.ports import Listed
from worker.targets.tags import BadTags, hold_reason, target_from_tags
from worker.targets.target import Target

KEPT = 6 * 3600.0
"""Seconds for which what was discovered stays known where the list is refused.

Azure takes minutes to hours to make a change of roles known
(https://learn.microsoft.com/azure/role-based-access-control/troubleshooting). So a refusal may soon be over, and no
target must have been missing meanwhile. But a role that was taken away is a decision, and must not be ignored until a
restart. This is as long as a push is retried by default (ACI_HOOKS_OUTAGE_PATIENCE).
"""

NOT_FOUND = 404

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Listing:
    """What one scope contains: the targets that its groups' tags make, all its groups, and the problems found there.

    `unknown` is why the scope can't be listed, although it may contain targets. `with_broken_tags` are the groups whose
    tags are invalid. `complete`: a group that is not among `groups` does not exist. `refused_since` is when (monotonic)
    the list began to be refused.
    """

    targets: tuple[Target, ...] = ()
    groups: dict[TargetId, Listed] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unknown: RemoteError | None = None
    with_broken_tags: tuple[Target, ...] = ()
    complete: bool = True
    refused_since: float | None = None


def listing_of(groups: list[ContainerGroup], *, discover: bool) -> Listing:
    """The listing of a scope that contains these groups. With `discover`, their tags make targets."""
    targets: list[Target] = []
    problems: list[str] = []
    with_broken_tags: list[Target] = []
    for group in groups if discover else ():
        target = target_from_tags(group.id, group.tags)
        if isinstance(target, Target):
            targets.append(target)
        elif isinstance(target, BadTags):
            problems += [f"{group.id}: {problem}" for problem in target.problems]
            # With a policy that admits everything: which of its pushes are wanted is decided once the tags are correct.
            with_broken_tags.append(
                Target(group.id, everything=AnyTag(), source="tags")
            )
    # Logged at each list for as long as it is so, since the group gets no updates meanwhile.
    for problem in problems:
        log.error("resource tags are not a valid policy", problem=problem)
    return Listing(
        targets=tuple(targets),
        groups={group.id: _listed(group) for group in groups},
        problems=tuple(problems),
        with_broken_tags=tuple(with_broken_tags),
    )


def listing_without_list(
    scope: Scope, before: Listing, error: RemoteError, now: float
) -> Listing:
    """The listing to use for a scope that can't be listed, after the one `before`; `now` is monotonic."""
    problems = (f"{scope} can't be listed: {error}",)
    # Without discovery nothing depends on the list: a target of the file is read on its own.
    is_gone = error.status == NOT_FOUND
    if is_gone or not scope.discover:
        # A resource group that does not exist contains nothing. A refused list proves nothing: with a role that may
        # read groups and not list them, every group of the file would count as gone.
        return Listing(problems=problems, complete=is_gone)
    since = now if before.refused_since is None else before.refused_since
    if now - since < KEPT:
        kept = f"{problems[0]}; what was found there before is kept up to date for {how_long_exactly(KEPT)}"
        return replace(
            before,
            problems=(kept,) if before.targets else problems,
            unknown=error,
            complete=False,
            refused_since=since,
        )
    # Logged once: the listing that is returned here has no targets, and it is `before` at the next refusal.
    if before.targets:
        lost = [str(target.id) for target in before.targets]
        log.error(
            "groups are no longer kept up to date",
            scope=str(scope),
            targets=lost,
            error=str(error),
        )
    dropped = (
        f"{scope} has not been listed for {how_long_exactly(KEPT)}, "
        f"so its groups are not kept up to date: {error}"
    )
    return Listing(
        problems=(dropped,), unknown=error, complete=False, refused_since=since
    )


def _listed(group: ContainerGroup) -> Listed:
    is_held = hold_reason(group.tags) is not None
    return Listed(group.images, held=is_held, in_transition=group.in_transition)
