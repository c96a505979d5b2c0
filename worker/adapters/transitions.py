"""Watching many groups at once: while several are in transition, one list call tells of all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.errors import RemoteError
from shared.message import TargetId
from worker.groups.group import ContainerGroup
from worker.ports import Lister

WORTH_A_LIST = 5
"""Groups of one subscription that must be waited for before a list call is cheaper than reading each."""
UNSEEN = 4
"""For how many intervals at most a group is only listed. No list shows what its containers go through."""


@dataclass(slots=True)
class _Subscription:
    waiting: dict[TargetId, float] = field(default_factory=dict)
    read_at: dict[TargetId, float] = field(default_factory=dict)
    listed_at: float = float("-inf")
    in_transition: dict[TargetId, ContainerGroup] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Watch:
    """Remembers, for this process alone, which groups are waited for. A list is good for `interval` seconds."""

    def __init__(
        self,
        lister: Lister,
        interval: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lister = lister
        self._interval = interval
        self._monotonic = monotonic
        self._subscriptions: dict[str, _Subscription] = {}

    def waits(self, target: TargetId) -> None:
        """A group's rollout has been begun or is being waited for."""
        self._of(target).waiting[target] = self._monotonic()

    def glance(self, target: TargetId) -> ContainerGroup | None:
        """The group as listed, without instance views, if it is in transition for certain; None: read it."""
        # A list has no instance views, so it does not show how containers fare. It is enough only for a group in
        # transition, for which a look usually does nothing but wait. But an image that can't be pulled keeps its group
        # in transition for half an hour with nothing running, so each group is read now and then all the same.
        subscription = self._of(target)
        now = self._monotonic()
        with subscription.lock:
            # Nobody says when the waiting is over, so a group that was not waited for lately is forgotten.
            oldest = now - 10 * self._interval
            # A copy, because `waits` adds to it without the lock.
            waited_for = list(subscription.waiting.items())
            subscription.waiting = {
                group: at for group, at in waited_for if at > oldest
            }
            subscription.read_at = {
                group: at
                for group, at in subscription.read_at.items()
                if group in subscription.waiting
            }
            read_at = subscription.read_at.setdefault(target, now)
            is_worth_it = len(subscription.waiting) >= WORTH_A_LIST
            was_seen_lately = now < read_at + UNSEEN * self._interval
            if not (target in subscription.waiting and is_worth_it and was_seen_lately):
                subscription.read_at[target] = now
                return None
            # The lock is kept while listing: of many looks at once, only one makes the list, and the others use it.
            if now - subscription.listed_at > self._interval:
                self._list(target.subscription, subscription, now)
            return subscription.in_transition.get(target)

    def _list(self, name: str, subscription: _Subscription, now: float) -> None:
        # This is noted before the call, because a list that is refused must not be asked for again by the next look.
        subscription.listed_at = now
        try:
            groups = {
                group.id: group
                for group in self._lister.list(name)
                if group.in_transition
            }
        except RemoteError:
            groups = {}  # each is read on its own then: a role may allow to read groups, and not to list them
        subscription.in_transition = groups

    def _of(self, target: TargetId) -> _Subscription:
        return self._subscriptions.setdefault(
            target.subscription.lower(), _Subscription()
        )
