"""Admission: which push becomes what a container is to run, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from shared.image import ImageReference
from shared.message import UpdateMessage
from tests.unit.builders import (
    SHOP,
    Json,
    at,
    container,
    digest,
    event,
    failure,
    good,
    group,
    message,
    record,
    rollout,
    running,
    wanted,
)
from worker.admission import Admission, Ruling, admit, overtaken, still_followed
from worker.groups.group import ContainerGroup
from worker.policies.parse import Policy, SameTag, parse_policy
from worker.record import Record
from worker.record_parts import ContainerRecord, Good, Result, Wanted
from worker.running import matching_containers
from worker.targets.target import ContainerRule, Target, single_target

ANY = single_target(SHOP)
FIRST, SECOND, THIRD = digest("first"), digest("second"), digest("third")


def target(policy: str = "any") -> Target:
    return Target(SHOP, {"web": ContainerRule(parse_policy(policy))})


def pulled(image_digest: str) -> Json:
    """The view of a container that runs an image of this digest."""
    return running(-3600, event("Pulled", -3600, f'Successfully pulled image "acme/shop@{image_digest}"'))


def consider(
    of: UpdateMessage,
    now: Record | ContainerRecord | None = None,
    shown: ContainerGroup | None = None,
    *,
    rule: Target = ANY,
    known: str | None = None,
) -> Admission:
    """What becomes of a push; `known` is its image's digest, a minute after noon."""
    before = record({"web": now}) if isinstance(now, ContainerRecord) else now or record()
    return admit(before, shown or group(), of, rule, known or of.push.digest, at(60))


def ruling(admission: Admission) -> tuple[str, str]:
    (only,) = admission.rulings
    assert only.container == "web"
    return only.verdict, only.reason


def now_wanted(admission: Admission) -> Wanted:
    result = admission.record.containers["web"].wanted
    assert result is not None
    return result


class TestNewPush:
    def test_it_is_wanted_by_its_tag(self) -> None:
        result = consider(message("2"))
        assert ruling(result) == ("wanted", "2 was pushed, and any follows every tag")
        assert now_wanted(result) == wanted(message("2")).but(admitted_at=at(60))

    def test_what_runs_is_the_first_good_image(self) -> None:
        result = consider(message("2"), shown=group(views={"web": pulled(FIRST)}))
        assert result.record.containers["web"].goods == (good("1", digest=FIRST),)

    def test_every_container_with_a_rule_is_known_before_a_change_starts_them_all(self) -> None:
        # FINDING: an image that another container's change had pulled was taken for this one's first good one.
        images = {"web": "acme/shop:1", "jobs": "acme/jobs:latest", "odd": "not an image!", "proxy": "acme/proxy:7"}
        rules = {name: ContainerRule(SameTag()) for name in ("web", "jobs", "odd")}
        shown = group(images, {"jobs": pulled(FIRST)})
        result = consider(message("1"), shown=shown, rule=Target(SHOP, rules))
        assert result.record.containers.keys() == {"web", "jobs"}
        assert result.record.containers["jobs"] == ContainerRecord(
            repository="docker.io/acme/jobs", goods=(Good(image="acme/jobs:latest", tag="latest", digest=FIRST),)
        )

    @pytest.mark.parametrize(
        ("written", "pushed", "image"),
        [
            ("acme/shop:1", message("2"), "acme/shop:2"),
            ("index.docker.io/acme/shop", message("2"), "index.docker.io/acme/shop:2"),
            (f"acme/shop@{FIRST}", message("2", digest=SECOND), "acme/shop:2"),
            ("acme/shop:1", message("1", digest=SECOND), f"acme/shop@{SECOND}"),
            (f"acme/shop:1@{FIRST}", message("1", digest=SECOND), f"acme/shop@{SECOND}"),
            ("acme/shop", message("latest", digest=SECOND), f"acme/shop@{SECOND}"),
        ],
    )
    def test_the_name_stays_as_written_and_a_tag_that_moved_goes_by_digest(
        self, written: str, pushed: UpdateMessage, image: str
    ) -> None:
        result = now_wanted(consider(pushed, shown=group({"web": written})))
        assert (result.image, result.restart) == (image, False)

    def test_a_tag_that_moved_to_nobody_knows_what_is_a_restart(self) -> None:
        result = now_wanted(consider(message("1")))
        assert (result.image, result.restart, result.digest) == ("acme/shop:1", True, None)

    def test_the_policy_may_refuse(self) -> None:
        result = consider(message("9"), rule=target("semver:minor"), shown=group({"web": "acme/shop:1.4"}))
        verdict, reason = ruling(result)
        assert verdict == "ignored"
        assert reason == target("semver:minor").containers["web"].policy.decide("1.4", "9").reason
        assert result.record.containers["web"].wanted is None

    def test_an_image_of_another_repository_is_brought_in_where_the_rule_says_so(self) -> None:
        rule = Target(SHOP, {"web": ContainerRule(parse_policy("any"), ImageReference.parse("acme/shop"))})
        result = consider(message("2"), shown=group({"web": "mcr.microsoft.com/placeholder:1"}), rule=rule)
        assert ruling(result)[0] == "wanted"
        assert now_wanted(result).image == "docker.io/acme/shop:2"
        assert result.record.containers["web"].goods == (Good(image="mcr.microsoft.com/placeholder:1"),)

    def test_what_is_no_image_reference_can_be_replaced_where_the_rule_says_so(self) -> None:
        rule = Target(SHOP, {"web": ContainerRule(parse_policy("any"), ImageReference.parse("acme/shop"))})
        result = consider(message("2"), shown=group({"web": "not an image!"}), rule=rule)
        assert now_wanted(result).image == "docker.io/acme/shop:2"

    def test_another_repository_concerns_nobody(self) -> None:
        result = consider(message("2", repository="acme/other"))
        assert (result.rulings, result.verdict()) == ((), None)


class TestAgainstTheWantedPush:
    def test_a_newer_push_takes_over(self) -> None:
        result = consider(message("3", pushed=10), container(wanted(message("2"))))
        assert ruling(result) == ("wanted", "3 was pushed, and any follows every tag")
        assert [one.message.id for one in result.record.containers["web"].runners_up] == ["2"]

    @pytest.mark.parametrize("status", ["open", "done"])
    def test_an_older_push_is_superseded(self, status: str) -> None:
        now = container(wanted(message("3", pushed=10), status=status))
        result = consider(message("2"), now)
        assert ruling(result) == ("superseded", "docker.io/acme/shop:3 is newer")
        kept = result.record.containers["web"].runners_up
        assert [one.message.id for one in kept] == (["2"] if status == "open" else [])

    def test_the_order_of_the_policy_counts_before_the_time(self) -> None:
        now = container(wanted(message("1.5")), goods=(good("1.4"),))
        result = consider(
            message("1.4.9", pushed=10), now, rule=target("semver"), shown=group({"web": "acme/shop:1.4"})
        )
        assert ruling(result) == ("superseded", "1.4.9 is lower than 1.5, and semver never goes down")

    @pytest.mark.parametrize("status", ["open", "done"])
    @pytest.mark.parametrize(
        ("pushed", "reason"),
        [
            ("latest", "latest is not a version, and semver follows versions alone"),
            (
                "1.6-alpine",
                "1.6-alpine is the variant alpine, and 1.5 is the plain image: semver stays with the variant",
            ),
            ("1.5.0", "1.5.0 is the same version as 1.5, in another spelling or of another build"),
        ],
    )
    def test_what_the_policy_does_not_let_in_is_not_called_older(self, pushed: str, reason: str, status: str) -> None:
        # FINDING: after the first update every push that was skipped was "superseded: … is newer".
        now = container(wanted(message("1.5"), status=status))
        shown = group({"web": "acme/shop:1.5"})
        assert ruling(consider(message(pushed, pushed=10), now, shown, rule=target("semver"))) == ("ignored", reason)

    def test_a_push_that_was_admitted_is_as_it_was(self) -> None:
        for status, verdict in (("open", "wanted"), ("done", "unchanged"), ("failed", "failed")):
            now = container(wanted(message("2"), status=status))
            result = consider(message("2"), now)
            assert ruling(result) == (verdict, "admitted before")
            assert result.record == record({"web": now})

    def test_the_same_push_delivered_again_goes_on_where_the_first_is(self) -> None:
        now = container(wanted(message("1", digest=SECOND), f"acme/shop@{SECOND}", began=5))
        result = consider(message("1", name="again", pushed=9, digest=SECOND), now)
        assert ruling(result)[0] == "wanted"
        kept = now_wanted(result)
        assert (kept.message.id, kept.image, kept.began_at) == ("again", f"acme/shop@{SECOND}", at(5))
        assert result.record.outcomes == ()

    def test_the_same_push_delivered_again_when_it_is_done_is_no_change(self) -> None:
        now = container(wanted(message("1", digest=SECOND), status="done", began=5))
        result = consider(message("1", name="again", pushed=9, digest=SECOND), now)
        assert ruling(result) == ("unchanged", "web runs docker.io/acme/shop:1 already")

    @pytest.mark.parametrize(("pushed", "covered"), [(5, True), (5.1, False)])
    def test_without_a_digest_a_change_covers_what_was_pushed_before_it_began(
        self, pushed: float, *, covered: bool
    ) -> None:
        now = container(wanted(message("1"), restart=True, began=5))
        result = now_wanted(consider(message("1", name="again", pushed=pushed), now))
        assert (result.began_at == at(5)) == covered

    def test_without_a_digest_a_change_that_has_not_begun_covers_every_push(self) -> None:
        now = container(wanted(message("1"), restart=True))
        assert now_wanted(consider(message("1", name="again", pushed=99), now)).restart

    def test_another_digest_of_the_wanted_tag_is_a_change(self) -> None:
        now = container(wanted(message("1", digest=SECOND), f"acme/shop@{SECOND}", began=5))
        result = now_wanted(consider(message("1", name="again", pushed=9, digest=THIRD), now))
        assert (result.image, result.began_at) == (f"acme/shop@{THIRD}", None)

    def test_the_wanted_tag_is_compared_with_while_it_is_open(self) -> None:
        now = container(wanted(message("1.5"), began=5))
        shown = group({"web": "acme/shop:1.4"})
        result = consider(message("1.6", pushed=9), now, shown, rule=target("semver:patch"))
        assert ruling(result)[1] == "1.6 is a minor update of 1.5, and semver:patch stays within 1.5"


class TestAgainstTheRunningImage:
    def test_its_digest_runs_already(self) -> None:
        shown = group(views={"web": pulled(FIRST)})
        result = consider(message("1", digest=FIRST), shown=shown)
        assert ruling(result) == ("unchanged", "web runs docker.io/acme/shop:1 already")
        assert now_wanted(result) == wanted(message("1", digest=FIRST), status="done").but(admitted_at=at(60))

    def test_its_digest_is_written_in_the_group(self) -> None:
        shown = group({"web": f"acme/shop:1@{FIRST}"})
        result = consider(message("1", digest=FIRST), shown=shown)
        assert ruling(result)[0] == "unchanged"
        assert now_wanted(result).image == f"acme/shop:1@{FIRST}"

    def test_another_tag_of_the_running_digest_is_brought_in(self) -> None:
        shown = group(views={"web": pulled(FIRST)})
        assert ruling(consider(message("2", digest=FIRST), shown=shown))[0] == "wanted"

    def test_an_image_that_runs_but_was_never_watched_is_brought_in_and_watched(self) -> None:
        # FINDING: what another container's change had pulled, a crash-looping image perhaps, was "unchanged".
        now = container(goods=(good("1", digest=FIRST),))
        result = consider(message("1", digest=SECOND), now, group(views={"web": pulled(SECOND)}))
        assert ruling(result) == ("wanted", "the tag 1 moved")
        assert now_wanted(result).image == f"acme/shop@{SECOND}"

    @pytest.mark.parametrize("policy", ["any", "same-tag"])
    def test_a_container_follows_its_tag_after_a_rollback_too(self, policy: str) -> None:
        # FINDING: the last good image is put back by digest, and its tag was forgotten: same-tag ignored every push.
        now = container(
            wanted(message("latest", digest=SECOND), f"acme/shop@{SECOND}", status="failed"),
            goods=(good("latest", digest=FIRST),),
        )
        result = consider(
            message("latest", name="next", pushed=99, digest=THIRD),
            now,
            group({"web": f"acme/shop@{FIRST}"}),
            rule=target(policy),
        )
        assert ruling(result) == ("wanted", "the tag latest moved")
        assert now_wanted(result).image == f"acme/shop@{THIRD}"

    def test_no_version_goes_down_after_a_rollback_either(self) -> None:
        # FINDING: the tag of an image put back by digest was not known, and so any version could follow.
        now = container(
            wanted(message("1.4", digest=SECOND), f"acme/shop@{SECOND}", status="failed"),
            goods=(good("1.4", digest=FIRST),),
        )
        result = consider(message("1.2", pushed=99), now, group({"web": f"acme/shop@{FIRST}"}), rule=target("semver"))
        assert ruling(result) == ("ignored", "1.2 is lower than 1.4, and semver never goes down")

    def test_a_digest_that_nobody_knows_the_tag_of_follows_no_tag(self) -> None:
        result = consider(message("1"), shown=group({"web": f"acme/shop@{FIRST}"}), rule=target("same-tag"))
        assert ruling(result)[0] == "ignored"


class TestRedeployed:
    """The owner of the group has brought an image there without aci-hooks."""

    DONE = wanted(message("2.1"), status="done")
    KNOWN = container(DONE, goods=(good("2.1"), good("2.0")))
    BY_HAND = group({"web": "acme/shop:1.4.2"})

    def test_the_policy_goes_on_from_there(self) -> None:
        # FINDING: whatever was lower than what had been brought here once was superseded for ever.
        result = consider(message("1.4.3", pushed=10), self.KNOWN, self.BY_HAND, rule=target("semver:minor"))
        assert ruling(result) == ("wanted", "1.4.3 is a patch update of 1.4.2")

    def test_what_ran_there_is_what_a_rollback_brings_back(self) -> None:
        result = consider(message("3", pushed=10), self.KNOWN, self.BY_HAND)
        assert [one.image for one in result.record.containers["web"].goods][:2] == ["acme/shop:1.4.2", "acme/shop:2.1"]

    @pytest.mark.parametrize("result", ["superseded", "rolled-back", "failed"])
    def test_what_the_worker_brought_here_once_is_nobodys_deployment_either(self, result: Result) -> None:
        late = record({"web": self.KNOWN}).ended(message("1.4.2"), ("web",), result, "", at(0))
        assert consider(message("3", pushed=10), late, self.BY_HAND).record.containers["web"].goods[0] == good("2.1")
        updated = record({"web": self.KNOWN}).ended(message("1.4.2"), ("web",), "updated", "", at(0))
        gone_back = consider(message("3", pushed=10), updated, self.BY_HAND).record.containers["web"].goods[0]
        assert gone_back.image == "acme/shop:1.4.2"

    @pytest.mark.parametrize("how", ["failed", "superseded"])
    def test_an_image_by_digest_may_be_one_that_the_worker_brought(self, how: str) -> None:
        # FINDING: one that had failed, brought back by a late change, became the image to go back to.
        one, outcomes = self.KNOWN, record()
        if how == "failed":
            one = one.but(failures=(failure(message("2", digest=FIRST), settled="rolled-back"),))
        else:
            outcomes = outcomes.ended(message("2"), ("web",), "superseded", "", at(0))
        shown = group({"web": f"acme/shop@{FIRST}"})
        result = consider(message("3", pushed=10), outcomes.but(containers={"web": one}), shown)
        assert result.record.containers["web"].goods[0] == good("2.1")
        by_hand = consider(message("3", pushed=10), self.KNOWN, shown).record.containers["web"].goods[0]
        assert by_hand.image == f"acme/shop@{FIRST}"

    def test_a_push_from_before_what_was_brought_here_stays_older(self) -> None:
        late = consider(message("1.4.3", pushed=-10), self.KNOWN, self.BY_HAND, rule=target("semver"))
        assert ruling(late)[0] == "superseded"

    @pytest.mark.parametrize(
        ("now", "shown"),
        [
            (record({"web": KNOWN}, rollout=rollout()), BY_HAND),
            (record({"web": KNOWN.but(failures=(failure(message("1.4.2")),))}), BY_HAND),
            (record({"web": KNOWN.but(wanted=DONE.but(status="open"))}), BY_HAND),
            (record({"web": KNOWN}), group({"web": "acme/shop:2.1"})),
        ],
        ids=["a change is under way", "it is what failed", "not there yet", "it is what was brought here"],
    )
    def test_what_the_worker_did_itself_is_nobodys_deployment(self, now: Record, shown: ContainerGroup) -> None:
        result = consider(message("3", pushed=10), now, shown)
        assert result.record.containers["web"].goods[0].image == "acme/shop:2.1"
        lower = consider(message("1.4.3", pushed=10), now, shown, rule=target("semver"))
        assert ruling(lower)[0] == "superseded"


class TestAfterAFailure:
    FAILED = wanted(message("2", pushed=10), status="failed")

    @pytest.mark.parametrize(
        ("last_good", "verdict", "reason"),
        [
            (good("1"), "wanted", "1.9 was pushed, and any follows every tag"),
            (good("1", pushed=-10), "wanted", "1.9 was pushed, and any follows every tag"),
            (good(None, "acme/shop:1", pushed=5), "wanted", "1.9 was pushed, and any follows every tag"),
            (good("1", pushed=5), "superseded", "acme/shop:1 is newer"),
        ],
    )
    def test_what_is_newer_than_the_last_good_image_is_wanted(self, last_good: Good, verdict: str, reason: str) -> None:
        assert ruling(consider(message("1.9"), container(self.FAILED, goods=(last_good,)))) == (verdict, reason)

    def test_without_a_good_image_everything_is(self) -> None:
        assert ruling(consider(message("1.9"), container(self.FAILED, goods=())))[0] == "wanted"

    def test_a_runner_up_that_is_newer_keeps_its_turn(self) -> None:
        # FINDING: an older push delivered during the rollback took the turn of a newer one, which was never tried.
        newer = wanted(message("1.9", pushed=5))
        now = container(self.FAILED, runners_up=(newer,))
        result = consider(message("1.8", pushed=4), now)
        assert ruling(result) == ("superseded", "docker.io/acme/shop:1.9 is newer, and next")
        assert [one.message.id for one in result.record.containers["web"].runners_up] == ["1.9", "1.8"]

    @pytest.mark.parametrize(("tag", "pushed"), [("1.9", 5), ("2.1", 6)])
    def test_the_next_runner_up_itself_or_a_newer_push_need_not_wait(self, tag: str, pushed: float) -> None:
        now = container(self.FAILED, runners_up=(wanted(message("1.9", pushed=5)),))
        assert ruling(consider(message(tag, pushed=pushed), now))[0] == "wanted"

    def test_a_message_that_failed_has_failed(self) -> None:
        now = container(wanted(message("3")), failures=(failure(message("2")),))
        assert ruling(consider(message("2", pushed=99), now)) == ("failed", "failed before")

    @pytest.mark.parametrize(
        ("failed", "again", "repeats"),
        [
            ({"digest": SECOND}, {"digest": SECOND}, True),
            ({"digest": SECOND}, {"digest": THIRD}, False),
            ({"digest": SECOND, "pushed_at": at(7)}, {"digest": THIRD, "pushed_at": at(7)}, False),
            ({"pushed_at": at(7)}, {"digest": SECOND, "pushed_at": at(7)}, True),
            ({"digest": SECOND, "pushed_at": at(7)}, {"pushed_at": at(7)}, True),
            ({"pushed_at": at(7)}, {"pushed_at": at(8)}, False),
            ({"pushed_at": None}, {"pushed_at": None}, False),
            ({"pushed_at": at(7)}, {"pushed_at": None}, False),
        ],
    )
    def test_the_push_that_failed_is_not_tried_again_unasked(
        self, failed: dict[str, Any], again: dict[str, Any], *, repeats: bool
    ) -> None:
        now = container(self.FAILED, failures=(failure(message("2", **failed)),))
        result = consider(message("2", name="again", pushed=99, **again), now)
        if repeats:
            assert ruling(result) == ("ignored", "this push failed before, at 2026-01-01 12:01:00 UTC")
        else:
            assert ruling(result)[0] == "wanted"

    def test_another_tag_is_another_push(self) -> None:
        now = container(self.FAILED, failures=(failure(message("2", digest=SECOND)),))
        assert ruling(consider(message("3", pushed=99, digest=SECOND), now))[0] == "wanted"


class TestRunnersUp:
    """A push that lost against an open one is kept, in case that one fails."""

    def lose(self, now: ContainerRecord, rule: Target = ANY, **of: Any) -> list[tuple[str, bool]]:
        result = consider(message(**({"tag": "2"} | of)), now, rule=rule)
        assert ruling(result)[0] == "superseded"
        return [(one.image, one.restart) for one in result.record.containers["web"].runners_up]

    def test_it_is_kept_if_it_is_newer_than_the_last_good_image(self) -> None:
        newest = wanted(message("3", pushed=10))
        assert self.lose(container(newest)) == [("acme/shop:2", False)]
        assert self.lose(container(newest, goods=(good("1", pushed=5),))) == []
        assert self.lose(container(newest, goods=())) == []

    def test_it_is_kept_if_the_policy_lets_it_follow_the_last_good_image(self) -> None:
        newest = wanted(message("1.5", pushed=10))
        semver = target("semver:minor")
        assert self.lose(container(newest, goods=(good("1.3"),)), semver, tag="1.4") == [("acme/shop:1.4", False)]
        assert self.lose(container(newest, goods=(good("0.9"),)), semver, tag="1.4") == []

    def test_the_tag_of_the_last_good_image_goes_by_digest_or_by_a_restart(self) -> None:
        newest = wanted(message("3", pushed=10))
        assert self.lose(container(newest), tag="1", digest=SECOND) == [(f"acme/shop@{SECOND}", False)]
        assert self.lose(container(newest), tag="1") == [("acme/shop:1", True)]


class TestByHand:
    def test_an_operator_may_try_a_push_again_that_failed(self) -> None:
        moved = message("2", digest=FIRST)
        now = container(failures=(failure(moved),))
        assert consider(message("2", name="again", pushed=9, digest=FIRST), now).rulings[0].verdict == "ignored"
        by_hand = message("2", name="again", pushed=9, digest=FIRST, sender="manual")
        assert consider(by_hand, now).rulings[0].verdict == "wanted"


class TestChangedByHand:
    """Somebody else has changed the group since."""

    @pytest.mark.parametrize("known", [FIRST, None])
    def test_the_same_push_again_is_brought_in_again(self, known: str | None) -> None:
        # FINDING: it was "unchanged", though the group ran another image by then.
        done = container(wanted(message("2", digest=known), status="done", began=0), goods=(good("2", digest=known),))
        again = message("2", name="again", pushed=0, digest=known).model_copy(update={"received_at": at(30)})
        assert consider(again, done, group({"web": "acme/shop:1"})).rulings[0].verdict == "wanted"
        assert consider(again, done, group({"web": "acme/shop:2"})).rulings[0].verdict == "unchanged"


class TestStillFollowed:
    BOTH = record({"web": container(wanted(message("2"))), "blue": container(wanted(message("3")))})

    def test_a_record_of_what_is_there_stays_as_it_is(self) -> None:
        assert still_followed(self.BOTH, group({"web": "acme/shop:1", "blue": "acme/shop:1"}), ANY) is self.BOTH

    def test_a_container_that_is_gone_is_forgotten(self) -> None:
        # FINDING: it was waited for by ten PUTs of a group that was as it should be.
        assert still_followed(self.BOTH, group(), ANY).open().keys() == {"web"}

    def test_what_is_wanted_of_a_container_that_nobody_follows_now_is_forgotten(self) -> None:
        # FINDING: a push that waited when its container was taken off the targets file came in with another one's.
        shown = group({"web": "acme/shop:1", "blue": "acme/shop:1"})
        assert still_followed(self.BOTH, shown, target()).open().keys() == {"web"}

    def test_what_ended_there_is_not(self) -> None:
        now = record({"blue": container(wanted(message("3"), status="failed"), failures=(failure(message("3")),))})
        assert still_followed(now, group({"blue": "acme/shop:3"}), target()) is now


class TestOvertaken:
    """What can be told without asking Azure."""

    NEWEST = wanted(message("3", pushed=10))

    def test_a_newer_push_is_wanted_everywhere(self) -> None:
        now = record({"web": container(self.NEWEST), "blue": container(self.NEWEST), "jobs": container(repository="x")})
        after = overtaken(now, message("2"), ANY, at(60))
        assert after is not None
        assert after.verdict() == Ruling("web", "superseded", "docker.io/acme/shop:3 is newer")
        containers = after.record.containers
        kept = {name: [one.message.id for one in containers[name].runners_up] for name in containers}
        assert kept == {"web": ["2"], "blue": ["2"], "jobs": []}

    @pytest.mark.parametrize(
        ("containers", "why"),
        [
            ({}, "nothing is known"),
            ({"web": container(NEWEST, repository="docker.io/acme/other")}, "it is another repository's"),
            ({"web": container(NEWEST), "blue": container()}, "nothing is wanted there"),
            ({"web": container(wanted(message("2")))}, "it is the wanted one itself"),
            (
                {"web": container(NEWEST), "jobs": container(wanted(message("2")), repository="x")},
                "it is wanted elsewhere, as a rollback by hand of two repositories may be",
            ),
            ({"web": container(NEWEST.but(status="failed"))}, "the newer one failed"),
            ({"web": container(wanted(message("1", pushed=-10)))}, "it is newer itself"),
            ({"web": container(NEWEST, failures=(failure(message("2")),))}, "it failed, and has to be settled"),
        ],
    )
    def test_azure_has_to_be_asked(self, containers: dict[str, ContainerRecord], why: str) -> None:
        assert overtaken(record(containers), message("2"), ANY, at(60)) is None, why

    def test_a_container_without_a_rule_does_not_count(self) -> None:
        now = record({"web": container(self.NEWEST), "blue": container()})
        after = overtaken(now, message("2"), target(), at(60))
        assert after is not None
        assert overtaken(now, message("2"), Target(SHOP), at(60)) is None

    def test_the_order_of_the_policy_counts(self) -> None:
        now = record({"web": container(wanted(message("1.5")), goods=(good("1.4"),))})
        assert overtaken(now, message("1.4.1", pushed=99), target("semver"), at(60)) is not None
        assert overtaken(now, message("1.6", pushed=-99), target("semver"), at(60)) is None

    @pytest.mark.parametrize(
        ("pushed", "when", "asked"),
        [("1.4.1", 99, True), ("1.4.1", -99, False), ("latest", 99, False), ("1.6-alpine", 99, True)],
    )
    def test_azure_is_asked_where_the_owner_may_have_deployed_what_it_could_follow(
        self, pushed: str, when: float, *, asked: bool
    ) -> None:
        now = record({"web": container(wanted(message("1.5"), status="done"))})
        assert (overtaken(now, message(pushed, pushed=when), target("semver"), at(60)) is None) == asked


class TestMatchingContainers:
    @pytest.mark.parametrize(
        ("running_image", "rule_image", "written"),
        [
            ("acme/shop:1", None, "acme/shop:1"),
            ("acme/other:1", None, None),
            ("not an image!", None, None),
            ("index.docker.io/acme/shop:1", "acme/shop", "index.docker.io/acme/shop:1"),
            ("acme/other:1", "acme/shop", "docker.io/acme/shop"),
            ("acme/shop:1", "acme/other", None),
        ],
    )
    def test_by_the_rules_image_or_the_running_one(
        self, running_image: str, rule_image: str | None, written: str | None
    ) -> None:
        policy: Policy = parse_policy("any")
        rule = ContainerRule(policy, ImageReference.parse(rule_image) if rule_image else None)
        found = matching_containers({"web": running_image}, message("2").push.image, Target(SHOP, {"web": rule}))
        assert found == ({} if written is None else {"web": (rule, written)})

    def test_a_container_without_a_rule_is_left_alone(self) -> None:
        assert matching_containers({"web": "acme/shop:1"}, message("2").push.image, Target(SHOP)) == {}


class TestVerdict:
    """What a push of several containers ends as."""

    @pytest.mark.parametrize(
        ("verdicts", "first"),
        [
            (["ignored", "superseded", "unchanged", "failed", "wanted"], "wanted"),
            (["ignored", "superseded", "unchanged", "failed"], "failed"),
            (["ignored", "superseded", "unchanged"], "unchanged"),
            (["ignored", "superseded"], "superseded"),
            (["ignored"], "ignored"),
        ],
    )
    def test_the_ruling_that_says_most(self, verdicts: list[Any], first: str) -> None:
        result = Admission(record(), tuple(Ruling(verdict, verdict, "") for verdict in verdicts)).verdict()
        assert result is not None
        assert result.verdict == first

    def test_each_container_has_its_own(self) -> None:
        now = record({"web": container(wanted(message("3", pushed=10))), "blue": container()}, rollout=rollout())
        result = consider(message("2"), now, group({"web": "acme/shop:1", "blue": "acme/shop:1"}))
        assert {one.container: one.verdict for one in result.rulings} == {"web": "superseded", "blue": "wanted"}
