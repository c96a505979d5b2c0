"""Admission: received pushes become candidates of containers, or end. Pure.

Admission needs the group at hand: it depends on which containers run the pushed repository, and on what their policies
say about the tags. It does not ask any registry; worker.core.resolve does, and only about the best candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.message import UpdateMessage
from worker.core.acquaint import acquaint
from worker.core.following import Following, followings
from worker.core.precedence import better, newer
from worker.core.repeats import failed_before, is_same_push, repeated
from worker.groups.group import ContainerGroup
from worker.policies.policy import Policy, Skip
from worker.record.container import Candidate, ContainerRecord, Good
from worker.record.record import Record
from worker.record.values import SWEEP
from worker.targets.target import Target

Verdict = Literal["wanted", "superseded", "ignored"]
_STRONGEST: tuple[Verdict, ...] = ("wanted", "superseded", "ignored")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided about a push for one container, and the reason as a sentence for people."""

    container: str
    verdict: Verdict
    reason: str


def admit(
    record: Record,
    group: ContainerGroup,
    target: Target,
    now: datetime,
) -> Record:
    """Decide on every push in the record's inbox, for each container that follows the pushed repository.

    A push that no container wants ends here.
    """
    record = acquaint(record, group, target, now)
    followed = followings(group.images, target)
    # In the order of the pushes, not of their messages: the result must not depend on how the queue delivered them.
    for message in sorted(record.inbox, key=lambda message: message.order):
        considered, rulings = consider(record, followed, message)
        is_wanted = any(ruling.verdict == "wanted" for ruling in rulings)
        # It stays in the inbox: as a candidate it would be looked up and put at once. What is in the inbox also keeps
        # the group's timer going (worker.core.reconcile.at_rest).
        if is_wanted and too_young(followed, message, now):
            record = _with_its_tag_moved(record, considered)
            continue
        if is_wanted and _was_pushed_again_lately(record, followed, message, now):
            record = _with_its_tag_moved(record, considered)
            record = record.but(
                inbox=tuple(other for other in record.inbox if other.id != message.id)
            )
            why = f"{message.push.image} was pushed again, and is to be older first (min_age)"
            record = record.end(message, "superseded", why, (), now)
            continue
        record = considered.but(
            inbox=tuple(other for other in record.inbox if other.id != message.id)
        )
        record = _end_if_unwanted(record, message, rulings, now)
    return record


def _with_its_tag_moved(record: Record, considered: Record) -> Record:
    """The record in which a push is not admitted yet, but its tag points at the pushed image already.

    So a good image of that tag comes back by its digest alone (`Good.pushed_again`).
    """
    for name, container in considered.containers.items():
        record = record.with_container(name, goods=container.goods)
    return record


def _was_pushed_again_lately(
    record: Record,
    followed: dict[str, Following],
    message: UpdateMessage,
    now: datetime,
) -> bool:
    """Whether the tag points at another image by now, which has not reached its min_age."""
    # Its registry would answer with that younger image, whichever of the two pushes it is asked for.
    return any(
        other.push.image == message.push.image
        and other.order > message.order
        and too_young(followed, other, now)
        for other in record.inbox
    )


def _end_if_unwanted(
    record: Record,
    message: UpdateMessage,
    rulings: tuple[Ruling, ...],
    now: datetime,
) -> Record:
    if not rulings:
        return record.end(
            message, "ignored", f"no container runs {message.push.image.name}", (), now
        )
    # A push that one container wants has not ended, whatever the other containers make of it.
    strongest = min(rulings, key=lambda ruling: _STRONGEST.index(ruling.verdict))
    if strongest.verdict == "wanted":
        return record
    return record.end(
        message, strongest.verdict, strongest.reason, (strongest.container,), now
    )


def consider(
    record: Record,
    followed: dict[str, Following],
    message: UpdateMessage,
) -> tuple[Record, tuple[Ruling, ...]]:
    """Decide on one push for each container that follows its repository: the new record, and one ruling for each."""
    rulings = []
    for name, following in followed.items():
        if following.name != message.push.image.name:
            continue
        container, ruling = _consider(
            name, record.containers[name], following.policy, message
        )
        record = record.but(containers={**record.containers, name: container})
        rulings.append(ruling)
    return record, tuple(rulings)


def _consider(
    name: str,
    container: ContainerRecord,
    policy: Policy,
    message: UpdateMessage,
) -> tuple[ContainerRecord, Ruling]:
    if failure := repeated(container, message, message.push.digest):
        return container, Ruling(name, "ignored", failed_before(failure))
    # It ends, instead of being merged with that candidate: every message that was received has an end of its own in the
    # history.
    if any(_is_candidate(message, other) for other in container.candidates):
        return container, Ruling(
            name,
            "superseded",
            "this push was delivered before and is already under way",
        )
    # The policy compares with the last good image, not with what runs: that may be a push that is about to fail.
    decision = policy.decide(container.good.tag, message.push.tag)
    if _good_image_is_newer(
        container.good, policy, message, skipped=isinstance(decision, Skip)
    ):
        return container, Ruling(name, "superseded", f"{container.good.image} is newer")
    if newer := _newer_before_the_owner(container, policy, message):
        return container, Ruling(
            name,
            "superseded",
            f"{newer.image} is newer, and ran before the owner's image",
        )
    if isinstance(decision, Skip):
        return container, Ruling(name, "ignored", decision.reason)
    return _with_candidate(container, policy, message), Ruling(
        name, "wanted", decision.reason
    )


def _newer_before_the_owner(
    container: ContainerRecord, policy: Policy, message: UpdateMessage
) -> Good | None:
    """A good image, newer than this push, that ran before the owner's image; None if there is none.

    A webhook that was late must not replace the owner's image with something older than what ran before it.
    """
    # An image has an order if its push is known, and then _good_image_is_newer has compared. The owner's has none.
    if container.good.order:
        return None
    for good in container.goods[1:]:
        # Where the policy orders the two tags, it decides, whenever they were pushed.
        time_decides = (
            good.tag is None or policy.outranks(message.push.tag, good.tag) is None
        )
        # This compares only the times of the pushes. The time of receipt, which an order holds as well, is late for the
        # very webhook that this is about.
        if good.order and time_decides and message.order[0] <= good.order[0]:
            return good
    return None


def _good_image_is_newer(
    good: Good,
    policy: Policy,
    message: UpdateMessage,
    *,
    skipped: bool,
) -> bool:
    """Whether the last good image is certainly newer than the push. `skipped`: the policy does not admit the push."""
    # Nobody knows when such an image was pushed: its owner deployed it, or it ran when the group was met. Taking it for
    # the newer one would keep out every push from then on.
    if not good.tag or not good.order:
        return False
    # The policy may skip a tag that it can't compare with the good one (another variant, for instance). Then neither
    # is newer, whenever they were pushed, and "ignored" with the policy's own reason is the right answer.
    if skipped and policy.outranks(good.tag, message.push.tag) is not True:
        return False
    return not newer(policy, message, good.tag, good.order)


def _with_candidate(
    container: ContainerRecord,
    policy: Policy,
    message: UpdateMessage,
) -> ContainerRecord:
    """The container with the push as a candidate, in front of the first one that the push is better than."""
    place = len(container.candidates)
    for number, other in enumerate(container.candidates):
        if better(policy, container.good.tag, message, other):
            place = number
            break
    candidates = (
        *container.candidates[:place],
        Candidate(message=message),
        *container.candidates[place:],
    )
    goods = tuple(_pushed_again(good, message) for good in container.goods)
    return container.but(candidates=candidates, goods=goods)


def _pushed_again(good: Good, message: UpdateMessage) -> Good:
    """Mark a good image whose tag was pushed again. From then on, only its digest brings it back, never its tag.

    That holds however the new push ends: the registry's tag points at the pushed image either way.
    """
    if good.tag != message.push.tag:
        return good
    # An unknown digest counts as another image. Trusting the tag is tempting, but it would bring back whatever was
    # pushed.
    is_same_image = good.digest is not None and good.digest == message.push.digest
    return good if is_same_image else good.but(pushed_again=True)


def too_young(
    followed: dict[str, Following], message: UpdateMessage, now: datetime
) -> str | None:
    """Why a push still has to wait in the inbox, for all containers (the condition min_age); None if it need not."""
    # The sweep does not know when its finds were pushed. What counts for them is how long ago they were found.
    pushed_at = (
        message.received_at if message.push.sender == SWEEP else message.order[0]
    )
    name = message.push.image.name
    # One container that wants it older is enough: a push leaves the inbox once, for all containers together.
    conditions = (
        following.policy.conditions
        for following in followed.values()
        if following.name == name
    )
    return next(
        (why for each in conditions if (why := each.too_young(pushed_at, now))), None
    )


def _is_candidate(message: UpdateMessage, other: Candidate) -> bool:
    push = other.message.push
    # What the registry has told counts before what the sender said.
    return is_same_push(message, push.tag, push.pushed_at, other.digest or push.digest)
