"""The laws that every run must keep, whatever was done to it. Pure: a plan and evidence come in, a verdict goes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, pairwise

from tests.chaos.evidence import Ended, Evidence
from tests.chaos.plan import Plan, Push, Repository

FINAL = frozenset({"updated", "unchanged", "superseded", "ignored", "held", "rolled-back", "failed"})
DEAD = frozenset({"rolled-back", "failed"})
_REVIVED = {("superseded", later) for later in ("updated", "unchanged", "rolled-back", "failed", "ignored", "held")}
"""A push that was overtaken is wanted again when the one that overtook it has failed."""
_RELEASED = {("held", later) for later in FINAL}
_TOLD_AGAIN = {("updated", "superseded"), ("unchanged", "superseded"), ("updated", "unchanged")}
"""A worker was killed between writing how a push ended and settling its message; meanwhile a newer one was wanted."""


@dataclass
class Verdict:
    """How all pushes ended, by outcome, and every breach of a law, a sentence each. `notes` are no breaches."""

    outcomes: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def judge(plan: Plan, evidence: Evidence) -> Verdict:
    """All laws, applied."""
    verdict = Verdict()
    _conservation(plan, evidence, verdict)
    verdict.violations += _letters(evidence)
    verdict.violations += _newest_good(plan, evidence)
    verdict.violations += _no_older_over_newer(plan, evidence)
    verdict.violations += _good_and_bad(plan, evidence)
    verdict.violations += _all_quiet(evidence)
    return verdict


def _conservation(plan: Plan, evidence: Evidence, verdict: Verdict) -> None:
    """Every push that was answered 202 ends, for each of its targets, in one way."""
    told: dict[tuple[str, str | None], list[Ended]] = {}
    for line in evidence.ended:
        told.setdefault((line.id, line.group), []).append(line)
    ids = {one.id for one in evidence.accepted}
    verdict.notes["deliveries taken though they were not answered 202"] = len({one for one, _ in told} - ids)
    for accepted in evidence.accepted:
        groups: list[str | None] = [*plan.groups_of(accepted.push.repository)]
        for group in groups or [None]:
            lines = told.get((accepted.id, group), [])
            where = f"push {accepted.push.number} ({accepted.push.images[0]}, id {accepted.id}) for {group}"
            outcomes = [outcome for outcome, _ in groupby(line.outcome for line in lines)]
            if not outcomes:
                verdict.violations.append(f"LOST: {where} was answered 202 and never ended")
                continue
            verdict.outcomes[_final(outcomes)] += 1
            verdict.violations += [f"{where}: unknown outcome {one}" for one in set(outcomes) - FINAL]
            for before, after in pairwise(outcomes):
                _note_change(verdict, where, before, after)


def _final(outcomes: list[str]) -> str:
    last = outcomes[-1]
    return outcomes[-2] if len(outcomes) > 1 and (outcomes[-2], last) in _TOLD_AGAIN else last


def _note_change(verdict: Verdict, where: str, before: str, after: str) -> None:
    if (before, after) in _REVIVED:
        verdict.notes["superseded pushes wanted again, as the newer one failed"] += 1
    elif (before, after) in _RELEASED:
        verdict.notes["held pushes that went on after the release"] += 1
    elif (before, after) in _TOLD_AGAIN:
        verdict.notes["ends told again after a kill"] += 1
    else:
        verdict.violations.append(f"TWO ENDS: {where} was {before}, then {after}")


def _letters(evidence: Evidence) -> Iterator[str]:
    """What was given up is in the poison queue, and nothing else is."""
    letters = {(letter.id, letter.group) for letter in evidence.letters}
    given_up = {(line.id, line.group) for line in evidence.ended if line.outcome in DEAD}
    for push, group in sorted(given_up - letters, key=str):
        yield f"NO LETTER: {push} was given up for {group}, and the poison queue does not have it"
    for push, group in sorted(letters - given_up, key=str):
        yield f"STRAY LETTER: the poison queue has {push} for {group}, which no worker told to have failed"


def _newest_good(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """Every container runs the newest good push of its repository, and its group is well."""
    for name, containers in plan.groups.items():
        group = evidence.groups[name]
        if (group["state"], group["provisioning_state"]) != ("Running", "Succeeded"):
            yield f"BROKEN GROUP: {name} is {group['state']}, {group['provisioning_state']}"
        running = dict(_images(group["definition"]))
        for container, repository in containers.items():
            if problem := _not_newest(plan, repository, running[container], group["digests"][container]):
                yield f"NOT NEWEST: {name}/{container} {problem}"


def _images(definition: dict[str, object]) -> Iterator[tuple[str, str]]:
    properties = definition["properties"]
    assert isinstance(properties, dict)
    for one in properties["containers"]:
        yield one["name"], one["properties"]["image"]


def _not_newest(plan: Plan, repository: Repository, image: str, digest: str) -> str | None:
    expected = plan.newest_good(repository)
    if repository.kind == "rolling":
        right = expected is None or digest == expected.digest
    else:
        right = image in (expected.images if expected else (repository.first_image,))
    if right:
        return None
    push = plan.by_image.get(image)
    what = f"push {push.number} (rank {push.rank}, {push.behaviour})" if push else digest
    wanted = f"push {expected.number} (rank {expected.rank}, {expected.images[0]})" if expected else "its first image"
    return f"runs {image}, {what}; it should run {wanted}"


def _no_older_over_newer(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """No change ever brought an older push over a newer one that had been proven."""
    proven = _proven(evidence)
    for name, containers in plan.groups.items():
        for container, repository in containers.items():
            if repository.kind == "rolling":
                continue
            seen: set[Push] = set()
            before = ""
            for entry in evidence.groups[name]["history"]:
                at, image = datetime.fromisoformat(entry["time"]), entry["images"][container]
                push = plan.by_image.get(image)
                newer = [one for one in seen if _proven_before(proven, one, name, at) and one.rank > _rank(push)]
                if newer and image != before:
                    yield (
                        f"OLDER OVER NEWER: {name}/{container} went back to {image} at {at:%T.%f}, "
                        f"after push {max(newer, key=_rank).number} had been proven"
                    )
                before = image
                seen |= {push} if push else set()


def _rank(push: Push | None) -> int:
    return push.rank if push else -1


def _proven(evidence: Evidence) -> dict[tuple[int, str | None], datetime]:
    """When each push was first told to be updated: (push, group) → time."""
    pushes = {one.id: one.push for one in evidence.accepted}
    first: dict[tuple[int, str | None], datetime] = {}
    for line in evidence.ended:
        if line.outcome == "updated" and line.id in pushes:
            first.setdefault((pushes[line.id].number, line.group), line.at)
    return first


def _proven_before(proven: dict[tuple[int, str | None], datetime], push: Push, group: str, at: datetime) -> bool:
    when = proven.get((push.number, group))
    return when is not None and when < at


def _good_and_bad(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """No good push fails, and no bad one counts as updated."""
    pushes = {one.id: one.push for one in evidence.accepted}
    for line in evidence.ended:
        push = pushes.get(line.id)
        if push and push.is_good and line.outcome in DEAD:
            yield f"GOOD PUSH FAILED: push {push.number} (id {line.id}) for {line.group}: {line.detail}"
        if push and not push.is_good and line.outcome in {"updated", "unchanged"}:
            yield f"BAD PUSH {line.outcome}: push {push.number} ({push.behaviour}, id {line.id}) for {line.group}"


def _all_quiet(evidence: Evidence) -> Iterator[str]:
    """Nothing is left to be done, no address moved, and the workers ended in order."""
    if evidence.left:
        yield f"LEFT OVER: {evidence.left} messages on the queue"
    yield from (f"UNREADABLE RECORD: {one}" for one in evidence.unreadable)
    for name, record in evidence.records.items():
        for container, wanted in record.open().items():
            yield f"LEFT OPEN: {name}/{container} still wants {wanted.image}"
        if record.rollout:
            yield f"LEFT OPEN: {name} has a rollout under way, by {record.rollout.by}"
    for name, before in evidence.addresses.items():
        if (after := evidence.groups[name]["ip"]) != before:
            yield f"ADDRESS CHANGED: {name} had {before} and has {after}"
    for name, code in evidence.exit_codes.items():
        if code:
            yield f"EXIT CODE: {name} ended with {code} after SIGTERM"
