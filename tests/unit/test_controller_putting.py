"""Putting: a change is sent only while the lease holds, and what became of it is written whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.leased_message import LeaseLost
from shared.message import Look
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
    good,
    message,
    record,
    timer,
)
from tests.unit.controller_builders import (
    BUSY,
    NO_ANSWER,
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
from worker.controller.putting import Putting
from worker.controller.settlement import Reschedule, Settlement
from worker.controller.timers import CONFLICTS
from worker.core.landing import not_made
from worker.failures.classify import Permanent, Retry
from worker.groups.health import LONG_AGO
from worker.ports import Conflict
from worker.record.record import Record
from worker.record.values import Flight
from worker.targets.target import Target, single_target

LOOK = Look(target=SHOP, token="live", count=1, attempts=2, trouble="TooManyRequests", waited=40.0, dequeued=3)
AGAIN = LOOK.model_copy(update={"attempts": 0, "trouble": "", "waited": 0.0})


def sending(**sent: Any) -> Record:
    """:2 is to be put onto web: that is in the record, and it is in flight."""
    return record(
        {"web": container(candidate(TWO))},
        change=change(**({"generation": 4} | sent)),
        generation=4,
        flights=(Flight(generation=3, sent_at=at(-20)), Flight(generation=4, sent_at=at(0))),
        timer=timer(0),
        count=1,
    )


class Scene(Bench):
    """A change that is to be sent."""

    def __init__(self, now: Record | None = None, **rest: Any) -> None:
        self.before = now or sending()
        super().__init__(self.before, None if "definition" in rest else OLD, **rest)

    def put(
        self,
        look: Look = LOOK,
        lease_holds: Callable[[], bool] = lambda: True,
        *,
        target: Target | None = None,
        retry: Retry = RETRY,
        **ports: Any,
    ) -> Settlement:
        shown = self.azure.get(SHOP)
        return Putting(self.ports(**ports), RULES, retry, chance()).put(
            look, self.before, shown, target or single_target(SHOP), lease_holds
        )


def test_a_record_without_a_change_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"^the record has no change to send$"):
        Scene(sending().but(change=None)).put()


class TestSent:
    def test_the_group_gets_the_images_and_the_change_is_no_longer_in_flight(self) -> None:
        scene = Scene()
        assert scene.put() == Reschedule(AGAIN, 5.0)
        assert scene.images == NEW
        assert scene.record == scene.before.but(flights=scene.before.flights[:1], timer=timer(5))

    def test_a_restart_restarts_the_group_and_puts_nothing(self) -> None:
        scene = Scene(sending(images=OLD, restart=True))
        scene.put()
        assert (scene.truth["restarts"], scene.truth["effective_puts"]) == (1, 0)
        assert scene.record.flights == scene.before.flights[:1]

    def test_the_rest_of_the_record_stays_as_it_is(self) -> None:
        scene = Scene(definition=group_of(OLD, restartPolicy="Never", tags={"owner": "me"}))
        scene.put()
        definition = scene.truth["definition"]
        assert (definition["tags"], definition["properties"]["restartPolicy"]) == ({"owner": "me"}, "Never")

    @pytest.mark.parametrize(
        ("how", "event"),
        [({}, "applying"), ({"restart": True}, "restarting"), ({"asked": {}}, "rolling back")],
    )
    def test_the_log_names_the_images_that_are_touched(self, how: Any, event: str) -> None:
        images = NEW | {"side": "acme/side:1"}
        scene = Scene(sending(images=images, **how), definition=group_of(OLD | {"side": "acme/side:1"}))
        with capture_logs() as lines:
            scene.put()
        assert [(line["event"], line["images"]) for line in lines] == [(event, NEW)]

    def test_withheld_secrets_are_sent_with_the_definition(self) -> None:
        login = {"server": "r.io", "username": "u", "password": "p"}
        scene = Scene(definition=group_of(OLD, imageRegistryCredentials=[login]))
        target = Target(SHOP, secrets={"registry/r.io": "env:PASSWORD"})
        scene.put(target=target)
        assert scene.resolved == [{"registry/r.io": "env:PASSWORD"}]
        (credential,) = scene.truth["definition"]["properties"]["imageRegistryCredentials"]
        assert credential["password"] == "the value of env:PASSWORD"

    def test_where_nothing_is_withheld_no_secret_is_read(self) -> None:
        scene = Scene()
        scene.put(target=Target(SHOP, secrets={"registry/r.io": "env:PASSWORD"}))
        assert scene.resolved == []


class TestTheLease:
    def test_without_it_nothing_is_sent_and_the_change_stays_in_flight(self) -> None:
        scene = Scene()
        with pytest.raises(LeaseLost, match=r"^the lease ran out before the change was sent$"):
            scene.put(lease_holds=lambda: False)
        assert (scene.images, scene.record) == (OLD, scene.before)

    def test_without_it_nothing_is_restarted(self) -> None:
        scene = Scene(sending(images=OLD, restart=True))
        with pytest.raises(LeaseLost):
            scene.put(lease_holds=lambda: False)
        assert scene.truth["restarts"] == 0

    def test_it_is_checked_at_the_last_moment(self) -> None:
        login = {"server": "r.io", "username": "u", "password": "p"}
        scene = Scene(definition=group_of(OLD, imageRegistryCredentials=[login]))
        held = True

        def take_long() -> None:
            nonlocal held
            held = False

        scene.on("resolve", take_long)
        with pytest.raises(LeaseLost):
            scene.put(lease_holds=lambda: held, target=Target(SHOP, secrets={"registry/r.io": "env:PASSWORD"}))
        assert scene.images == OLD

    def test_a_worker_that_loses_it_meanwhile_writes_the_answer_and_leaves_the_rest(self) -> None:
        scene = Scene()
        leases = iter([True, False])
        with pytest.raises(LeaseLost, match=r"^live$"):
            scene.put(lease_holds=lambda: next(leases))
        assert (scene.images, scene.record.flights) == (NEW, scene.before.flights[:1])

    def test_a_worker_that_dies_while_it_sends_leaves_the_change_in_flight(self) -> None:
        scene = Scene()

        def die() -> None:
            raise Died

        scene.on("after put", die)
        with pytest.raises(Died):
            scene.put()
        assert (scene.images, scene.record) == (NEW, scene.before)


class TestNotMade:
    """Azure's answers other than success."""

    def test_a_throttled_change_is_tried_again_when_azure_says(self) -> None:
        scene = Scene()
        scene.on("put", THROTTLED)
        delay = 17 + min(chance().uniform(0, 20), 1.0)
        before = LOOK.model_copy(update={"trouble": "TooManyRequests"})
        assert scene.put(before) == Reschedule(before.model_copy(update={"attempts": 3, "waited": 40.0 + delay}), delay)
        kept = scene.before.change
        assert kept is not None
        assert scene.record == scene.before.but(
            flights=scene.before.flights[:1],
            change=kept.but(tries=0, asked={}, touched=frozenset(), began_at=LONG_AGO),
            timer=timer(throttled=True, trouble=str(THROTTLED)).but(due=at(0) + timedelta(seconds=delay)),
        )

    @pytest.mark.parametrize(
        ("error", "look", "throttled"),
        [
            (THROTTLED, LOOK, True),
            (THROTTLED, LOOK.model_copy(update={"waited": 21600.0}), False),
            (BUSY, LOOK, False),
            (REFUSED, LOOK, False),
            (None, LOOK, False),
        ],
        ids=["Azure names the time", "for too long", "it names none", "for good", "taken"],
    )
    def test_new_pushes_wait_only_if_azure_has_named_the_time(
        self, error: RemoteError | None, look: Look, *, throttled: bool
    ) -> None:
        scene = Scene(sending().but(timer=timer(0, throttled=True)))
        if error:
            scene.on("put", error)
        scene.put(look)
        assert scene.record.timer is not None
        assert scene.record.timer.throttled == throttled

    def test_a_group_in_transition_is_tried_again_after_a_pause(self) -> None:
        scene = Scene()
        scene.on("put", BUSY)
        again = scene.put(LOOK.model_copy(update={"trouble": BUSY.code}))
        assert isinstance(again, Reschedule)
        assert again.delay == max(10.0, chance().uniform(0, 20))

    def test_a_permanent_refusal_fails_the_push_and_the_group_is_looked_at_at_once(self) -> None:
        scene = Scene()
        scene.on("put", REFUSED)
        before = counted("aci_hooks_step_failures_total", code="InvalidRequestContent")
        assert scene.put(LOOK.model_copy(update={"trouble": "InvalidRequestContent"})) == Reschedule(AGAIN, 0.0)
        sent = scene.before.change
        assert sent is not None
        said = Permanent("InvalidRequestContent", "arm: InvalidRequestContent (400): no")
        expected = not_made(scene.before.but(flights=scene.before.flights[:1]), sent, said, at(0), 3, over=True)
        assert scene.record == expected
        assert [(each.result, each.code, each.attempts) for each in scene.record.outbox] == [("failed", said.code, 3)]
        assert counted("aci_hooks_step_failures_total", code="InvalidRequestContent") == before + 1

    def test_a_refusal_that_goes_on_for_too_long_fails_the_push_too(self) -> None:
        scene = Scene()
        scene.on("put", THROTTLED)
        assert scene.put(LOOK.model_copy(update={"waited": 21600.0})) == Reschedule(AGAIN, 0.0)
        assert [each.code for each in scene.record.outbox] == ["TooManyRequests"]

    def test_earlier_attempts_count(self) -> None:
        unreadable = RemoteError("secrets", None, "SecretUnavailable", "no")
        login = {"server": "r.io", "username": "u", "password": "p"}
        definition = group_of(OLD, imageRegistryCredentials=[login])
        for attempts, ended in ((6, False), (7, True)):
            scene = Scene(definition=definition)
            scene.on("resolve", unreadable)
            scene.put(LOOK.model_copy(update={"attempts": attempts, "trouble": "SecretUnavailable"}))
            assert bool(scene.record.outbox) == ended
            assert scene.record.flights == scene.before.flights[:1]
            assert scene.images == OLD

    def test_without_an_answer_the_change_stays_in_flight_and_does_not_count_as_a_try(self) -> None:
        scene = Scene()
        scene.on("after put", NO_ANSWER)
        again = scene.put(LOOK.model_copy(update={"trouble": NO_ANSWER.code}))
        assert isinstance(again, Reschedule)
        assert (again.message.attempts, scene.images) == (3, NEW)
        kept = scene.record.change
        assert kept is not None
        assert (scene.record.flights, kept.tries, kept.asked) == (scene.before.flights, 0, {"web": "2"})

    def test_what_azure_said_is_redacted(self) -> None:
        scene = Scene()
        scene.on("put", RemoteError("arm", 400, "InvalidRequestContent", "password=hunter2"))
        with capture_logs() as lines:
            scene.put()
        assert "password=***" in scene.record.outbox[0].detail
        assert "hunter2" not in scene.record.model_dump_json() + json.dumps(lines)
        (line,) = [line for line in lines if line["event"] == "change not made"]
        assert (line["code"], line["again_in"], line["log_level"]) == ("InvalidRequestContent", 0.0, "warning")


class TestOthersMeanwhile:
    """Somebody else writes the record while the change is being sent."""

    def test_a_push_that_arrived_meanwhile_stays(self) -> None:
        scene = Scene()
        scene.on("put", lambda: scene.rewrite(lambda now: now.but(inbox=(message("3"),))))
        scene.put()
        assert scene.record.inbox == (message("3"),)
        assert scene.record.flights == scene.before.flights[:1]

    def test_a_group_that_others_brought_to_rest_is_looked_at_once_more(self) -> None:
        # The change may have taken effect after a newer one that was proven, and have replaced it.
        scene = Scene()
        rested = record({"web": container(goods=(good("3"), good("1")))}, count=1)
        scene.on("put", lambda: scene.rewrite(lambda _now: rested))
        scene.put()
        assert scene.record == rested.but(timer=timer(0, "id-1"), count=2)
        assert scene.sent == [Look(target=SHOP, token="id-1", count=2)]

    def test_a_group_that_others_look_at_by_now_is_looked_at_soon(self) -> None:
        scene = Scene()
        theirs = timer(60, "theirs")
        scene.on("put", lambda: scene.rewrite(lambda now: now.but(timer=theirs, count=2)))
        scene.put()
        assert (scene.record.timer, scene.record.count) == (timer(2, "id-1"), 3)
        assert scene.record.flights == scene.before.flights[:1]

    def test_a_late_refusal_does_not_count_for_their_change(self) -> None:
        scene = Scene()
        theirs = change(generation=5)

        def others_write_and_azure_refuses() -> None:
            scene.rewrite(lambda now: now.but(timer=timer(60, "theirs"), count=2, change=theirs))
            raise REFUSED

        scene.on("put", others_write_and_azure_refuses)
        scene.put()
        assert (scene.record.change, scene.record.outbox) == (theirs, ())

    @pytest.mark.parametrize("conflicts", [1, CONFLICTS - 1])
    def test_a_conflict_is_resolved_by_reading_the_record_again(self, conflicts: int) -> None:
        scene = Scene()
        scene.on("save", *[conflict()] * conflicts)
        assert scene.put() == Reschedule(AGAIN, 5.0)
        assert scene.record.flights == scene.before.flights[:1]
        assert scene.saves() == 1

    def test_if_others_write_all_the_time_the_look_is_tried_again(self) -> None:
        scene = Scene()
        scene.on("save", *[conflict()] * CONFLICTS)
        with pytest.raises(Conflict, match=r"^web/shop$"):
            scene.put()
