"""Where container groups are listed."""

from __future__ import annotations

from dataclasses import dataclass

from shared.message import TargetId
from worker.targets.file import TargetsFile
from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Scope:
    """A subscription, or one resource group of it, whose container groups are listed.

    With `discover`, groups become targets by their resource tags. Without, the list tells only of the file's targets
    what they run and whether a tag holds them.
    """

    subscription: str
    resource_group: str | None = None
    discover: bool = False

    def covers(self, target: TargetId) -> bool:
        """Would the list show this group?"""
        if self.subscription.lower() != target.subscription.lower():
            return False
        return self.resource_group is None or self.resource_group.lower() == target.resource_group.lower()

    def __str__(self) -> str:
        return f"resource group {self.resource_group}" if self.resource_group else f"subscription {self.subscription}"


def scopes_of(file: TargetsFile) -> tuple[Scope, ...]:
    """What is listed: where to discover, and where the file's targets are, unless one alone is all there is."""
    scopes: dict[tuple[str, str | None], Scope] = {}
    if len(file.targets) > 1 or file.discover:
        for target in file.targets:
            if _needs_list(target):
                place = (target.id.subscription.lower(), target.id.resource_group.lower())
                scopes[place] = Scope(*place)
    if file.discover:
        for subscription in file.discover.subscriptions:
            for group in file.discover.resource_groups or (None,):
                scope = Scope(subscription, group, discover=True)
                scopes[subscription.lower(), group.lower() if group else None] = scope
    return tuple(scopes.values())


def _needs_list(target: Target) -> bool:
    return target.everything is not None or any(rule.image is None for rule in target.containers.values())
