"""Pushes that fail: another image is desired, and the end is told once it is known what became of the group."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import (
    at,
    candidate,
    change,
    container,
    digest,
    ends,
    failure,
    good,
    message,
    pin,
    queued,
    record,
)
from worker.core.failing import Failed, brought_back, conclude, fail
from worker.record.container import ContainerRecord
from worker.record.record import FAILURES_KEPT, LONGEST_DETAIL, Record
from worker.record.values import Hold, Undone

ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)
ONE_GOOD, TWO_IS = digest("one"), digest("two")
NOW = at(60)
IMAGES = {"web": "acme/shop:1", "blue": "acme/shop:0"}
REVERTING = pin(good("1"), reverting=True).but(good=good("2"))
"""The rollback to :1 failed, and :2, which ran before, is being brought back."""


def failed(now: Record, *ids: str, detail: str = "it crashes", **rest: Any) -> Record:
    """These pushes crashed."""
    return fail(now, ids or ("2",), "CrashLoop", detail, NOW, **rest)


def web(of: Record) -> ContainerRecord:
    return of.containers["web"]


def undone(of: str = "2", *names: str, detail: str = "it crashes") -> Undone:
    """A push that crashed on these containers, or else on web, and whose end is still to be told."""
    return Undone(message=message(of), code="CrashLoop", detail=detail, containers=names or ("web",))


class TestOffTheGroup:
    """A push that was never on the group ends when it fails."""

    WAITS = record({"web": container(candidate(THREE), candidate(TWO))})

    def test_its_end_is_told_at_once_and_it_is_no_longer_a_candidate(self) -> None:
        after = failed(self.WAITS)
        assert (queued(after), ends(after), after.undone) == (["3"], [("2", "failed", "it crashes")], ())
        (ending,) = after.outbox
        assert (ending.message, ending.code, ending.at) == (TWO, "CrashLoop", NOW)
        assert after.outcomes[0].containers == ("web",)
        assert web(after).past == ("acme/shop:2",)

    def test_a_change_that_another_message_asked_for_does_not_count(self) -> None:
        begun = self.WAITS.but(change=change(asked={"web": "3"}))
        assert [end[0] for end in ends(failed(begun))] == ["2"]

    def test_a_push_in_the_inbox_can_fail_too(self) -> None:
        after = failed(record(inbox=(ONE, TWO)))
        assert after.inbox == (ONE,)
        assert ends(after) == [("2", "failed", "it crashes")]
        assert after.outcomes[0].containers == ()

    def test_a_push_that_is_not_known_changes_nothing(self) -> None:
        assert failed(self.WAITS, "9") == self.WAITS

    def test_several_pushes_fail_in_the_order_of_their_ids(self) -> None:
        after = failed(self.WAITS, "3", "2")
        assert [end[0] for end in ends(after)] == ["3", "2"]
        assert [item.id for item in web(after).failures] == ["3", "2"]

    def test_its_evidence_is_cut(self) -> None:
        after = failed(self.WAITS, detail="x" * 5000)
        assert after.outbox[0].detail == after.outcomes[0].detail
        assert len(after.outbox[0].detail) == LONGEST_DETAIL


class TestOnTheGroup:
    """A push that was on the group ends only when the group is known to be well again."""

    NOW = record({"web": container(candidate(TWO), candidate(ONE))}, change=change())

    def test_its_end_is_told_later(self) -> None:
        after = failed(self.NOW)
        assert (queued(after), ends(after), after.undone) == (["1"], [], (undone(),))
        assert after.change == self.NOW.change

    def test_earlier_failures_are_told_first(self) -> None:
        before = undone("0")
        assert failed(self.NOW.but(undone=(before,))).undone == (before, undone())

    def test_its_evidence_is_cut(self) -> None:
        (one,) = failed(self.NOW, detail="x" * 5000).undone
        assert len(one.detail) == LONGEST_DETAIL

    def test_a_push_that_failed_on_one_container_has_failed_on_all_of_them(self) -> None:
        both = container(candidate(TWO))
        after = failed(record({"web": both, "blue": both, "jobs": container()}, change=change()))
        assert (queued(after), queued(after, "blue")) == ([], [])
        assert [len(item.failures) for item in after.containers.values()] == [1, 1, 0]
        assert after.undone == (undone("2", "web", "blue"),)

    @pytest.mark.parametrize(
        ("pushed", "told", "moved"),
        [
            (message("1", name="2", digest=TWO_IS), TWO_IS, True),
            (message("1", name="2"), None, True),
            (message("1", name="2", digest=ONE_GOOD), ONE_GOOD, False),
            (message("2"), None, False),
        ],
        ids=["another image", "nobody knows which", "the same image", "another tag"],
    )
    def test_its_tag_counts_as_moved_on_the_container_that_pulled_it(
        self, pushed: Any, told: str | None, moved: bool
    ) -> None:
        # Regression: after a bad latest, the group was "rolled back" to latest, which was the bad image by then.
        last = good("1", digest=ONE_GOOD)
        now = record({"web": container(candidate(pushed, digest=told), goods=(last, good("0")))}, change=change())
        assert web(failed(now)).goods == (last.but(moved=moved), good("0"))

    def test_its_tag_does_not_count_as_moved_on_a_container_that_never_got_it(self) -> None:
        again = candidate(message("1", name="2"))
        both = record({"web": container(again), "blue": container(again)}, change=change())
        after = failed(both)
        assert [item.good.moved for item in after.containers.values()] == [True, False]

    def test_the_change_may_name_a_container_that_is_gone_or_has_no_candidate(self) -> None:
        asked = change(asked={"gone": "2", "blue": "2", "web": "2"})
        now = record({"web": container(candidate(TWO)), "blue": container()}, change=asked)
        assert failed(now).undone == (undone(),)


class TestWhatIsRemembered:
    @pytest.mark.parametrize(
        ("told", "sent", "known"), [(TWO_IS, ONE_GOOD, TWO_IS), (None, TWO_IS, TWO_IS), (None, None, None)]
    )
    def test_the_failure_has_what_identifies_a_repetition(
        self, told: str | None, sent: str | None, known: str | None
    ) -> None:
        of = message("2", digest=sent, pushed_at=at(-7))
        now = record({"web": container(candidate(of, digest=told), failures=(failure(ONE),))})
        assert web(failed(now)).failures == (failure(of, digest=known), failure(ONE))

    @pytest.mark.parametrize("circumstance", [True, False])
    def test_the_failure_says_whether_it_was_a_circumstance(self, circumstance: bool) -> None:
        now = record({"web": container(candidate(TWO, None))})
        (known,) = web(failed(now, circumstance=circumstance)).failures
        assert known == failure(TWO, image=None, circumstance=circumstance)

    def test_a_failure_is_a_fault_by_default(self) -> None:
        assert not web(failed(record({"web": container(candidate(TWO))}))).failures[0].circumstance

    def test_only_a_limited_number_of_failures_is_kept(self) -> None:
        many = tuple(failure(message(f"v{number}")) for number in range(FAILURES_KEPT))
        now = record({"web": container(candidate(TWO), failures=many)})
        assert [item.id for item in web(failed(now)).failures] == ["2", *(f"v{n}" for n in range(FAILURES_KEPT - 1))]


class TestAttempts:
    """The number of tries is told with the end."""

    def test_they_are_told_for_a_push_that_was_never_on_the_group(self) -> None:
        now = record({"web": container(candidate(TWO))})
        assert [failed(now).outbox[0].attempts, failed(now, attempts=7).outbox[0].attempts] == [1, 7]

    def test_they_are_told_for_a_push_that_was_on_the_group(self) -> None:
        now = failed(record({"web": container(candidate(TWO))}, change=change()), attempts=7)
        assert now.undone[0].attempts == 7
        assert conclude(now, "so", NOW).outbox[0].attempts == 7
        assert brought_back(now, {"web": "acme/shop:1"}, NOW).outbox[0].attempts == 7


class TestTriedApart:
    def test_pushes_are_tried_apart_until_none_waits(self) -> None:
        now = record({"web": container(candidate(TWO), candidate(ONE))}, apart=True)
        assert failed(now).apart
        assert not failed(now, "1", "2").apart

    def test_a_candidate_of_any_container_counts(self) -> None:
        now = record({"blue": container(candidate(ONE)), "web": container(candidate(TWO))}, apart=True)
        assert failed(now).apart


class TestPinned:
    """A rollback by hand that fails."""

    PINNED = container(goods=(good("2"), good("1")), pin=pin(good("1")))

    def test_when_a_rollback_by_hand_fails_what_ran_before_is_pinned_for_the_same_message(self) -> None:
        now = record({"web": self.PINNED}, change=change(asked={"web": "back"}))
        after = failed(now, "back")
        assert web(after) == self.PINNED.but(pin=REVERTING)
        assert after.undone == (undone("2").but(message=self.message()),)
        assert ends(after) == []

    def test_a_rollback_that_was_never_on_the_group_ends_at_once(self) -> None:
        after = failed(record({"web": self.PINNED}), "back")
        assert ends(after) == [("back", "failed", "it crashes")]
        assert after.outbox[0].message == self.message()
        assert after.outcomes[0].containers == ("web",)

    def test_when_the_reverted_rollback_fails_too_nothing_is_pinned(self) -> None:
        # The failure of the rollback itself is still to be told.
        reverting = self.PINNED.but(pin=REVERTING)
        before = undone("back")
        now = record({"web": reverting}, change=change(asked={"web": "back"}), undone=(before,))
        after = failed(now, "back")
        assert web(after) == self.PINNED.but(pin=None)
        assert (after.undone, ends(after)) == ((before,), [])

    def test_every_container_that_was_pinned_for_it_is_reverted(self) -> None:
        other = container(pin=pin(good("0"), "other"))
        now = record({"web": self.PINNED, "blue": self.PINNED, "jobs": other}, change=change(asked={"blue": "back"}))
        after = failed(now, "back")
        assert after.undone[0].containers == ("web", "blue")
        pins = [item.pin for item in after.containers.values()]
        assert [item and item.reverting for item in pins] == [True, True, False]

    def test_a_rollback_ends_once_although_a_container_is_reverted_already(self) -> None:
        reverting = self.PINNED.but(pin=REVERTING)
        after = failed(record({"web": reverting, "blue": self.PINNED}), "back")
        assert [end[:2] for end in ends(after)] == [("back", "failed")]
        assert [item.pin and item.pin.reverting for item in after.containers.values()] == [None, True]

    @staticmethod
    def message() -> Any:
        return pin(good("1")).message


class TestConclude:
    """The group is not brought back."""

    NOW = record(undone=(undone("2", "web", "blue"), undone("1", "jobs")))

    def test_the_detail_says_why_it_was_not_rolled_back(self) -> None:
        after = conclude(self.NOW, "not rolled back: so", NOW)
        assert after.undone == ()
        assert ends(after) == [
            ("1", "failed", "it crashes; not rolled back: so"),
            ("2", "failed", "it crashes; not rolled back: so"),
        ]
        assert [(ending.code, ending.at) for ending in after.outbox] == [("CrashLoop", NOW)] * 2
        assert [outcome.containers for outcome in after.outcomes] == [("jobs",), ("web", "blue")]

    @pytest.mark.parametrize("concerned", [{"1"}, {"2"}, {"1", "2"}, set()])
    def test_only_the_pushes_that_it_concerns_end(self, concerned: set[str]) -> None:
        after = conclude(self.NOW, "so", NOW, lambda item: item.message.id in concerned)
        assert {ending.message.id for ending in after.outbox} == concerned
        assert [item.message.id for item in after.undone] == [id_ for id_ in ("2", "1") if id_ not in concerned]

    def test_the_last_lines_of_the_containers_are_told_with_it(self) -> None:
        now = record({"web": container()}, undone=(undone().but(log="web: no such table"),))
        assert [ending.log for ending in conclude(now, "so", NOW).outbox] == ["web: no such table"]

    def test_without_failed_pushes_nothing_changes(self) -> None:
        assert conclude(record(), "so", NOW) == record()


class TestBroughtBack:
    """The group runs well again."""

    def test_the_detail_names_the_image_it_was_rolled_back_to(self) -> None:
        now = record({"web": container(), "blue": container()}, undone=(undone("2", "web", "blue"), undone("3")))
        after = brought_back(now, IMAGES, NOW)
        assert after.undone == ()
        assert ends(after) == [
            ("3", "rolled-back", "it crashes; rolled back to acme/shop:1"),
            ("2", "rolled-back", "it crashes; rolled back to acme/shop:0, acme/shop:1"),
        ]
        assert [(ending.code, ending.at) for ending in after.outbox] == [("CrashLoop", NOW)] * 2
        assert after.outcomes[1].containers == ("web", "blue")

    def test_one_image_of_several_containers_is_named_once(self) -> None:
        now = record({"web": container(), "blue": container()}, undone=(undone("2", "web", "blue"),))
        (end,) = ends(brought_back(now, dict.fromkeys(now.containers, "acme/shop:1"), NOW))
        assert end[2] == "it crashes; rolled back to acme/shop:1"

    def test_without_a_known_good_image_it_was_not_rolled_back(self) -> None:
        lost = container(goods=(good("1", moved=True),))
        now = record({"web": lost, "blue": container(), "app": lost}, undone=(undone("2", "web", "blue", "app"),))
        after = brought_back(now, dict.fromkeys(now.containers, "acme/shop:2"), NOW)
        assert ends(after) == [("2", "failed", "it crashes; not rolled back: no good image is known for app, web")]

    def test_a_container_that_is_gone_is_not_mentioned(self) -> None:
        now = record({"web": container()}, undone=(undone("2", "gone", "web"),))
        (end,) = ends(brought_back(now, IMAGES, NOW))
        assert end[2] == "it crashes; rolled back to acme/shop:1"

    def test_where_no_container_is_left_nothing_was_rolled_back(self) -> None:
        # Regression: the end said "rolled back to", with nothing behind it.
        now = record({"web": container()}, undone=(undone("2", "gone"),))
        (end,) = ends(brought_back(now, IMAGES, NOW))
        assert end[1:] == ("failed", "it crashes; not rolled back: the group has no container gone any more")

    @pytest.mark.parametrize(
        ("held", "why"), [(Hold(reason="sale", since=at(0)), "held by hand"), (None, "still running")]
    )
    def test_an_image_that_still_runs_was_not_rolled_back(self, held: Hold | None, why: str) -> None:
        kept = container(failures=(failure(ONE), failure(TWO)))
        now = record({"web": kept, "blue": container(), "app": kept}, undone=(undone("2", "web", "blue", "app"),))
        after = brought_back(now.but(hold=held), dict.fromkeys(now.containers, "acme/shop:2"), NOW)
        assert ends(after) == [("2", "failed", f"it crashes; not rolled back: {why}: app, web")]

    def test_another_push_of_the_running_image_does_not_count(self) -> None:
        again = failure(message("2", name="other"))
        now = record({"web": container(failures=(again,))}, undone=(undone(),))
        (end,) = ends(brought_back(now, {"web": "acme/shop:2"}, NOW))
        assert end[1] == "rolled-back"

    def test_without_failed_pushes_nothing_changes(self) -> None:
        now = record({"web": container()})
        assert brought_back(now, IMAGES, NOW) == now


def test_a_failure_keeps_what_the_candidate_was_known_by() -> None:
    of = message("2", digest=ONE_GOOD, pushed_at=at(-3))
    how = Failed("CrashLoop", "it crashes", NOW, circumstance=True, attempts=3)
    assert how.failure(candidate(of, "acme/shop:ii", digest=None)) == failure(
        of, image="acme/shop:ii", digest=ONE_GOOD, circumstance=True
    )
