"""What people do: the owner of the group, past the worker; and an operator, with the worker's commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from shared.errors import RemoteError
from shared.message import UpdateMessage
from tests.search.scenery import SHOP, Container, digest_of
from worker.commands.dead_letters import _forgive
from worker.controller import timers
from worker.controller.dead_letters import leased_letters, redrive
from worker.groups.group import ContainerGroup
from worker.ports import Conflict, Ports
from worker.record import overrides
from worker.record.record import Record
from worker.wiring.deployment import Deployment

if TYPE_CHECKING:
    from tests.search.world import World


@dataclass(frozen=True, slots=True)
class Deployed:
    """An image that the owner deployed past us."""

    digest: str
    at: datetime


@dataclass
class Owner:
    """The owner of the group. Whatever would break it is left undone: that would be no fault of ours."""

    world: World
    deployed: dict[str, Deployed] = field(default_factory=dict)
    """By container, the newest."""
    stopped_once: bool = False

    def tag(self, *, held: bool) -> None:
        """Set the resource tag that holds the group, or take it off."""
        tags = {"aci-hooks.hold": "audit"} if held else {}
        self.world.azure.by_owner(SHOP, "PATCH", body=json.dumps({"tags": tags}).encode())

    def stop(self) -> None:
        """Stop the group, unless it would be broken when it is started again."""
        if not self.would_break():
            self.stopped_once = True
            self.world.azure.by_owner(SHOP, "POST", "/stop")

    def start(self) -> None:
        """Start the group, if it is stopped."""
        if self.has_stopped():
            self.world.azure.by_owner(SHOP, "POST", "/start")

    def restart(self) -> None:
        """Restart the group."""
        if not self.would_break() and not self.has_stopped():
            self.world.azure.by_owner(SHOP, "POST", "/restart")

    def lose_node(self) -> None:
        """The group's node goes down, which starts every container anew elsewhere."""
        group = self.world.azure.by_owner(SHOP, "GET")
        at_rest = group is not None and not ContainerGroup(group).in_transition
        if at_rest and not self.would_break() and not self.has_stopped():
            self.world.azure.repair(SHOP)

    def deploy(self, name: str, container: Container, number: int) -> None:
        """Deploy another image of a container, and all others as they are."""
        group = self.world.azure.by_owner(SHOP, "GET")
        if group is None or self.would_break() or self.has_stopped():
            return
        tag = f"1.0.{number}" if container.ordered else f"own{number}"
        self.world.registry.put(container.repository, tag, "good", digest_of(number))
        body = _group_with(group, name, f"{container.repository}:{tag}")
        if self.world.azure.by_owner(SHOP, "PUT", body=body) is not None:
            self.deployed[name] = Deployed(digest_of(number), self.world.clock.now())

    def has_stopped(self) -> bool:
        """Is the group stopped?"""
        return self.world.azure.truth(SHOP)["state"] == "Stopped"

    def has_stopped_with(self, image: str) -> bool:
        """Is it stopped, and would start with this image?"""
        return self.has_stopped() and image in self.world.images.values()

    def would_break(self) -> bool:
        """Would some container be broken if the group were started anew, as its image is by now?"""
        return not all(self.world.registry.works(image) for image in self.world.images.values())


@dataclass
class Operator:
    """An operator. A command that meets with trouble says so, and has perhaps done half of what it should."""

    ports: Ports
    ids: set[str] = field(default_factory=set)
    """Of the messages by which ways back are told."""

    def hold(self) -> None:
        """Hold the group."""
        self._change(lambda record: overrides.hold(record, "audit", self.ports.now()))

    def release(self) -> None:
        """Release it, if it is held."""
        self._change(lambda record: overrides.release(record) if record.hold else None)

    def roll_back(self) -> None:
        """Go back to the good images before, and hold the group there."""
        message_id = f"by-hand-{len(self.ids) + 1}"
        self.ids.add(message_id)
        with suppress(overrides.NothingToRollBackTo):
            self._change(lambda record: overrides.roll_back(record, message_id, self.ports.now()))

    def redrive(self, which: int) -> bool:
        """Have a dead letter tried again. Did it work?"""
        with suppress(RemoteError), leased_letters(self.ports.poison) as letters:
            chosen = letters[which : which + 1]
            return bool(chosen) and not redrive(chosen, self.ports.updates, self.ports.poison, self._forgive)
        return False

    def _change(self, decide: Callable[[Record], Record | None]) -> None:
        with suppress(RemoteError, Conflict):
            timers.change(self.ports, SHOP, decide)

    def _forgive(self, message: UpdateMessage) -> None:
        _forgive(cast(Deployment, SimpleNamespace(records=self.ports.records)), message)


def _group_with(group: dict[str, object], name: str, image: str) -> bytes:
    """The body of a PUT that changes one image."""
    changed = json.loads(json.dumps(group))
    for item in changed["properties"]["containers"]:
        if item["name"] == name:
            item["properties"]["image"] = image
    return json.dumps(changed).encode()
