"""The catalogue: every target, and which of them a push concerns, from a list of groups that is read now and then.

A push costs no list call of its own: the list is renewed in the background, and at once when a push finds nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId
from worker.group import ContainerGroup
from worker.targets import BadTags, Target, find_targets, merge, target_from_tags

REFRESH = 60.0
"""Seconds after which the list of groups is renewed in the background."""
REFRESH_ON_MISS = 5.0
"""Seconds that it must be old before a push that found nothing renews it."""

log = structlog.get_logger()


class Lister(Protocol):
    """What lists container groups; worker.arm.Arm does."""

    def list(self, subscription: str, resource_group: str | None = None) -> Iterable[ContainerGroup]:
        """Every group of a subscription or resource group."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A subscription, or a resource group of it, whose groups are listed; `discover`: their resource tags count."""

    subscription: str
    resource_group: str | None = None
    discover: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """What was configured and listed at one moment: `images` has each group's containers and images."""

    at: float
    targets: tuple[Target, ...] = ()
    images: dict[TargetId, dict[str, str]] = field(default_factory=dict)


class Catalogue:
    """The targets of the file or the environment (`configured`) and those that resource tags make in `scopes`."""

    def __init__(
        self,
        configured: Callable[[], tuple[Target, ...]],
        scopes: Callable[[], tuple[Scope, ...]],
        lister: Lister,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configured = configured
        self._scopes = scopes
        self._lister = lister
        self._monotonic = monotonic
        self._listed = Listed(at=-REFRESH)
        self._refreshing = threading.Lock()

    def concerned(self, image: ImageReference) -> tuple[Target, ...]:
        """The targets that a push of this image's repository may concern. Raises RemoteError if none can be known."""
        if not self._scopes():
            return find_targets(image.name, self._configured(), {})
        age = self._monotonic() - self._listed.at
        if self._listed.at < 0:
            self.refresh()
        elif age > REFRESH:
            threading.Thread(target=self._refresh_quietly, name="catalogue", daemon=True).start()
        found = self._find(image)
        if not found and age > REFRESH_ON_MISS:
            self.refresh()
            found = self._find(image)
        return found

    def get(self, target_id: TargetId) -> Target | None:
        """One target by its id, None if it is none any more. Raises RemoteError."""
        return next((target for target in self.known() if target.id == target_id), None)

    def known(self) -> tuple[Target, ...]:
        """Every target, after a first look where resource tags make some. Raises RemoteError."""
        if self._listed.at < 0 and any(scope.discover for scope in self._scopes()):
            self.refresh()
        return self.all()

    def all(self) -> tuple[Target, ...]:
        """Every target that is known now."""
        return merge(self._configured(), self._listed.targets)

    def refresh(self) -> None:
        """List the groups now, unless another thread is at it: then wait for that one. Raises RemoteError."""
        asked = self._monotonic()
        with self._refreshing:
            if self._listed.at < asked:
                self._listed = self._list()

    def _find(self, image: ImageReference) -> tuple[Target, ...]:
        return find_targets(image.name, self.all(), self._listed.images)

    def _refresh_quietly(self) -> None:
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            self._listed = self._list()
        except RemoteError as error:
            log.warning("groups not listed", error=str(error))
        finally:
            self._refreshing.release()

    def _list(self) -> Listed:
        at = self._monotonic()
        targets, images = [], {}
        for scope in self._scopes():
            for group in self._lister.list(scope.subscription, scope.resource_group):
                target_id = group.id
                images[target_id] = group.images
                made = target_from_tags(target_id, group.tags) if scope.discover else None
                if isinstance(made, BadTags):
                    log.error("resource tags are no policy", target=str(target_id), problems=list(made.problems))
                elif made:
                    targets.append(made)
        return Listed(at, tuple(targets), images)
