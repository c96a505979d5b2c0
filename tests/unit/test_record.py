"""The record's transitions: each gives a new record, and loses no push."""

from __future__ import annotations

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import (
    SHOP,
    at,
    container,
    digest,
    failure,
    good,
    message,
    record,
    rollout,
    wanted,
)
from worker.record import FAILURES_KEPT, LONGEST_DETAIL, OUTCOMES_KEPT, RUNNERS_UP_KEPT, Record
from worker.record_parts import GOODS_KEPT, ContainerRecord, Good, Wanted

ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)


def web(of: Record) -> ContainerRecord:
    return of.containers["web"]


def outcomes(of: Record) -> list[tuple[str, str, str]]:
    return [(one.id, one.result, one.detail) for one in of.outcomes]


def runners_up(of: Record) -> list[str]:
    return [one.message.id for one in web(of).runners_up]


class TestAdmit:
    def test_the_first_push_is_wanted(self) -> None:
        assert record({"web": container()}).admit("web", wanted(TWO)) == record({"web": container(wanted(TWO))})

    def test_an_open_push_is_superseded_and_becomes_the_first_runner_up(self) -> None:
        before = record({"web": container(wanted(TWO, began=5), runners_up=(wanted(ONE),))})
        after = before.admit("web", wanted(THREE))
        assert web(after).wanted == wanted(THREE)
        assert web(after).runners_up == (wanted(TWO), wanted(ONE))
        assert outcomes(after) == [("2", "superseded", "overtaken by docker.io/acme/shop:3")]

    def test_only_so_many_runners_up_are_kept(self) -> None:
        now = record({"web": container(wanted(message("v0")))})
        for number in range(1, RUNNERS_UP_KEPT + 3):
            now = now.admit("web", wanted(message(f"v{number}")))
        assert runners_up(now) == ["v6", "v5", "v4", "v3", "v2"]

    @pytest.mark.parametrize("status", ["done", "failed"])
    def test_a_push_that_ended_is_no_runner_up(self, status: str) -> None:
        before = record({"web": container(wanted(TWO, status=status), runners_up=(wanted(ONE),))})
        after = before.admit("web", wanted(THREE))
        assert runners_up(after) == ["1"]
        assert after.outcomes == ()

    def test_a_push_that_is_there_already_leaves_no_runners_up(self) -> None:
        before = record({"web": container(wanted(TWO), runners_up=(wanted(ONE),))})
        assert runners_up(before.admit("web", wanted(THREE, status="done"))) == []

    def test_the_same_image_again_takes_the_place_of_the_first(self) -> None:
        again = wanted(message("2", name="again", digest=digest("two")))
        before = record({"web": container(wanted(message("2", digest=digest("two"))), runners_up=(wanted(ONE),))})
        after = before.admit("web", again)
        assert web(after).wanted == again
        assert runners_up(after) == ["1"]
        assert after.outcomes == ()

    def test_another_digest_of_the_same_tag_is_another_image(self) -> None:
        before = record({"web": container(wanted(message("2", digest=digest("two"))))})
        assert runners_up(before.admit("web", wanted(message("2", name="again", digest=digest("ii"))))) == ["2"]


class TestConsider:
    def now(self, *tags: str) -> Record:
        kept = tuple(wanted(message(tag, pushed=int(tag))) for tag in tags)
        return record({"web": container(wanted(message("9", pushed=9)), runners_up=kept)})

    @pytest.mark.parametrize(
        ("kept", "considered", "order"),
        [
            ((), "5", ["5"]),
            (("6", "4"), "5", ["6", "5", "4"]),
            (("6", "4"), "7", ["7", "6", "4"]),
            (("6", "4"), "3", ["6", "4", "3"]),
            (("8", "7", "6", "4", "3"), "5", ["8", "7", "6", "5", "4"]),
            (("8", "7", "6", "5", "4"), "3", ["8", "7", "6", "5", "4"]),
            (("6", "5"), "5", ["6", "5"]),
        ],
    )
    def test_a_loser_is_kept_in_its_place(self, kept: tuple[str, ...], considered: str, order: list[str]) -> None:
        one = wanted(message(considered, pushed=int(considered)))
        after = self.now(*kept).consider("web", one, lambda other: one.message.order > other.message.order)
        assert runners_up(after) == order


class TestBegin:
    def test_every_open_push_that_it_carries_begins_anew(self) -> None:
        now = record(
            {
                "web": container(wanted(TWO, began=1)),
                "blue": container(wanted(ONE)),
                "jobs": container(wanted(TWO, status="done", began=1)),
                "new": container(),
            }
        )
        begun = now.begin(rollout(since=7, images={"web": "acme/shop:2", "blue": "acme/shop:9", "jobs": "acme/shop:2"}))
        assert begun.rollout is not None
        began = {name: one.wanted.began_at for name, one in begun.containers.items() if one.wanted}
        assert began == {"web": at(7), "blue": None, "jobs": at(1)}


class TestSucceed:
    def succeed(self, now: ContainerRecord, running: str | None = None) -> Record:
        return record({"web": now}, rollout=rollout()).succeed(TWO, {"web": running}, at(40), "web runs it")

    def test_the_push_is_done_and_its_image_the_last_good_one(self) -> None:
        after = self.succeed(container(wanted(TWO, began=0), runners_up=(wanted(ONE),)), digest("two"))
        done = wanted(TWO, began=0, status="done").but(digest=digest("two"))
        assert web(after).wanted == done
        assert web(after).goods == (good("2", pushed=0, digest=digest("two")), good("1"))
        assert web(after).runners_up == ()
        assert after.rollout is None
        assert outcomes(after) == [("2", "updated", "web runs it")]

    @pytest.mark.parametrize(
        ("running", "known", "kept"),
        [
            (digest("seen"), digest("told"), digest("seen")),
            (None, digest("told"), digest("told")),
            (None, None, None),
        ],
    )
    def test_the_digest_that_runs_counts_before_the_one_that_was_pushed(
        self, running: str | None, known: str | None, kept: str | None
    ) -> None:
        after = self.succeed(container(wanted(TWO, began=0).but(digest=known)), running)
        assert web(after).good == good("2", pushed=0, digest=kept)

    def test_the_pushed_digest_stays_that_of_the_push(self) -> None:
        # What a platform pulls of an index may have another one, and the same push comes again by its own.
        after = self.succeed(container(wanted(TWO, began=0).but(digest=digest("told"))), digest("seen"))
        assert web(after).wanted == wanted(TWO, began=0, status="done").but(digest=digest("told"))

    def test_each_container_by_its_own_push(self) -> None:
        # An operator's rollback is one message for several repositories.
        own = TWO.model_copy(update={"push": message("7", repository="acme/jobs").push})
        now = record({"web": container(wanted(TWO, began=0)), "jobs": container(wanted(own, began=0))})
        after = now.succeed(TWO, {}, at(40), "")
        assert {name: one.good.tag for name, one in after.containers.items() if one.good} == {"web": "2", "jobs": "7"}

    def test_an_image_is_good_once_but_for_one_that_was_restarted_into_another(self) -> None:
        again, older = good("2"), good("1")
        put = self.succeed(container(wanted(TWO, began=0), goods=(older, again)))
        assert [one.order for one in web(put).goods] == [(at(0), at(0)), None]
        assert [one.tag for one in web(put).goods] == ["2", "1"]
        restarted = self.succeed(container(wanted(TWO, began=0, restart=True), goods=(again, older)))
        assert [one.tag for one in web(restarted).goods] == ["2", "2", "1"]

    def test_only_so_many_good_images_are_kept(self) -> None:
        many = tuple(good(f"v{number}") for number in range(GOODS_KEPT))
        after = self.succeed(container(wanted(TWO, began=0), goods=many))
        assert [one.tag for one in web(after).goods] == ["2", "v0", "v1", "v2", "v3"]

    def test_what_ended_before_stays_as_it_is(self) -> None:
        now = {"web": container(wanted(TWO, began=0)), "blue": container(wanted(TWO, status="failed"))}
        after = record(now).succeed(TWO, {}, at(40), "web runs it")
        assert after.containers["blue"] == now["blue"]
        assert after.outcomes[0].containers == ("web",)

    @pytest.mark.parametrize(
        ("other", "returning", "stays"),
        [
            (wanted(ONE, began=0), frozenset[str](), True),
            (wanted(ONE), frozenset[str](), False),
            (wanted(ONE, began=0, status="done"), frozenset[str](), False),
            (wanted(ONE, status="failed"), frozenset({"blue"}), True),
        ],
    )
    def test_the_rollout_is_over_when_nothing_else_of_it_is_watched(
        self, other: Wanted, returning: frozenset[str], *, stays: bool
    ) -> None:
        now = {"web": container(wanted(TWO, began=0)), "blue": container(other)}
        after = record(now, rollout=rollout(returning=returning)).succeed(TWO, {}, at(40), "")
        assert (after.rollout is not None) == stays


class TestFail:
    def test_the_push_failed_with_its_evidence(self) -> None:
        of = message("2", digest=digest("two"))
        now = record({"web": container(wanted(of, began=0), failures=(failure(ONE),))})
        after = now.fail(of, {"web": ("CrashLoop", "it crashes")}, at(60))
        assert web(after).wanted == wanted(of, began=0, status="failed")
        assert web(after).failures == (failure(of, detail="it crashes"), failure(ONE))

    @pytest.mark.parametrize("other", [None, wanted(THREE)])
    def test_a_container_that_another_push_took_over_is_left_alone(self, other: Wanted | None) -> None:
        now = record({"web": container(other)})
        assert now.fail(TWO, {"web": ("CrashLoop", "")}, at(60)) == now

    def test_only_so_many_failures_are_kept(self) -> None:
        many = tuple(failure(message(f"v{number}")) for number in range(FAILURES_KEPT))
        after = record({"web": container(wanted(TWO), failures=many)}).fail(TWO, {"web": ("C", "")}, at(60))
        assert [one.message.id for one in web(after).failures] == ["2", *(f"v{n}" for n in range(FAILURES_KEPT - 1))]


class TestResume:
    def failed(self, now: Wanted | None, *runners_up: Wanted) -> ContainerRecord:
        return container(now, failures=(failure(TWO), failure(ONE)), runners_up=runners_up)

    def test_the_failure_is_settled_and_no_other(self) -> None:
        after = record({"web": self.failed(wanted(TWO, status="failed"))}).resume(TWO, "rolled-back", "so", at(99))
        assert web(after).failures == (failure(TWO, settled="rolled-back", detail="so"), failure(ONE))
        assert outcomes(after) == [("2", "rolled-back", "so")]
        assert after.outcomes[0].containers == ("web",)

    def test_the_first_runner_up_is_wanted_next(self) -> None:
        first, second = wanted(message("1.9")), wanted(message("1.8"))
        now = record({"web": self.failed(wanted(TWO, status="failed"), first, second)})
        after = now.resume(TWO, "failed", "", at(99))
        assert web(after).wanted == first.but(admitted_at=at(99))
        assert web(after).runners_up == (second,)

    def test_a_runner_up_is_brought_in_by_its_digest_as_its_tag_may_have_moved(self) -> None:
        # FINDING: the tag's newest image, which has just failed, was tried in its name.
        first = wanted(message("latest", digest=digest("before")), restart=True)
        after = record({"web": self.failed(wanted(TWO, status="failed"), first)}).resume(TWO, "failed", "", at(99))
        assert web(after).wanted == first.but(image=f"acme/shop@{digest('before')}", restart=False, admitted_at=at(99))

    def test_a_runner_up_that_failed_meanwhile_is_passed_over(self) -> None:
        # FINDING: a push that was delivered twice, and failed, was wanted again: its message came back without end.
        first, second = wanted(ONE), wanted(message("1.8"))
        now = record({"web": self.failed(wanted(TWO, status="failed"), first, second)})
        after = now.resume(TWO, "failed", "", at(99))
        assert web(after).wanted == second.but(admitted_at=at(99))
        assert web(after).runners_up == ()

    def test_a_newer_push_keeps_its_place(self) -> None:
        now = record({"web": self.failed(wanted(THREE), wanted(message("1.9")))})
        after = now.resume(TWO, "failed", "", at(99))
        assert web(after).wanted == wanted(THREE)
        assert runners_up(after) == ["1.9"]

    def test_nothing_is_brought_back_any_more(self) -> None:
        both = rollout(images={"web": "acme/shop:1", "blue": "acme/shop:1"}, returning=frozenset({"web", "blue"}))
        now = record({"web": self.failed(wanted(TWO, status="failed"))}, rollout=both)
        after = now.resume(TWO, "failed", "", at(99))
        assert after.rollout is not None
        # FINDING: it was a plain set, at which pydantic warns whenever the record is written.
        assert (after.rollout.returning, type(after.rollout.returning)) == (frozenset({"blue"}), frozenset)

    def test_a_runner_up_that_failed_on_another_container_is_not_wanted_again(self) -> None:
        # FINDING: its message had ended, and nobody carried it out.
        three = message("3", pushed=10)
        web = container(wanted(three, status="failed"), runners_up=(wanted(TWO),), failures=(failure(three),))
        blue = container(wanted(TWO, status="failed"), failures=(failure(TWO, settled="rolled-back"),))
        assert record({"web": web, "blue": blue}).resume(three, "rolled-back", "", at(99)).open() == {}

    def test_the_rollout_is_over_when_nothing_else_comes_back(self) -> None:
        now = record({"web": self.failed(None)}, rollout=rollout(returning=frozenset({"web"})))
        assert now.resume(TWO, "failed", "", at(99)).rollout is None


class TestReopen:
    def test_what_was_brought_here_and_is_gone_is_wanted_again(self) -> None:
        # Found by chaos: everything was looked at again, and what ran well for long was overdue by then.
        statuses = {
            "there": wanted(TWO, status="done", began=0),
            "overwritten": wanted(TWO, status="done", began=0),
            "found": wanted(TWO, status="done"),
            "failed": wanted(TWO, status="failed", began=0),
            "open": wanted(TWO),
        }
        now = record({name: container(one) for name, one in statuses.items()} | {"new": container()})
        images = dict.fromkeys(now.containers, "acme/shop:1") | {"there": "acme/shop:2"}
        after = now.reopen(images, now.containers, at(90))
        assert after.open() == {"overwritten": wanted(TWO).but(admitted_at=at(90)), "open": wanted(TWO)}
        assert now.reopen(images, {"there"}, at(90)) == now

    @pytest.mark.parametrize(
        ("images", "again"),
        [({"web": "acme/shop:2"}, True), ({"web": "acme/shop:1"}, False), ({}, True)],
        ids=["it is there", "it is not", "nobody knows"],
    )
    def test_what_was_taken_back_and_is_there_again_is_taken_back_once_more(
        self, images: dict[str, str], *, again: bool
    ) -> None:
        # FINDING: a change that came after its own rollback left the group in the crash loop.
        settled, other = failure(TWO, settled="rolled-back"), failure(ONE, settled="failed")
        now = record({"web": container(wanted(TWO, status="failed", began=0), failures=(settled, other))})
        after = now.reopen(images, {"web"}, at(90))
        assert [one.settled for one in after.containers["web"].failures] == [None if again else "rolled-back", "failed"]
        assert after.unfinished() == ((TWO,) if again else ())


class TestEnded:
    def test_the_newest_outcome_is_first_and_each_is_there_once(self) -> None:
        now = record().ended(ONE, ("web",), "held", "", at(1)).ended(TWO, ("web",), "held", "", at(2))
        now = now.ended(ONE, ("web",), "updated", "", at(3)).ended(ONE, ("web",), "held", "again", at(4))
        assert outcomes(now) == [("1", "held", "again"), ("1", "updated", ""), ("2", "held", "")]
        assert (now.outcomes[0].at, now.outcomes[0].image) == (at(4), "docker.io/acme/shop:1")

    def test_only_so_many_are_kept(self) -> None:
        now = record()
        for number in range(OUTCOMES_KEPT + 1):
            now = now.ended(message(f"v{number}"), (), "ignored", "", at(0))
        assert [one.id for one in now.outcomes] == [f"v{n}" for n in range(OUTCOMES_KEPT, 0, -1)]


class TestKnown:
    def test_what_runs_when_a_container_is_first_seen_is_its_first_good_image(self) -> None:
        known = record().known("web", "docker.io/acme/shop", good("1"))
        assert known == record({"web": container()})

    def test_a_known_container_stays_as_it_is(self) -> None:
        now = record({"web": container(wanted(TWO))})
        assert now.known("web", "docker.io/acme/shop", good("9")) == now

    def test_a_container_of_another_repository_is_another_one(self) -> None:
        now = record({"web": container(wanted(TWO), repository="docker.io/acme/old")})
        assert now.known("web", "docker.io/acme/shop", good("1")) == record({"web": container()})


class TestForgive:
    def test_a_failed_push_may_be_tried_again(self) -> None:
        failed = container(wanted(TWO, status="failed", began=0), failures=(failure(TWO), failure(ONE)))
        after = record({"web": failed}).forgive("2", at(600))
        assert web(after).wanted == wanted(TWO).but(admitted_at=at(600))
        assert web(after).failures == (failure(ONE),)

    @pytest.mark.parametrize("now", [wanted(THREE, status="failed"), wanted(TWO, status="done"), None])
    def test_nothing_else_changes(self, now: Wanted | None) -> None:
        after = record({"web": container(now, failures=(failure(TWO),)), "blue": container()}).forgive("2", at(600))
        assert after == record({"web": container(now), "blue": container()})


class TestWithout:
    def test_the_container_and_its_rollout_are_forgotten(self) -> None:
        now = record({"web": container(wanted(TWO, began=0)), "blue": container()}, rollout=rollout())
        assert now.without(["web"]) == record({"blue": container()})

    def test_a_rollout_that_is_watched_for_another_goes_on(self) -> None:
        both = record({"web": container(wanted(TWO, began=0)), "blue": container(wanted(TWO))}, rollout=rollout())
        assert both.without(["blue"]).rollout == rollout()


class TestRefresh:
    def test_what_is_open_has_all_its_time_again(self) -> None:
        now = record({"web": container(wanted(TWO)), "blue": container(wanted(THREE))})
        after = now.refresh(["2"], at(600))
        assert after.open() == {"web": wanted(TWO).but(admitted_at=at(600)), "blue": wanted(THREE)}

    def test_a_container_of_which_nothing_is_wanted_stays_so(self) -> None:
        assert record({"web": container()}).refresh(["2"], at(600)) == record({"web": container()})

    def test_a_rollback_that_was_put_off_has_all_its_time_too(self) -> None:
        failed = container(wanted(TWO, status="failed"), failures=(failure(TWO), failure(ONE, settled="failed")))
        after = record({"web": failed}).refresh(["1", "2"], at(600))
        assert [one.at for one in after.containers["web"].failures] == [at(600), at(60)]


class TestDetails:
    """What outside systems said is kept, but neither whole nor with secrets in it."""

    def test_it_is_cut(self) -> None:
        now = record({"web": container(wanted(TWO))}).fail(TWO, {"web": ("C", "x" * 5000)}, at(60))
        now = now.resume(TWO, "failed", "y" * 5000, at(60))
        assert (len(web(now).failures[0].detail), len(now.outcomes[0].detail)) == (LONGEST_DETAIL, LONGEST_DETAIL)
        assert now.outcomes[0].detail.endswith("y […]")

    def test_one_that_fits_stays_whole(self) -> None:
        now = record().ended(TWO, (), "failed", "x" * LONGEST_DETAIL, at(60))
        assert now.outcomes[0].detail == "x" * LONGEST_DETAIL

    def test_it_is_redacted(self) -> None:
        now = record({"web": container(wanted(TWO))}).fail(TWO, {"web": ("C", "says hunter2")}, at(60))
        now = now.resume(TWO, "failed", "says hunter2", at(60)).redacted(lambda text: text.replace("hunter2", "***"))
        assert (web(now).failures[0].detail, now.outcomes[0].detail) == ("says ***", "says ***")


class TestTagOf:
    """The tag that an image stands for."""

    BY_DIGEST = f"acme/shop@{digest('one')}"

    @pytest.mark.parametrize(
        ("now", "goods", "image", "tag"),
        [
            (wanted(message("latest"), BY_DIGEST), (), BY_DIGEST, "latest"),
            (None, (good("latest", BY_DIGEST),), BY_DIGEST, "latest"),
            (None, (good(None, BY_DIGEST),), BY_DIGEST, None),
            (wanted(TWO), (good("1"),), BY_DIGEST, None),
            (wanted(message("new"), BY_DIGEST), (good("old", BY_DIGEST),), BY_DIGEST, "new"),
            (None, (good("new", BY_DIGEST), good("old", BY_DIGEST)), BY_DIGEST, "new"),
            # FINDING: after a rollback, which is by digest, a container followed its tag no more.
            (
                wanted(message("latest"), "acme/shop@sha256:2"),
                (good("latest", digest=digest("one")),),
                BY_DIGEST,
                "latest",
            ),
        ],
    )
    def test_by_what_brought_it_here(
        self, now: Wanted | None, goods: tuple[Good, ...], image: str, tag: str | None
    ) -> None:
        assert container(now, goods=goods).tag_of(image) == tag


def test_a_record_survives_its_blob() -> None:
    of = message("2", digest=digest("two"))
    now = record({"web": container(wanted(of, began=0), failures=(failure(ONE),), runners_up=(wanted(ONE),))})
    now = now.but(rollout=rollout(returning=frozenset({"web"}))).ended(of, ("web",), "held", "", at(0))
    assert Record.model_validate_json(now.model_dump_json(exclude_none=True)) == now


def test_fields_of_a_later_version_are_ignored() -> None:
    assert Record.model_validate({"target": SHOP, "mood": "fine", "schema": "aci-hooks/record/1"}) == record()


def test_failures_are_found_by_their_message() -> None:
    now = record({"web": container(failures=(failure(ONE), failure(TWO))), "blue": container()})
    assert now.failures_of("2") == {"web": failure(TWO)}
    assert now.failures_of("9") == {}


def test_a_message_owns_what_is_wanted_for_it() -> None:
    other: UpdateMessage = message("2", name="other")
    now = record({"web": container(wanted(TWO)), "blue": container(wanted(other)), "new": container()})
    assert now.owned_by("2") == {"web": wanted(TWO)}


def test_a_container_without_a_good_image_has_none() -> None:
    assert container(goods=()).good is None
    assert container(goods=(good("2"), good("1"))).good == good("2")
