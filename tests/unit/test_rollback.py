"""After a failure: which image is put back, how the rollback goes on, and what the dead letter says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import (
    RULES,
    at,
    container,
    crash_loop,
    digest,
    failure,
    good,
    group,
    message,
    record,
    rollout,
    running,
    waiting,
    wanted,
)
from worker.groups.group import ContainerGroup
from worker.manual import hold, release
from worker.record import Record
from worker.record_parts import ContainerRecord, Failure, Good, Wanted
from worker.rollback import after_failure, given_up, refused, restored, seen_broken
from worker.situation import Rules, Situation
from worker.steps import Finish, GiveUp, Moved, RollBack, Step, Wait

TWO = message("2")
OLD, NEW = {"web": "acme/shop:1"}, {"web": "acme/shop:2"}
ONE_GOOD = digest("one")


def failed(of: UpdateMessage = TWO, **rest: Any) -> ContainerRecord:
    """:2 failed a minute after noon."""
    return container(wanted(of, status="failed", began=0), failures=(failure(of),), **rest)


def returning(since: float = 60, **rest: Any) -> Record:
    """The rollback of :2 was sent."""
    return record({"web": failed()}, rollout=rollout("2", OLD, since=since, returning=frozenset({"web"}), **rest))


def step(
    now: Record, shown: ContainerGroup, seconds: float = 60, of: UpdateMessage = TWO, rules: Rules = RULES
) -> Step:
    return after_failure(Situation(now, shown, of, rules, at(seconds)))


class TestRestored:
    """The image that brings a container back."""

    @pytest.mark.parametrize(
        ("failing", "last_good", "image"),
        [
            (wanted(TWO), good("1"), "acme/shop:1"),
            (wanted(TWO), good("1", digest=ONE_GOOD), "acme/shop:1"),
            (wanted(TWO), good(None, f"acme/shop@{ONE_GOOD}"), f"acme/shop@{ONE_GOOD}"),
            (None, good("1"), "acme/shop:1"),
            # The tag moved with the failed push: what it stood for before is known by its digest alone.
            (wanted(message("1")), good("1", digest=ONE_GOOD), f"acme/shop@{ONE_GOOD}"),
            (wanted(message("1")), good("1"), None),
            (wanted(message("1")), good("1", f"acme/shop@{ONE_GOOD}", digest=ONE_GOOD), f"acme/shop@{ONE_GOOD}"),
        ],
    )
    def test_by_tag_unless_the_tag_moved(self, failing: Wanted | None, last_good: Good, image: str | None) -> None:
        assert restored(container(failing, goods=(last_good,))) == image

    @pytest.mark.parametrize("moved_by", ["failure", "runner-up"])
    def test_by_digest_if_any_push_that_is_known_moved_the_tag(self, moved_by: str) -> None:
        # FINDING: after a bad latest and a bad v5 it was "rolled back" to latest, which was the bad one by then.
        bad = message("latest", digest=digest("two"))
        one = container(wanted(message("v5"), status="failed"), goods=(good("latest", digest=ONE_GOOD),))
        if moved_by == "failure":
            one = one.but(failures=(failure(bad, settled="rolled-back"),))
        else:
            one = one.but(runners_up=(wanted(bad),))
        assert restored(one) == f"acme/shop@{ONE_GOOD}"
        assert restored(one.but(goods=(good("latest"),))) == "acme/shop:latest"

    @pytest.mark.parametrize(
        ("again", "image"),
        [
            ({"pushed": 5}, "acme/shop:latest"),
            ({"pushed": 5, "digest": ONE_GOOD}, "acme/shop:latest"),
            ({"pushed": 6, "digest": ONE_GOOD}, "acme/shop:latest"),
            ({"pushed": 6}, f"acme/shop@{ONE_GOOD}"),
        ],
    )
    def test_the_same_push_delivered_again_moved_nothing(self, again: dict[str, Any], image: str) -> None:
        # Found by chaos.
        same = message("latest", name="again", **again)
        last = good("latest", digest=ONE_GOOD, pushed=5)
        one = container(wanted(message("v5"), status="failed"), goods=(last,), runners_up=(wanted(same),))
        assert restored(one) == image

    def test_nothing_is_known(self) -> None:
        assert restored(container(wanted(TWO), goods=())) is None


class TestBegin:
    def test_the_last_good_image_is_put_back(self) -> None:
        result = step(record({"web": failed()}, rollout=rollout()), group(NEW, {"web": crash_loop(30)}))
        assert isinstance(result, RollBack)
        assert result.rollout == rollout("2", OLD, since=60, returning=frozenset({"web"}))
        assert result.unsent == record({"web": failed()}, rollout=rollout())

    def test_it_is_put_back_although_nothing_is_under_way_any_more(self) -> None:
        assert isinstance(step(record({"web": failed()}), group(NEW)), RollBack)

    def test_another_push_that_is_there_begins_anew_with_it(self) -> None:
        jobs = container(wanted(message("5", repository="acme/jobs"), "acme/jobs:5", began=0))
        result = step(record({"web": failed(), "jobs": jobs}), group(NEW | {"jobs": "acme/jobs:5"}))
        assert isinstance(result, RollBack)
        assert result.record.rollout is not None
        assert result.record.rollout.images == OLD | {"jobs": "acme/jobs:5"}
        assert result.record.rollout.returning == {"web"}
        assert result.record.open()["jobs"].began_at == at(60)

    @pytest.mark.parametrize("began", [None, 0])
    def test_another_push_that_is_not_there_does_not_go_with_it(self, began: float | None) -> None:
        # FINDING: an image that Azure refuses, wanted for another container, made every rollback fail.
        jobs = container(wanted(message("5", repository="acme/jobs"), "acme/jobs:5", began=began))
        result = step(record({"web": failed(), "jobs": jobs}), group(NEW | {"jobs": "acme/jobs:4"}))
        assert isinstance(result, RollBack)
        assert result.record.rollout is not None
        assert result.record.rollout.images == OLD

    def test_what_another_push_brings_back_goes_on_going_back(self) -> None:
        # FINDING: two rollbacks in one group took each other's place, and restarted its containers again and again.
        jobs = failed(message("5", repository="acme/jobs"))
        others = rollout("5", {"jobs": "acme/jobs:4"}, since=50, returning=frozenset({"jobs"}))
        now = record({"web": failed(), "jobs": jobs}, rollout=others)
        result = step(now, group(NEW | {"jobs": "acme/jobs:4"}))
        assert isinstance(result, RollBack)
        assert result.record.rollout is not None
        assert result.record.rollout.images == OLD | {"jobs": "acme/jobs:4"}
        assert result.record.rollout.returning == {"web", "jobs"}

    def test_a_transition_is_waited_for(self) -> None:
        now = record({"web": failed()})
        result = step(now, group(NEW, state="Updating"), 70)
        assert result == Wait(now, timedelta(seconds=5), "CrashLoop: to be rolled back once the transition is over")

    def test_a_transition_that_never_ends_is_given_up(self) -> None:
        just = 60 + 2 * RULES.timeout.total_seconds()
        assert isinstance(step(record({"web": failed()}), group(NEW, state="Updating"), just), Wait)
        result = step(record({"web": failed()}), group(NEW, state="Updating"), just + 1)
        assert isinstance(result, GiveUp)
        assert result.detail == "web: it crashes; not rolled back: the group is still in transition"


class TestWatch:
    def test_it_is_waited_for(self) -> None:
        result = step(returning(), group(OLD, {"web": waiting()}, state="Updating"), 65)
        assert isinstance(result, Wait)
        assert result.reason == "rolling back: the group is in transition; web is waiting"

    def test_it_is_watched_through_the_soak(self) -> None:
        result = step(returning(), group(OLD, {"web": running(70)}), 98)
        assert result == Wait(returning(), timedelta(seconds=2), "rolled back, and watched for a while")

    def test_then_the_push_is_given_up_with_the_evidence(self) -> None:
        result = step(returning(), group(OLD, {"web": running(70)}), 100)
        assert isinstance(result, GiveUp)
        assert (result.code, result.result) == ("CrashLoop", "rolled-back")
        assert result.detail == "web: it crashes; rolled back to acme/shop:1"
        assert result.record.rollout is None
        (settled,) = result.record.containers["web"].failures
        assert (settled.settled, settled.detail) == ("rolled-back", result.detail)

    def test_an_address_that_changed_is_told(self) -> None:
        result = step(returning(address={"ip": "20.50.0.9"}), group(OLD, {"web": running(70)}), 100)
        assert isinstance(result, GiveUp)
        assert "rolled back to acme/shop:1; THE ADDRESS CHANGED from {'ip': '20.50.0.9'} to " in result.detail
        assert result.moved == Moved({"ip": "20.50.0.9"}, group().address)

    def test_an_address_that_was_not_known_has_not_changed(self) -> None:
        result = step(returning(address={}), group(OLD, {"web": running(70)}), 100)
        assert isinstance(result, GiveUp)
        assert "ADDRESS" not in result.detail

    def test_a_rollback_that_fails_says_so_in_the_same_letter(self) -> None:
        result = step(returning(), group(OLD, {"web": crash_loop(70)}), 80)
        assert isinstance(result, GiveUp)
        assert result.result == "failed"
        assert result.detail.startswith("web: it crashes; the rollback failed: web: CrashLoopBackOff: Back-off 10s")

    def test_a_rollback_that_never_arrived_is_sent_again(self) -> None:
        result = step(returning(), group(NEW, {"web": crash_loop(30)}), 80)
        assert isinstance(result, RollBack)
        assert result.record.rollout is not None
        assert (result.record.rollout.tries, result.record.rollout.since) == (2, at(80))

    def test_its_runner_up_is_wanted_then(self) -> None:
        other = wanted(message("1.9", pushed=-5), began=None)
        now = returning()
        one = now.containers["web"].but(runners_up=(other,))
        result = step(now.but(containers={"web": one}), group(OLD, {"web": running(70)}), 100)
        assert isinstance(result, GiveUp)
        assert result.record.open() == {"web": other.but(admitted_at=at(100))}


class TestNoRollback:
    @pytest.mark.parametrize(
        ("now", "shown", "rules", "why"),
        [
            (
                record({"web": failed(wanted=wanted(message("3"), began=50))}),
                group(NEW),
                RULES,
                "a newer push has taken over",
            ),
            (
                record({"web": failed(wanted=wanted(message("3"), status="done"))}),
                group(NEW),
                RULES,
                "a newer push has taken over",
            ),
            (record({"web": failed()}), group(NEW), replace(RULES, rollback=False), "ACI_HOOKS_ROLLBACK is off"),
            (
                record({"web": failed(goods=()), "blue": failed(goods=())}),
                group(NEW),
                RULES,
                "no good image is known for blue, web",
            ),
            (
                record({"web": failed()}),
                group(NEW, imageRegistryCredentials=[{"server": "r.io", "username": "u"}]),
                RULES,
                "Azure does not give back these secrets, and an update must carry them; configure each under "
                "`secrets` in the targets file: registry/r.io",
            ),
        ],
    )
    def test_the_letter_says_why(self, now: Record, shown: ContainerGroup, rules: Rules, why: str) -> None:
        result = step(now, shown, rules=rules)
        assert isinstance(result, GiveUp)
        assert (result.code, result.result) == ("CrashLoop", "failed")
        assert result.detail == f"web: it crashes; not rolled back: {why}"
        assert result.record.outcomes[0].result == "failed"

    @pytest.mark.parametrize(
        ("now", "shown", "why"),
        [
            (hold(record({"web": failed()}), "audit", at(0)), group(NEW), "by hand: audit"),
            (record({"web": failed()}), group(NEW, shown="Stopped"), "stopped by its owner: an update would start it"),
            (record({"web": failed()}), group(NEW, tags={"aci-hooks.hold": "x"}), "by a resource tag: x"),
        ],
    )
    def test_a_hold_puts_it_off(self, now: Record, shown: ContainerGroup, why: str) -> None:
        # FINDING: it was given up, and after the release the image went on crashing.
        result = step(now, shown)
        assert isinstance(result, Finish)
        assert (result.result, result.detail) == ("held", f"{why}; to be rolled back then: web: it crashes")
        assert result.record.unfinished() == (TWO,)
        assert isinstance(step(result.record.but(hold=None), group(NEW)), RollBack)

    @pytest.mark.parametrize("begun", [False, True])
    def test_after_a_hold_a_transition_is_waited_for_as_ever(self, *, begun: bool) -> None:
        # FINDING: it was given up at once, as its time had passed behind the hold.
        held = hold(returning() if begun else record({"web": failed()}), "audit", at(70))
        now = release(held, at(9000))
        shown = group(OLD if begun else NEW, {"web": waiting()}, state="Updating")
        assert isinstance(step(now, shown, 9001), Wait)
        assert isinstance(step(now, shown, 9001 + 2 * RULES.timeout.total_seconds()), GiveUp)

    def test_a_newer_push_that_was_not_begun_has_not_taken_over(self) -> None:
        # FINDING: the newer one was refused by Azure, and nobody rolled the older one back.
        now = record({"web": failed(wanted=wanted(message("3"))), "blue": failed(wanted=None)})
        result = step(now, group(NEW, {"web": crash_loop(30)}))
        assert isinstance(result, RollBack)
        assert result.rollout.images == OLD

    def test_it_is_no_more_wanted_elsewhere(self) -> None:
        # Found by a property: what was still open elsewhere was left behind by a message that had ended.
        blue = container(wanted(TWO, began=0))
        result = step(record({"web": failed(), "blue": blue}), group(dict.fromkeys(("web", "blue"), "acme/shop:2")))
        assert isinstance(result, RollBack)
        assert result.rollout.images == {"web": "acme/shop:1", "blue": "acme/shop:1"}

    def test_what_can_be_brought_back_is_whatever_else_can_not(self) -> None:
        # FINDING: one container without a good image, or whose push was fine, kept the others on the broken one.
        fine = container(wanted(TWO, status="done", began=0), goods=(good("2"),))
        now = record({"web": failed(), "blue": failed(goods=()), "fine": fine})
        images = dict.fromkeys(now.containers, "acme/shop:2")
        result = step(now, group(images, {"web": crash_loop(30)}))
        assert isinstance(result, RollBack)
        assert result.rollout.images == OLD
        ended = step(result.record, group(images | OLD, {"web": running(70)}), 120)
        assert isinstance(ended, GiveUp)
        assert ended.result == "failed"
        assert ended.detail == "web: it crashes; rolled back to acme/shop:1; no good image is known for blue"

    def test_a_settled_failure_stays_as_it_was(self) -> None:
        now = record({"web": container(failures=(failure(TWO, settled="failed", detail="so it was"),))})
        assert step(now, group(OLD)) == GiveUp(now, "CrashLoop", "so it was", "failed")

    def test_what_was_settled_on_one_container_hides_nothing_on_another(self) -> None:
        # FINDING: a late change that had brought both back was undone on neither.
        side = container(wanted(message("3"), status="done"), failures=(failure(TWO, settled="rolled-back"),))
        assert isinstance(step(record({"side": side, "web": failed()}), group(NEW | {"side": "acme/shop:3"})), RollBack)

    def test_a_hold_that_comes_while_it_is_watched_does_not_unsay_it(self) -> None:
        # FINDING: the letter said "not rolled back", though it was.
        result = step(hold(returning(), "audit", at(80)), group(OLD, {"web": running(70)}), 100)
        assert isinstance(result, GiveUp)
        assert (result.result, result.detail) == ("rolled-back", "web: it crashes; rolled back to acme/shop:1")


class TestGivenUp:
    """Tried often enough."""

    def test_what_may_be_on_the_group_is_rolled_back_first(self) -> None:
        # FINDING: a push whose group could not be read for a while was given up while its image crashed there.
        now = record({"web": container(wanted(TWO, began=0)), "blue": container(wanted(TWO))}, rollout=rollout())
        result = given_up(now, TWO, "ServiceUnavailable", "later", at(60))
        assert isinstance(result, Wait)
        assert (result.delay, result.reason) == (timedelta(0), "ServiceUnavailable: to be rolled back")
        assert result.record.failures_of("2").keys() == {"web", "blue"}
        assert isinstance(step(result.record, group(NEW, {"web": crash_loop(30)})), RollBack)

    @pytest.mark.parametrize(
        "now",
        [record(), record({"web": container(wanted(TWO))}), returning()],
        ids=["unknown", "not begun", "its rollback, too"],
    )
    def test_otherwise_that_is_the_end(self, now: Record) -> None:
        expected = refused(now, TWO, "ServiceUnavailable", "later", at(60))
        assert given_up(now, TWO, "ServiceUnavailable", "later", at(60)) == expected


class TestSeenBroken:
    @pytest.mark.parametrize(
        ("now", "broken"),
        [
            (failure(TWO), True),
            (failure(TWO, code="ContainerFailed"), True),
            (failure(TWO, code="ImagePullFailed"), True),
            (failure(TWO, code="ProvisioningFailed"), True),
            (failure(TWO, code="RolloutTimeout"), True),
            (failure(TWO, code="ServiceUnavailable"), False),
            (failure(TWO, settled="failed"), False),
            (failure(message("3")), False),
        ],
    )
    def test_only_what_its_own_push_broke_and_nobody_has_settled(self, now: Failure, *, broken: bool) -> None:
        assert seen_broken(record({"web": container(failures=(now,))}), TWO) == broken


class TestRefused:
    def test_the_push_fails_wherever_it_is_open(self) -> None:
        now = record({"web": container(wanted(TWO, began=0)), "blue": container(wanted(TWO, status="done"))})
        result = refused(now, TWO, "InvalidContainerGroupUpdate", "no", at(9))
        assert (result.code, result.detail, result.result) == ("InvalidContainerGroupUpdate", "no", "failed")
        assert {name for name in now.containers if result.record.containers[name].failures} == {"web"}
        assert result.record.containers["web"].failures[0].settled == "failed"

    def test_a_refused_rollback_keeps_the_first_reason(self) -> None:
        result = refused(returning(), TWO, "AuthorizationFailed", "no role", at(90))
        assert result.code == "CrashLoop"
        assert result.detail == "web: it crashes; the rollback failed: AuthorizationFailed: no role"
        assert result.record.rollout is None

    def test_a_push_that_owns_nothing_is_given_up_all_the_same(self) -> None:
        result = refused(record(), TWO, "ResourceNotFound", "gone", at(9))
        assert (result.code, result.detail) == ("ResourceNotFound", "gone")
        assert [(one.id, one.result, one.containers) for one in result.record.outcomes] == [("2", "failed", ())]
