"""Trouble of Azure and of our storage; and the witness of what is sent to Azure, whatever trouble there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from shared.errors import RemoteError
from shared.image import ImageReference
from tests.fakes import Clock
from tests.search.scenery import SHOP, images_of
from worker.targets.tags import hold_reason

if TYPE_CHECKING:
    from tests.search.world import World

System = Literal["arm", "records", "queue"]
IN_FLIGHT = 45.0
"""Seconds for which a change is in flight for certain: less than `flight`, less a lease and what clocks differ by."""


@dataclass
class StorageFault:
    """Calls of a storage service that fail, before or after they took effect."""

    system: System
    times: int
    after: bool


@dataclass
class Trouble:
    """Which systems are down until when, and which calls fail one by one. The simulator has faults of its own."""

    clock: Clock
    down_until: dict[System, float] = field(default_factory=dict)
    faults: list[StorageFault] = field(default_factory=list)

    def meet(self, system: System, call: str) -> None:
        """A call of an adapter, `before …` or `after …` its effect, meets with what there is. Raises RemoteError."""
        before = call.startswith("before")
        if before and self.clock.seconds() < self.down_until.get(system, 0.0):
            raise RemoteError(system, 503, "ServerBusy", "The server is busy.")
        for fault in self.faults:
            if fault.system == system and fault.after != before:
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                raise RemoteError(system, 500, "InternalError", "The server encountered an internal error.")

    def left(self, system: System) -> float:
        """Seconds until a system is up again."""
        return max(0.0, self.down_until.get(system, 0.0) - self.clock.seconds())

    def end(self) -> None:
        """All is well again."""
        self.down_until.clear()
        self.faults.clear()


@dataclass
class Witness:
    """Sees every change that is sent to Azure, when it is sent and when it lands."""

    world: World
    is_leased: Callable[[], bool]
    """Does whoever is at work hold the lease on a message in its hand?"""
    breaches: list[str] = field(default_factory=list)
    _held_back: set[str] = field(default_factory=set)
    """Images of pushes that came while the group was held by hand."""

    def sees_push(self, images: set[str]) -> None:
        """A push comes in, of an image that has these spellings."""
        if self.world.record.hold:
            self._held_back |= images

    def sends(self, definition: bytes) -> None:
        """A change is sent: under a lease, and not past the group's owner or an operator."""
        if not self.is_leased():
            self.breaches.append("a change was sent after the lease had run out")
        truth = self.world.azure.truth(SHOP)
        if truth["state"] == "Stopped" or hold_reason(truth["definition"].get("tags")):
            self.breaches.append("a change was sent to a group that is stopped or held by its owner")
        if self.world.record.hold is None:
            self._held_back.clear()
            return
        there = images_of(truth["definition"]).values()
        new = {image for image in images_of(json.loads(definition)).values() if image not in there}
        if brought := {image for image in new if str(ImageReference.parse(image)) in self._held_back}:
            self.breaches.append(f"{brought} came while the group was held by hand, and was sent")

    def lands(self, on_its_way: float) -> None:
        """A change takes effect, after so many seconds: the record has not come to rest before."""
        if on_its_way <= IN_FLIGHT and self.world.record.timer is None:
            self.breaches.append(f"the record rests, and a change lands after {on_its_way:.0f} s")
