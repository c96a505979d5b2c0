"""Where container groups are listed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """A subscription, or one resource group of it, whose container groups are listed.

    With `discover`, the groups whose resource tags say so become targets too; without, only their images are wanted.
    """

    subscription: str
    resource_group: str | None = None
    discover: bool = False

    def __str__(self) -> str:
        return f"resource group {self.resource_group}" if self.resource_group else f"subscription {self.subscription}"
