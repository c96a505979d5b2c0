"""The laws that every run must keep, whatever was done to it. Pure: a plan and evidence come in, a verdict goes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import median

from tests.arm_simulator.images import default_digest
from tests.chaos.evidence import DELETED, Ended, Evidence
from tests.chaos.hostile import FORGED, NEVER_RUN
from tests.chaos.plan import CALM, HOLD_TAG, SHUT, Plan, Push, Repository
from tests.chaos.records import unrest

FINAL = frozenset({"updated", "unchanged", "superseded", "ignored", "rolled-back", "failed"})
DEAD = frozenset({"rolled-back", "failed"})
SHUT_OUT = frozenset({"InaccessibleImage", "RegistryErrorResponse", "MultipleErrorsOccurred"})
"""How a push fails when Azure could not pull any image for longer than the workers are patient."""
MOST_LETTERS = 1.1
"""Letters for each bad push of a group, and two more: a worker that is killed while it tells tells again."""
MOST_MESSAGES = 2
"""Messages on the queue for each group."""
GRACE = timedelta(seconds=20)
"""How long a PUT may come after its group was looked at: a worker was frozen in between, and then ARM was late."""
TOLD_LATE = timedelta(seconds=60)
"""How long after a look an end may be told that it has found: its worker was killed, and another one tells it."""
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
    verdict.violations += _few_letters(evidence)
    verdict.violations += _few_messages(plan, evidence)
    verdict.violations += _left_alone(evidence)
    verdict.violations += _newest_good(plan, evidence)
    verdict.violations += _no_older_over_newer(plan, evidence)
    verdict.violations += _good_and_bad(plan, evidence)
    verdict.violations += _nothing_hostile(plan, evidence)
    verdict.violations += _all_quiet(evidence)
    return verdict


def _conservation(plan: Plan, evidence: Evidence, verdict: Verdict) -> None:
    """Every push that was answered 202 ends, for each of its targets, in one way."""
    told: dict[tuple[str, str | None], list[Ended]] = {}
    for line in evidence.ended:
        told.setdefault((line.id, line.group), []).append(line)
    ids = {item.id for item in evidence.accepted} | evidence.attacks.keys()
    verdict.notes["deliveries taken though they were not answered 202"] = len(
        {item for item, _ in told if not item.startswith(FORGED)} - ids
    )
    for accepted in evidence.accepted:
        groups: list[str | None] = [*plan.groups_of(accepted.push.repository)]
        for group in groups or [None]:
            lines = told.get((accepted.id, group), [])
            if group is None and not lines:
                # While no worker can list the groups, a push that nobody runs is sent to all of them, and ends there;
                # and while a group is gone, nobody knows what it runs. What waits in the record of CALM may be deleted
                # with it by hand, as docs/operations.md says.
                of_push = [line for line in evidence.ended if line.id == accepted.id]
                ignored = [line for line in of_push if line.outcome == "ignored"]
                at_gone = [line for line in of_push if _is_gone(line, evidence)]
                is_ignored_by_all = {line.group for line in ignored} >= plan.groups.keys() - {CALM}
                lines = ignored if is_ignored_by_all else at_gone
            where = f"push {accepted.push.number} ({accepted.push.images[0]}, id {accepted.id}) for {group}"
            outcomes = [outcome for outcome, _ in groupby(line.outcome for line in lines)]
            if not outcomes:
                verdict.violations.append(f"LOST: {where} was answered 202 and never ended")
                continue
            verdict.outcomes[_final(outcomes)] += 1
            verdict.violations += [f"{where}: unknown outcome {item}" for item in set(outcomes) - FINAL]
            for before, after in pairwise(outcomes):
                _note_change(verdict, where, before, after)


def _final(outcomes: list[str]) -> str:
    last = outcomes[-1]
    return outcomes[-2] if len(outcomes) > 1 and (outcomes[-2], last) in _TOLD_AGAIN else last


def _note_change(verdict: Verdict, where: str, before: str, after: str) -> None:
    if (before, after) in _TOLD_AGAIN:
        verdict.notes["ends told again after a kill"] += 1
    else:
        verdict.violations.append(f"TWO ENDS: {where} was {before}, then {after}")


def _letters(evidence: Evidence) -> Iterator[str]:
    """What was given up is in the poison queue, and nothing else is."""
    letters = {(letter.id, letter.group) for letter in evidence.letters if letter.image not in evidence.forged}
    last_end = {(line.id, line.group): line.outcome for line in evidence.ended}
    # An end is told before its letter is sent. If the queue is out of reach then, the message is delivered again, and
    # may end in another way (seed 44: a forged message that was ignored then). _note_change judges two ends of a push.
    given_up = {push for push, outcome in last_end.items() if outcome in DEAD}
    for push, group in sorted(given_up - letters, key=str):
        yield f"NO LETTER: {push} was given up for {group}, and the poison queue does not have it"
    ever_given_up = {(line.id, line.group) for line in evidence.ended if line.outcome in DEAD}
    for push, group in sorted(letters - ever_given_up, key=str):
        yield f"STRAY LETTER: the poison queue has {push} for {group}, which no worker told to have failed"


def letters_a_bad_push(evidence: Evidence) -> tuple[int, int]:
    """Dead letters, and how many different pushes (each for one group) they are of."""
    letters = [(letter.image, letter.group) for letter in evidence.letters if letter.image not in evidence.forged]
    return len(letters), len(set(letters))


def _few_letters(evidence: Evidence) -> Iterator[str]:
    """A push that fails on a group makes one letter, however often it is delivered and whoever is killed."""
    letters, pushes = letters_a_bad_push(evidence)
    if letters > max(MOST_LETTERS * pushes, pushes + 2):
        yield f"MANY LETTERS: {letters} of {pushes} pushes that failed"


def usual_looks(plan: Plan, evidence: Evidence) -> float | None:
    """How many looks are on the queue as a rule, None if it was never calm enough to tell.

    In a backlog of pushes many are there twice, and those that no sender was told of are not known to be pushes.
    """
    calm = [sample.looks for sample in evidence.samples if sample.pushes <= len(plan.groups)]
    return median(calm) if calm else None


def _few_messages(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """A group has one timer; for a moment it may have two. Pushes come and go, and so do looks that no record names."""
    live = [(sample.live[group], group) for sample in evidence.samples for group in sample.live]
    most, group = max(live, default=(0, ""))
    if most > MOST_MESSAGES:
        yield f"MANY TIMERS: {most} looks of {group} at one time, all of which its record names"
    usual = usual_looks(plan, evidence)
    if usual is not None and usual > MOST_MESSAGES * len(plan.groups):
        yield f"MANY MESSAGES: {usual:g} beside the pushes under way most of the time, for {len(plan.groups)} groups"


def _left_alone(evidence: Evidence) -> Iterator[str]:
    """No PUT to a group that is stopped or held by a tag, once every worker can have seen it."""
    for item in evidence.left_alone:
        for at in evidence.puts.get(item.group, []):
            if item.since + GRACE < at < item.until:
                yield f"NOT LEFT ALONE: {item.group} was {item.why} since {item.since:%T}, and PUT at {at:%T}"


def _newest_good(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """Every container runs the newest good push of its repository, and its group is well."""
    for name, containers in plan.groups.items():
        group = evidence.groups[name]
        if (group["state"], group["provisioning_state"]) != ("Running", "Succeeded"):
            yield f"BROKEN GROUP: {name} is {group['state']}, {group['provisioning_state']}"
        if HOLD_TAG in group["definition"].get("tags", {}):
            yield f"TAG CAME BACK: {name} is held by a tag that its owner has taken off"
        running = dict(_images(group["definition"]))
        for container, repository in containers.items():
            if problem := _not_newest(plan, repository, running[container], group["digests"][container]):
                yield f"NOT NEWEST: {name}/{container} {problem}"


def _images(definition: dict[str, object]) -> Iterator[tuple[str, str]]:
    properties = definition["properties"]
    assert isinstance(properties, dict)
    for item in properties["containers"]:
        yield item["name"], item["properties"]["image"]


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
                newer = [item for item in seen if _proven_before(proven, item, name, at) and item.rank > _rank(push)]
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
    pushes = {item.id: item.push for item in evidence.accepted}
    first: dict[tuple[int, str | None], datetime] = {}
    for line in evidence.ended:
        if line.outcome == "updated" and line.id in pushes:
            first.setdefault((pushes[line.id].number, line.group), line.at)
    return first


def _proven_before(proven: dict[tuple[int, str | None], datetime], push: Push, group: str, at: datetime) -> bool:
    when = proven.get((push.number, group))
    return when is not None and when < at


def _is_gone(line: Ended, evidence: Evidence) -> bool:
    """Whether a push ended because the owner had deleted the group: while it is gone, nobody knows what it runs."""
    if line.code != "ResourceNotFound" and line.outcome != "ignored":
        return False
    # A worker that was frozen or killed meanwhile tells it later.
    return any(
        item.group == line.group and item.why == DELETED and item.since <= line.at <= item.until + TOLD_LATE
        for item in evidence.left_alone
    )


def _good_and_bad(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """No good push fails, and no bad one counts as updated."""
    pushes = {item.id: item.push for item in evidence.accepted}
    for line in evidence.ended:
        push = pushes.get(line.id)
        # Its pushes outlast the workers' patience; the sweep brings the newest of them back.
        is_shut_out = line.group == SHUT and line.code in SHUT_OUT
        if push and push.is_good and line.outcome in DEAD and not is_shut_out and not _is_gone(line, evidence):
            yield f"GOOD PUSH FAILED: push {push.number} (id {line.id}) for {line.group}: {line.detail}"
        if push and not push.is_good and line.outcome in {"updated", "unchanged"}:
            yield f"BAD PUSH {line.outcome}: push {push.number} ({push.behaviour}, id {line.id}) for {line.group}"


def _nothing_hostile(plan: Plan, evidence: Evidence) -> Iterator[str]:
    """No container ever ran what none of its repository's pushes was, and what was taken of the hostile has ended."""
    for name, containers in plan.groups.items():
        for container, repository in containers.items():
            # A tag that has moved comes back by the digest that the simulator gave the first image.
            first = {repository.first_image, f"{repository.written}@{default_digest(repository.first_image)}"}
            ours = first | {image for image, push in plan.by_image.items() if push.repository == repository}
            ran = {entry["images"][container] for entry in evidence.groups[name]["history"]}
            yield from (f"HOSTILE: {name}/{container} ran {image}" for image in sorted(ran - ours))
    ends: dict[str, set[str]] = {}
    for line in evidence.ended:
        ends.setdefault(line.id, set()).add(line.outcome)
    for message, attack in evidence.attacks.items():
        outcomes = ends.get(message, set())
        if not outcomes:
            yield f"LOST: {attack.kind} about push {attack.push} was answered 202 (id {message}) and never ended"
        if attack.kind in NEVER_RUN and outcomes & {"updated", "unchanged"}:
            yield f"HOSTILE: {attack.kind} about push {attack.push} (id {message}) was {', '.join(sorted(outcomes))}"
    for message, outcomes in ends.items():
        if message.startswith(FORGED) and outcomes & {"updated", "unchanged"}:
            yield f"HOSTILE: {message} was {', '.join(sorted(outcomes))}"


def _all_quiet(evidence: Evidence) -> Iterator[str]:
    """Nothing is left to be done, no address moved, and the workers ended in order."""
    if evidence.left:
        yield f"LEFT OVER: {evidence.left} messages on the queue"
    yield from (f"UNREADABLE RECORD: {item}" for item in evidence.unreadable)
    for name, record in evidence.records.items():
        yield from (f"LEFT OPEN: {name} {why}" for why in unrest(record))
    for name, before in evidence.addresses.items():
        if (after := evidence.groups[name]["ip"]) != before:
            yield f"ADDRESS CHANGED: {name} should have {before} and has {after}"
    for name, code in evidence.exit_codes.items():
        if code:
            yield f"EXIT CODE: {name} ended with {code} after SIGTERM"
