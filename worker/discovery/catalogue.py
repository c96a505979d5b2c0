"""The catalogue: every target, and which of them a push concerns. It reads the list of groups now and then.

A push usually needs no list call: a running worker renews the list before it is too old, and a push waits for a new
list only if the present one has no target for it. A target that is seen for the first time is swept
(worker.controller.patrol).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId
from worker.discovery.listing import (
    NOT_FOUND,
    Listing,
    listing_of,
    listing_without_list,
)
from worker.discovery.scopes import Scope
from worker.failures.classify import classify, passes
from worker.groups.group import ContainerGroup
from worker.ports import Listed, Lister
from worker.targets.tags import BadTags, target_from_tags
from worker.targets.target import Target, find_targets, merge

REFRESH = 60.0
"""Seconds for which a list of groups may be used."""
RENEW = 45.0
"""Seconds after which a running worker renews the list in the background."""
REFRESH_ON_MISS = 5.0
"""Seconds for which the list may be used if it has no target for a push."""

_FORBIDDEN = 403

log = structlog.get_logger()


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
        self._listings: dict[Scope, Listing] = {}
        self._listed_at = float("-inf")
        self._refreshing = threading.Lock()

    def concerned(self, image: ImageReference) -> tuple[Target, ...]:
        """The targets that a push of this image's repository may concern. Raises RemoteError if none can be known."""
        self._renew(REFRESH)
        found = self.find(image)
        if not found:
            # The group may have been tagged or created since the last list.
            self._renew(REFRESH_ON_MISS)
            found = self.find(image)
        # Nothing found in incomplete lists is not "no target": the push must come again rather than be ignored.
        if not found:
            self._raise_unknown()
        return found

    def find(self, image: ImageReference) -> tuple[Target, ...]:
        """The same by the list as it is, however old."""
        images = {target: group.images for target, group in self.listed().items()}
        # A group with invalid tags receives its pushes all the same: they wait until somebody corrects the tags.
        with_broken_tags: list[Target] = []
        for listing in self._listed():
            with_broken_tags += listing.with_broken_tags
        return find_targets(image.name, merge(self.all(), with_broken_tags), images)

    def listed(self) -> dict[TargetId, Listed]:
        """The groups of the last list."""
        groups: dict[TargetId, Listed] = {}
        for listing in self._listed():
            groups |= listing.groups
        return groups

    def is_gone(self, target: TargetId) -> bool:
        """Is this group missing from the last list of every scope that covers it? Incomplete lists prove nothing."""
        # Taken once: another thread may put a newer dictionary in its place.
        listings = self._listings
        covering = [
            listings[scope]
            for scope in self._scopes()
            if scope in listings and scope.covers(target)
        ]
        complete = [listing for listing in covering if listing.complete]
        return bool(complete) and all(
            target not in listing.groups for listing in complete
        )

    def renew(self) -> None:
        """List the groups if the list will soon be too old. Raises RemoteError."""
        self._renew(RENEW)

    def target_of(self, group: ContainerGroup) -> Target | BadTags | None:
        """The target of this group: by the file or the environment, else by the resource tags that it has now.

        This does not use the list, which may be older than the one of the worker that sent the push.
        """
        for target in self._configured():
            if target.id == group.id:
                return target
        is_discovered = any(
            scope.discover and scope.covers(group.id) for scope in self._scopes()
        )
        return target_from_tags(group.id, group.tags) if is_discovered else None

    def known(self) -> tuple[Target, ...]:
        """Every target; the groups are listed again if resource tags make some of them targets. Raises RemoteError."""
        if self._discovers():
            self._renew(REFRESH)
        return self.all()

    def all(self) -> tuple[Target, ...]:
        """Every target that is known now."""
        discovered: list[Target] = []
        for listing in self._listed():
            discovered += listing.targets
        return merge(self._configured(), discovered)

    def problems(self) -> tuple[str, ...]:
        """Why groups are not targets, a sentence each: invalid tags, and scopes that can't be listed."""
        problems: list[str] = []
        for listing in self._listed():
            problems += listing.problems
        return tuple(problems)

    def _listed(self) -> list[Listing]:
        """The listings of the present scopes, as far as there are any."""
        listings = self._listings
        return [listings[scope] for scope in self._scopes() if scope in listings]

    def _raise_unknown(self) -> None:
        for listing in self._listed():
            if listing.unknown:
                raise listing.unknown

    def _discovers(self) -> bool:
        return any(scope.discover for scope in self._scopes())

    def _renew(self, good_for: float) -> None:
        """List the groups if the list is older than that, unless another thread does: then wait for that one."""
        # Read each time: a newer targets file may name other places, whose groups must not be missing for a minute.
        scopes, since = self._scopes(), self._monotonic() - good_for
        if self._is_current(scopes, since):
            return
        with self._refreshing:
            # Checked again: another thread may have listed the groups while this one waited.
            if self._is_current(scopes, since):
                return
            # The time of the beginning: what happens while the groups are listed may not be in the list.
            begun_at = self._monotonic()
            self._listings = {scope: self._list(scope) for scope in scopes}
            self._listed_at = begun_at

    def _is_current(self, scopes: tuple[Scope, ...], since: float) -> bool:
        """Does the list show all these scopes, and was it begun since then?"""
        if not scopes:
            return True
        return self._listed_at >= since and self._listings.keys() >= set(scopes)

    def _list(self, scope: Scope) -> Listing:
        try:
            groups = self._groups(scope)
        except RemoteError as error:
            if scope.group:
                # Its pushes are received all the same, and wait in its record until it can be looked at.
                log.debug("group not read", group=str(scope), error=str(error))
                return Listing(complete=error.status == NOT_FOUND)
            # A passing error is raised, as the caller comes again and then gets a complete list. But a scope that is
            # gone, or that the worker has no role for, must not hold up all the others.
            is_passing = passes(classify(error)) and error.status != _FORBIDDEN
            if is_passing:
                raise
            log.warning("groups not listed", scope=str(scope), error=str(error))
            before = self._listings.get(scope, Listing())
            return listing_without_list(scope, before, error, self._monotonic())
        return listing_of(groups, discover=scope.discover)

    def _groups(self, scope: Scope) -> list[ContainerGroup]:
        if scope.group:
            return [self._lister.get(scope.group)]
        return list(self._lister.list(scope.subscription, scope.resource_group))
