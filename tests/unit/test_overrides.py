"""What an operator changes in a record by hand: hold, release, roll back."""

from __future__ import annotations

from typing import Any

import pytest

from shared.image import ImageReference
from shared.message import UpdateMessage
from tests.unit.builders import (
    REPOSITORY,
    at,
    candidate,
    change,
    container,
    digest,
    ends,
    failure,
    good,
    group,
    message,
    pin,
    queued,
    record,
)
from worker.core.desired import desired
from worker.core.proving import prove
from worker.record.container import ContainerRecord, FailedPush, Good, Pin
from worker.record.overrides import NothingToRollBackTo, Wish, end_hold, hold, release, roll_back, what_comes_back
from worker.record.record import FAILURES_KEPT, Record
from worker.record.values import Hold, Undone

ONE_GOOD = digest("one")
ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)
GOODS = (good("2", pushed=0), good("1"), good("0"))
NOW = at(600)


def back(now: Record | ContainerRecord, name: str = "by-hand") -> Record:
    """The record after an operator has asked for a rollback."""
    before = record({"web": now}) if isinstance(now, ContainerRecord) else now
    return roll_back(before, name, NOW)


def pinned(of: Record, name: str = "web") -> Pin:
    found = of.containers[name].pin
    assert found is not None
    return found


def goal(of: Record, name: str = "web") -> str | None:
    """The image that the rollback goes to."""
    return pinned(of, name).good.restored


def arrived(of: Record) -> Record:
    """The record after the rollback was proven."""
    images = {name: str(goal(of, name)) for name, item in of.containers.items() if item.pin}
    asked = {name: pinned(of, name).message.id for name in images}
    return prove(of.but(change=change(images, asked=asked)), group(images), asked, at(700)).but(change=None)


class TestHold:
    def test_the_reason_and_the_time_are_kept(self) -> None:
        before = record({"web": container(candidate(TWO))})
        assert hold(before, "sale", at(60)) == before.but(hold=Hold(reason="sale", since=at(60)))

    def test_a_second_hold_replaces_the_first(self) -> None:
        held = hold(hold(record(), "sale", at(60)), "still on sale", at(90))
        assert held.hold == Hold(reason="still on sale", since=at(90))

    def test_a_rollback_goes_on(self) -> None:
        now = back(container(goods=GOODS))
        held = hold(now, "incident", at(700))
        assert (held.hold, held.containers) == (Hold(reason="incident", since=at(700)), now.containers)

    def test_who_it_was_and_for_how_long_are_kept(self) -> None:
        held = hold(record(), "sale", at(60), "ann", at(90))
        assert held.hold == Hold(reason="sale", since=at(60), by="ann", until=at(90))


class TestTheEndOfAHold:
    @pytest.mark.parametrize(("until", "seconds"), [(None, 1e6), (60, 59.9)])
    def test_before_its_time_nothing_ends(self, until: float | None, seconds: float) -> None:
        held = hold(record(), "sale", at(0), until=None if until is None else at(until))
        assert end_hold(held, at(seconds)) is None

    def test_what_is_not_held_has_no_hold_to_end(self) -> None:
        assert end_hold(record(), at(0)) is None

    def test_then_updates_go_on_and_the_record_remembers_it(self) -> None:
        ended = end_hold(hold(back(container(goods=GOODS)), "sale", at(0), "ann", at(60)), at(60))
        assert ended is not None
        assert ended.hold is None
        # A rollback that is under way goes on: nothing is to put the image back that it went back from.
        assert ended.containers["web"].pin is not None
        assert [(deed.what, deed.by) for deed in ended.deeds] == [("the hold ended, as its time was over", None)]


class TestBackToANamedImage:
    def to(self, image: str, now: ContainerRecord, **rest: Any) -> Record:
        return roll_back(record({"web": now}), "by-hand", NOW, wish=Wish(to=ImageReference.parse(image), **rest))

    def test_a_good_one_comes_back_as_it_was(self) -> None:
        goods = (good("3"), good("2", digest=ONE_GOOD, pushed_again=True), good("1"))
        result = self.to("acme/shop:2", container(goods=goods))
        assert pinned(result).good == goods[1]
        assert [failure.tag for failure in result.containers["web"].failures] == ["3"]

    def test_by_its_digest(self) -> None:
        goods = (good("3"), good("2", digest=digest("two")), good("2", digest=ONE_GOOD, moved=True))
        assert pinned(self.to(f"acme/shop@{ONE_GOOD}", container(goods=goods))).good == goods[2]

    def test_one_that_can_not_be_brought_back_is_taken_by_its_name(self) -> None:
        goods = (good("3"), good("2", moved=True))
        assert pinned(self.to("acme/shop:2", container(goods=goods))).good == good("2")

    @pytest.mark.parametrize(
        ("image", "running", "expected"),
        [
            ("acme/shop:9", "docker.io/acme/shop:3", "docker.io/acme/shop:9"),
            (f"acme/shop@{ONE_GOOD}", "acme/shop:3", f"acme/shop@{ONE_GOOD}"),
            ("acme/shop:9", "quay.io/other/shop:3", f"{REPOSITORY}:9"),
            ("acme/shop:9", "NO IMAGE", f"{REPOSITORY}:9"),
        ],
    )
    def test_any_other_is_taken_by_its_name_as_the_group_spells_it(
        self, image: str, running: str, expected: str
    ) -> None:
        result = self.to(image, container(goods=(good("3", running),)))
        assert goal(result) == expected
        assert [failure.tag for failure in result.containers["web"].failures] == ["3"]

    def test_only_containers_of_its_repository_go_back(self) -> None:
        now = record({"web": container(goods=GOODS), "jobs": container(goods=GOODS, followed=False)})
        with pytest.raises(NothingToRollBackTo, match=r"kept up to date follows docker\.io/a/b"):
            roll_back(now, "by-hand", NOW, wish=Wish(to=ImageReference.parse("a/b:1")))
        result = roll_back(now, "by-hand", NOW, wish=Wish(to=ImageReference.parse("acme/shop:0")))
        assert [name for name, item in result.containers.items() if item.pin] == ["web"]

    def test_why_and_who_are_kept(self) -> None:
        result = self.to("acme/shop:1", container(goods=GOODS), reason="too slow", by="ann")
        assert result.hold == Hold(reason="rolled back: too slow", since=NOW, by="ann")
        assert pinned(result).message.push.pusher == "ann"


class TestRelease:
    def test_the_best_candidate_is_desired_again(self) -> None:
        held = hold(record({"web": container(candidate(TWO))}), "sale", at(0))
        assert not desired(held, {"web": "acme/shop:1"}, rollback=True)
        released = release(held)
        assert released == record({"web": container(candidate(TWO))})
        assert desired(released, {"web": "acme/shop:1"}, rollback=True)["web"].id == "2"

    def test_releasing_a_group_that_is_not_held_changes_nothing(self) -> None:
        now = record({"web": container()})
        assert release(now) == now

    def test_rollbacks_do_not_go_on(self) -> None:
        going = container(pin=pin(good("1")))
        now = hold(record({"web": going, "blue": going, "jobs": container()}), "rolled back", at(0))
        assert release(now) == record(dict.fromkeys(("web", "blue", "jobs"), container()))


class TestRollBack:
    def test_the_good_image_before_is_pinned_and_the_group_is_held(self) -> None:
        now = back(container(goods=GOODS))
        assert pinned(now).good == good("1")
        assert not pinned(now).reverting
        assert now.hold == Hold(reason="rolled back", since=NOW)
        assert (ends(now), now.outbox) == ([], ())

    def test_its_end_is_told_by_a_message_of_its_own(self) -> None:
        now = back(container(goods=GOODS))
        sent = pinned(now).message
        assert (sent.id, sent.kind, sent.target, sent.received_at) == ("by-hand", "rollout", now.target, NOW)
        assert (sent.push.sender, str(sent.push.image), sent.push.digest) == ("rollback", f"{REPOSITORY}:1", None)
        assert sent.push.pushed_at == NOW

    def test_the_image_it_goes_back_from_counts_as_failed_so_that_no_sweep_brings_it_again(self) -> None:
        newest = good("2", digest=digest("two")).but(order=(at(0), at(5)))
        now = back(container(goods=(newest, good("1")), failures=(failure(THREE),)))
        rolled_back = FailedPush(
            id="RolledBack",
            tag="2",
            image="acme/shop:2",
            digest=digest("two"),
            pushed_at=at(0),
            code="RolledBack",
            at=NOW,
        )
        assert now.containers["web"].failures == (rolled_back, failure(THREE))

    def test_an_image_without_a_tag_or_a_time_counts_as_failed_too(self) -> None:
        now = back(container(goods=(good(None, "acme/shop@x"), good("1"))))
        (one,) = now.containers["web"].failures
        assert (one.tag, one.image, one.digest, one.pushed_at) == ("unknown", "acme/shop@x", None, None)

    def test_only_a_limited_number_of_failures_is_kept(self) -> None:
        many = tuple(failure(message(f"v{number}")) for number in range(FAILURES_KEPT))
        kept = back(container(goods=GOODS, failures=many)).containers["web"].failures
        assert [item.id for item in kept] == ["RolledBack", *(f"v{number}" for number in range(FAILURES_KEPT - 1))]

    def test_waiting_pushes_end(self) -> None:
        now = record({"web": container(candidate(TWO), candidate(ONE), goods=GOODS)}, inbox=(THREE,), apart=True)
        after = back(now)
        why = "an operator rolled back to an earlier image"
        assert [(ending.message.id, ending.result, ending.detail) for ending in after.outbox] == [
            ("3", "superseded", why),
            ("2", "superseded", why),
            ("1", "superseded", why),
        ]
        assert (after.inbox, queued(after), after.apart) == ((), [], False)
        assert after.outcomes[0].containers == ("web",)
        assert after.outcomes[0].at == NOW
        assert after.containers["web"].past == ("acme/shop:2", "acme/shop:1")

    def test_it_can_go_back_to_an_image_without_a_known_tag(self) -> None:
        before = good(None, f"acme/shop@{ONE_GOOD}", digest=ONE_GOOD)
        now = back(container(goods=(good("2"), before)))
        sent = pinned(now).message.push
        assert (goal(now), sent.tag, sent.digest) == (f"acme/shop@{ONE_GOOD}", "unknown", ONE_GOOD)

    def test_an_image_whose_tag_has_moved_comes_back_by_its_digest(self) -> None:
        before = good("latest", digest=ONE_GOOD, moved=True)
        now = back(container(goods=(good("latest", f"acme/shop@{digest('two')}"), before)))
        assert goal(now) == f"acme/shop@{ONE_GOOD}"

    def test_an_image_whose_tag_has_moved_and_whose_digest_is_unknown_can_not_come_back(self) -> None:
        lost = container(goods=(good("2"), good("1", moved=True), good("0")))
        with pytest.raises(NothingToRollBackTo):
            back(lost)
        both = back(record({"web": lost, "blue": container(goods=GOODS)}))
        assert (both.containers["web"].pin, goal(both, "blue")) == (None, "acme/shop:1")

    def test_a_tag_that_was_restarted_into_several_images_goes_back_one_by_one(self) -> None:
        goods = tuple(good("1", digest=digest(name), moved=number > 0) for number, name in enumerate("cba"))
        first = back(container(goods=goods), "first")
        assert goal(first) == f"acme/shop@{digest('b')}"
        again = back(first.but(change=change(asked={"web": "first"})), "again")
        assert goal(again) == f"acme/shop@{digest('a')}"
        assert [item.digest for item in again.containers["web"].failures] == [digest(name) for name in "cbc"]

    def test_all_containers_go_back_by_one_message(self) -> None:
        jobs = container(goods=(good("7"), good("6")), repository="docker.io/acme/jobs")
        now = back(record({"jobs": jobs, "new": container(), "web": container(goods=GOODS)}))
        assert {name: item.pin and item.pin.good.tag for name, item in now.containers.items()} == {
            "jobs": "6",
            "new": None,
            "web": "1",
        }
        assert [str(pinned(now, name).message.push.image) for name in ("jobs", "web")] == [
            "docker.io/acme/jobs:6",
            "docker.io/acme/shop:1",
        ]
        assert {pinned(now, name).message.id for name in ("jobs", "web")} == {"by-hand"}
        assert [len(item.failures) for item in now.containers.values()] == [1, 0, 1]

    def test_a_container_that_is_not_kept_up_to_date_is_left_alone(self) -> None:
        alone = container(goods=GOODS, followed=False)
        now = back(record({"proxy": alone, "web": container(goods=GOODS)}))
        assert (goal(now), now.containers["proxy"]) == ("acme/shop:1", alone)

    @pytest.mark.parametrize(
        "now",
        [
            record(),
            record({"web": container()}),
            record({"web": container(candidate(TWO))}),
            record({"web": container(goods=GOODS, followed=False)}),
        ],
        ids=["nothing is known", "nothing ran before", "a push waits", "nothing is kept up to date"],
    )
    def test_without_an_earlier_good_image_it_is_an_error(self, now: Record) -> None:
        with pytest.raises(NothingToRollBackTo) as raised:
            back(now)
        assert str(raised.value) == "no good image older than the running one is known"


class TestFromWhatIsNotProven:
    """An unproven image runs in the place of the last good one, so the last good one is what comes back."""

    def begun(self, of: UpdateMessage, last: Good, **rest: Any) -> Record:
        return record(
            {"web": container(candidate(of, **rest), candidate(ONE), goods=(last, good("0")))},
            change=change(asked={"web": of.id}),
        )

    def test_the_last_good_image_comes_back(self) -> None:
        after = back(self.begun(TWO, good("1")))
        assert pinned(after).good == good("1")
        assert (queued(after), [end[0] for end in ends(after)]) == ([], ["1"])
        assert after.outcomes[0].count == 2

    @pytest.mark.parametrize(("told", "sent"), [(digest("two"), None), (None, digest("two")), (None, None)])
    def test_the_push_that_was_begun_counts_as_failed(self, told: str | None, sent: str | None) -> None:
        of = message("2", digest=sent, pushed_at=at(-1))
        after = back(self.begun(of, good("1"), digest=told))
        assert after.containers["web"].failures == (failure(of, code="RolledBack", at=NOW, digest=told or sent),)

    def test_a_push_that_only_waits_does_not(self) -> None:
        now = self.begun(TWO, good("1"))
        now = now.but(change=change(asked={"blue": "2"}))
        after = back(now)
        assert (pinned(after).good, [item.id for item in after.containers["web"].failures]) == (
            good("0"),
            ["RolledBack"],
        )

    @pytest.mark.parametrize(
        ("told", "moved"), [(digest("two"), True), (None, True), (ONE_GOOD, False)], ids=["another", "unknown", "same"]
    )
    def test_if_its_tag_has_moved_the_last_good_image_comes_back_by_digest(self, told: str | None, moved: bool) -> None:
        again = message("1", name="again")
        after = back(self.begun(again, good("1", digest=ONE_GOOD), digest=told))
        assert pinned(after).good == good("1", digest=ONE_GOOD, moved=moved)


class TestFromWhatHasFailed:
    """A failed push may have been left on the group. Then the last good image is what comes back."""

    FAILED = container(goods=GOODS, failures=(failure(message("9")),), past=("acme/shop:8",))

    @pytest.mark.parametrize(
        ("running", "to"),
        [
            ({"web": "acme/shop:9"}, "acme/shop:2"),
            ({"web": "acme/shop:8"}, "acme/shop:2"),
            ({"web": "acme/shop:2"}, "acme/shop:1"),
            ({"web": "acme/shop:by-hand"}, "acme/shop:1"),
            ({"blue": "acme/shop:9"}, "acme/shop:1"),
            (None, "acme/shop:1"),
        ],
        ids=["it was left", "an older one was left", "the good one", "its owner's", "elsewhere", "nobody can tell"],
    )
    def test_the_running_image_decides_where_to_go_back_to(self, running: dict[str, str] | None, to: str) -> None:
        assert goal(roll_back(record({"web": self.FAILED}), "by-hand", NOW, running)) == to

    def test_a_failed_image_that_has_become_good_counts_as_good(self) -> None:
        again = self.FAILED.but(goods=(good("9"), good("1")))
        assert goal(roll_back(record({"web": again}), "by-hand", NOW, {"web": "acme/shop:9"})) == "acme/shop:1"

    @pytest.mark.parametrize(("names", "to"), [(("web", "blue"), "acme/shop:2"), (("blue",), "acme/shop:1")])
    def test_from_a_push_that_is_being_rolled_back_it_goes_to_the_last_good_image(
        self, names: tuple[str, ...], to: str
    ) -> None:
        failed = Undone(message=THREE, code="CrashLoop", detail="", containers=names)
        other = failed.but(containers=("jobs",))
        assert goal(back(record({"web": container(goods=GOODS)}, undone=(other, failed)))) == to

    def test_the_last_good_image_does_not_count_as_failed(self) -> None:
        after = roll_back(record({"web": self.FAILED}), "by-hand", NOW, {"web": "acme/shop:9"})
        assert after.containers["web"].failures == self.FAILED.failures


class TestAgain:
    """A rollback is under way already."""

    def going(self, *, on_group: bool, asked: str = "first") -> Record:
        now = back(container(goods=GOODS), "first")
        return now.but(change=change(asked={"web": asked})) if on_group else now

    def test_before_it_is_on_the_group_it_goes_on(self) -> None:
        # Regression: a rollback whose message had not been sent could not be repeated, and every push waited.
        now = self.going(on_group=False)
        assert back(now, "again") == now

    @pytest.mark.parametrize("held", [True, False])
    def test_pushes_that_arrived_meanwhile_end_and_the_group_is_held_again(self, held: bool) -> None:
        now = self.going(on_group=False).but(inbox=(THREE,))
        after = back(now if held else now.but(hold=None), "again")
        assert pinned(after).message.id == "first"
        assert (after.hold, [end[:2] for end in ends(after)]) == (
            Hold(reason="rolled back", since=NOW),
            [("3", "superseded")],
        )

    def test_a_container_that_was_not_pinned_yet_goes_back_too(self) -> None:
        going = container(goods=GOODS, pin=pin(good("1"), "first"))
        after = back(record({"web": going, "blue": container(goods=GOODS)}), "again")
        assert [pinned(after, name).message.id for name in ("web", "blue")] == ["first", "again"]

    def test_a_change_for_another_push_does_not_count_as_its_own(self) -> None:
        now = self.going(on_group=True, asked="other")
        assert back(now, "again").containers == now.containers

    def test_once_it_is_on_the_group_it_goes_one_image_further_back(self) -> None:
        after = back(self.going(on_group=True), "again")
        assert (goal(after), pinned(after).message.id) == ("acme/shop:0", "again")
        assert ends(after) == [("first", "superseded", "an operator rolled back further")]
        assert after.outcomes[0].containers == ("web",)
        assert after.outcomes[0].at == NOW
        assert [item.tag for item in after.containers["web"].failures] == ["2", "1", "2"]

    def test_it_goes_back_as_far_as_it_can(self) -> None:
        now = back(container(goods=GOODS[:2]), "first").but(change=change(asked={"web": "first"}))
        assert back(now, "again") == now

    def test_a_container_that_can_go_no_further_stays_where_it_is(self) -> None:
        both = record({"web": container(goods=GOODS), "blue": container(goods=GOODS[:2])})
        first = back(both, "first").but(change=change(asked={"web": "first", "blue": "first"}))
        after = back(first, "again")
        assert (goal(after), goal(after, "blue")) == ("acme/shop:0", "acme/shop:1")
        assert (pinned(after).message.id, pinned(after, "blue").message.id) == ("again", "first")

    def test_the_earlier_rollback_of_several_containers_ends_once(self) -> None:
        both = record({"web": container(goods=GOODS), "blue": container(goods=GOODS)})
        first = back(both, "first").but(change=change(asked={"web": "first", "blue": "first"}))
        assert [ending.message.id for ending in back(first, "again").outbox] == ["first"]

    def test_the_earlier_rollback_does_not_end_while_a_container_is_still_pinned_for_it(self) -> None:
        both = record({"web": container(goods=GOODS), "blue": container(goods=GOODS[:2])})
        first = back(both, "first").but(change=change(asked={"web": "first", "blue": "first"}))
        after = back(first, "again")
        assert pinned(after, "blue").message.id == "first"
        assert ends(after) == []

    def test_after_a_proven_rollback_it_goes_one_image_further_back(self) -> None:
        # Regression: the second rollback went forward again, to what the first one had left.
        now = arrived(back(container(goods=GOODS), "first"))
        assert [item.image for item in now.containers["web"].goods] == ["acme/shop:1", "acme/shop:0"]
        assert goal(back(now, "again")) == "acme/shop:0"

    def test_an_image_that_is_not_among_the_good_ones_has_none_before_it(self) -> None:
        odd = container(goods=GOODS, pin=pin(good("9"), "first"))
        now = record({"web": odd}, change=change(asked={"web": "first"}))
        assert back(now, "again") == now


class TestWhatComesBack:
    def test_the_images_are_listed_in_order(self) -> None:
        now = record(
            {
                "web": container(pin=pin(good("2"))),
                "blue": container(pin=pin(good("1", digest=ONE_GOOD, moved=True))),
                "jobs": container(),
                "lost": container(pin=pin(good("3", moved=True))),
            }
        )
        assert what_comes_back(now) == ["acme/shop:2", "acme/shop:3", f"acme/shop@{ONE_GOOD}"]
