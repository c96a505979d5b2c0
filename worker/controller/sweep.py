"""The sweep: compare every target with its registry, enqueue missed pushes, and start the timers of drifted groups.

With it, a webhook that never arrived (the ingress was down, the sender tried only once) only causes a delay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice

import structlog

from shared.errors import RemoteError
from shared.image import ImageReference, InvalidImage
from shared.message import TargetId, UpdateMessage
from shared.push import Push
from worker.controller.followed import Followed, followed
from worker.controller.newest import pushed_later
from worker.controller.timers import change, is_overdue
from worker.core.desired import drifted
from worker.core.following import Following, followings
from worker.failures.classify import GONE
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO
from worker.policies.choose import best_tag
from worker.policies.policy import SameTag, Update
from worker.ports import Conflict, Dated, Found, Images, Ports
from worker.record.record import Record
from worker.record.values import SWEEP
from worker.targets.tags import hold_reason
from worker.targets.target import Target

MOST_TRIED = 10
"""The most tags that are looked up for one container: artifacts that are not images may come before the right one."""

NO_PAUSE = timedelta(0)

log = structlog.get_logger()


class CannotTell(Exception):
    """A registry could not answer the question."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did for one target: the missed pushes, whether its timer was started, and what is unknown.

    `held`: nothing was compared because the group is held or stopped, which is not a problem. `gone`: there is no
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

    `pause` is the time between two sweeps of a running worker; zero if an operator asked for this one.
    """

    ports: Ports
    registry: Images
    rollback: bool = True
    pause: timedelta = NO_PAUSE

    def sweep(self, targets: Iterable[Target]) -> Iterator[Swept]:
        """Sweep each target; a problem with one does not affect the others."""
        for target in targets:
            yield self.sweep_one(target)

    def sweep_one(self, target: Target) -> Swept:
        """Sweep one target; its problems are in the result."""
        try:
            return self._sweep(target)
        # Whatever is wrong with this group or its record: the others are swept, and this one again next time.
        except Exception as error:
            if not isinstance(error, RemoteError):
                log.exception("target not swept", target=str(target.id))
            gone = isinstance(error, RemoteError) and error.code in GONE
            return Swept(
                target.id, problem=str(error) or type(error).__name__, gone=gone
            )

    def _sweep(self, target: Target) -> Swept:
        record, _ = self.ports.load(target.id)
        group = self.ports.groups.get(target.id)
        if hold_reason(group.tags) or group.stopped:
            return Swept(target.id, problem="held or stopped", held=True)
        if group.not_ours:
            # A push would only become a dead letter, with every sweep again.
            return Swept(target.id, problem=group.not_ours)
        woken = self._wake(record, group)
        if record.hold:
            return Swept(target.id, woken=woken, problem="held", held=True)
        problems: list[str] = []
        missed = self._missed(target, group, record, problems)
        for push in missed:
            self._enqueue(push, target)
        return Swept(target.id, missed, woken, "; ".join(problems) or None)

    def _enqueue(self, push: Push, target: Target) -> None:
        # A rollout goes to this target alone, and no push to all: each target is compared with its registry by itself.
        message = UpdateMessage(
            id=self.ports.new_id(),
            kind="rollout",
            push=push,
            received_at=self.ports.now(),
            target=target.id,
        )
        self.ports.updates.send(message.encode())
        log.info(
            "missed push found",
            image=str(push.image),
            digest=push.digest,
            target=str(target.id),
        )

    def _wake(self, record: Record, group: ContainerGroup) -> int:
        """Start the timer of a group whose timer was lost, or that runs another image than it should."""
        is_lost = record.timer is not None and is_overdue(
            record.timer, self.ports.now()
        )
        # A group in transition shows the images of an operation that has not ended, which are not drift yet.
        # A record without containers was never looked at, so there is nothing yet that it wants to run.
        at_rest = record.timer is None and not group.in_transition and record.containers
        has_drifted = at_rest and drifted(record, group.images, rollback=self.rollback)
        if not (is_lost or has_drifted):
            return 0
        try:
            change(self.ports, record.target, lambda current: current)
        except Conflict:
            return 0  # another worker is processing it
        return 1

    def _missed(
        self, target: Target, group: ContainerGroup, record: Record, problems: list[str]
    ) -> tuple[Push, ...]:
        """The pushes that no webhook reported. What can't be found out is added to `problems`."""
        found: dict[Push, None] = {}
        for name, following in followings(group.images, target).items():
            if _is_being_decided(record, name, following):
                continue
            try:
                follows = followed(
                    name,
                    following.name,
                    following.policy,
                    group,
                    record.containers.get(name),
                    self.ports.now(),
                    self.pause,
                )
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
        """The best push that is an image, has not failed before and is not running already."""
        image, tag, policy = follows.image, follows.tag, follows.policy
        # Each costs a lookup, so the next tag is looked for only when the one before it will not do.
        for dated in islice(self._in_turn(follows, tell), MOST_TRIED):
            tried = ImageReference(image.registry, image.repository, dated.tag)
            found = self.registry.lookup(tried, follows.running)
            # "Unknown" must not pass for "nothing new": an operator who sweeps would believe that all is well.
            if not isinstance(found, Found):
                raise CannotTell(str(getattr(found, "detail", found)))
            # The next best tag may be an image: caches, signatures and charts are pushed under tags as well.
            if found.artifact or follows.failed(dated.tag, found.digest):
                continue
            # Azure reports the platform's manifest as pulled, but the registry the index that lists it. If the
            # later push wins, another tag of the running image would only change its name.
            is_same = bool(found.digests & follows.running)
            # Without any digest of the running image, nobody can say that its own tag has moved: then it has not.
            own_tag_is_unchanged = dated.tag == tag and (is_same or not follows.running)
            is_only_another_name = is_same and not policy.ordered
            if own_tag_is_unchanged or is_only_another_name:
                return None
            pushed = ImageReference(
                image.registry, image.repository, dated.tag, found.digest
            )
            # For most tags the time of the push is unknown. Taken as now, it would outrank a webhook that is waiting.
            pushed_at = max(follows.since, min(dated.pushed_at, self.ports.now()))
            return Push.of(SWEEP, pushed, pushed_at=pushed_at, proof="own")
        return None

    def _in_turn(
        self, follows: Followed, tell: Callable[[str], None]
    ) -> Iterator[Dated]:
        """The tags in the registry that the container could run, the best first, its own tag last.

        Each has the time of its push if the registry reports it.
        """
        image, tag, policy = follows.image, follows.tag, follows.policy
        if tag is None:
            return
        if policy.ordered:
            tags = {
                other
                for other in self.registry.tags(image)
                if follows.may_be_tried(other)
            }
            while best := best_tag(policy, tag, tags):
                tags.remove(best)
                # A list of tags tells no times. The order of the policy decides here, and the push must not count as
                # newer than a webhook.
                yield Dated(best, LONG_AGO)
        elif not isinstance(policy, SameTag):
            try:
                yield from pushed_later(self.registry, image, tag, follows.may_be_tried)
            except RemoteError as error:
                tell(error.message)  # its own tag can still be checked
        if isinstance(policy.decide(tag, tag), Update):
            yield Dated(tag, LONG_AGO)


def _is_being_decided(record: Record, name: str, following: Following) -> bool:
    """Whether the record has something for the container already, so that nothing has to be found."""
    container = record.containers.get(name)
    # What waits is already being worked on, and a pinned container gets nothing before it is released.
    if container is not None and (container.candidates or container.pin):
        return True
    # What was received but not admitted yet may be the very push that would be found here.
    return any(message.push.image.name == following.name for message in record.inbox)


def _tell(problems: list[str], name: str, problem: str) -> None:
    problems.append(f"{name}: {problem}")
