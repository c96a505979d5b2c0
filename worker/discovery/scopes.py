"""Where container groups are listed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """A subscription, or one resource group of it, whose container groups are listed.

    With `discover`, groups become targets by their resource tags. Without, the list tells only of the file's targets
    what they run and whether a tag holds them.
    """

    subscription: str
    resource_group: str | None = None
    discover: bool = False

    def __str__(self) -> str:
        return f"resource group {self.resource_group}" if self.resource_group else f"subscription {self.subscription}"
