"""What a container should run: what an operator pinned, else the best candidate, else the last good image."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import at, candidate, change, container, digest, failure, good, message, pin, record
from worker.core.desired import Desired, desired, drifted, runs, to_put
from worker.record.container import ContainerRecord, Good
from worker.record.record import Record
from worker.record.values import Hold, Undone

ONE_GOOD = digest("one")
BY_DIGEST = f"acme/shop@{ONE_GOOD}"
ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)
HELD = Hold(reason="sale", since=at(0))
RUNS_ONE = {"web": "acme/shop:1"}
BACK = Desired("acme/shop:1", frozenset({"acme/shop:1"}))
"""The last good image of a container, of which nothing but the tag is known."""


def wish(tag: str, *, restart: bool = False) -> Desired:
    """What a push asks for."""
    image = f"acme/shop:{tag}"
    return Desired(image, frozenset({image}), tag, restart)


def wanted(now: ContainerRecord, running: str = "acme/shop:1", *, rollback: bool = True, **of_record: Any) -> object:
    """What web should run."""
    return desired(record({"web": now}, **of_record), {"web": running}, rollback=rollback).get("web")


class TestWithoutAHold:
    def test_the_best_candidate_with_a_known_image_is_desired(self) -> None:
        assert wanted(container(candidate(THREE), candidate(TWO))) == wish("3")
        assert wanted(container(candidate(THREE, None), candidate(TWO, restart=True))) == wish("2", restart=True)

    def test_without_candidates_the_last_good_image_is_desired(self) -> None:
        assert wanted(container()) == BACK
        assert wanted(container(candidate(TWO, None), goods=(good("1"), good("0")))) == BACK

    def test_the_last_good_image_may_run_by_its_digest_too(self) -> None:
        assert wanted(container(goods=(good("1", digest=ONE_GOOD),))) == Desired(
            "acme/shop:1", frozenset({"acme/shop:1", BY_DIGEST})
        )

    def test_after_its_tag_has_moved_the_last_good_image_is_desired_by_its_digest(self) -> None:
        moved = good("1", digest=ONE_GOOD, moved=True)
        assert wanted(container(goods=(moved,))) == Desired(BY_DIGEST, frozenset({BY_DIGEST}))

    def test_without_a_digest_an_image_whose_tag_has_moved_is_not_desired(self) -> None:
        assert wanted(container(goods=(good("1", moved=True),))) is None


class TestTagThatMovedElsewhere:
    """A push has moved the tag of the last good image, but never reached the group."""

    MOVED = container(
        goods=(good("latest", digest=ONE_GOOD, pushed_again=True),),
        failures=(failure(message("v5")), failure(message("latest", digest=digest("two")))),
    )

    def test_the_last_good_image_comes_back_by_its_digest(self) -> None:
        # Regression: after a bad latest and a bad v5, the group was "rolled back" to latest, the bad image.
        back = wanted(self.MOVED, "acme/shop:v5")
        assert isinstance(back, Desired)
        assert back.image == BY_DIGEST

    def test_a_container_that_still_runs_it_by_its_tag_may_go_on(self) -> None:
        back = wanted(self.MOVED, "acme/shop:latest")
        assert isinstance(back, Desired)
        assert runs("web", back, {"web": "acme/shop:latest"}, None)


class TestRollbackIsOff:
    FAILED = container(failures=(failure(ONE), failure(TWO)))

    @pytest.mark.parametrize(
        ("running", "rollback", "result"),
        [
            ("acme/shop:2", False, None),
            ("acme/shop:2", True, BACK),
            ("acme/shop:9", False, BACK),
        ],
    )
    def test_only_a_failed_image_is_left_where_it_is(
        self, running: str, rollback: bool, result: Desired | None
    ) -> None:
        assert wanted(self.FAILED, running, rollback=rollback) == result

    def test_a_new_push_replaces_the_failed_one(self) -> None:
        now = container(candidate(THREE), failures=(failure(TWO),))
        assert wanted(now, "acme/shop:2", rollback=False) == wish("3")


class TestPinned:
    """A rollback by hand comes before everything else."""

    @pytest.mark.parametrize("held", [None, HELD])
    def test_the_pinned_image_is_desired_whatever_is_pushed_or_held(self, held: Hold | None) -> None:
        now = container(candidate(TWO), pin=pin(good("0")))
        assert wanted(now, hold=held) == Desired("acme/shop:0", frozenset({"acme/shop:0"}), "back")

    def test_the_pinned_image_is_desired_by_its_digest_if_its_tag_has_moved(self) -> None:
        moved = good("1", digest=ONE_GOOD, moved=True)
        assert wanted(container(pin=pin(moved))) == Desired(BY_DIGEST, frozenset({BY_DIGEST}), "back")

    def test_without_a_digest_a_pinned_image_whose_tag_has_moved_is_not_desired(self) -> None:
        assert wanted(container(candidate(TWO), pin=pin(good("1", moved=True)))) is None

    def test_the_pinned_image_of_a_container_without_a_rule_is_desired_too(self) -> None:
        assert wanted(container(pin=pin(good("0")), followed=False)) is not None


class TestHeld:
    """While a group is held by hand, nothing new begins, and a change that was begun is watched to its end."""

    NOW = container(candidate(THREE), candidate(TWO, restart=True))

    def test_nothing_new_is_desired(self) -> None:
        assert wanted(self.NOW, hold=HELD) is None
        assert wanted(container(), "acme/shop:9", hold=HELD) is None

    def test_a_push_whose_change_was_begun_before_the_hold_stays_desired(self) -> None:
        assert wanted(self.NOW, hold=HELD, change=change()) == wish("2", restart=True)

    @pytest.mark.parametrize(
        "begun",
        [change(asked={"blue": "2"}), change(asked={}), change(asked={"web": "9"})],
        ids=["elsewhere", "by nobody", "by one that has ended"],
    )
    def test_a_change_that_another_container_asked_for_keeps_nothing_desired(self, begun: Any) -> None:
        assert wanted(self.NOW, hold=HELD, change=begun) is None

    def test_a_push_whose_image_is_not_known_was_not_begun(self) -> None:
        assert wanted(container(candidate(TWO, None)), hold=HELD, change=change()) is None


class TestGoneBackFrom:
    """An image that an operator rolled back from does not stay when a late change brings it back."""

    GONE = (failure(ONE), failure(TWO, code="RolledBack"))

    def test_the_last_good_image_is_desired_in_spite_of_the_hold(self) -> None:
        assert wanted(container(failures=self.GONE), "acme/shop:2", hold=HELD) == BACK
        by_digest = good("1", digest=ONE_GOOD, moved=True)
        now = container(failures=self.GONE, goods=(by_digest,))
        assert wanted(now, "acme/shop:2", hold=HELD) == Desired(BY_DIGEST, frozenset({BY_DIGEST}))

    def test_a_push_whose_image_is_not_known_yet_does_not_keep_it_there(self) -> None:
        now = container(candidate(THREE, None), failures=self.GONE)
        assert wanted(now, "acme/shop:2", hold=HELD, change=change(asked={"web": "3"})) == BACK

    @pytest.mark.parametrize("running", ["acme/shop:1", "acme/shop:9"], ids=["what has crashed", "anything else"])
    def test_no_other_image_is_replaced_while_the_group_is_held(self, running: str) -> None:
        now = container(failures=self.GONE, goods=(good("0"),))
        assert wanted(now, running, hold=HELD) is None

    def test_an_image_that_is_good_again_may_stay(self) -> None:
        assert wanted(container(failures=self.GONE, goods=(good("2"),)), "acme/shop:2", hold=HELD) is None

    def test_without_a_digest_a_good_image_whose_tag_has_moved_is_not_desired(self) -> None:
        now = container(failures=self.GONE, goods=(good("1", moved=True),))
        assert wanted(now, "acme/shop:2", hold=HELD) is None


class TestSeveralContainers:
    def test_each_container_has_its_own_desired_image_in_the_records_order(self) -> None:
        now = record({"web": container(candidate(TWO)), "blue": container(), "gone": container(candidate(TWO))})
        found = desired(now, dict.fromkeys(("blue", "web"), "acme/shop:1"), rollback=True)
        assert list(found.items()) == [("web", wish("2")), ("blue", BACK)]

    def test_a_container_that_the_group_does_not_show_keeps_no_other_from_its_image(self) -> None:
        now = record({"gone": container(candidate(THREE)), "web": container(candidate(TWO))})
        assert desired(now, RUNS_ONE, rollback=True) == {"web": wish("2")}

    def test_a_container_without_a_rule_is_left_alone_unless_our_change_moved_its_tag(self) -> None:
        alone = container(goods=(good("1"),), followed=False)
        moved = container(goods=(good("1", digest=ONE_GOOD, moved=True),), followed=False)
        now = record({"alone": alone, "moved": moved})
        found = desired(now, dict.fromkeys(("alone", "moved"), "acme/shop:9"), rollback=True)
        assert found == {"moved": Desired(BY_DIGEST, frozenset({BY_DIGEST}))}

    def test_the_one_that_was_refused_least_often_is_tried_first(self) -> None:
        often, once = (container(candidate(TWO, refusals=refusals)) for refusals in (2, 1))
        now = record({"blue": often, "web": once}, apart=True)
        images = dict.fromkeys(("blue", "web"), "acme/shop:1")
        assert list(desired(now, images, rollback=True)) == ["web"]

    @pytest.mark.parametrize(
        ("refusals", "desired_id"),
        [((2, 0), "3"), ((3, 0), "2"), ((3, 2), "2"), ((3, 3), "3"), ((5, 3), "3"), ((6, 5), "2"), ((6, 6), "3")],
    )
    def test_an_image_that_azure_can_not_pull_for_now_does_not_keep_the_next_best_one_waiting(
        self, refusals: tuple[int, int], desired_id: str
    ) -> None:
        # Regression: a good push failed after six hours together with a newer one whose image Azure could not pull.
        best, next_best = (candidate(of, refusals=times) for of, times in zip((THREE, TWO), refusals, strict=True))
        found = wanted(container(best, next_best))
        assert isinstance(found, Desired)
        assert found.id == desired_id

    @pytest.mark.parametrize(("refusals", "brought_back"), [(0, False), (1, True)])
    @pytest.mark.parametrize("seen", ["it runs", "it is being brought back"])
    def test_a_broken_container_is_brought_back_before_an_image_that_azure_can_not_pull(
        self, refusals: int, seen: str, *, brought_back: bool
    ) -> None:
        broken = container(candidate(THREE, refusals=refusals), failures=(failure(TWO),))
        undone = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        if seen == "it runs":
            found = wanted(broken, "acme/shop:2")
        else:
            now = record({"web": broken.but(failures=())}, undone=(undone,))
            found = desired(now, {"web": "acme/shop:1"}, rollback=True).get("web")
        assert found == (BACK if brought_back else wish("3"))

    def test_nor_does_such_an_image_of_another_container_hold_up_the_way_back(self) -> None:
        # Regression: it was in the same PUT, which Azure refused for hours.
        broken = container(failures=(failure(TWO),))
        now = record({"web": broken, "blue": container(candidate(THREE, refusals=1))})
        assert desired(now, {"web": "acme/shop:2", "blue": "acme/shop:1"}, rollback=True) == {"web": BACK, "blue": BACK}

    def test_an_image_that_runs_by_now_was_pulled_after_all(self) -> None:
        broken = container(failures=(failure(TWO),))
        now = record({"web": broken, "blue": container(candidate(THREE, refusals=1))})
        found = desired(now, {"web": "acme/shop:2", "blue": "acme/shop:3"}, rollback=True)
        assert found == {"web": BACK, "blue": wish("3")}

    def test_a_change_under_way_that_azure_has_not_refused_does_not_keep_the_good_image_away(self) -> None:
        refused = container(candidate(THREE, refusals=1), failures=(failure(TWO),))
        assert wanted(refused, "acme/shop:2", change=change()) == BACK
        assert wanted(refused, "acme/shop:2", change=change(refused="no")) == wish("3")

    def test_what_failed_once_and_ran_well_since_is_no_broken_image(self) -> None:
        # Regression: after a registry's outage the next push that it could not deliver at once was never tried again.
        healed = container(candidate(THREE, refusals=5), failures=(failure(ONE),))
        assert wanted(healed) == wish("3")

    def test_where_azure_refuses_the_way_back_for_good_a_new_push_is_tried_again_and_again(self) -> None:
        refused = change({"web": "acme/shop:1"}, asked={}, refused="no")
        broken = container(candidate(THREE, refusals=5), failures=(failure(TWO),))
        assert wanted(broken, "acme/shop:2", change=refused) == wish("3")

    @pytest.mark.parametrize(("goods", "rollback"), [((good("1", moved=True),), True), ((good("1"),), False)])
    def test_without_anything_to_bring_back_that_image_is_tried_all_the_same(
        self, goods: tuple[Good, ...], *, rollback: bool
    ) -> None:
        broken = container(candidate(THREE, refusals=9), goods=goods, failures=(failure(TWO),))
        assert wanted(broken, "acme/shop:2", rollback=rollback) == wish("3")

    @pytest.mark.parametrize(("apart", "tried"), [(False, ["web", "new", "blue"]), (True, ["new", "blue"])])
    def test_pushes_to_be_tried_apart_are_desired_one_at_a_time(self, apart: bool, tried: list[str]) -> None:
        # Azure refused several images at once and did not say which. The good images are desired all the same.
        waits = container(candidate(TWO))
        now = record({"web": waits, "new": container(), "blue": waits}, apart=apart)
        assert list(desired(now, dict.fromkeys(now.containers, "acme/shop:1"), rollback=True)) == tried

    @pytest.mark.parametrize(("restart", "watched"), [(False, True), (True, False)])
    def test_an_older_push_that_runs_already_stays_desired_meanwhile(self, *, restart: bool, watched: bool) -> None:
        # Regression: the push that was tried first was blamed for what an older push on another container broke.
        older = container(candidate(THREE), candidate(TWO, restart=restart))
        now = record({"a": container(candidate(THREE)), "b": older}, apart=True)
        wishes = desired(now, {"a": "acme/shop:1", "b": "acme/shop:2"}, rollback=True)
        assert {name: each.id for name, each in wishes.items()} == {"a": "3"} | ({"b": "2"} if watched else {})


class TestRuns:
    @pytest.mark.parametrize(("running", "there"), [("acme/shop:1", True), (BY_DIGEST, True), ("acme/shop:2", False)])
    def test_any_spelling_of_the_desired_image_counts(self, running: str, there: bool) -> None:
        either = Desired("acme/shop:1", frozenset({"acme/shop:1", BY_DIGEST}))
        assert runs("web", either, {"web": running}, None) is there

    @pytest.mark.parametrize(
        ("under_way", "there"),
        [
            (None, False),
            (change(asked={"web": "1"}), True),
            (change(asked={"web": "2"}), False),
            (change(asked={"blue": "1"}), False),
        ],
    )
    def test_a_restart_counts_as_done_once_a_change_was_made_for_it(self, under_way: Any, there: bool) -> None:
        assert runs("web", wish("1", restart=True), RUNS_ONE, under_way) is there

    def test_after_a_restart_the_image_must_still_be_the_desired_one(self) -> None:
        asked = change(asked={"web": "2"})
        assert not runs("web", wish("2", restart=True), RUNS_ONE, asked)


class TestToPut:
    def test_an_image_that_is_right_keeps_its_spelling(self) -> None:
        either = Desired("acme/shop:1", frozenset({"acme/shop:1", BY_DIGEST}))
        images = {"web": BY_DIGEST, "blue": "acme/shop:9", "other": "nginx:1"}
        assert to_put({"web": either, "blue": either}, images, None) == {"web": BY_DIGEST, "blue": "acme/shop:1"}

    def test_a_restart_puts_the_image_that_its_push_asks_for(self) -> None:
        assert to_put({"web": wish("1", restart=True)}, RUNS_ONE, None) == RUNS_ONE


class TestDrifted:
    """Whether the list of groups shows that a group at rest does not run its desired images."""

    @pytest.mark.parametrize(
        ("running", "differs"), [("acme/shop:1", False), (BY_DIGEST, False), ("acme/shop:2", True)]
    )
    def test_a_group_that_runs_another_image_than_the_desired_one_has_drifted(
        self, running: str, differs: bool
    ) -> None:
        now = record({"web": container(goods=(good("1", digest=ONE_GOOD),))})
        assert drifted(now, {"web": running}, rollback=True) is differs

    def test_a_rollback_that_azure_refuses_is_not_drift(self) -> None:
        refused = record({"web": container()}, change=change(refused="Refused: so"))
        assert not drifted(refused, {"web": "acme/shop:2"}, rollback=True)
        assert drifted(refused.but(change=change()), {"web": "acme/shop:2"}, rollback=True)

    def test_with_rollback_off_a_failed_image_is_not_drift(self) -> None:
        failed = record({"web": container(failures=(failure(TWO),))})
        assert not drifted(failed, {"web": "acme/shop:2"}, rollback=False)
        assert drifted(failed, {"web": "acme/shop:2"}, rollback=True)

    def test_a_restart_that_has_not_been_made_is_drift(self) -> None:
        waits = record({"web": container(candidate(ONE, restart=True))})
        assert drifted(waits, RUNS_ONE, rollback=True)
        assert not drifted(waits.but(change=change(asked={"web": "1"})), RUNS_ONE, rollback=True)

    @pytest.mark.parametrize(("followed", "differs"), [(True, True), (False, False)])
    def test_a_followed_container_that_is_gone_is_drift(self, followed: bool, differs: bool) -> None:
        now = record({"web": container(), "gone": container(followed=followed)})
        assert drifted(now, RUNS_ONE, rollback=True) is differs

    def test_containers_that_the_record_does_not_know_are_not_drift(self) -> None:
        assert not drifted(record({"web": container()}), RUNS_ONE | {"new": "nginx"}, rollback=True)
        assert not drifted(Record(target=record().target), RUNS_ONE, rollback=True)


def test_a_desired_image_is_proven_and_needs_no_restart_by_default() -> None:
    assert Desired("a", frozenset()) == Desired("a", frozenset(), id=None, restart=False)
