"""The sweep: compare every target with its registry, enqueue what was missed, have looked at what has drifted.

A webhook that never came, because the ingress was down or the sender tried only once, is only a delay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference, InvalidImage
from shared.message import TargetId, UpdateMessage
from shared.push import Push
from worker.controller.newest import pushed_later
from worker.controller.timers import change, is_overdue
from worker.core.desired import drifted
from worker.core.following import followings, parsed
from worker.failures.classify import GONE
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO
from worker.policies.choose import best_tag
from worker.policies.policy import Policy, SameTag, Update
from worker.ports import Conflict, Dated, Found, Images, Ports
from worker.record.record import FAILURES_KEPT, Record
from worker.record.values import SWEEP, ContainerRecord, FailedPush
from worker.targets.tags import hold_reason
from worker.targets.target import Target

MOST_TRIED = 10
"""Tags that are looked up for one container: artifacts that are no images may stand before the one that is meant."""

PULLED_ON_THE_GROUP = frozenset({"ImagePullFailed"})
"""The codes of circumstances that took a group down."""
NO_PAUSE, LONGEST_PAUSE = timedelta(0), timedelta(hours=1)

log = structlog.get_logger()


class CannotTell(Exception):
    """A registry could not say what is wanted of it."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did for one target: the pushes that were missed, whether it is looked at, what is not known.

    `held`: nothing was compared, as the group is held or was stopped, which is no trouble. `gone`: there is no
    such group.
    """

    target: TargetId
    missed: tuple[Push, ...] = ()
    woken: int = 0
    problem: str | None = None
    held: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Sweeps through the ports; `rollback` is ACI_HOOKS_ROLLBACK.

    `pause` is the time between two sweeps of a running worker; zero where an operator asks for one.
    """

    ports: Ports
    registry: Images
    rollback: bool = True
    pause: timedelta = NO_PAUSE

    def sweep(self, targets: Iterable[Target]) -> Iterator[Swept]:
        """Sweep each target; one's trouble does not hold up another's."""
        for target in targets:
            yield self.sweep_one(target)

    def sweep_one(self, target: Target) -> Swept:
        """Sweep one target; its trouble is told in what is returned."""
        try:
            return self._sweep(target)
        # Whatever a group or a record looks like: the others are swept, and this one again the next time.
        except Exception as error:
            if not isinstance(error, RemoteError):
                log.exception("target not swept", target=str(target.id))
            gone = isinstance(error, RemoteError) and error.code in GONE
            return Swept(target.id, problem=str(error) or type(error).__name__, gone=gone)

    def _sweep(self, target: Target) -> Swept:
        record, _ = self.ports.load(target.id)
        group = self.ports.groups.get(target.id)
        if hold_reason(group.tags) or group.stopped:
            return Swept(target.id, problem="held or stopped", held=True)
        if group.not_ours:  # what is found would end as a dead letter, again with each sweep
            return Swept(target.id, problem=group.not_ours)
        woken = self._wake(record, group)
        if record.hold:
            return Swept(target.id, woken=woken, problem="held", held=True)
        problems: list[str] = []
        missed = self._missed(target, group, record, problems)
        for push in missed:
            now = self.ports.now()
            message = UpdateMessage(
                id=self.ports.new_id(), kind="rollout", push=push, received_at=now, target=target.id
            )
            self.ports.updates.send(message.encode())
            log.info("missed push found", image=str(push.image), digest=push.digest, target=str(target.id))
        return Swept(target.id, missed, woken, "; ".join(problems) or None)

    def _wake(self, record: Record, group: ContainerGroup) -> int:
        """Have a group looked at whose timer was lost, or that runs another image than it should."""
        overdue = record.timer is not None and is_overdue(record.timer, self.ports.now())
        # A record without containers was never looked at, so there is nothing yet that it wants to run.
        at_rest = record.timer is None and not group.in_transition and record.containers
        if not (overdue or (at_rest and drifted(record, group.images, rollback=self.rollback))):
            return 0
        try:
            change(self.ports, record.target, lambda current: current)
        except Conflict:
            return 0  # somebody is at work on it
        return 1

    def _missed(self, target: Target, group: ContainerGroup, record: Record, problems: list[str]) -> tuple[Push, ...]:
        """The pushes that no webhook told of; what could not be found out is added to `problems`."""
        found: dict[Push, None] = {}
        for name, following in followings(group.images, target).items():
            container = record.containers.get(name)
            # What waits already is being worked on. A pinned container gets nothing before it is released.
            if container and (container.candidates or container.pin):
                continue
            # What was received and not looked at yet may be the very push that would be found here.
            if any(message.push.image.name == following.name for message in record.inbox):
                continue
            try:
                image = ImageReference.parse(following.name)
                tag = _followed_tag(group.images[name], container)
                running = _running_digests(group, name, container)
                since = container.good.order[0] if container and container.good.order else LONG_AGO
                failures = _failures(container, self.ports.now(), self.pause)
                follows = Followed(image, tag, following.policy, failures, running, since)
                push = self._newer(follows, partial(_tell, problems, name))
            except RemoteError as error:
                _tell(problems, name, error.message)
                continue
            except (CannotTell, InvalidImage) as error:
                _tell(problems, name, str(error))
                continue
            if push:
                found[push] = None
        return tuple(found)

    def _newer(self, follows: Followed, tell: Callable[[str], None]) -> Push | None:
        """The first push, best first, that is an image, did not fail before and does not run already."""
        image, tag, policy = follows.image, follows.tag, follows.policy
        for one in islice(self._in_turn(follows, tell), MOST_TRIED):
            tried = ImageReference(image.registry, image.repository, one.tag)
            found = self.registry.lookup(tried, follows.running)
            if not isinstance(found, Found):
                raise CannotTell(str(getattr(found, "detail", found)))
            if found.artifact or follows.failed(one.tag, found.digest):
                continue
            # Azure names the platform's manifest as what it pulled, the registry the index that lists it. Where the
            # later push wins, another tag of the image that runs already would change nothing but its name.
            is_same = bool(found.digests & follows.running)
            is_known = is_same or not follows.running
            if (one.tag == tag and is_known) or (is_same and not policy.ordered):
                return None
            pushed = ImageReference(image.registry, image.repository, one.tag, found.digest)
            # Of most tags nobody knows when they were pushed. Counted as now, that would outrank a webhook that waits.
            pushed_at = max(follows.since, min(one.pushed_at, self.ports.now()))
            return Push.of(SWEEP, pushed, pushed_at=pushed_at, proof="own")
        return None

    def _in_turn(self, follows: Followed, tell: Callable[[str], None]) -> Iterator[Dated]:
        """The tags that the container could run by what the registry has, best first, its own one last.

        With the time of the push where the registry tells it.
        """
        image, tag, policy = follows.image, follows.tag, follows.policy
        if tag is None:
            return
        if policy.ordered:
            tags = {other for other in self.registry.tags(image) if follows.may_be_tried(other)}
            while best := best_tag(policy, tag, tags):
                tags.remove(best)
                yield Dated(best, LONG_AGO)
        elif not isinstance(policy, SameTag):
            try:
                yield from pushed_later(self.registry, image, tag, follows.may_be_tried)
            except RemoteError as error:
                tell(error.message)  # whether its own tag has moved can be told all the same
        if isinstance(policy.decide(tag, tag), Update):
            yield Dated(tag, LONG_AGO)


@dataclass(frozen=True, slots=True)
class Followed:
    """What a container follows, what it runs (every digest by which that is known), and what failed on it before.

    `since` is when the push of what it runs was made.
    """

    image: ImageReference
    tag: str | None
    policy: Policy
    failures: tuple[FailedPush, ...]
    running: frozenset[str]
    since: datetime

    def failed(self, tag: str, digest: str) -> bool:
        """Did this very image fail?"""
        return any(failure.tag == tag and failure.digest in {None, digest} for failure in self.failures)

    def may_be_tried(self, tag: str) -> bool:
        """Does the policy admit another tag, and did none of its images fail, as far as that is remembered?"""
        failed = {failure.tag for failure in self.failures}
        # A container remembers so many failures and no more: what is lower than one of them may have failed before.
        forgets = len(self.failures) >= FAILURES_KEPT
        may_have_failed = tag in failed or (forgets and any(self.policy.outranks(one, tag) for one in failed))
        return not may_have_failed and isinstance(self.policy.decide(self.tag, tag), Update)


def _tell(problems: list[str], name: str, problem: str) -> None:
    problems.append(f"{name}: {problem}")


def _failures(container: ContainerRecord | None, now: datetime, pause: timedelta) -> tuple[FailedPush, ...]:
    """What is not to be tried now: what failed by itself. What a circumstance kept from running may be tried again."""
    failures = container.failures if container else ()
    return tuple(one for one in failures if not one.circumstance or _is_tried_later(one, failures, now, pause))


def _is_tried_later(failure: FailedPush, failures: tuple[FailedPush, ...], now: datetime, pause: timedelta) -> bool:
    """Was its image on the group, and could not be pulled, too short a time ago?

    Each try takes the group down until the image before is back, so that a registry's limit of six hours must not be
    tried with each sweep: the pause doubles with every try.
    """
    if failure.code not in PULLED_ON_THE_GROUP:
        return False
    tries = [one.at for one in failures if (one.code, one.tag, one.circumstance) == (failure.code, failure.tag, True)]
    doubled: timedelta = pause * 2 ** (len(tries) - 1)
    return now < max(tries) + min(LONGEST_PAUSE, doubled)


def _followed_tag(running: str, container: ContainerRecord | None) -> str | None:
    """The tag that the running image stands for, as written or as the record knows it."""
    reference = parsed(running)
    if reference and reference.followed_tag:
        return reference.followed_tag
    goods = container.goods if container else ()
    return next((good.tag for good in goods if running in {good.image, good.by_digest}), None)


def _running_digests(group: ContainerGroup, name: str, container: ContainerRecord | None) -> frozenset[str]:
    """Every digest by which the running image is known: an index and what was pulled of it are two."""
    reference = parsed(group.images[name])
    if reference and reference.digest:
        return frozenset({reference.digest})
    known = container.good.digest if container and group.images[name] in container.good.spellings else None
    pulled = group.running_digest(name)
    return frozenset(digest for digest in (pulled, known) if digest)
