"""Admission: does a push become what a container of its target is to run? Pure.

The policy compares the pushed tag with the one that is wanted or running; among pushes that the policy has no order
for, the order of pushing decides. What loses against an open push is kept as a runner-up, in case that one fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.image import ImageReference
from shared.message import UpdateMessage
from worker.candidate import Candidate
from worker.groups.group import ContainerGroup
from worker.policies.parse import Skip
from worker.record import Record
from worker.record_parts import MANUAL, ContainerRecord, Wanted
from worker.running import acquainted, good_image, matching_containers, redeployed, running_digest
from worker.targets.target import Target

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


def overtaken(record: Record, message: UpdateMessage, target: Target, now: datetime) -> Admission | None:
    """Its admission if the wanted pushes rule it out wherever it might go, so that Azure is not asked; else None."""
    known = {
        name: one
        for name, one in record.containers.items()
        if one.repository == message.push.image.name and target.rule_for(name)
    }
    if not known or record.owned_by(message.id):
        return None
    rulings = []
    for name, one in known.items():
        rule = target.rule_for(name)
        if rule is None or one.wanted is None or one.wanted.message.id == message.id or one.wanted.status == "failed":
            return None
        candidate = Candidate(message, rule.policy, message.push.digest, now)
        if one.failure_of(message.id) or candidate.beats(one.wanted) or _may_be_redeployed(one.wanted, candidate):
            return None
        record, ruling = _lost(record, name, one, one.wanted, candidate)
        rulings.append(ruling)
    return Admission(record, tuple(rulings))


def _lost(
    record: Record, name: str, one: ContainerRecord, wanted: Wanted, candidate: Candidate
) -> tuple[Record, Ruling]:
    reason, older = candidate.objection(wanted)
    return _consider(record, name, one, candidate), Ruling(name, "superseded" if older else "ignored", reason)


def _may_be_redeployed(wanted: Wanted, candidate: Candidate) -> bool:
    """If its owner has deployed another image meanwhile, might the policy let this push follow that one?"""
    tag = candidate.message.push.tag
    admissible = not isinstance(candidate.policy.decide(tag, tag), Skip)
    return wanted.status == "done" and candidate.message.order > wanted.message.order and admissible


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
    record = acquainted(record, group, target)
    rulings = []
    for name, (rule, written) in matching.items():
        candidate = Candidate(message, rule.policy, digest, now)
        record, ruling = _admit_one(record, group, name, written, candidate)
        rulings.append(ruling)
    return Admission(record, tuple(rulings))


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
    moved_on = redeployed(record, one, running)
    if wanted is not None and wanted.status != "failed":
        if not candidate.beats(wanted) and not (moved_on and candidate.message.order > wanted.message.order):
            return _lost(record, name, one, wanted, candidate)
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
    good = good_image(group, name)
    good = good if running == written else good.but(tag=None)  # a tag of another repository
    before = record.redeployed(name, good) if moved_on else record
    return before.admit(name, next_wanted), Ruling(name, verdict, reason)


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
    if settled and proven and same_tag and candidate.digest and candidate.digest == running_digest(group, name):
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


def _running_tag(one: ContainerRecord, running: str, written: str) -> str | None:
    if one.wanted is not None and one.wanted.is_open:
        return one.wanted.message.push.tag
    if running != written:
        return None
    return ImageReference.parse(running).followed_tag or one.tag_of(running)
