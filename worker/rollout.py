"""next_step: what to do next for a rollout. Pure and total; worker.step carries the answer out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.message import UpdateMessage
from worker.groups.group import ContainerGroup
from worker.groups.health import Broken, Pending
from worker.observation import Missing, Steady, observe
from worker.record import Record
from worker.record_parts import Result, Wanted
from worker.rollback import after_failure, refused
from worker.situation import Rules, Situation
from worker.steps import Apply, Finish, Step, Wait


def next_step(record: Record, group: ContainerGroup, message: UpdateMessage, rules: Rules, now: datetime) -> Step:
    """The next step of a message's rollout, its push having been admitted to the record."""
    situation = Situation(record, group, message, rules, now)
    if record.failures_of(message.id):
        return after_failure(situation)
    owned = {name: wanted for name, wanted in record.owned_by(message.id).items() if wanted.is_open}
    if not owned:
        return Finish(record, *past_result(record, message))
    if reason := situation.blocked():
        if record.rolling_back and record.hold and record.hold.allows == message.id:
            # It waits for the release like any other push, and keeps none from being admitted.
            record = record.but(hold=record.hold.but(allows=None))
        return Finish(record.ended(message, tuple(owned), "held", reason, now), "held", reason)
    begun = [wanted.began_at for wanted in owned.values() if wanted.began_at]
    if len(begun) == len(owned):
        return _watch(situation, owned, max(begun))
    return _start(situation, owned)


def past_result(record: Record, message: UpdateMessage) -> tuple[Result, str]:
    """How a push that has nothing open any more has ended, by the record."""
    if not record.owned_by(message.id):
        return "superseded", "a newer push is wanted"
    known = next((one for one in record.outcomes if one.id == message.id), None)
    return (known.result, known.detail) if known else ("unchanged", "it runs already")


def _start(situation: Situation, owned: Mapping[str, Wanted]) -> Step:
    record, message, rules, now = situation.record, situation.message, situation.rules, situation.now
    if situation.group.in_transition:
        admitted = max(wanted.admitted_at for wanted in owned.values())
        if now > admitted + 2 * rules.timeout:
            detail = f"the group has been in transition for more than {2 * rules.timeout}"
            return refused(record, message, "StuckInTransition", detail, now)
        return situation.wait(admitted, "the group is in transition")
    if missing := situation.missing_secrets():
        return refused(record, message, "MissingSecrets", missing, now)
    under_way = record.rollout
    if under_way and under_way.by != message.id and now < under_way.since + rules.check_interval:
        # Pushes that come together are applied together, and nobody's PUT is overtaken on its way.
        return Wait(record, under_way.since + rules.check_interval - now, "gathering pushes after the last change")
    return _apply(situation, owned)


def _apply(situation: Situation, owned: Mapping[str, Wanted]) -> Apply:
    # After a failed attempt, and on a held group, a push goes alone: it must not fail for another one's fault.
    alone = situation.message.attempts or situation.record.hold
    wanted = owned if alone else situation.record.open()
    going_back = situation.going_back(wanted)
    images = {**going_back, **{name: one.image for name, one in wanted.items()}}
    restart = all(one.restart for one in wanted.values()) and images.items() <= situation.group.images.items()
    intent = situation.intent(images, restart=restart, returning=going_back)
    return Apply(situation.record.begin(intent), unsent=situation.record)


def _watch(situation: Situation, owned: Mapping[str, Wanted], since: datetime) -> Step:
    released = max(since, *(one.admitted_at for one in owned.values()))
    match observe(situation, {name: one.image for name, one in owned.items()}, since, released):
        case Missing():
            return _start(situation, owned)
        case Pending(reason):
            return situation.wait(since, reason)
        case Steady(left) if left > timedelta(0):
            return situation.wait(since, "healthy, and watched for a while", left)
        case Steady():
            return _finish(situation, owned, since)
        case Broken(code, evidence):
            reasons = dict.fromkeys(owned, (code, evidence))
            return after_failure(
                situation.with_record(situation.record.fail(situation.message, reasons, situation.now))
            )


def _finish(situation: Situation, owned: Mapping[str, Wanted], since: datetime) -> Finish:
    digests = {name: situation.group.running_digest(name, since) for name in owned}
    detail = "; ".join(_say_running(name, wanted, digests[name]) for name, wanted in sorted(owned.items()))
    moved = situation.moved()
    detail += str(moved or "")
    record = situation.record.succeed(situation.message, digests, situation.now, detail)
    return Finish(record, "updated", detail, moved)


def _say_running(name: str, wanted: Wanted, digest: str | None) -> str:
    if not wanted.restart:
        return f"{name} runs {wanted.image}"
    if digest:
        return f"{name} was restarted and runs {wanted.image} at {digest}"
    return f"{name} was restarted with {wanted.image}; unverified: Azure does not say which image it pulled"
