"""The catalogue: every target, and which of them a push concerns, from a list of groups that is read now and then.

A push costs no list call: a running worker renews the list before it is too old, and a push waits for one only where
the list does not know what is asked. A target that is seen for the first time is swept (worker.controller.patrol).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import TargetId
from worker.discovery.scopes import Scope
from worker.failures.classify import classify, passes
from worker.groups.group import ContainerGroup
from worker.policies.policy import AnyTag
from worker.ports import Listed, Lister
from worker.targets.tags import BadTags, hold_reason, target_from_tags
from worker.targets.target import Target, find_targets, merge

REFRESH = 60.0
"""Seconds that a list of groups is good for."""
RENEW = 45.0
"""Seconds after which a running worker renews it in the background."""
REFRESH_ON_MISS = 5.0
"""Seconds that it is good for where it has nothing for a push."""

_FORBIDDEN, _NOT_FOUND = 403, 404

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Listing:
    """What one scope held: the targets that its groups' tags make, all its groups, and what is wrong there.

    `unknown` is why nobody can tell what is there, though something may be. `to_be_mended` are the groups whose tags
    are not policies. `complete`: a group that is not among `groups` does not exist.
    """

    targets: tuple[Target, ...] = ()
    groups: dict[TargetId, Listed] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unknown: RemoteError | None = None
    to_be_mended: tuple[Target, ...] = ()
    complete: bool = True


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
            # It may be of a group that was tagged or created since the last list.
            self._renew(REFRESH_ON_MISS)
            found = self.find(image)
        if not found:
            self._raise_unknown()
        return found

    def find(self, image: ImageReference) -> tuple[Target, ...]:
        """The same by the list as it is, however old."""
        images = {target: group.images for target, group in self.listed().items()}
        # A group whose tags are no policies receives its pushes all the same: they wait until the tags are mended.
        to_be_mended = [target for listing in self._listed() for target in listing.to_be_mended]
        return find_targets(image.name, merge(self.all(), to_be_mended), images)

    def listed(self) -> dict[TargetId, Listed]:
        """The groups of the last list."""
        return {target: group for listing in self._listed() for target, group in listing.groups.items()}

    def is_gone(self, target: TargetId) -> bool:
        """Is this group missing from the last list of every place that it would be in? Unknown places tell nothing."""
        listings = self._listings
        covering = [listings[scope] for scope in self._scopes() if scope in listings and scope.covers(target)]
        complete = [listing for listing in covering if listing.complete]
        return bool(complete) and all(target not in listing.groups for listing in complete)

    def renew(self) -> None:
        """List the groups if the list will soon be too old. Raises RemoteError."""
        self._renew(RENEW)

    def target_of(self, group: ContainerGroup) -> Target | BadTags | None:
        """The target that this group is: by the file or the environment, else by the resource tags that it has now.

        No list is asked: another worker may have seen a group that ours is too old for.
        """
        for target in self._configured():
            if target.id == group.id:
                return target
        is_discovered = any(scope.discover and scope.covers(group.id) for scope in self._scopes())
        return target_from_tags(group.id, group.tags) if is_discovered else None

    def known(self) -> tuple[Target, ...]:
        """Every target, after a look where resource tags make some. Raises RemoteError."""
        if self._discovers():
            self._renew(REFRESH)
        return self.all()

    def all(self) -> tuple[Target, ...]:
        """Every target that is known now."""
        discovered = [target for listing in self._listed() for target in listing.targets]
        return merge(self._configured(), discovered)

    def problems(self) -> tuple[str, ...]:
        """What keeps groups from being targets, a sentence each: tags that are no policies, places not listed."""
        return tuple(problem for listing in self._listed() for problem in listing.problems)

    def _listed(self) -> list[Listing]:
        """Of each scope that is asked for now, as far as it has been listed."""
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
        scopes, since = self._scopes(), self._monotonic() - good_for
        if self._is_current(scopes, since):
            return
        with self._refreshing:
            # Asked again: another thread may have listed them while this one waited.
            if self._is_current(scopes, since):
                return
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
            groups = list(self._lister.list(scope.subscription, scope.resource_group))
        except RemoteError as error:
            # What passes is raised: whoever asks comes again, and has the whole truth then. But one place that is gone,
            # or that nobody lets us see, must not hold up all the others.
            is_passing = passes(classify(error)) and error.status != _FORBIDDEN
            if is_passing:
                raise
            log.warning("groups not listed", scope=str(scope), error=str(error))
            return self._not_listed(scope, error)
        return _listing(groups, discover=scope.discover)

    def _not_listed(self, scope: Scope, error: RemoteError) -> Listing:
        """What counts for a place that can't be listed."""
        problems = (f"{scope} can't be listed: {error}",)
        # Where tags are not looked for, nothing depends on the list: a target of the file is asked for by itself.
        is_gone = error.status == _NOT_FOUND
        if is_gone or not scope.discover:
            return Listing(problems=problems, complete=is_gone)
        before = self._listings.get(scope, Listing())
        return replace(before, problems=problems, unknown=error, complete=False)


def _listing(groups: list[ContainerGroup], *, discover: bool) -> Listing:
    targets: list[Target] = []
    problems: list[str] = []
    to_be_mended: list[Target] = []
    for group in groups if discover else ():
        target = target_from_tags(group.id, group.tags)
        if isinstance(target, Target):
            targets.append(target)
        elif isinstance(target, BadTags):
            problems += [f"{group.id}: {problem}" for problem in target.problems]
            to_be_mended.append(Target(group.id, everything=AnyTag(), source="tags"))
    for problem in problems:
        log.error("resource tags are not a valid policy", problem=problem)
    return Listing(
        targets=tuple(targets),
        groups={group.id: _listed(group) for group in groups},
        problems=tuple(problems),
        to_be_mended=tuple(to_be_mended),
    )


def _listed(group: ContainerGroup) -> Listed:
    is_held = hold_reason(group.tags) is not None
    return Listed(group.images, held=is_held, in_transition=group.in_transition)
