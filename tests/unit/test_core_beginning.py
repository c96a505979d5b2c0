"""A change begins: what is sent, what the record keeps about it, and what may stand in the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.builders import (
    ADDRESS,
    NEW,
    OLD,
    RULES,
    TWO,
    Json,
    at,
    candidate,
    change,
    container,
    crash_loop,
    digest,
    event,
    good,
    group,
    message,
    pin,
    record,
    running,
    the_change,
)
from worker.core.beginning import MOST_TRIES, began_unseen, begin, evidence
from worker.core.desired import Desired, desired
from worker.core.rules import Action, Put, RolloutRules, Wait
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO
from worker.record.record import Record
from worker.record.values import Change, Flight, Patience, Undone

JOBS = {"repository": "docker.io/acme/jobs", "goods": (good("4", "acme/jobs:4"),)}
SHARE: Json = {"name": "data", "azureFile": {"shareName": "s", "storageAccountName": "a"}}
LOGIN: Json = {"server": "r.io", "username": "u"}
MISSING = (
    "Azure does not return these secrets, but an update must include them; configure each of them under `secrets` "
    "in the targets file: registry/r.io, volume/data/storage-account-key"
)


def wanted(**rest: Any) -> Record:
    """:2 is wanted on web, and nothing was done yet."""
    return record({"web": container(candidate(TWO))}, **rest)


def failed(of: str = "2", *names: str) -> Undone:
    """A push that failed on the group and whose end was not told yet."""
    return Undone(message=message(of), code="CrashLoop", detail="it crashes", containers=names or ("web",))


def wishes(now: Record, shown: ContainerGroup) -> dict[str, Desired]:
    return desired(now, shown.images, rollback=True)


def begun(
    now: Record, shown: ContainerGroup, seconds: float = 7, rules: RolloutRules = RULES
) -> tuple[Record, Action | None]:
    return begin(now, shown, wishes(now, shown), rules, at(seconds))


class TestSent:
    def test_a_wanted_push_is_put_and_the_whole_change_is_recorded(self) -> None:
        pulled = running(-3600, event("Pulled", -3600, f'pulled "acme/shop@{digest("one")}"'))
        result, action = begun(wanted(generation=4), group(OLD, {"web": pulled}))
        assert action == Put(NEW, restart=False)
        assert result == wanted(
            generation=5,
            change=Change(
                generation=5,
                images=NEW,
                asked={"web": "2"},
                touched=frozenset({"web"}),
                restart=False,
                began_at=at(7),
                patience=Patience(waited=0, looked_at=at(7)),
                tries=1,
                well={"web": digest("one")},
                address=ADDRESS,
                failed_before=False,
            ),
            flights=(Flight(generation=5, sent_at=at(7)),),
        )

    def test_everything_that_is_wanted_goes_into_one_put(self) -> None:
        five = candidate(message("5", repository="acme/jobs"), "acme/jobs:5")
        now = record({"web": container(candidate(TWO)), "jobs": container(five, **JOBS)})
        result, action = begun(now, group(OLD | {"jobs": "acme/jobs:4"}))
        assert action == Put({"web": "acme/shop:2", "jobs": "acme/jobs:5"}, restart=False)
        assert the_change(result).asked == {"web": "2", "jobs": "5"}

    def test_a_container_that_is_right_keeps_its_spelling_and_is_not_touched(self) -> None:
        written = f"docker.io/acme/jobs@{digest('four')}"
        jobs = good("4", "docker.io/acme/jobs:4", digest=digest("four"))
        now = record({"web": container(candidate(TWO)), "jobs": container(**JOBS | {"goods": (jobs,)})})
        result, action = begun(now, group(OLD | {"jobs": written}))
        assert action == Put(NEW | {"jobs": written}, restart=False)
        assert (the_change(result).asked, the_change(result).touched) == ({"web": "2"}, frozenset({"web"}))

    def test_a_container_that_goes_back_is_touched_but_no_message_asked_for_it(self) -> None:
        result, action = begun(record({"web": container()}), group(NEW))
        assert action == Put(OLD, restart=False)
        assert (the_change(result).asked, the_change(result).touched) == ({}, frozenset({"web"}))

    def test_a_moved_tag_without_a_digest_is_brought_in_by_a_restart(self) -> None:
        again = candidate(message("1", name="again"), restart=True)
        result, action = begun(record({"web": container(again)}), group(OLD))
        assert action == Put(OLD, restart=True)
        assert (the_change(result).restart, the_change(result).touched) == (True, frozenset({"web"}))

    def test_a_restart_is_not_enough_where_another_image_runs_by_now(self) -> None:
        again = candidate(message("1", name="again"), restart=True)
        result, action = begun(record({"web": container(again)}), group({"web": "acme/shop:3"}))
        assert action == Put(OLD, restart=False)
        assert not the_change(result).restart

    def test_a_restart_is_not_enough_where_another_container_gets_another_image(self) -> None:
        again = candidate(message("1", name="again"), restart=True)
        five = candidate(message("5", repository="acme/jobs"), "acme/jobs:5")
        now = record({"web": container(again), "jobs": container(five, **JOBS)})
        _, action = begun(now, group(OLD | {"jobs": "acme/jobs:4"}))
        assert action == Put(OLD | {"jobs": "acme/jobs:5"}, restart=False)

    def test_one_container_that_asks_for_a_restart_is_enough(self) -> None:
        again = candidate(message("1", name="again"), restart=True)
        now = record({"web": container(again), "jobs": container(**JOBS)})
        _, action = begun(now, group(OLD | {"jobs": "acme/jobs:4"}))
        assert action == Put(OLD | {"jobs": "acme/jobs:4"}, restart=True)

    def test_an_earlier_change_in_flight_stays_in_flight(self) -> None:
        before = Flight(generation=3, sent_at=at(-20))
        result, _ = begun(wanted(generation=3, flights=(before,)), group(OLD))
        assert result.flights == (before, Flight(generation=4, sent_at=at(7)))

    @pytest.mark.parametrize(("state", "failed_before"), [("Failed", True), ("Succeeded", False)])
    def test_the_change_remembers_whether_the_operation_before_had_failed(
        self, state: str, *, failed_before: bool
    ) -> None:
        result, _ = begun(wanted(), group(OLD, state=state))
        assert the_change(result).failed_before == failed_before

    def test_only_containers_that_ran_well_count_as_well(self) -> None:
        pulled = running(-60, event("Pulled", -60, f'pulled "acme/side@{digest("side")}"'))
        views = {"web": crash_loop(-30), "side": pulled}
        by_digest = f"acme/proxy@{digest('proxy')}"
        images = OLD | {"side": "acme/side:1", "proxy": by_digest, "bare": "acme/bare:1"}
        result, _ = begun(wanted(), group(images, views))
        assert the_change(result).well == {"side": digest("side"), "proxy": digest("proxy"), "bare": None}


class TestOneChangeAfterAnother:
    @pytest.mark.parametrize(("in_flight", "on_group"), [((), "the last"), ((1,), "the one before")])
    def test_the_last_change_that_azure_has_taken_is_on_the_group(
        self, in_flight: tuple[int, ...], on_group: str
    ) -> None:
        # Regression: a change that was sent again, and then refused, counted as made: its first try had no answer.
        first = change({"web": "acme/shop:0"}, asked={}, generation=0)
        last = change(asked={"web": "another"}, before=first)
        flights = tuple(Flight(generation=generation, sent_at=at(90)) for generation in in_flight)
        result, _ = begun(wanted(change=last, generation=1, flights=flights), group(OLD), 95)
        assert the_change(result).before == (last.but(before=None) if on_group == "the last" else first)

    def test_the_same_change_sent_again_counts_its_tries_and_keeps_its_patience(self) -> None:
        sent = change(since=0, well={"web": digest("one")}, address={"ip": "20.50.0.9"}, failed_before=True)
        sent = sent.but(patience=Patience(waited=50, looked_at=at(50)), tries=3)
        result, action = begun(wanted(change=sent, generation=1), group(OLD, {"web": crash_loop(30)}), 95)
        assert action == Put(NEW, restart=False)
        assert the_change(result) == sent.but(
            generation=2,
            began_at=at(95),
            patience=Patience(waited=50, looked_at=at(95)),
            tries=4,
            failed_before=False,
            before=sent,
        )

    @pytest.mark.parametrize(
        "sent",
        [
            change({"web": "acme/shop:0"}, tries=3),
            change(asked={"web": "another"}, tries=3),
            change(asked={}, tries=3),
        ],
        ids=["other images", "asked for by another push", "asked for by nobody"],
    )
    def test_another_change_gets_all_its_tries_and_remembers_what_was_before_the_first(self, sent: Change) -> None:
        before = sent.but(
            patience=Patience(waited=50, looked_at=at(50)), well={"jobs": None}, address={"ip": "20.50.0.9"}
        )
        result, _ = begun(wanted(change=before), group(OLD), 95)
        now = the_change(result)
        assert (now.tries, now.patience) == (1, Patience(waited=0, looked_at=at(95)))
        assert (now.well, now.address) == ({"jobs": None}, {"ip": "20.50.0.9"})

    def test_a_failed_push_ends_without_a_rollback_once_a_newer_push_takes_its_place(self) -> None:
        newer = message("3", pushed=60)
        now = record({"web": container(candidate(newer))}, undone=(failed(),), change=change(asked={}))
        result, action = begun(now, group(NEW), 70)
        assert action == Put({"web": "acme/shop:3"}, restart=False)
        assert result.undone == ()
        (ending,) = result.outbox
        assert (ending.message, ending.result, ending.code, ending.at) == (TWO, "failed", "CrashLoop", at(70))
        assert ending.detail == "it crashes; not rolled back: a newer push is being deployed"
        assert result.outcomes[0].containers == ("web",)

    @pytest.mark.parametrize("pushed", [0, -60])
    def test_an_older_push_does_not_take_its_place(self, pushed: float) -> None:
        # The older push that replaces the failed one comes after it in the policy's order, so this is a rollback.
        older = message("1.9", pushed=pushed)
        now = record({"web": container(candidate(older))}, undone=(failed(),))
        result, action = begun(now, group(NEW), 70)
        assert action == Put({"web": "acme/shop:1.9"}, restart=False)
        assert (result.undone, result.outbox) == ((failed(),), ())

    def test_a_newer_push_for_another_container_does_not_take_its_place(self) -> None:
        five = candidate(message("5", repository="acme/jobs", pushed=60), "acme/jobs:5")
        now = record({"web": container(), "jobs": container(five, **JOBS)}, undone=(failed(),))
        result, action = begun(now, group(NEW | {"jobs": "acme/jobs:4"}), 70)
        assert action == Put({"web": "acme/shop:1", "jobs": "acme/jobs:5"}, restart=False)
        assert (result.undone, result.outbox) == ((failed(),), ())

    def test_only_the_failed_push_that_is_replaced_ends(self) -> None:
        newer = message("3", pushed=60)
        other = failed("5", "jobs")
        now = record({"web": container(candidate(newer)), "jobs": container(**JOBS)}, undone=(failed(), other))
        result, _ = begun(now, group(NEW | {"jobs": "acme/jobs:5"}), 70)
        assert result.undone == (other,)
        assert [ending.message.id for ending in result.outbox] == ["2"]

    def test_a_failed_push_of_two_containers_ends_when_it_is_replaced_on_one(self) -> None:
        newer = message("3", pushed=60)
        both = failed("2", "blue", "web")
        now = record({"web": container(candidate(newer)), "blue": container()}, undone=(both,))
        result, _ = begun(now, group(NEW | {"blue": "acme/shop:2"}), 70)
        assert result.undone == ()
        assert result.outcomes[0].containers == ("blue", "web")

    def test_a_rollback_by_hand_does_not_replace_a_failed_push(self) -> None:
        now = record({"web": container(pin=pin(good("1")))}, undone=(failed(),))
        result, action = begun(now, group(NEW), 70)
        assert action == Put(OLD, restart=False)
        assert the_change(result).asked == {"web": "back"}
        assert (result.undone, result.outbox) == ((failed(),), ())


class TestInTheWay:
    def test_all_missing_secrets_are_named_and_nothing_is_sent(self) -> None:
        shown = group(OLD, volumes=[SHARE], imageRegistryCredentials=[LOGIN])
        result, action = begun(wanted(), shown)
        assert action is None
        (ending,) = result.outbox
        assert (ending.message, ending.result, ending.code, ending.detail) == (TWO, "failed", "MissingSecrets", MISSING)
        assert [each.circumstance for each in result.containers["web"].failures] == [True]
        assert (result.change, result.flights, result.generation) == (None, (), 0)

    def test_configured_secrets_are_not_missing(self) -> None:
        shown = group(OLD, volumes=[SHARE], imageRegistryCredentials=[LOGIN])
        rules = replace(RULES, secrets=frozenset({"registry/r.io", "volume/data/storage-account-key"}))
        _, action = begun(wanted(), shown, rules=rules)
        assert action == Put(NEW, restart=False)

    def test_a_rollback_waits_slowly_until_the_secrets_are_configured(self) -> None:
        shown = group(NEW, volumes=[SHARE], imageRegistryCredentials=[LOGIN])
        result, action = begun(record({"web": container()}, undone=(failed(),)), shown)
        assert action == Wait(timedelta(seconds=60), MISSING, owner=True)
        assert [(ending.result, ending.detail) for ending in result.outbox] == [
            ("failed", f"it crashes; not rolled back: {MISSING}")
        ]
        assert (result.undone, result.change) == ((), None)

    def test_a_rollback_by_hand_fails_for_missing_secrets_as_a_push_does(self) -> None:
        shown = group(NEW, imageRegistryCredentials=[LOGIN])
        result, action = begun(record({"web": container(pin=pin(good("1")))}), shown)
        assert action is None
        assert [(ending.message.id, ending.code) for ending in result.outbox] == [("back", "MissingSecrets")]

    def test_a_push_whose_change_never_takes_effect_fails(self) -> None:
        shown = group(OLD, {"web": running(-60, event("Quota", 5, "no cores left", "Warning"))})
        _, action = begun(wanted(change=change(tries=MOST_TRIES - 1)), shown, 95)
        assert action == Put(NEW, restart=False)
        result, action = begun(wanted(change=change(tries=MOST_TRIES)), shown, 95)
        assert action is None
        detail = "the change was sent 6 times and never took effect; warnings: Quota: no cores left"
        assert [(undone.code, undone.detail) for undone in result.undone] == [("NoEffect", detail)]
        assert [(each.code, each.circumstance) for each in result.containers["web"].failures] == [("NoEffect", False)]

    def test_a_rollback_that_never_takes_effect_is_told_and_waits_slowly(self) -> None:
        now = record({"web": container()}, undone=(failed(),), change=change(OLD, asked={}, tries=MOST_TRIES))
        result, action = begun(now, group(NEW), 95)
        detail = "the change was sent 6 times and never took effect"
        assert action == Wait(timedelta(seconds=60), detail, owner=True)
        assert [ending.detail for ending in result.outbox] == [f"it crashes; not rolled back: {detail}"]

    def test_a_rollback_that_azure_refuses_for_good_is_not_tried_again(self) -> None:
        said = "InvalidRequestContent: no"
        now = record({"web": container()}, undone=(failed(),), change=change(OLD, asked={}, refused=said))
        result, action = begun(now, group(NEW), 95)
        assert action == Wait(timedelta(seconds=60), said, owner=True)
        assert [ending.detail for ending in result.outbox] == [f"it crashes; the rollback failed: {said}"]
        assert result.change == now.change

    def test_a_refusal_does_not_count_for_another_change(self) -> None:
        now = wanted(change=change(OLD, asked={}, refused="InvalidRequestContent: no"))
        result, action = begun(now, group({"web": "acme/shop:0"}), 95)
        assert action == Put(NEW, restart=False)
        assert the_change(result).refused is None


class TestUnseen:
    """The desired images are on the group, and nobody knows how they got there."""

    def test_it_is_watched_from_now_on(self) -> None:
        now = wanted(generation=4)
        shown = group(NEW, state="Failed")
        result = began_unseen(now, shown, wishes(now, shown), at(7))
        assert result == now.but(
            change=Change(
                generation=4,
                images=NEW,
                asked={"web": "2"},
                began_at=LONG_AGO,
                patience=Patience(looked_at=at(7)),
                well={"web": None},
                address=ADDRESS,
                failed_before=True,
            )
        )

    def test_it_keeps_the_groups_spelling_and_names_no_message_where_none_asked(self) -> None:
        one = good("1", digest=digest("one"))
        now = record({"web": container(candidate(TWO)), "blue": container(goods=(one,))})
        shown = group(NEW | {"blue": f"acme/shop@{digest('one')}"})
        result = began_unseen(now, shown, wishes(now, shown), at(7))
        assert the_change(result).images == shown.images
        assert the_change(result).asked == {"web": "2"}

    def test_after_another_change_it_remembers_what_was_before_that_one(self) -> None:
        before = change({"web": "acme/shop:0"}, well={"jobs": None}, address={"ip": "20.50.0.9"})
        now = wanted(change=before)
        shown = group(NEW)
        result = began_unseen(now, shown, wishes(now, shown), at(7))
        assert (the_change(result).well, the_change(result).address) == ({"jobs": None}, {"ip": "20.50.0.9"})


def test_evidence_ends_with_the_groups_warnings() -> None:
    warned = running(
        -60, event("FailedMount", 5, "no such share", "Warning"), event("Quota", 6, "no cores left", "Warning")
    )
    assert evidence(group(OLD), "it failed") == "it failed"
    assert (
        evidence(group(OLD, {"web": warned}), "it failed")
        == "it failed; warnings: Quota: no cores left | FailedMount: no such share"
    )
