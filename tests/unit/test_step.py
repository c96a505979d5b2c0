"""A step through adapters in memory: what is written, sent and settled when something outside goes wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from shared.errors import RemoteError
from shared.message import TargetId, UpdateMessage
from shared.queue import LeaseLost
from tests.fakes import Clock, FixedTargets, MemoryRecords, NoGlances
from tests.unit.builders import (
    RULES,
    SHOP,
    Json,
    at,
    container,
    crash_loop,
    failure,
    good,
    group,
    message,
    record,
    rollout,
    running,
    wanted,
)
from worker.adapters.notifications import Notice
from worker.failures.classify import UNKNOWN, Retry
from worker.groups.group import ContainerGroup
from worker.manual import roll_back
from worker.policies.parse import parse_policy
from worker.ports import Ports
from worker.record import Record
from worker.record_parts import Hold
from worker.settlement import Complete, DeadLetterIt, Reschedule, Settlement
from worker.step import Stepper
from worker.targets.target import Target

TWO = message("2")
BUSY = RemoteError("arm", 409, "ContainerGroupTransitioning", "later")
THROTTLED = RemoteError("arm", 429, "TooManyRequests", "later")
REFUSED = RemoteError("arm", 400, "InvalidRequestContent", "no")
UNCERTAIN = RemoteError("arm", 500, "InternalServerError", "who knows")
DOWN = RemoteError("arm", 503, "ServiceUnavailable", "later")


@dataclass
class Azure:
    """One group as it is told to look, and the errors that its next changes meet; `put_` is what was sent, and
    `meanwhile` what happens while a change is on its way."""

    shown: ContainerGroup | RemoteError = field(default_factory=group)
    errors: list[RemoteError] = field(default_factory=list)
    put_: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def get(self, target: TargetId) -> ContainerGroup:
        if isinstance(self.shown, RemoteError):
            raise self.shown
        return self.shown

    def put(self, target: TargetId, definition: bytes, insist: Callable[[], None]) -> None:
        insist()
        self.put_.append(definition)
        self.meanwhile()
        if self.errors:
            raise self.errors.pop(0)

    def restart(self, target: TargetId, insist: Callable[[], None]) -> None:
        raise AssertionError("nobody asked for a restart")


class BrokenRecords(MemoryRecords):
    """Records that can't be read."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def load(self, target: TargetId) -> tuple[Record, str | None]:
        raise self.error


class Bench:
    """A Stepper whose every outside system is at hand."""

    def __init__(
        self, now: Record | None = None, *, records: MemoryRecords | None = None, attempts: int = 8, policy: str = "any"
    ) -> None:
        self.policy = parse_policy(policy)
        self.clock = Clock()
        self.azure = Azure()
        self.records = records or MemoryRecords()
        self.sent: list[UpdateMessage] = []
        self.told: list[Notice] = []
        self.fanned_out: list[tuple[str, list[TargetId]]] = []
        self.resolve: Callable[[dict[str, str]], dict[str, str]] = lambda sources: {}
        if now:
            self.records.save(now, None)
        ports = Ports(
            groups=self.azure,
            records=self.records,
            targets=FixedTargets(self.target()),
            watch=NoGlances(),
            send=self.sent.append,
            resolve=lambda sources: self.resolve(sources),
            digest=lambda message: message.push.digest,
            redact=lambda text: text.replace("hunter2", "***"),
            tell=self.told.append,
            fanned_out=lambda of, targets: self.fanned_out.append((of.id, list(targets))),
            now=self.clock.now,
        )
        self.stepper = Stepper(ports, RULES, Retry(attempts, 5, 600), random.Random(0))

    def target(self) -> Target:
        return Target(SHOP, everything=self.policy)

    def run(self, of: UpdateMessage = TWO, *, held: bool = True) -> Settlement:
        return self.stepper.run(of, lambda: held)

    def rerun(self, settlement: Settlement) -> Settlement:
        """The next step of what was rescheduled, once it is due."""
        assert isinstance(settlement, Reschedule)
        self.clock.advance(settlement.delay)
        return self.run(settlement.message)

    @property
    def record(self) -> Record:
        return self.records.load(SHOP)[0]


class TestChange:
    @pytest.mark.parametrize("error", [BUSY, THROTTLED, REFUSED])
    def test_what_azure_refused_was_never_begun(self, error: RemoteError) -> None:
        bench = Bench()
        # A throttled change is tried again within the step.
        bench.azure.errors = [error] * 3
        bench.run()
        (one,) = bench.record.containers.values()
        assert one.wanted is not None
        assert (one.wanted.began_at, bench.record.rollout) == (None, None)

    def test_what_may_have_taken_effect_was_begun_and_is_no_try(self) -> None:
        bench = Bench()
        bench.azure.errors = [UNCERTAIN]
        bench.run()
        assert bench.record.open()["web"].began_at == bench.clock.now()
        assert bench.record.rollout is not None
        assert bench.record.rollout.tries == 0

    def test_a_group_whose_last_operation_failed_takes_a_good_push_after_a_refusal(self) -> None:
        # FINDING: the old failure was taken for the push's own, and the push was rolled back and dead-lettered.
        bench = Bench()
        bench.azure.shown, bench.azure.errors = group(state="Failed"), [BUSY]
        again = bench.rerun(bench.run())
        assert isinstance(again, Reschedule)
        assert len(bench.azure.put_) == 2
        assert bench.record.failures_of("2") == {}

    def test_secrets_that_can_not_be_read_change_nothing(self) -> None:
        bench = Bench()
        bench.azure.shown = group(imageRegistryCredentials=[{"server": "r.io", "username": "u", "password": None}])

        def unreadable(sources: dict[str, str]) -> dict[str, str]:
            raise RemoteError("secrets", None, "SecretUnavailable", "no")

        bench.resolve = unreadable
        given_up = bench.run()
        assert isinstance(given_up, DeadLetterIt)
        assert given_up.letter.code == "MissingSecrets"
        assert bench.azure.put_ == []

    @pytest.mark.parametrize("held", [True, False])
    def test_what_arrives_after_a_newer_change_has_ended_is_looked_at(self, held: bool) -> None:
        # FINDING: a PUT that took long undid a newer push, whose message was done by then.
        bench = Bench()
        newer = message("3", pushed=60)
        leases = iter([True, held])

        def another_is_faster() -> None:
            record, etag = bench.records.load(SHOP)
            done = container(wanted(newer, status="done", began=0), repository=record.containers["web"].repository)
            bench.records.save(record.but(containers={"web": done}, rollout=None), etag)

        bench.azure.meanwhile = another_is_faster
        if held:
            assert isinstance(bench.stepper.run(TWO, lambda: next(leases)), Reschedule)
        else:
            with pytest.raises(LeaseLost):
                bench.stepper.run(TWO, lambda: next(leases))
        assert [one.id for one in bench.sent] == ["3"]
        assert bench.record.open().keys() == {"web"}

    @pytest.mark.parametrize("error", [None, UNCERTAIN])
    def test_a_stale_definition_that_undid_another_containers_push_is_made_good(
        self, error: RemoteError | None
    ) -> None:
        # FINDING: jobs' slow change carried web's image from before, and web had been told as updated meanwhile.
        five = message("5", repository="acme/jobs", pushed=1, attempts=1)
        bench = Bench(record({"web": container(wanted(TWO, began=0))}, rollout=rollout()))
        bench.azure.shown = stale = group({"web": "acme/shop:1", "jobs": "acme/jobs:4"})
        bench.clock.advance(RULES.lease.total_seconds())
        bench.azure.errors = [error] if error else []

        def web_is_done() -> None:
            now, etag = bench.records.load(SHOP)
            bench.records.save(now.succeed(TWO, {}, bench.clock.now(), "healthy"), etag)
            bench.azure.shown = stale

        bench.azure.meanwhile = web_is_done
        assert isinstance(bench.run(five), Reschedule)
        assert [one.id for one in bench.sent] == ["2"]
        assert "web" in bench.record.open()

    def test_what_its_owner_had_deployed_before_is_not_undone(self) -> None:
        jobs = container(wanted(message("4", repository="acme/jobs"), "acme/jobs:4", status="done", began=0))
        bench = Bench(record({"jobs": jobs}))
        bench.azure.shown = group({"web": "acme/shop:1", "jobs": "acme/jobs:by-hand"})

        def somebody_writes() -> None:
            now, etag = bench.records.load(SHOP)
            bench.records.save(now.ended(message("9"), (), "ignored", "", at(0)), etag)

        bench.azure.meanwhile = somebody_writes
        bench.run()
        assert bench.sent == []

    def test_a_push_that_took_it_back_from_its_owner_meanwhile_is_made_good(self) -> None:
        # FINDING: it stayed "done" while the group ran what the owner had deployed before.
        jobs = {"repository": "docker.io/acme/jobs"}
        four = wanted(message("4", repository="acme/jobs"), "acme/jobs:4", status="done", began=0)
        bench = Bench(record({"jobs": container(four, **jobs)}))
        bench.azure.shown = group({"web": "acme/shop:1", "jobs": "acme/jobs:by-hand"})
        five = wanted(message("5", repository="acme/jobs"), "acme/jobs:5", status="done", began=1)

        def five_is_done() -> None:
            now, etag = bench.records.load(SHOP)
            bench.records.save(now.but(containers=now.containers | {"jobs": container(five, **jobs)}), etag)

        bench.azure.meanwhile = five_is_done
        bench.run()
        assert [one.id for one in bench.sent] == ["5"]

    def test_what_nobody_overtook_is_not(self) -> None:
        bench = Bench()
        bench.run()
        assert bench.sent == []

    def test_without_its_lease_it_sends_nothing(self) -> None:
        bench = Bench()
        with pytest.raises(LeaseLost):
            bench.run(held=False)
        assert bench.azure.put_ == []

    def test_refused_together_with_others_it_is_tried_alone(self) -> None:
        shown = group({"web": "acme/shop:1", "jobs": "acme/jobs:1"})
        other = wanted(message("9", repository="acme/jobs"), "acme/jobs:9")
        bench = Bench(record({"jobs": container(other, repository="docker.io/acme/jobs")}))
        bench.azure.shown, bench.azure.errors = shown, [REFUSED]
        alone = bench.run()
        assert isinstance(alone, Reschedule)
        assert (alone.delay, alone.message.attempts) == (0, 1)
        bench.rerun(alone)
        assert [b"acme/jobs:9" in body for body in bench.azure.put_] == [True, False]

    def test_a_rollback_that_is_refused_is_not_tried_again_and_again(self) -> None:
        # FINDING: carrying another container's image, it was "tried alone" eight times at once, then "WorkerCrash".
        jobs = container(wanted(message("9", repository="acme/jobs"), "acme/jobs:9", began=0))
        bench = Bench(record({"web": container(wanted(TWO, began=0)), "jobs": jobs}, rollout=rollout()))
        bench.clock.advance(60)
        images = {"web": "acme/shop:2", "jobs": "acme/jobs:9"}
        bench.azure.shown = group(images, {"web": crash_loop(30)})
        bench.azure.errors = [REFUSED]
        given_up = bench.run()
        assert isinstance(given_up, DeadLetterIt)
        assert given_up.letter.code == "CrashLoop"
        assert "the rollback failed: InvalidRequestContent" in given_up.letter.detail


class TestGivingUp:
    def test_a_push_whose_group_can_not_be_read_is_rolled_back_when_it_can_be(self) -> None:
        # FINDING: it was given up after a while, and its image went on crashing.
        bench = Bench(attempts=3)
        settlement = bench.run()
        bench.azure.shown = DOWN
        while bench.record.failures_of("2") == {}:
            settlement = bench.rerun(settlement)
        bench.azure.shown = group({"web": "acme/shop:2"}, {"web": crash_loop(5)})
        bench.rerun(settlement)
        assert b"acme/shop:1" in bench.azure.put_[-1]

    @pytest.mark.parametrize(
        "error", [ValueError("no record"), RemoteError("records", 403, "AuthorizationFailed", "no")]
    )
    def test_a_record_that_can_not_be_read_does_not_keep_its_message_going_round(self, error: Exception) -> None:
        # FINDING: it was delivered again and again for ever.
        bench = Bench(records=BrokenRecords(error), attempts=3)
        settlement = bench.run()
        for _ in range(2):
            settlement = bench.rerun(settlement)
        assert isinstance(settlement, DeadLetterIt)

    @pytest.mark.parametrize(("seen", "tries"), [("CrashLoop", 9), ("ServiceUnavailable", 3)])
    def test_a_rollback_from_what_was_seen_to_be_broken_is_tried_for_longer(self, seen: str, tries: int) -> None:
        # FINDING: an outage of some minutes left the group in its crash loop.
        broken = container(wanted(TWO, status="failed", began=0), failures=(failure(TWO, code=seen),))
        bench = Bench(record({"web": broken}, rollout=rollout()), attempts=3)
        bench.azure.shown = DOWN
        settlement = bench.run()
        for _ in range(tries - 1):
            settlement = bench.rerun(settlement)
        assert isinstance(settlement, DeadLetterIt)

    def test_while_the_records_are_down_nothing_is_given_up(self) -> None:
        bench = Bench(records=BrokenRecords(RemoteError("records", 503, "ServerBusy", "later")))
        with pytest.raises(RemoteError):
            bench.stepper.give_up(TWO, "C", "d")

    def test_what_azure_said_is_redacted_in_letter_and_record(self) -> None:
        bench = Bench(record({"web": container(wanted(TWO, began=0), goods=())}, rollout=rollout()))
        bench.clock.advance(60)
        view = crash_loop(30)
        view["currentState"]["detailStatus"] += ": password=hunter2"
        bench.azure.shown = group({"web": "acme/shop:2"}, {"web": view})
        given_up = bench.run()
        assert isinstance(given_up, DeadLetterIt)
        assert "password=***" in given_up.letter.detail
        assert "hunter2" not in given_up.letter.model_dump_json() + bench.record.model_dump_json()


class TestByHand:
    def test_a_push_waits_for_a_rollback_under_way(self) -> None:
        # FINDING: it took the rollback's place, and the group was held on the bad image.
        done = container(wanted(message("3"), status="done", began=0), goods=(good("3"), good("1")))
        now, back = roll_back(record({"web": done}), lambda: "back", at(0))
        bench = Bench(now)
        bench.azure.shown = group({"web": "acme/shop:3"})
        newer = message("4", pushed=60)
        waits = bench.run(newer)
        assert isinstance(waits, Reschedule)
        assert bench.record.owned_by("back").keys() == {"web"}
        bench.run(back)
        assert b"acme/shop:1" in bench.azure.put_[0]

    @pytest.mark.parametrize("how", [{"tags": {"aci-hooks.hold": "audit"}}, {"shown": "Stopped"}])
    def test_one_that_is_held_itself_keeps_no_push_waiting(self, how: Json) -> None:
        # FINDING: pushes were looked at every five seconds until somebody released the group.
        done = container(wanted(TWO, status="done", began=0), goods=(good("2"), good("1")))
        now, back = roll_back(record({"web": done}), lambda: "back", at(0))
        bench = Bench(now)
        bench.azure.shown = group({"web": "acme/shop:2"}, **how)
        assert bench.run(back) == Complete()
        assert bench.run(message("3", pushed=60)) == Complete()
        assert bench.record.hold is not None
        assert (bench.record.hold.reason, bench.record.hold.allows) == ("rolled back", None)
        assert {message.id for message in bench.record.unfinished()} == {"3"}

    def test_what_it_broke_is_rolled_back_although_a_push_waits_behind_its_hold(self) -> None:
        # FINDING: the push that was held "had taken over", and the group stayed broken behind the hold.
        hand = message("1", name="back", pushed=10, sender="rollback")
        one = container(wanted(hand, began=20), goods=(good("2"), good("1")))
        held = Hold(reason="rolled back", since=at(10), allows="back")
        bench = Bench(record({"web": one}, hold=held, rollout=rollout("back", {"web": "acme/shop:1"}, since=20)))
        bench.clock.advance(61)
        bench.azure.shown = group(views={"web": crash_loop(30)}, state="Updating")
        failing = bench.run(hand)
        assert bench.run(message("3", pushed=61)) == Complete()
        bench.azure.shown = group(views={"web": crash_loop(30)})
        bench.rerun(failing)
        assert b"acme/shop:2" in bench.azure.put_[-1]

    def test_an_address_that_moved_in_a_rollback_is_told_to_people(self) -> None:
        returning = rollout("2", {"web": "acme/shop:1"}, returning=frozenset({"web"}), address={"ip": "1.1.1.1"})
        failed = record({"web": container(wanted(TWO, began=0))}, rollout=returning).fail(
            TWO, {"web": ("CrashLoop", "it crashes")}, at(0)
        )
        bench = Bench(failed)
        bench.clock.advance(120)
        bench.azure.shown = group({"web": "acme/shop:1"}, {"web": running(10)})
        assert isinstance(bench.run(), DeadLetterIt)
        assert [notice.outcome for notice in bench.told] == ["address changed", "rolled-back"]


def test_a_push_that_its_policy_skips_is_in_the_history_with_the_reason() -> None:
    done = container(wanted(message("1.5"), status="done"), goods=(good("1.5"),))
    bench = Bench(record({"web": done}), policy="semver")
    bench.azure.shown = DOWN
    assert bench.run(message("latest", pushed=9)) == Complete()
    (outcome,) = bench.record.outcomes
    assert (outcome.result, outcome.detail) == (
        "ignored",
        "latest is not a version, and semver follows versions alone",
    )
    assert bench.run(message("1.4", pushed=-9)) == Complete()
    assert len(bench.record.outcomes) == 1


def test_a_push_that_no_target_wants_is_ignored() -> None:
    bench = Bench()
    bench.azure.shown = group({"web": "acme/other:1"})
    assert bench.run() == Complete()


def test_a_target_that_only_another_worker_knows_is_waited_for() -> None:
    # FINDING: a worker whose targets file was older ended the push of a target that had just been added.
    bench = Bench()
    elsewhere = TWO.for_target(TargetId(subscription="sub", resource_group="web", container_group="new"))
    ended = bench.run(elsewhere)
    for _ in range(UNKNOWN - 1):
        ended = bench.rerun(ended)
    assert ended == Complete()


def test_the_targets_of_a_push_are_remembered() -> None:
    bench = Bench()
    bench.run(message("7").model_copy(update={"target": None, "kind": "push"}))
    assert [one.target for one in bench.sent] == [SHOP]
    assert bench.fanned_out == [("7", [SHOP])]
