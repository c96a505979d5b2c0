"""Where container groups are listed: as few places as show all targets, so that a list costs few calls."""

from __future__ import annotations

from dataclasses import dataclass

from shared.message import TargetId
from worker.targets.file import Discover, TargetsFile
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Scope:
    """A subscription, one of its resource groups, or a single container group: where container groups are listed.

    With `discover`, groups become targets by their resource tags. Without it, the list only shows what the targets of
    the file run and whether a tag holds them.
    """

    subscription: str
    resource_group: str | None = None
    discover: bool = False
    container_group: str | None = None

    def covers(self, target: TargetId) -> bool:
        """Whether the list would show this group."""
        if self.subscription.lower() != target.subscription.lower():
            return False
        if self.container_group is not None:
            return self.group == target
        return (
            self.resource_group is None
            or self.resource_group.lower() == target.resource_group.lower()
        )

    @property
    def group(self) -> TargetId | None:
        """The group, if the scope is a single one; else None."""
        if self.resource_group is None or self.container_group is None:
            return None
        return TargetId(
            subscription=self.subscription,
            resource_group=self.resource_group,
            container_group=self.container_group,
        )

    def __str__(self) -> str:
        if self.container_group:
            return f"container group {self.container_group}"
        if self.resource_group:
            return f"resource group {self.resource_group}"
        return f"subscription {self.subscription}"


def scopes_of(file: TargetsFile) -> tuple[Scope, ...]:
    """The scopes whose groups are listed, each once: those of the file's targets, and those to discover targets in.

    For a single target only its own group is read: the worker may have no right to list the others.
    """
    is_single_target = len(file.targets) == 1 and file.discover is None
    around = _scope_of if is_single_target else _scope_around
    of_targets = [around(target) for target in file.targets if _needs_list(target)]
    scopes = (*of_targets, *_discovered(file.discover))
    # One list call serves all targets of a resource group: ARM answers 25 reads a second of a subscription.
    # The later of two scopes for the same place counts, so a scope with discovery wins.
    by_place = {_place(scope): scope for scope in scopes}
    return tuple(by_place.values())


def _scope_of(target: Target) -> Scope:
    where = target.id
    return Scope(
        where.subscription, where.resource_group, container_group=where.container_group
    )


def _scope_around(target: Target) -> Scope:
    return Scope(target.id.subscription.lower(), target.id.resource_group.lower())


def _discovered(discover: Discover | None) -> list[Scope]:
    if discover is None:
        return []
    # Without resource groups, one scope is the whole subscription.
    groups = discover.resource_groups or (None,)
    scopes: list[Scope] = []
    for subscription in discover.subscriptions:
        scopes += [Scope(subscription, group, discover=True) for group in groups]
    return scopes


def _place(scope: Scope) -> tuple[str, str | None]:
    """The key by which scopes are compared: names in Azure are case-insensitive."""
    group = scope.resource_group
    return scope.subscription.lower(), None if group is None else group.lower()


def _needs_list(target: Target) -> bool:
    """Whether the running images decide which pushes concern it. Otherwise its rules name every repository."""
    return target.everything is not None or any(
        rule.image is None for rule in target.containers.values()
    )
