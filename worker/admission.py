"""Admission: does a push become what a container of its target is to run? Pure.

The policy compares the pushed tag with the one that is wanted or running; among pushes that the policy has no order
for, the order of pushing decides. What loses against an open push is kept as a runner-up, in case that one fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.image import ImageReference, InvalidImage, rewrite
from shared.message import UpdateMessage
from worker.group import ContainerGroup
from worker.policy import Policy, Skip
from worker.record import Record
from worker.record_parts import MANUAL, ContainerRecord, Failure, Good, Wanted
from worker.targets import ContainerRule, Target

Verdict = Literal["wanted", "unchanged", "superseded", "ignored", "failed"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of a push for one container, and why, as a sentence for people."""

    container: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Admission:
    """The record after the push was considered, and a ruling for each container that runs its repository."""

    record: Record
    rulings: tuple[Ruling, ...]

    def verdict(self) -> Ruling | None:
        """The ruling that says most of the push as a whole, None if no container runs its repository."""
        ranked: tuple[Verdict, ...] = ("wanted", "failed", "unchanged", "superseded", "ignored")
        return min(self.rulings, key=lambda ruling: ranked.index(ruling.verdict), default=None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A push for one container: the policy that judges it, and its image's digest if it is known."""

    message: UpdateMessage
    policy: Policy
    digest: str | None
    now: datetime

    def beats(self, other: Wanted) -> bool:
        """Is it the newer one, by the policy's order or else by time? A push does not beat itself."""
        return self._outranks(other.message.push.tag, other.message.order)

    def beats_good(self, good: Good) -> bool:
        """The same against an image that ran well; one whose push is not known is beaten by every push."""
        return good.order is None or good.tag is None or self._outranks(good.tag, good.order)

    def _outranks(self, tag: str, order: tuple[datetime, datetime]) -> bool:
        ranked = self.policy.outranks(self.message.push.tag, tag) if tag != self.message.push.tag else None
        return self.message.order > order if ranked is None else ranked

    def repeats(self, failure: Failure) -> bool:
        """Is it the push that failed, delivered again?"""
        mine, failed = self.message.push, failure.message.push
        if mine.tag != failed.tag:
            return False
        if self.digest and failure.digest:
            return self.digest == failure.digest
        return mine.pushed_at is not None and mine.pushed_at == failed.pushed_at

    def wanted(self, written: str, *, same_tag: bool, running: str | None = None) -> Wanted:
        """Itself as what is wanted: a new tag by its name, a tag that moved by its digest or else by a restart."""
        push = self.message.push
        image = rewrite(written, digest=self.digest) if same_tag and self.digest else rewrite(written, tag=push.tag)
        return Wanted(
            message=self.message,
            image=image,
            restart=image == running,
            digest=self.digest,
            admitted_at=self.now,
        )


def overtaken(record: Record, message: UpdateMessage, target: Target, now: datetime) -> Record | None:
    """The record if newer pushes are wanted wherever this one might go, so that Azure need not be asked; else None."""
    known = {
        name: one
        for name, one in record.containers.items()
        if one.repository == message.push.image.name and target.rule_for(name)
    }
    if not known or record.owned_by(message.id):
        return None
    for name, one in known.items():
        rule = target.rule_for(name)
        if rule is None or one.wanted is None or one.wanted.message.id == message.id or one.wanted.status == "failed":
            return None
        candidate = Candidate(message, rule.policy, message.push.digest, now)
        if one.failure_of(message.id) or candidate.beats(one.wanted):
            return None
        record = _consider(record, name, one, candidate)
    return record


def still_followed(record: Record, group: ContainerGroup, target: Target) -> Record:
    """The record without the containers that are gone, and without what is wanted of those that nobody follows now."""
    images = group.images
    gone = [name for name in record.containers if name not in images]
    unwanted = [name for name in record.open() if name not in gone and target.rule_for(name) is None]
    return record.without([*gone, *unwanted]) if gone or unwanted else record


def admit(
    record: Record,
    group: ContainerGroup,
    message: UpdateMessage,
    target: Target,
    digest: str | None,
    now: datetime,
) -> Admission:
    """Consider a push for every container of the group that runs its repository and has a rule.

    `digest` is the pushed image's, from its sender or the registry; None where neither could tell.
    """
    matching = matching_containers(group.images, message.push.image, target)
    record = _acquainted(record, group, target)
    rulings = []
    for name, (rule, written) in matching.items():
        candidate = Candidate(message, rule.policy, digest, now)
        record, ruling = _admit_one(record, group, name, written, candidate)
        rulings.append(ruling)
    return Admission(record, tuple(rulings))


def matching_containers(
    images: Mapping[str, str], pushed: ImageReference, target: Target
) -> dict[str, tuple[ContainerRule, str]]:
    """The containers that follow the pushed repository: name → its rule and the image to rewrite, as written."""
    found = {}
    for name, running in images.items():
        rule = target.rule_for(name)
        if rule is None:
            continue
        if rule.image is None:
            if _repository(running) == pushed.name:
                found[name] = (rule, running)
        elif rule.image.name == pushed.name:
            found[name] = (rule, running if _repository(running) == pushed.name else pushed.name)
    return found


def _admit_one(
    record: Record, group: ContainerGroup, name: str, written: str, candidate: Candidate
) -> tuple[Record, Ruling]:
    one, message = record.containers[name], candidate.message
    running = group.images[name]
    wanted = one.wanted
    if wanted is not None and wanted.message.id == message.id:
        return record, Ruling(name, "wanted" if wanted.is_open else _ended(wanted), "admitted before")
    if one.failure_of(message.id):
        return record, Ruling(name, "failed", "failed before")
    by_hand = message.push.sender == MANUAL
    if again := next((failure for failure in one.failures if not by_hand and candidate.repeats(failure)), None):
        return record, Ruling(name, "ignored", f"this push failed before, at {again.at:%Y-%m-%d %H:%M:%S} UTC")
    if wanted is not None and wanted.status != "failed":
        if not candidate.beats(wanted):
            why = f"{wanted.message.push.image} is newer"
            return _consider(record, name, one, candidate), Ruling(name, "superseded", why)
    elif one.good and not candidate.beats_good(one.good):
        return record, Ruling(name, "superseded", f"{one.good.image} is newer")
    elif next_up := _ahead_of(candidate, one):
        kept = record.consider(name, candidate.wanted(written, same_tag=False), candidate.beats)
        return kept, Ruling(name, "superseded", f"{next_up.message.push.image} is newer, and next")
    tag = _running_tag(one, running, written)
    decision = candidate.policy.decide(tag, message.push.tag)
    if isinstance(decision, Skip):
        return record, Ruling(name, "ignored", decision.reason)
    next_wanted = _next_wanted(one, group, name, written, candidate, same_tag=tag == message.push.tag)
    verdict: Verdict = "wanted" if next_wanted.is_open else "unchanged"
    reason = decision.reason if next_wanted.is_open else f"{name} runs {message.push.image} already"
    return record.admit(name, next_wanted), Ruling(name, verdict, reason)


def _next_wanted(
    one: ContainerRecord,
    group: ContainerGroup,
    name: str,
    written: str,
    candidate: Candidate,
    *,
    same_tag: bool,
) -> Wanted:
    """The push as wanted; `done` if what it brings is there, in the middle of its rollout if that is under way."""
    running = group.images[name]
    wanted = candidate.wanted(written, same_tag=same_tag, running=running)
    before = one.wanted
    there = before is not None and (before.is_open or before.image == running)
    if before and there and before.message.push.tag == candidate.message.push.tag and before.status != "failed":
        if candidate.digest and candidate.digest == before.digest:
            return _continued(wanted, before)
        covered = before.began_at is None or candidate.message.order[0] <= before.began_at
        if not candidate.digest and covered:
            return _continued(wanted, before)
    settled = before is None or not before.is_open
    # What runs there without having been watched, because another container's change pulled it, may be anything.
    proven = one.good is None or one.good.digest in {None, candidate.digest}
    if settled and proven and same_tag and candidate.digest and candidate.digest == _digest(group, name, running):
        return wanted.but(status="done", image=running, restart=False)
    return wanted


def _continued(wanted: Wanted, before: Wanted) -> Wanted:
    kept = ("image", "restart", "digest", "status", "began_at")
    return wanted.but(**{name: getattr(before, name) for name in kept})


def _consider(record: Record, name: str, one: ContainerRecord, candidate: Candidate) -> Record:
    wanted, good = one.wanted, one.good
    if wanted is None or not wanted.is_open or good is None or not candidate.beats_good(good):
        return record
    if isinstance(candidate.policy.decide(good.tag, candidate.message.push.tag), Skip):
        return record
    same_tag = good.tag == candidate.message.push.tag
    return record.consider(name, candidate.wanted(wanted.image, same_tag=same_tag, running=good.image), candidate.beats)


def _ahead_of(candidate: Candidate, one: ContainerRecord) -> Wanted | None:
    """The runner-up that is to be tried next, after a failure, and before this push."""
    first = next(iter(one.runners_up), None)
    if first is None or first.message.id == candidate.message.id or candidate.beats(first):
        return None
    return first


def _ended(wanted: Wanted) -> Verdict:
    return "failed" if wanted.status == "failed" else "unchanged"


def _acquainted(record: Record, group: ContainerGroup, target: Target) -> Record:
    """Know every container that has a rule by what it runs before any change: a change starts all of them anew."""
    for name, running in group.images.items():
        rule = target.rule_for(name)
        own = _repository(running)
        follows = rule.image.name if rule and rule.image else own
        if rule is None or follows is None:
            continue
        tag = ImageReference.parse(running).followed_tag if own == follows else None
        record = record.known(name, follows, Good(image=running, tag=tag, digest=_digest(group, name, running)))
    return record


def _running_tag(one: ContainerRecord, running: str, written: str) -> str | None:
    if one.wanted is not None and one.wanted.is_open:
        return one.wanted.message.push.tag
    if running != written:
        return None
    return ImageReference.parse(running).followed_tag or one.tag_of(running)


def _digest(group: ContainerGroup, name: str, running: str) -> str | None:
    try:
        return ImageReference.parse(running).digest or group.running_digest(name)
    except InvalidImage:
        return None


def _repository(image: str) -> str | None:
    try:
        return ImageReference.parse(image).name
    except InvalidImage:
        return None
