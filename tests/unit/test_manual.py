"""What an operator does to a record by hand: hold, release, and back to the good images before."""

from __future__ import annotations

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import REPOSITORY, at, container, digest, failure, good, message, record, rollout, wanted
from worker.manual import NothingToRollBackTo, hold, release, roll_back
from worker.record import Record
from worker.record_parts import ContainerRecord, Failure, Good, Hold, Wanted

TWO = message("2")
ONE_GOOD = digest("one")


def updated(of: UpdateMessage = TWO, *before: Good) -> ContainerRecord:
    """The push runs well, and these ran well before it."""
    return container(wanted(of, status="done", began=0), goods=(good(of.push.tag), *before))


def back(now: Record) -> tuple[Record, UpdateMessage]:
    return roll_back(now, lambda: "by-hand", at(600))


class TestHold:
    def test_the_reason_and_the_time_are_kept(self) -> None:
        held = hold(record({"web": updated()}), "sale", at(60))
        assert held == record({"web": updated()}, hold=Hold(reason="sale", since=at(60)))

    def test_a_rollback_under_way_goes_on(self) -> None:
        now, sent = back(record({"web": updated(TWO, good("1"))}))
        assert hold(now, "incident", at(700)).hold == Hold(reason="incident", since=at(700), allows=sent.id)

    def test_a_second_hold_takes_the_place_of_the_first(self) -> None:
        held = hold(hold(record(), "sale", at(60)), "still on sale", at(90))
        assert held.hold == Hold(reason="still on sale", since=at(90))


class TestRelease:
    def test_what_waited_is_as_if_it_had_been_admitted_now(self) -> None:
        held = hold(record({"web": container(wanted(TWO))}), "sale", at(0))
        released = release(held, at(600))
        assert released.hold is None
        assert released.open() == {"web": wanted(TWO).but(admitted_at=at(600))}
        assert released.outcomes == ()

    def test_what_has_ended_stays_as_it_is(self) -> None:
        held = hold(record({"web": updated()}), "sale", at(0))
        assert release(held, at(600)) == record({"web": updated()})

    def test_a_group_that_is_not_held(self) -> None:
        assert release(record({"web": updated()}), at(600)) == record({"web": updated()})


class TestRollBack:
    def test_the_good_image_before_is_wanted_and_the_group_is_held(self) -> None:
        now, sent = back(record({"web": updated(TWO, good("1"))}))
        assert (sent.id, sent.kind, sent.target) == ("by-hand", "rollout", now.target)
        assert (sent.push.sender, str(sent.push.image)) == ("rollback", f"{REPOSITORY}:1")
        assert now.open() == {"web": wanted(sent, "acme/shop:1").but(admitted_at=at(600))}
        assert now.hold == Hold(reason="rolled back", since=at(600), allows="by-hand")

    def test_it_is_newer_than_every_push_before_it(self) -> None:
        _, sent = back(record({"web": updated(TWO, good("1"))}))
        assert sent.order == (at(600), at(600)) > TWO.order
        assert sent.push.pushed_at == at(600)

    @pytest.mark.parametrize(
        ("running", "failures", "image"),
        [
            (wanted(TWO, began=0), (), "acme/shop:1"),
            (wanted(TWO, began=0, status="failed"), (failure(TWO),), "acme/shop:1"),
            (wanted(TWO, began=0, status="failed"), (failure(TWO, settled="failed"),), "acme/shop:1"),
            # FINDING: it "went back" to what ran already, and restarted it.
            (wanted(TWO, began=0, status="failed"), (failure(TWO, settled="rolled-back"),), "acme/shop:0"),
            (wanted(TWO), (), "acme/shop:0"),
        ],
        ids=["begun", "failed", "not rolled back", "rolled back", "waiting"],
    )
    def test_what_runs_may_be_the_last_good_image_itself(
        self, running: Wanted, failures: tuple[Failure, ...], image: str
    ) -> None:
        one = container(running, failures=failures, goods=(good("1"), good("0")))
        now, sent = back(record({"web": one}))
        assert now.owned_by(sent.id)["web"].image == image

    def test_one_after_the_other_goes_further_back(self) -> None:
        # FINDING: the second rollback went forward again, to what the first one had left.
        now, first = back(record({"web": updated(message("3"), good("2"), good("1"))}))
        now = now.begin(rollout(first.id, {"web": "acme/shop:2"})).succeed(first, {}, at(700), "")
        assert [one.image for one in now.containers["web"].goods] == ["acme/shop:2", "acme/shop:1"]
        again, second = roll_back(now, lambda: "again", at(800))
        assert again.owned_by(second.id)["web"].image == "acme/shop:1"

    def test_asked_for_again_it_is_the_same_one(self) -> None:
        # FINDING: a rollback whose message had not been sent could not be asked for again, and every push waited.
        now, sent = back(record({"web": updated(TWO, good("1"))}))
        assert roll_back(now, lambda: "again", at(700)) == (now, sent)

    def test_after_a_release_on_the_way_it_goes_further_back_too(self) -> None:
        # FINDING: it went forward again, to the image that the first one had left.
        now, first = back(record({"web": updated(message("3"), good("2"), good("1"))}))
        now = release(now.begin(rollout(first.id, {"web": "acme/shop:2"}, since=610)), at(620))
        again, second = roll_back(now, lambda: "again", at(700))
        assert again.owned_by(second.id)["web"].image == "acme/shop:1"

    def test_a_tag_that_moved_goes_back_by_digest(self) -> None:
        before = good("latest", digest=ONE_GOOD)
        now, sent = back(record({"web": updated(message("latest"), before)}))
        assert (now.open()["web"].image, sent.push.digest) == (f"acme/shop@{ONE_GOOD}", ONE_GOOD)
        assert now.open()["web"].digest == ONE_GOOD

    def test_another_tag_needs_no_digest(self) -> None:
        now, _ = back(record({"web": updated(message("latest"), good("1", digest=ONE_GOOD))}))
        assert now.open()["web"].image == "acme/shop:1"

    def test_a_tag_that_moved_from_nobody_knows_what_brings_nothing_back(self) -> None:
        with pytest.raises(NothingToRollBackTo):
            back(record({"web": updated(message("latest"), good("latest"))}))

    def test_an_image_of_no_known_tag(self) -> None:
        before = good(None, f"acme/shop@{ONE_GOOD}", digest=ONE_GOOD)
        now, sent = back(record({"web": updated(TWO, before)}))
        assert (now.open()["web"].image, sent.push.tag) == (f"acme/shop@{ONE_GOOD}", "unknown")

    def test_every_container_that_can_goes_back_by_one_message(self) -> None:
        jobs = updated(message("7", name="jobs-7"), good("6"))
        now, sent = back(record({"jobs": jobs, "new": updated(), "web": updated(TWO, good("1"))}))
        assert {name: one.image for name, one in now.owned_by(sent.id).items()} == {
            "jobs": "acme/shop:6",
            "web": "acme/shop:1",
        }
        assert [one.message.push.tag for one in now.open().values()] == ["6", "1"]

    @pytest.mark.parametrize(
        "one",
        [container(), updated(), container(wanted(TWO), goods=())],
        ids=["nothing was pushed", "nothing ran before", "nothing ever ran well"],
    )
    def test_there_is_nothing_to_go_back_to(self, one: ContainerRecord) -> None:
        with pytest.raises(NothingToRollBackTo, match="known for web/shop"):
            back(record({"web": one}))
