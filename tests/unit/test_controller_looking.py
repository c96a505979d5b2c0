"""Looking: what one look writes before it acts, what it does, and that no trouble ends a group's timer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.leased_message import LeaseLost
from shared.message import Look, TargetId, UpdateMessage
from shared.push import Push
from shared.telemetry import Redaction
from tests.fakes import FixedTargets
from tests.unit.builders import (
    NEW,
    OLD,
    RULES,
    SHOP,
    TWO,
    at,
    candidate,
    change,
    container,
    digest,
    event,
    good,
    group,
    message,
    pin,
    record,
    running,
    timer,
    waiting,
)
from tests.unit.controller_builders import (
    DOWN,
    LEASE,
    NO_ANSWER,
    QUEUE_DOWN,
    RECORDS_DOWN,
    REFUSED,
    RETRY,
    THROTTLED,
    Bench,
    Died,
    chance,
    conflict,
    counted,
    group_of,
)
from worker.controller.looking import FROM_THE_FUTURE, UNKNOWN_TARGET, Looking
from worker.controller.lookups import MOST_LOOKUPS
from worker.controller.settlement import Complete, Reschedule, Settlement
from worker.controller.telling import Telling
from worker.controller.timers import CONFLICTS
from worker.failures.classify import Permanent, Transient
from worker.groups.group import ContainerGroup
from worker.policies.parse import parse_policy
from worker.record.record import LONGEST_DETAIL, Record
from worker.record.values import Ending, Flight, Hold, Patience, Undone
from worker.targets.tags import BadTags
from worker.targets.target import ContainerRule, Target

LIVE = Look(target=SHOP, token="live", count=1)
EARLY, UNKNOWN = "early", "unknown target"
FOR_OTHERS = "not a target in this worker's targets; another worker may know it"


def again(delay: float, **changes: Any) -> Reschedule:
    return Reschedule(LIVE.model_copy(update=changes), delay)


def tired(attempts: int, trouble: str, waited: float = 0.0) -> Look:
    """The look after it has met the same trouble several times."""
    return LIVE.model_copy(update={"attempts": attempts, "trouble": trouble, "waited": waited})


def live(*inbox: Any, **rest: Any) -> Record:
    """A record that names the look as its timer."""
    return record(rest.pop("containers", None), **({"inbox": inbox, "timer": timer(0), "count": 1} | rest))


class Scene(Bench):
    """A group with its record, and looks at it."""

    def __init__(self, now: Record | None = None, **rest: Any) -> None:
        images = rest.pop("images", None if "definition" in rest else OLD)
        super().__init__(now or live(TWO), images, **rest)
        self.rules = RULES

    def looking(self, **ports: Any) -> Looking:
        ports_ = self.ports(**ports)
        return Looking(ports_, self.rules, RETRY, Telling(ports_), lease=LEASE, chance=chance())

    def look(self, of: Look = LIVE, lease_holds: Callable[[], bool] = lambda: True, **ports: Any) -> Settlement:
        return self.looking(**ports).look(of, lease_holds)

    def look_on(self, seconds: float) -> Settlement:
        """Let time pass, then look."""
        self.clock.advance(seconds)
        return self.look()


class TestAPush:
    def test_what_is_put_was_written_before(self) -> None:
        scene = Scene()
        assert scene.look() == again(5)
        order = [call for call in scene.calls if call in {"after save", "before put", "after put"}]
        assert order == ["after save", "before put", "after put", "after save"]
        assert scene.images == NEW
        now = scene.record
        assert now.change is not None
        assert (now.change.images, now.change.asked, now.flights, now.timer) == (NEW, {"web": "2"}, (), timer(5))
        assert scene.watch.waited == [SHOP]

    def test_it_is_watched_then_proven_then_told_and_then_the_group_rests(self) -> None:
        scene = Scene()
        scene.look()
        with capture_logs() as lines:
            assert scene.look_on(5) == again(5)
        assert [line for line in lines if line["event"] == "waiting"] == [
            {
                "event": "waiting",
                "log_level": "info",
                "reason": "the group is in transition; web is waiting",
                "again_in": 5.0,
            }
        ]
        assert scene.record.timer == timer(10)
        scene.look_on(7)
        assert scene.look_on(40) == Complete()
        now = scene.record
        assert now.containers["web"].good.but(digest=None) == good("2", pushed=0)
        assert (now.timer, now.change, now.outbox) == (None, None, ())
        assert [(notice.outcome, notice.image) for notice in scene.told] == [("updated", "docker.io/acme/shop:2")]
        assert (now.outcomes[0].id, now.outcomes[0].result) == ("2", "updated")
        assert scene.watch.waited == [SHOP] * 3

    def test_a_worker_that_dies_before_the_put_leaves_the_change_in_the_record(self) -> None:
        scene = Scene()

        def die() -> None:
            raise Died

        scene.on("put", die)
        with pytest.raises(Died):
            scene.look()
        assert scene.images == OLD
        assert scene.record.flights == (Flight(generation=1, sent_at=at(0)),)

    def test_a_crashing_image_is_rolled_back_and_dead_lettered_with_azures_evidence(self) -> None:
        scene = Scene()
        scene.azure.image("acme/shop:2", "crash-loop")
        scene.look()
        scene.look_on(12)
        assert scene.images == OLD
        scene.look_on(12)
        assert scene.look_on(40) == Complete()
        (letter,) = scene.letters
        assert (letter.code, letter.message, letter.attempts) == ("CrashLoop", TWO, 1)
        crash = "CrashLoopBackOff: Back-off 300s restarting failed; 12 restarts; last exit code 1 (Error)"
        assert letter.detail == f"web: {crash}; rolled back to acme/shop:1"
        assert [notice.outcome for notice in scene.told] == ["rolled-back"]

    def test_the_time_is_azures_time(self) -> None:
        scene = Scene()
        ahead = timedelta(seconds=30)
        get = scene.azure.get

        class Azure:
            put, restart = scene.azure.put, scene.azure.restart

            def get(self, target: TargetId) -> ContainerGroup:
                return ContainerGroup(get(target).raw, ahead)

        scene.look(groups=Azure())
        assert scene.record.change is not None
        assert scene.record.change.began_at == at(30)

    def test_a_group_in_the_shared_list_is_not_read_by_itself(self) -> None:
        scene = Scene(live(containers={"web": container(candidate(TWO))}))
        scene.watch.shown = group(OLD, state="Updating")
        assert scene.look() == again(5)
        assert "before get" not in scene.calls
        assert scene.record.stuck == Patience(looked_at=at(0))

    def test_the_targets_secrets_count_as_configured(self) -> None:
        login = {"server": "r.io", "username": "u", "password": "p"}
        definition = group_of(OLD, imageRegistryCredentials=[login])
        target = Target(SHOP, everything=parse_policy("any"), secrets={"registry/r.io": "env:PASSWORD"})
        scene = Scene(definition=definition, target=target)
        assert scene.look() == again(5)
        assert scene.images == NEW
        scene = Scene(definition=definition)
        scene.look()
        assert [letter.code for letter in scene.letters] == ["MissingSecrets"]
        assert scene.images == OLD

    def test_what_azure_says_is_redacted_before_it_is_written(self) -> None:
        failed = Undone(message=TWO, code="C", detail="password=hunter2", containers=("web",))
        scene = Scene(live(undone=(failed,), containers={"web": container()}))
        scene.on("poison send", *[QUEUE_DOWN] * 3)
        scene.look()
        assert "password=***" in scene.record.outbox[0].detail
        assert "hunter2" not in scene.record.model_dump_json()

    @pytest.mark.parametrize("said", ["x" * (LONGEST_DETAIL - 9) + "hunter2" + "x" * 99, "hunter2"])
    def test_evidence_is_redacted_before_it_is_cut(self, said: str) -> None:
        # Regression: evidence was cut first, so that a part of a secret stayed in the record and in the dead letter.
        scene = Scene(live(change=change(images=NEW), containers={"web": container(candidate(TWO))}), images=NEW)
        failed = event("Failed", 5, f'Failed to pull image "acme/shop:2": {said}', "Warning")
        scene.watch.shown = group(NEW, {"web": waiting() | {"events": [failed]}})
        scene.on("put", RemoteError("arm", 409, "ContainerGroupTransitioning", "later"))
        scene.look()
        kept = f"{scene.record.model_dump_json()}{scene.letters}"
        assert "ImagePullFailed" in kept
        assert "hunt" not in kept

    def test_half_a_surrogate_pair_in_what_azure_says_keeps_no_group_from_being_rolled_back(self) -> None:
        # Regression: no record could be written with it, so that the group was looked at again and again.
        scene = Scene(live(change=change(images=NEW), containers={"web": container(candidate(TWO))}), images=NEW)
        failed = event("Failed", 5, 'Failed to pull image "acme/shop:2": cut in a smiley \ud83d', "Warning")
        scene.watch.shown = group(NEW, {"web": waiting() | {"events": [failed]}})
        scene.look(redact=Redaction().text)
        assert [undone.detail[-2:] for undone in scene.record.undone] == [" \ufffd"]
        assert "before put" in scene.calls

    @pytest.mark.parametrize(("events", "reads"), [(True, 1), (False, 0)])
    def test_a_worker_that_did_not_send_the_secrets_reads_them_before_it_keeps_evidence(
        self, events: bool, reads: int
    ) -> None:
        target = Target(SHOP, {"web": ContainerRule(parse_policy("any"))}, secrets={"registry/r.io": "env:R"})
        scene = Scene(live(), images=OLD, target=target)
        trouble = [event("BackOff", 5, "hunter2", "Warning")] if events else []
        login = [{"server": "r.io", "username": "u"}]
        scene.watch.shown = group(OLD, {"web": running(-99, *trouble)}, imageRegistryCredentials=login)
        looking = scene.looking()
        for _ in range(2):
            looking.look(LIVE, lambda: True)
        assert len(scene.resolved) == reads


class TestLookups:
    def test_the_registry_is_asked_for_the_best_push_alone(self) -> None:
        asked: list[str] = []

        def told(push: Push) -> str:
            asked.append(push.tag)
            return digest(push.tag)

        scene = Scene(live(message("1.9"), message("3", pushed=2), message("2", pushed=1)))
        scene.look(digest=told)
        assert asked == ["3"]
        assert scene.images == {"web": "acme/shop:3"}
        assert [each.digest for each in scene.record.containers["web"].candidates] == [digest("3"), None, None]

    @pytest.mark.parametrize(("there", "asked"), [(MOST_LOOKUPS + 1, MOST_LOOKUPS), (MOST_LOOKUPS, MOST_LOOKUPS)])
    def test_only_a_few_pushes_are_looked_up_in_one_look(self, there: int, asked: int) -> None:
        containers = {f"c{number:02}": f"acme/c{number:02}:1" for number in range(there)}
        pushes = [message("2", name=name, repository=f"acme/{name}") for name in containers]
        scene = Scene(live(*pushes), images=containers)
        scene.look()
        assert scene.calls.count("before digest") == asked
        assert list(scene.images.values()).count("acme/c00:2") == 1
        assert sum(image.endswith(":2") for image in scene.images.values()) == asked

    def test_an_image_that_does_not_exist_is_looked_up_again_in_the_next_look(self) -> None:
        scene = Scene()
        absent = RemoteError("registry", 404, "ManifestUnknown", "no manifest")
        scene.on("digest", absent, absent, absent)
        with capture_logs() as lines:
            assert scene.look() == again(5)
        assert [line["detail"] for line in lines if line["event"] == "image not found"] == [
            "registry: ManifestUnknown (404): no manifest"
        ]
        assert scene.calls.count("before digest") == 1
        scene.clock.advance(5)
        assert scene.look() == again(5)
        assert scene.letters == []
        scene.clock.advance(5)
        assert scene.look() == Complete()
        assert [(each.code, each.attempts) for each in scene.letters] == [("ManifestUnknown", 3)]
        assert scene.images == OLD

    def test_an_image_that_did_not_exist_is_not_put_while_its_registry_gives_no_answer(self) -> None:
        scene = Scene()
        # In the looks after the first one the registry tells nothing, and is asked once in each.
        scene.on("digest", RemoteError("registry", 404, "ManifestUnknown", "no manifest"))
        for looks in (1, 2):
            assert scene.look() == again(5)
            assert scene.calls.count("before digest") == looks
            assert scene.images == OLD
            scene.clock.advance(5)
        assert scene.look() == Complete()
        assert [(each.code, each.attempts) for each in scene.letters] == [("ManifestUnknown", 3)]
        assert scene.images == OLD


class TestTheLease:
    def test_without_it_nothing_is_sent(self) -> None:
        scene = Scene()
        with pytest.raises(LeaseLost):
            scene.look(lease_holds=lambda: False)
        assert scene.images == OLD

    def test_without_it_nothing_is_told(self) -> None:
        scene = Scene(live(outbox=(ending(),), containers={"web": container()}))
        with pytest.raises(LeaseLost, match=r"^live$"):
            scene.look(lease_holds=lambda: False)
        assert (scene.told, scene.letters, len(scene.record.outbox)) == ([], [], 1)


class TestVoid:
    """Looks that no record names."""

    @pytest.mark.parametrize("kept", [timer(0, "newer"), None])
    @pytest.mark.parametrize("count", [1, 2])
    def test_a_look_from_the_past_is_void_after_one_read(self, kept: Any, count: int) -> None:
        scene = Scene(live(TWO, timer=kept, count=count))
        assert scene.look() == Complete()
        assert scene.calls == ["before load", "after load"]

    @pytest.mark.parametrize("kept", [timer(0, "before"), None])
    @pytest.mark.parametrize(
        ("attempts", "delay"), [(0, 0.5), (1, 1), (5, 16), (6, LEASE), (FROM_THE_FUTURE - 1, LEASE)]
    )
    def test_a_look_from_the_future_waits_until_its_sender_has_written(
        self, kept: Any, attempts: int, delay: float
    ) -> None:
        scene = Scene(live(TWO, timer=kept, count=0))
        settled = scene.look(tired(attempts, EARLY))
        assert settled == again(delay, attempts=attempts + 1, trouble=EARLY)
        assert set(scene.calls) == {"before load", "after load"}

    def test_a_look_from_the_future_does_not_wait_for_ever(self) -> None:
        scene = Scene(live(TWO, timer=None, count=0))
        assert scene.look(tired(FROM_THE_FUTURE, EARLY)) == Complete()

    def test_a_look_that_the_record_names_counts_whatever_its_count_is(self) -> None:
        assert Scene(live(TWO, count=0)).look() == again(5)


def ending(of: str = "1", result: Any = "failed") -> Ending:
    return Ending(message=message(of), result=result, detail="so it was", code="C", at=at(0))


class TestTelling:
    def test_an_end_is_written_then_told_then_removed_from_the_outbox(self) -> None:
        failed = Undone(message=message("1"), code="CrashLoop", detail="it crashes", containers=("web",))
        scene = Scene(live(undone=(failed,), containers={"web": container()}))
        assert scene.look() == Complete()
        order = [call for call in scene.calls if call in {"after save", "after poison send"}]
        assert order == ["after save", "after poison send", "after save"]
        assert (scene.record.outbox, scene.record.timer, len(scene.letters)) == ((), None, 1)

    def test_an_earlier_end_is_told_before_anything_else_is_done(self) -> None:
        # Otherwise a change that Azure refuses for hours would keep it from ever being told.
        scene = Scene(live(TWO, outbox=(ending(),)))
        assert scene.look() == again(0)
        order = [call for call in scene.calls if call in {"before get", "after save", "after poison send"}]
        assert order == ["after poison send", "after save"]
        assert scene.record == live(TWO)
        assert scene.look() == again(5)
        assert scene.images == NEW

    def test_after_a_worker_dies_before_telling_an_end_is_still_told(self) -> None:
        scene = Scene(live(outbox=(ending(),), containers={"web": container()}))

        def die() -> None:
            raise Died

        scene.on("poison send", die)
        with pytest.raises(Died):
            scene.look()
        assert (len(scene.record.outbox), scene.record.timer) == (1, timer(0))
        assert scene.look() == again(0)
        assert scene.look() == Complete()
        assert len(scene.letters) == 1

    def test_a_push_that_fails_on_the_group_is_logged_at_once_and_only_once(self) -> None:
        scene = Scene()
        scene.azure.image("acme/shop:2", "crash-loop")
        scene.look()
        with capture_logs() as lines:
            scene.look_on(12)
            scene.look_on(5)
        told = [line for line in lines if line["event"] == "push failed on the group"]
        crash = "CrashLoopBackOff: Back-off 300s restarting failed; 12 restarts; last exit code 1 (Error)"
        assert [(line["push"], line["code"], line["detail"]) for line in told] == [("2", "CrashLoop", f"web: {crash}")]

    def test_a_dead_letter_that_can_not_be_sent_is_sent_by_a_later_look(self) -> None:
        scene = Scene(live(outbox=(ending(),), containers={"web": container()}))
        scene.on("poison send", *[QUEUE_DOWN] * 3)
        settled = scene.look()
        assert isinstance(settled, Reschedule)
        assert (settled.message.attempts, len(scene.record.outbox)) == (1, 1)
        scene.look()
        assert (scene.record.outbox, len(scene.letters)) == ((), 1)

    def test_a_changed_address_is_told_once_although_no_push_has_ended(self) -> None:
        moved = change(OLD, asked={}, touched=frozenset(), address={"ip": "20.50.0.9"}, since=-60)
        scene = Scene(
            live(change=moved, containers={"web": container()}),
            definition=group_of(OLD, ipAddress={"type": "Public", "ports": [{"port": 80, "protocol": "TCP"}]}),
        )
        before = counted("aci_hooks_address_changes_total")
        assert scene.look() == Complete()
        assert scene.look() == Complete()
        assert counted("aci_hooks_address_changes_total") == before + 1
        assert (scene.record.address_changes, scene.record.timer) == ((), None)

    def test_an_end_during_a_watched_change_is_told_without_moving_the_next_look(self) -> None:
        # The older push has ended because the newer one is on the group already.
        old = message("0", pushed=-9, name="old")
        now = live(old, containers={"web": container(candidate(TWO), goods=(good("1", pushed=-5),))}, change=change())
        scene = Scene(now, images=NEW)
        scene.clock.advance(4)
        scene.watch.shown = group(NEW, state="Updating")
        assert scene.look() == again(5)
        assert (scene.record.outbox, scene.record.timer) == ((), timer(9))
        assert [(each.id, each.result) for each in scene.record.outcomes] == [("old", "superseded")]

    def test_after_a_conflict_while_telling_the_next_look_is_at_once(self) -> None:
        scene = Scene(live(outbox=(ending(),), containers={"web": container()}))
        scene.on("poison send", lambda: scene.rewrite(lambda now: now.but(inbox=(TWO,))))
        assert scene.look() == again(0)
        now = scene.record
        assert (now.outbox, now.inbox, now.timer, len(scene.letters)) == ((), (TWO,), timer(0), 1)

    def test_an_end_that_another_worker_adds_meanwhile_stays_in_the_outbox(self) -> None:
        scene = Scene(live(outbox=(ending(),), containers={"web": container()}))
        scene.on("poison send", lambda: scene.rewrite(lambda now: now.but(outbox=(*now.outbox, ending("5")))))
        assert scene.look() == again(0)
        assert scene.record.outbox == (ending("5"),)

    @pytest.mark.parametrize("conflicts", [CONFLICTS - 1, CONFLICTS])
    def test_if_others_write_all_the_time_an_end_is_told_a_second_time(self, conflicts: int) -> None:
        scene = Scene(live(outbox=(ending(),), containers={"web": container()}))
        scene.on("poison send", lambda: scene.on("save", *[conflict()] * conflicts))
        forgotten = conflicts < CONFLICTS
        assert scene.look() == again(0 if forgotten else chance().uniform(0, 1))
        assert len(scene.record.outbox) == (0 if forgotten else 1)


class TestOthersWrite:
    def test_the_look_decides_again(self) -> None:
        scene = Scene()
        newer = message("3", pushed=1)
        scene.on("save", lambda: scene.rewrite(lambda now: now.but(inbox=(*now.inbox, newer))))
        assert scene.look() == again(5)
        assert scene.images == {"web": "acme/shop:3"}

    def test_if_that_goes_on_the_look_comes_again_in_a_moment(self) -> None:
        scene = Scene()
        scene.on("save", *[conflict()] * CONFLICTS)
        assert scene.look(tired(3, "x")) == again(chance().uniform(0, 1), attempts=3, trouble="x")
        scene.on("save", *[conflict()] * (CONFLICTS - 1))
        assert scene.look() == again(5)

    def test_a_look_that_was_replaced_meanwhile_is_void(self) -> None:
        scene = Scene()
        scene.on("save", lambda: scene.rewrite(lambda now: now.but(timer=timer(0, "newer"), count=2)))
        assert scene.look() == Complete()
        assert scene.images == OLD


class TestNobodyCouldLook:
    def test_the_look_is_tried_again_and_its_new_time_is_written(self) -> None:
        scene = Scene()
        scene.on("get", THROTTLED)
        delay = 17 + min(chance().uniform(0, 5), 1.0)
        before = counted("aci_hooks_step_failures_total", code="TooManyRequests")
        with capture_logs() as lines:
            assert scene.look() == again(delay, attempts=1, trouble="TooManyRequests", waited=delay)
        late = timer(0, trouble=str(THROTTLED)).but(due=at(0) + timedelta(seconds=delay))
        assert scene.record == live(TWO, timer=late)
        assert counted("aci_hooks_step_failures_total", code="TooManyRequests") == before + 1
        assert [(line["event"], line["code"], line["attempts"], line["again_in"]) for line in lines] == [
            ("look failed", "TooManyRequests", 1, round(delay, 1))
        ]

    def test_a_look_that_succeeds_forgets_the_trouble_and_the_time_that_azure_had_named(self) -> None:
        kept = timer(0, throttled=True, trouble="TooManyRequests: slower")
        scene = Scene(live(containers={"web": container(candidate(TWO))}, timer=kept))
        scene.watch.shown = group(OLD, state="Updating")
        scene.look()
        assert scene.record.timer == timer(5)

    def test_a_look_that_succeeds_forgets_the_tries_before_it(self) -> None:
        scene = Scene(live(TWO, containers={"web": container(candidate(TWO))}))
        scene.watch.shown = group(OLD, state="Updating")
        assert scene.look(tired(7, "TooManyRequests", 99.0)) == again(5)

    def test_each_kind_of_trouble_has_its_own_tries(self) -> None:
        # Regression: after thirty errors of a server that was down, one worker with an older file dropped the pushes.
        scene = Scene()
        assert scene.look(tired(UNKNOWN_TARGET, DOWN.code, 99.0), targets=Elsewhere()) == again(
            1, attempts=1, trouble=UNKNOWN, waited=99.0
        )
        scene.on("put", RemoteError("arm", 409, "InaccessibleImage", "not accessible"))
        settled = scene.look(tired(9, DOWN.code))
        assert isinstance(settled, Reschedule)
        assert (settled.message, scene.record.outbox) == (tired(1, "InaccessibleImage", settled.delay), ())

    def test_a_poison_queue_that_is_down_fails_no_push(self) -> None:
        scene = Scene(live(TWO, outbox=(ending(),)))
        refused = RemoteError("queue", 403, "AuthorizationFailed", "no role", 0)
        scene.on("poison send", *[refused] * 3)
        assert isinstance(scene.look(tired(99, refused.code, 99999.0)), Reschedule)
        assert (scene.record.inbox, scene.letters) == ((TWO,), [])

    def test_an_unforeseen_error_is_tried_again_and_logged_as_a_bug(self) -> None:
        scene = Scene()
        scene.on("get", ValueError("a bug"))
        with capture_logs() as lines:
            settled = scene.look()
        assert isinstance(settled, Reschedule)
        assert settled.message.attempts == 1
        assert [line["event"] for line in lines] == ["look failed, retrying", "look failed"]
        assert lines[0]["exc_info"]

    @pytest.mark.parametrize("attempts", [6, 7])
    def test_after_the_last_try_the_pushes_fail(self, attempts: int) -> None:
        scene = Scene()
        scene.on("get", ValueError("a bug"))
        with capture_logs():
            settled = scene.look(tired(attempts, "ValueError"))
        over = attempts == 7
        assert (settled == Complete()) == over
        assert [(each.code, each.detail, each.attempts) for each in scene.letters] == (
            [("ValueError", "a bug", 8)] if over else []
        )

    def test_an_outage_of_azure_is_waited_for_for_hours(self) -> None:
        scene = Scene()
        scene.on("get", DOWN, DOWN)
        of = tired(400, "ServiceUnavailable", 21599.0)
        assert isinstance(scene.look(of), Reschedule)
        assert scene.letters == []
        assert scene.look(of.model_copy(update={"waited": 21600.0})) == Complete()
        assert [(each.code, each.attempts) for each in scene.letters] == [("ServiceUnavailable", 401)]

    def test_an_outage_of_the_records_is_waited_for(self) -> None:
        scene = Scene()
        scene.on("load", *[RECORDS_DOWN] * 3)
        settled = scene.look()
        assert isinstance(settled, Reschedule)
        assert settled.message.attempts == 1
        assert scene.calls.count("before load") == 4

    def test_the_new_time_is_written_only_if_it_can_be(self) -> None:
        for trouble in (conflict(), ValueError("unreadable")):
            scene = Scene()
            scene.on("get", DOWN)
            scene.on("save", trouble)
            assert isinstance(scene.look(), Reschedule)
            assert scene.record.timer == timer(0)

    def test_the_timer_of_another_look_is_left_alone(self) -> None:
        scene = Scene()
        theirs = live(TWO, timer=timer(0, "newer"), count=2)

        def others_write_and_azure_is_down() -> None:
            scene.rewrite(lambda _now: theirs)
            raise DOWN

        scene.on("get", others_write_and_azure_is_down)
        scene.look()
        assert scene.record == theirs

    def test_what_azure_said_is_redacted(self) -> None:
        scene = Scene()
        scene.on("get", RemoteError("arm", 400, "InvalidRequestContent", "password=hunter2"))
        with capture_logs() as lines:
            assert scene.look() == Complete()
        assert "password=***" in scene.letters[0].detail
        assert "hunter2" not in f"{lines}{scene.record.model_dump_json()}"
        assert [line["event"] for line in lines if line["log_level"] == "error"] == [
            "look failed, giving up",
            "ended",
            "dead letter",
        ]


class TestGivingUp:
    def give_up(self, scene: Scene, failure: Any = None, of: Look = LIVE) -> Settlement:
        return scene.looking().give_up(of, failure or Permanent("C", "so it was"))

    def test_everything_that_waits_fails_and_the_group_rests(self) -> None:
        scene = Scene(live(TWO, containers={"web": container(candidate(message("3")))}))
        assert self.give_up(scene, of=tired(4, "C")) == Complete()
        assert {(each.message.id, each.code, each.detail, each.attempts) for each in scene.letters if each.message} == {  # type: ignore[union-attr]
            ("2", "C", "so it was", 5),
            ("3", "C", "so it was", 5),
        }
        assert (scene.record.waiting(), scene.record.timer, scene.record.outbox) == ({}, None, ())
        assert [each.circumstance for each in scene.record.containers["web"].failures] == [True], (
            "nobody has seen the image"
        )

    def test_after_a_circumstance_the_same_push_may_come_again(self) -> None:
        scene = Scene(live(containers={"web": container(candidate(TWO))}))
        self.give_up(scene, Transient("ServiceUnavailable", "later", circumstance=True))
        assert [each.circumstance for each in scene.record.containers["web"].failures] == [True]

    def test_a_circumstance_does_not_fail_a_push_that_is_on_the_group(self) -> None:
        later = candidate(message("3", pushed=1))
        now = live(containers={"web": container(later, candidate(TWO))}, change=change())
        scene = Scene(now)
        assert self.give_up(scene, Transient("ServiceUnavailable", "later", circumstance=True)) == again(600)
        assert [each.message for each in scene.letters] == [later.message]
        assert [each.id for each in scene.record.containers["web"].candidates] == ["2"]
        assert scene.record.timer == timer(600)

    def test_any_other_failure_does(self) -> None:
        scene = Scene(live(containers={"web": container(candidate(TWO))}, change=change()))
        assert self.give_up(scene) == again(600)
        assert [(each.code, each.detail) for each in scene.letters] == [("C", "so it was; not rolled back: so it was")]
        assert scene.record.containers["web"].candidates == ()

    def test_an_earlier_failure_is_not_rolled_back_and_that_is_told(self) -> None:
        failed = Undone(message=message("1"), code="CrashLoop", detail="it crashes", containers=("web",))
        scene = Scene(live(undone=(failed,), containers={"web": container()}))
        self.give_up(scene)
        assert [each.detail for each in scene.letters] == ["it crashes; not rolled back: so it was"]

    @pytest.mark.parametrize("code", ["ResourceNotFound", "ResourceGroupNotFound"])
    def test_a_group_that_is_gone_is_forgotten(self, code: str) -> None:
        now = live(
            TWO,
            containers={"web": container(candidate(message("3")))},
            change=change(asked={}),
            flights=(Flight(generation=1, sent_at=at(0)),),
            stuck=Patience(looked_at=at(0)),
            undone=(Undone(message=message("1"), code="C", detail="it crashes", containers=("web",)),),
            apart=True,
            hold=Hold(reason="audit", since=at(0)),
            swept=True,
        )
        scene = Scene(now)
        assert self.give_up(scene, Permanent(code, "gone")) == Complete()
        left = scene.record
        assert (left.containers, left.change, left.flights, left.stuck, left.apart) == ({}, None, (), None, False)
        assert (left.timer, left.swept, left.undone, left.inbox) == (None, False, (), ())
        # An operator set the hold, and only an operator releases it.
        assert left.hold == now.hold
        assert {(each.message.id, each.code) for each in scene.letters if isinstance(each.message, UpdateMessage)} == {
            ("1", "C"),
            ("2", code),
            ("3", code),
        }

    def test_a_push_that_was_watched_on_a_group_that_is_gone_fails(self) -> None:
        scene = Scene()
        scene.look()
        scene.clock.advance(5)
        scene.on("get", RemoteError("arm", 404, "ResourceNotFound", "gone"))
        assert scene.look() == Complete()
        assert [(each.code, each.message) for each in scene.letters] == [("ResourceNotFound", TWO)]
        assert [(each.id, each.result) for each in scene.record.outcomes] == [("2", "failed")]

    def test_a_rollback_by_hand_on_a_group_that_is_gone_fails(self) -> None:
        pinned = container(pin=pin(good("0")), goods=(good("1"), good("0")))
        scene = Scene(live(containers={"web": pinned}, hold=Hold(reason="rolled back", since=at(0))))
        scene.on("get", RemoteError("arm", 404, "ResourceNotFound", "gone"))
        assert scene.look() == Complete()
        assert [(each.id, each.result) for each in scene.record.outcomes] == [("back", "failed")]

    def test_a_single_look_shows_that_a_group_is_really_gone(self) -> None:
        scene = Scene(images=OLD)
        there = scene.azure.get(SHOP)
        assert there.images == OLD
        scene.on("get", RemoteError("arm", 404, "ResourceNotFound", "gone"))
        assert scene.look() == Complete()
        assert [each.code for each in scene.letters] == ["ResourceNotFound"]

    @pytest.mark.parametrize(
        "unfinished",
        [{"change": change()}, {"flights": (Flight(generation=1, sent_at=at(0)),)}],
        ids=["change", "flight"],
    )
    @pytest.mark.parametrize("tell", [True, False])
    def test_a_change_that_may_still_take_effect_is_looked_at_later(self, unfinished: Any, *, tell: bool) -> None:
        containers = {"web": container(candidate(TWO)) if tell else container()}
        scene = Scene(live(containers=containers, **unfinished))
        assert self.give_up(scene, of=tired(9, "C", 99.0)) == again(600)
        assert scene.record.timer == timer(600)
        assert (scene.record.change, scene.record.flights) != (None, ())

    def test_without_anything_to_tell_the_group_rests_at_once(self) -> None:
        scene = Scene(live(containers={"web": container()}))
        assert self.give_up(scene) == Complete()
        assert (scene.record.timer, scene.saves()) == (None, 1)

    def test_a_look_that_the_record_does_not_name_gives_nothing_up(self) -> None:
        for kept in (timer(0, "newer"), None):
            scene = Scene(live(TWO, timer=kept))
            assert self.give_up(scene) == Complete()
            assert (scene.letters, scene.record.inbox) == ([], (TWO,))

    def test_while_the_records_are_down_nothing_is_given_up(self) -> None:
        scene = Scene()
        scene.on("load", *[RECORDS_DOWN] * 3)
        with pytest.raises(RemoteError):
            self.give_up(scene)
        assert scene.letters == []

    @pytest.mark.parametrize("trouble", [[RECORDS_DOWN] * 3, [conflict()]], ids=["down", "written by others"])
    def test_a_group_that_can_not_be_given_up_is_looked_at_again(self, trouble: list[Exception]) -> None:
        scene = Scene()
        scene.on("get", REFUSED)
        scene.on("save", *trouble)
        assert scene.look() == again(5, attempts=1, trouble=REFUSED.code, waited=5.0)
        assert (scene.letters, scene.record.inbox) == ([], (TWO,))


class TestCrashes:
    @pytest.mark.parametrize(
        ("due", "crashes", "never"),
        [(0, 3, False), (-45, 3, False), (-46, 3, True), (-46, 4, False), (-61, 4, True)],
    )
    def test_looks_that_never_wrote_their_next_time_crashed(self, due: float, crashes: int, *, never: bool) -> None:
        scene = Scene(live(TWO, timer=timer(due)))
        assert scene.looking().never_got_to_write(LIVE, crashes) == never

    @pytest.mark.parametrize("kept", [timer(-9999, "newer"), None])
    def test_a_look_that_no_record_names_did_not_crash(self, kept: Any) -> None:
        assert not Scene(live(TWO, timer=kept)).looking().never_got_to_write(LIVE, 3)


class Elsewhere:
    """Targets that this worker does not know, or whose tags are bad."""

    def __init__(self, found: BadTags | Target | None = None) -> None:
        self.found = found

    def target_of(self, _group: ContainerGroup) -> BadTags | Target | None:
        return self.found


class TestUnknownTargets:
    def test_a_target_that_only_another_worker_knows_is_left_to_it(self) -> None:
        scene = Scene()
        with capture_logs() as lines:
            assert scene.look(targets=Elsewhere()) == again(1, attempts=1, trouble=UNKNOWN)
        assert scene.record == live(TWO, timer=timer(1))
        assert lines == [{"event": "waiting", "log_level": "info", "reason": FOR_OTHERS, "again_in": 1.0}]

    @pytest.mark.parametrize(("attempts", "delay"), [(1, 2), (5, 32), (6, 60), (29, 60)])
    def test_the_longer_that_goes_on_the_rarer_the_looks_become(self, attempts: int, delay: float) -> None:
        scene = Scene()
        settled = scene.look(tired(attempts, UNKNOWN), targets=Elsewhere())
        assert settled == again(delay, attempts=attempts + 1, trouble=UNKNOWN)
        assert scene.letters == []

    def test_the_pause_is_limited_even_where_no_pace_is_too_slow(self) -> None:
        scene = Scene()
        scene.rules = replace(RULES, slow=timedelta(days=1))
        settled = scene.look(tired(29, UNKNOWN), targets=Elsewhere())
        assert settled == again(1024, attempts=30, trouble=UNKNOWN)

    def test_after_half_an_hour_the_group_is_no_longer_a_target(self) -> None:
        containers = {"web": container(candidate(message("3")))}
        flight = Flight(generation=1, sent_at=at(0))
        scene = Scene(live(TWO, containers=containers, change=change(asked={}), flights=(flight,)))
        assert scene.look(tired(UNKNOWN_TARGET, UNKNOWN), targets=Elsewhere()) == Complete()
        now = scene.record
        assert {(each.id, each.result, each.detail, each.containers) for each in now.outcomes} == {
            ("2", "ignored", "the group is no longer a target", ()),
            ("3", "ignored", "the group is no longer a target", ()),
        }
        assert (now.waiting(), now.change, now.timer, now.outbox, scene.letters) == ({}, None, None, (), [])
        assert now.containers["web"].past == ("acme/shop:3",)

    def test_an_unproven_image_on_the_group_has_failed_by_then(self) -> None:
        scene = Scene(live(containers={"web": container(candidate(TWO))}, change=change()))
        assert scene.look(tired(UNKNOWN_TARGET, UNKNOWN), targets=Elsewhere()) == Complete()
        assert [(each.code, each.detail) for each in scene.letters] == [
            ("TargetRemoved", "left on the group unproven; the group is no longer a target")
        ]
        assert (scene.record.change, scene.record.waiting(), scene.record.undone) == (None, {}, ())

    def test_an_earlier_failure_is_told_by_then(self) -> None:
        failed = Undone(message=message("1"), code="CrashLoop", detail="it crashes", containers=("web",))
        scene = Scene(live(undone=(failed,), containers={"web": container()}))
        scene.look(tired(UNKNOWN_TARGET, UNKNOWN), targets=Elsewhere())
        assert [(each.code, each.detail) for each in scene.letters] == [
            ("CrashLoop", "it crashes; the group is no longer a target")
        ]

    def test_without_anything_to_tell_the_group_rests_at_once(self) -> None:
        scene = Scene(live(containers={"web": container()}))
        assert scene.look(tired(UNKNOWN_TARGET, UNKNOWN), targets=Elsewhere()) == Complete()
        assert (scene.record.timer, scene.saves()) == (None, 1)

    def test_a_worker_that_knows_the_target_goes_on_where_the_others_waited(self) -> None:
        scene = Scene()
        scene.look(targets=Elsewhere())
        assert scene.look(tired(1, UNKNOWN)) == again(5)
        assert scene.images == NEW

    @pytest.mark.parametrize(
        "rule", [{}, {"web": ContainerRule(parse_policy("any"), None)}, {"jobs": ContainerRule(parse_policy("any"))}]
    )
    def test_a_container_that_this_workers_file_does_not_know_is_left_to_the_others(self, rule: Any) -> None:
        # Regression: a worker with an older targets file dropped a rollout in progress.
        now = live(containers={"web": container(candidate(TWO))})
        scene = Scene(now)
        known = "web" in rule
        settled = scene.look(targets=FixedTargets(Target(SHOP, rule)))
        assert settled == (again(5) if known else again(1, attempts=1, trouble=UNKNOWN))
        assert scene.images == (NEW if known else OLD)
        assert scene.record.containers["web"].candidates != ()

    def test_after_half_an_hour_its_pushes_end(self) -> None:
        scene = Scene(live(containers={"web": container(candidate(TWO))}))
        of = tired(UNKNOWN_TARGET, UNKNOWN)
        assert scene.look(of, targets=FixedTargets(Target(SHOP))) == Complete()
        assert [(each.id, each.result, each.detail) for each in scene.record.outcomes] == [
            ("2", "ignored", "the container is no longer kept up to date")
        ]

    def test_bad_resource_tags_wait_for_their_owner_for_ever(self) -> None:
        bad = Elsewhere(BadTags(SHOP, ("the tag a is odd", "the tag b is odd")))
        scene = Scene()
        with capture_logs() as lines:
            assert scene.look(targets=bad) == again(1, attempts=1, trouble=UNKNOWN)
        assert scene.record.timer == timer(1, owner=True)
        assert [line["reason"] for line in lines] == ["the tag a is odd; the tag b is odd"]
        of = tired(UNKNOWN_TARGET, UNKNOWN)
        assert scene.look(of, targets=bad) == again(60, attempts=UNKNOWN_TARGET + 1, trouble=UNKNOWN)
        assert scene.record.inbox == (TWO,)


class TestOwners:
    def test_a_stopped_group_is_looked_at_slowly_and_its_timer_waits_for_the_owner(self) -> None:
        scene = Scene(images=OLD, state="Stopped")
        assert scene.look() == again(60)
        assert scene.record.timer == timer(60, owner=True)
        assert scene.images == OLD

    def test_a_group_held_by_hand_rests(self) -> None:
        scene = Scene(live(TWO, hold=Hold(reason="audit", since=at(0))))
        assert scene.look() == Complete()
        assert (scene.record.timer, "before digest" in scene.calls) == (None, False)
        assert [each.id for each in scene.record.containers["web"].candidates] == ["2"]

    def test_a_rollback_by_hand_is_put_although_the_group_is_held(self) -> None:
        pinned = container(pin=pin(good("0")), goods=(good("1"), good("0")))
        scene = Scene(live(hold=Hold(reason="rolled back", since=at(0)), containers={"web": pinned}))
        assert scene.look() == again(5)
        assert scene.images == {"web": "acme/shop:0"}


class TestForeignImages:
    def test_a_record_that_wants_another_repository_changes_nothing_and_waits_for_repair(self) -> None:
        evil = candidate(TWO, "evil/miner:1")
        scene = Scene(live(containers={"web": container(evil)}))
        with capture_logs() as lines:
            settled = scene.look()
        assert isinstance(settled, Reschedule)
        assert settled.message.attempts == 1
        (line,) = [line for line in lines if line["event"] == "look failed"]
        assert (line["code"], line["detail"]) == (
            "UnreadableRecord",
            "records: UnreadableRecord: the record of sub/web/shop wants images of other repositories: "
            "web: evil/miner:1; nothing was changed: delete the blob",
        )
        assert scene.images == OLD
        assert scene.record.change is None


class TestRefused:
    def test_of_several_pushes_tried_apart_only_the_bad_one_fails(self) -> None:
        five = message("5", repository="acme/jobs")
        scene = Scene(live(TWO, five), images=OLD | {"jobs": "acme/jobs:4"})
        scene.on("put", REFUSED)
        assert scene.look() == again(0)
        assert scene.record.apart
        scene.on("put", REFUSED)
        assert scene.look() == again(0)
        assert scene.look() == again(0)
        assert [each.message for each in scene.letters] == [five]
        assert scene.look() == again(5)
        assert scene.images == {"web": "acme/shop:2", "jobs": "acme/jobs:4"}

    def test_a_change_without_an_answer_does_not_fail_its_push(self) -> None:
        scene = Scene()
        scene.on("after put", NO_ANSWER)
        scene.look()
        scene.look_on(20)
        assert scene.look_on(80) == Complete()
        assert [(each.id, each.result) for each in scene.record.outcomes] == [("2", "updated")]
        assert scene.truth["effective_puts"] == 1
