"""Admission: which pushes become candidates of which containers, and how the others end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shared.image import ImageReference
from shared.message import UpdateMessage
from tests.unit.builders import (
    SHOP,
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
    pulled,
    queued,
    record,
    target,
)
from tests.unit.policy_table import policy_of
from worker.core.acquaint import acquaint, is_redeployed
from worker.core.admit import Ruling, admit, consider
from worker.core.following import followings
from worker.core.leaving import leave
from worker.core.precedence import newer
from worker.core.repeats import repeated
from worker.groups.group import ContainerGroup
from worker.policies.parse import parse_policy
from worker.record.container import ContainerRecord, Good
from worker.record.record import GOODS_KEPT, Record
from worker.record.values import MANUAL, Flight, Result, Undone
from worker.targets.target import ContainerRule, Target

FIRST, SECOND, THIRD = digest("first"), digest("second"), digest("third")
ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)
NOW = at(60)
JOBS = ContainerRecord(repository="docker.io/acme/jobs", goods=(Good(image="acme/jobs:1", tag="1"),))


def admitted(
    *messages: UpdateMessage,
    now: ContainerRecord | Record | None = None,
    shown: ContainerGroup | None = None,
    rule: Target | None = None,
) -> Record:
    """The record after these pushes were received and admitted, a minute after noon."""
    before = record({"web": now}) if isinstance(now, ContainerRecord) else now or record()
    return admit(before.but(inbox=messages), shown or group(), rule or target(), NOW)


def fate(of: Record, name: str = "2") -> tuple[str, str]:
    """What became of a push for web: wanted, or how and why it ended."""
    assert of.inbox == ()
    if name in queued(of):
        assert of.outcomes == ()
        return "wanted", ""
    ((id_, result, detail),) = ends(of)
    assert (id_, of.outbox[0].message.id) == (name, name)
    return result, detail


class TestNewPush:
    def test_it_becomes_a_candidate_and_the_running_image_the_first_good_one(self) -> None:
        assert admitted(TWO) == record({"web": container(candidate(TWO, None))})

    def test_its_digest_is_not_looked_up_during_admission(self) -> None:
        (one,) = admitted(message("2", digest=SECOND)).containers["web"].candidates
        assert (one.image, one.digest) == (None, None)

    def test_several_pushes_become_candidates_with_the_newest_first(self) -> None:
        assert queued(admitted(THREE, message("4", pushed=5), TWO)) == ["3", "4", "2"]

    def test_a_candidate_that_waits_already_stays(self) -> None:
        assert queued(admitted(TWO, now=container(candidate(ONE)))) == ["2", "1"]

    def test_the_policy_may_refuse_it(self) -> None:
        after = admitted(message("9.0"), rule=target("semver:minor"), shown=group({"web": "acme/shop:1.4"}))
        assert fate(after, "9.0") == ("ignored", "9.0 is a major update of 1.4, and semver:minor stays within 1")
        assert after.outcomes[0].containers == ("web",)
        assert after.outcomes[0].at == NOW

    def test_a_push_of_another_repository_is_ignored(self) -> None:
        after = admitted(message("2", repository="acme/other"))
        assert fate(after) == ("ignored", "no container runs docker.io/acme/other")
        assert after.outcomes[0].containers == ()
        assert after.containers == {"web": container()}

    def test_a_container_without_a_rule_is_left_alone(self) -> None:
        after = admitted(TWO, shown=group({"web": "acme/shop:1", "blue": "acme/shop:1"}))
        assert (queued(after), queued(after, "blue")) == (["2"], [])

    @pytest.mark.parametrize("running", ["mcr.microsoft.com/placeholder:1", "not an image!"])
    def test_a_rule_may_name_another_repository_than_the_running_one(self, running: str) -> None:
        rule = Target(SHOP, {"web": ContainerRule(parse_policy("any"), ImageReference.parse("acme/shop"))})
        after = admitted(TWO, shown=group({"web": running}), rule=rule)
        assert fate(after) == ("wanted", "")
        # The tag of another repository can't be compared with.
        assert after.containers["web"].goods == (Good(image=running),)

    def test_every_push_in_the_inbox_becomes_a_candidate_or_ends(self) -> None:
        after = admitted(message("3"), message("latest", name="odd"), message("2", repository="a/b"), rule=SEMVER)
        assert (after.inbox, queued(after), [outcome.id for outcome in after.outcomes]) == ((), ["3"], ["2", "odd"])

    def test_pushes_are_told_in_the_order_in_which_they_were_pushed(self) -> None:
        late, early = (
            message("2", name="late", repository="a/b", pushed=5),
            message("1", name="early", repository="a/b"),
        )
        assert [ending.message.id for ending in admitted(late, early).outbox] == ["early", "late"]


SEMVER = target("semver")


class TestPreferred:
    def test_what_is_equal_for_the_policy_goes_by_the_running_tag_s_spelling(self) -> None:
        runs = group({"web": "acme/shop:20.04"})
        for first, second in (("22.04", "22.4"), ("22.4", "22.04")):
            after = admitted(message(first, pushed=1), message(second, pushed=2), shown=runs, rule=SEMVER)
            assert queued(after) == ["22.04", "22.4"]

    def test_of_several_that_may_start_a_container_the_highest_is_the_best(self) -> None:
        rule = Target(SHOP, everything=policy_of("{order: semver, start: true}"))
        runs = container(goods=(good("latest", pushed=50),))
        tags = ["v1.9.0", "1.4", "2.0.0", "latest", "1.10.0", "3.0.0-rc.1", "2.1.0-alpine"]
        for order in (tags, tags[::-1]):
            pushes = [message(tag, pushed=place) for place, tag in enumerate(order)]
            after = admitted(*pushes, now=runs, shown=group({"web": "acme/shop:latest"}), rule=rule)
            assert queued(after) == ["2.0.0", "1.10.0", "v1.9.0", "1.4"]


class TestAfterTheOwner:
    """The owner has deployed an image, whose place in time nobody knows."""

    @pytest.mark.parametrize(
        ("policy", "tag", "pushed", "verdict"),
        [
            ("any", "7", -1, "superseded"),
            ("any", "7", 0, "superseded"),
            ("any", "7", 1, "wanted"),
            ("semver", "5.1.0", -1, "wanted"),
        ],
    )
    def test_a_late_push_does_not_go_behind_what_ran_before(
        self, policy: str, tag: str, pushed: float, verdict: str
    ) -> None:
        # Regression: a webhook that came late replaced the owner's image with an older push than the one before.
        goods = (good("5.0.0"), good("6.0.0", pushed=0), good("4.0.0", pushed=-9))
        shown = group({"web": "acme/shop:5.0.0"})
        after = admitted(message(tag, pushed=pushed), now=container(goods=goods), shown=shown, rule=target(policy))
        assert fate(after, tag)[0] == verdict

    def test_the_reason_names_what_ran_before(self) -> None:
        now = container(goods=(good("5"), good("6", pushed=0)))
        after = admitted(message("7", pushed=-1), now=now, shown=group({"web": "acme/shop:5"}))
        assert fate(after, "7") == ("superseded", "acme/shop:6 is newer, and ran before the owner's image")

    def test_an_image_of_an_unknown_tag_that_ran_before_goes_by_time_under_any_policy(self) -> None:
        before = good(None, f"acme/shop@{FIRST}", pushed=0)
        now, shown = container(goods=(good("5.0.0"), before)), group({"web": "acme/shop:5.0.0"})
        assert (
            fate(admitted(message("7.0.0", pushed=-1), now=now, shown=shown, rule=SEMVER), "7.0.0")[0] == "superseded"
        )
        assert fate(admitted(message("7.0.0", pushed=1), now=now, shown=shown, rule=SEMVER), "7.0.0")[0] == "wanted"

    @pytest.mark.parametrize(("pushed", "received", "verdict"), [(-1, 99, "superseded"), (20, 30, "wanted")])
    def test_late_means_pushed_before_it_whenever_either_was_received(
        self, pushed: float, received: float, verdict: str
    ) -> None:
        late = message("7", pushed=received, pushed_at=at(pushed))
        before = good("6").but(order=(at(0), at(50)))
        after = admitted(late, now=container(goods=(good("5"), before)), shown=group({"web": "acme/shop:5"}))
        assert fate(after, "7")[0] == verdict

    def test_where_the_time_of_the_last_good_image_is_known_it_alone_decides(self) -> None:
        now = container(goods=(good("5", pushed=0), good("6", pushed=9)))
        assert fate(admitted(message("7", pushed=1), now=now, shown=group({"web": "acme/shop:5"})), "7")[0] == "wanted"


class TestAge:
    POLICY = policy_of("{order: semver, min_age: 2m}")
    AGED = Target(SHOP, everything=POLICY)

    def test_a_push_waits_until_it_is_old_enough(self) -> None:
        waits = admitted(message("2", pushed=-59), rule=self.AGED)
        assert ([each.id for each in waits.inbox], queued(waits), waits.outcomes) == (["2"], [], ())
        later = admit(waits, group(), self.AGED, at(61))
        assert (later.inbox, queued(later)) == ((), ["2"])

    def test_one_that_is_old_enough_does_not_wait(self) -> None:
        assert queued(admitted(message("2", pushed=-60), rule=self.AGED)) == ["2"]

    def test_where_the_sender_tells_no_time_it_counts_from_when_it_was_received(self) -> None:
        waits = admitted(message("2", pushed=0, pushed_at=None), rule=self.AGED)
        assert [each.id for each in waits.inbox] == ["2"]

    @pytest.mark.parametrize("digest_known", [None, SECOND])
    def test_its_tag_is_no_way_back_meanwhile(self, digest_known: str | None) -> None:
        # Regression: a rollback put the tag, which stood for the young push by then.
        young = message("2", name="again", pushed=0, digest=digest_known)
        now = container(goods=(good("2", digest=FIRST, pushed=-900),))
        waits = admitted(young, now=now, shown=group({"web": "acme/shop:2"}), rule=self.AGED)
        assert [each.id for each in waits.inbox] == ["again"]
        assert waits.containers["web"].good.restored == f"acme/shop@{FIRST}"

    def test_an_older_push_of_its_tag_does_not_bring_it_in(self) -> None:
        # Regression: the registry was asked for the tag, and answered with the young push's image.
        old, young = message("2", name="old", pushed=-900), message("2", name="young", pushed=0)
        waits = admitted(old, young, message("3", pushed=-900), rule=self.AGED)
        assert ([each.id for each in waits.inbox], queued(waits)) == (["young"], ["3"])
        why = "docker.io/acme/shop:2 was pushed again, and is to be older first (min_age)"
        assert ends(waits) == [("old", "superseded", why)]

    def test_a_webhook_that_comes_late_counts_from_when_the_image_was_pushed(self) -> None:
        late = message("2", pushed=0, pushed_at=at(-9999))
        assert queued(admitted(late, rule=self.AGED)) == ["2"]

    def test_a_push_that_waits_holds_up_no_other_container(self) -> None:
        images = {"web": "acme/shop:1", "jobs": "acme/jobs:1"}
        rule = Target(SHOP, {"web": ContainerRule(self.POLICY), "jobs": ContainerRule(parse_policy("any"))})
        later = message("5", repository="acme/jobs", pushed=9)
        after = admitted(message("2"), later, shown=group(images), rule=rule)
        assert ([each.id for each in after.inbox], queued(after, "jobs")) == (["2"], ["5"])

    def test_a_push_that_one_container_alone_wants_waits_too(self) -> None:
        shown = group({"web": "acme/shop:1", "blue": "acme/shop:9"})
        after = admitted(message("2"), shown=shown, rule=self.AGED)
        assert ([each.id for each in after.inbox], after.outcomes) == (["2"], ())

    def test_a_later_push_of_its_tag_that_is_old_enough_as_well_does_not_end_it(self) -> None:
        old, again = message("2", name="old", pushed=-900), message("2", name="again", pushed=-800)
        assert queued(admitted(old, again, rule=self.AGED)) == ["again", "old"]

    @pytest.mark.parametrize("pushed", [-9999, -900])
    def test_an_older_image_of_its_tag_that_the_sweep_has_just_found_does_not_end_it(self, pushed: float) -> None:
        found = message("2", name="found", pushed=0, pushed_at=at(pushed), sender="sweep")
        now = message("2", name="now", pushed=0, pushed_at=at(-900))
        assert queued(admitted(now, found, rule=self.AGED)) == ["now"]

    def test_a_push_that_the_policy_refuses_is_told_so_although_its_tag_was_pushed_again(self) -> None:
        old, young = message("0.1", name="old", pushed=-900), message("0.1", name="young", pushed=0)
        after = admitted(old, young, rule=self.AGED)
        assert {(result, detail) for _, result, detail in ends(after)} == {
            ("ignored", "0.1 has 2 numbers, and 1 has 1 number: semver keeps the count")
        }

    def test_what_the_sweep_found_counts_from_then_on(self) -> None:
        waits = admitted(message("2", pushed=0, pushed_at=at(-9999), sender="sweep"), rule=self.AGED)
        assert [each.id for each in waits.inbox] == ["2"]

    def test_what_the_policy_does_not_let_in_ends_at_once(self) -> None:
        assert fate(admitted(message("latest"), rule=self.AGED), "latest")[0] == "ignored"

    def test_another_repository_s_containers_do_not_make_it_wait(self) -> None:
        images = {"web": "acme/shop:1", "jobs": "acme/jobs:1"}
        rule = Target(SHOP, {"web": ContainerRule(parse_policy("any")), "jobs": ContainerRule(self.POLICY)})
        assert queued(admitted(message("2", pushed=59), shown=group(images), rule=rule)) == ["2"]


class TestAgainstTheLastGoodImage:
    @pytest.mark.parametrize(
        ("last_good", "verdict", "reason"),
        [
            (good("1"), "wanted", ""),
            (good("1", pushed=-1), "wanted", ""),
            (good("1", pushed=0), "superseded", "acme/shop:1 is newer"),
            (good("1", pushed=5), "superseded", "acme/shop:1 is newer"),
            (good("2", pushed=5), "superseded", "acme/shop:2 is newer"),
            (good("2", pushed=-1), "wanted", ""),
            (good(None, "acme/shop:1", pushed=5), "wanted", ""),
        ],
    )
    def test_time_decides_where_the_policy_has_no_order(self, last_good: Good, verdict: str, reason: str) -> None:
        after = admitted(TWO, now=container(goods=(last_good,)), shown=group({"web": last_good.image}))
        assert fate(after) == (verdict, reason)

    @pytest.mark.parametrize(
        ("pushed", "verdict", "reason"),
        [
            (message("1.6", pushed=-99), "wanted", ""),
            (message("1.5", pushed=99), "wanted", ""),
            (message("1.5", pushed=-99), "superseded", "acme/shop:1.5 is newer"),
            (message("1.4", pushed=99), "superseded", "acme/shop:1.5 is newer"),
        ],
    )
    def test_the_order_of_the_policy_comes_before_the_time(
        self, pushed: UpdateMessage, verdict: str, reason: str
    ) -> None:
        now = container(goods=(good("1.5", pushed=0),))
        after = admitted(pushed, now=now, shown=group({"web": "acme/shop:1.5"}), rule=SEMVER)
        assert fate(after, pushed.id) == (verdict, reason)

    @pytest.mark.parametrize("pushed", [None, 0])
    @pytest.mark.parametrize(
        ("tag", "reason"),
        [
            ("latest", "latest is not a version, and semver follows only versions"),
            (
                "1.6-alpine",
                "1.6-alpine is the variant alpine, and 1.5 is the plain image: semver keeps the variant",
            ),
            ("1.5.0", "1.5.0 has 3 numbers, and 1.5 has 2 numbers: semver keeps the count"),
        ],
    )
    def test_a_push_that_the_policy_refuses_is_ignored_and_not_superseded(
        self, tag: str, reason: str, pushed: float | None
    ) -> None:
        # Regression: after the first update, every push that the policy skipped ended as "superseded: … is newer".
        now = container(goods=(good("1.5", pushed=pushed),))
        after = admitted(message(tag, pushed=10), now=now, shown=group({"web": "acme/shop:1.5"}), rule=SEMVER)
        assert fate(after, tag) == ("ignored", reason)

    def test_a_lower_version_is_refused_even_if_the_time_of_the_running_one_is_unknown(self) -> None:
        after = admitted(message("1.2", pushed=99), shown=group({"web": "acme/shop:1.4"}), rule=SEMVER)
        assert fate(after, "1.2") == ("ignored", "1.2 is lower than 1.4, and semver never goes down")

    @pytest.mark.parametrize("policy", ["any", "same-tag"])
    def test_a_container_follows_its_tag_even_if_its_image_is_written_with_a_digest(self, policy: str) -> None:
        # Regression: a good image put back by digest lost its tag, and same-tag ignored every push.
        now = container(goods=(good("latest", digest=FIRST, moved=True),))
        pushed = message("latest", name="next", pushed=99, digest=THIRD)
        after = admitted(pushed, now=now, shown=group({"web": f"acme/shop@{FIRST}"}), rule=target(policy))
        assert fate(after, "next") == ("wanted", "")

    def test_a_lower_version_is_refused_even_if_the_image_is_written_with_a_digest(self) -> None:
        # Regression: the tag of an image that was put back by digest was not known, so any version could follow.
        now = container(goods=(good("1.4", digest=FIRST, moved=True),))
        shown = group({"web": f"acme/shop@{FIRST}"})
        after = admitted(message("1.2", pushed=99), now=now, shown=shown, rule=SEMVER)
        assert fate(after, "1.2") == ("ignored", "1.2 is lower than 1.4, and semver never goes down")

    def test_a_digest_without_a_known_tag_follows_no_tag(self) -> None:
        after = admitted(TWO, shown=group({"web": f"acme/shop@{FIRST}"}), rule=target("same-tag"))
        assert fate(after)[0] == "ignored"


class TestAmongCandidates:
    @pytest.mark.parametrize(
        ("policy", "waiting", "pushed", "order"),
        [
            ("any", [("3", 10), ("2", 0)], ("5", 20), ["5", "3", "2"]),
            ("any", [("3", 10), ("2", 0)], ("5", 5), ["3", "5", "2"]),
            ("any", [("3", 10), ("2", 0)], ("5", -5), ["3", "2", "5"]),
            ("any", [("3", 10), ("2", 0)], ("5", 10), ["3", "5", "2"]),
            ("semver", [("1.9", 0), ("1.7", 10)], ("1.8", 99), ["1.9", "1.8", "1.7"]),
            ("semver", [("1.9", 0), ("1.7", 10)], ("2.0", -99), ["2.0", "1.9", "1.7"]),
            ("semver", [("1.9", 0), ("1.7", 10)], ("1.6", 99), ["1.9", "1.7", "1.6"]),
        ],
    )
    def test_a_push_gets_its_place_by_the_policy_and_then_by_time(
        self, policy: str, waiting: list[tuple[str, float]], pushed: tuple[str, float], order: list[str]
    ) -> None:
        now = container(*(candidate(message(tag, pushed=time)) for tag, time in waiting), goods=(good("1.0"),))
        new = message(pushed[0], pushed=pushed[1])
        after = admitted(new, now=now, shown=group({"web": "acme/shop:1.0"}), rule=target(policy))
        assert queued(after) == order

    def test_the_other_candidates_keep_their_digests_and_images(self) -> None:
        known = candidate(TWO, digest=SECOND, restart=True, lookups=2)
        assert admitted(THREE, now=container(known)).containers["web"].candidates == (candidate(THREE, None), known)

    @pytest.mark.parametrize(
        ("known", "again", "wanted"),
        [
            ({}, {}, False),
            ({"digest": SECOND}, {"digest": SECOND}, False),
            ({"digest": SECOND}, {}, False),
            ({}, {"digest": SECOND}, True),
            ({"digest": SECOND}, {"digest": THIRD}, True),
            ({}, {"pushed_at": at(1)}, True),
            ({"pushed_at": None}, {"pushed_at": None}, True),
            ({}, {"tag": "3"}, True),
        ],
    )
    @pytest.mark.parametrize("looked_up", [False, True])
    def test_a_push_that_is_delivered_twice_is_one_candidate(
        self, known: dict[str, Any], again: dict[str, Any], *, wanted: bool, looked_up: bool
    ) -> None:
        # Regression: deliveries of one push that came after its change restarted the group again.
        first, second = message("2", **known), message("2", name="again")
        second = second.model_copy(update={"push": second.push.model_copy(update=again)})
        waits = candidate(first) if looked_up else candidate(first, None, digest=None)
        after = admitted(second, now=container(waits))
        if wanted:
            assert sorted(queued(after)) == ["2", "again"]
        else:
            assert queued(after) == ["2"]
            assert ends(after) == [("again", "superseded", "this push was delivered before and is already under way")]

    def test_a_delivery_with_the_digest_that_the_registry_has_told_meanwhile_is_the_same_push(self) -> None:
        waits = candidate(TWO, digest=SECOND)
        after = admitted(message("2", name="again", digest=SECOND), now=container(waits))
        assert (queued(after), [end[:2] for end in ends(after)]) == (["2"], [("again", "superseded")])

    def test_a_delivery_with_another_digest_than_the_registry_has_told_is_another_push(self) -> None:
        waits = candidate(TWO, digest=SECOND)
        assert sorted(queued(admitted(message("2", name="again", digest=THIRD), now=container(waits)))) == [
            "2",
            "again",
        ]

    @pytest.mark.parametrize(
        ("policy", "tag", "other", "later", "is_newer"),
        [
            ("any", "2", "3", True, True),
            ("any", "2", "3", False, False),
            ("semver", "1.5", "1.4", False, True),
            ("semver", "1.4", "1.5", True, False),
            ("semver", "1.5", "1.5", True, True),
            ("semver", "1.5", "1.5", False, False),
            ("semver", "1.5", "main", True, True),
            ("semver", "1.5", "main", False, False),
        ],
    )
    def test_newer_means_higher_by_the_policy_or_else_later(
        self, policy: str, tag: str, other: str, *, later: bool, is_newer: bool
    ) -> None:
        order = (at(-1), at(-1)) if later else (at(1), at(1))
        assert newer(parse_policy(policy), message(tag), other, order) is is_newer

    def test_time_decides_between_two_pushes_of_a_tag_without_a_place_in_the_order(self) -> None:
        starting = policy_of("{order: semver, start: true}")
        assert newer(starting, message("latest"), "latest", (at(-1), at(-1)))
        assert not newer(starting, message("latest"), "latest", (at(1), at(1)))

    def test_a_push_is_not_newer_than_itself(self) -> None:
        assert not newer(parse_policy("any"), TWO, "2", TWO.order)


class TestPushedAgain:
    """A good image whose tag was pushed again comes back by its digest alone, however that push ends."""

    @pytest.mark.parametrize(
        ("pushed", "known", "again"),
        [
            (SECOND, FIRST, True),
            (None, FIRST, True),
            (SECOND, None, True),
            (None, None, True),
            (FIRST, FIRST, False),
        ],
    )
    def test_a_good_image_whose_tag_is_pushed_again_can_not_come_back_by_that_tag(
        self, pushed: str | None, known: str | None, *, again: bool
    ) -> None:
        goods = (good("1", digest=known), good("0"))
        after = admitted(message("1", pushed=5, digest=pushed), now=container(goods=goods))
        first, second = after.containers["web"].goods
        assert (first.pushed_again, second.pushed_again) == (again, False)
        assert first.restored == (f"acme/shop@{FIRST}" if again and known else "acme/shop:1")

    def test_neither_can_older_good_images_of_that_tag(self) -> None:
        now = container(goods=(good("2"), good("1", digest=FIRST)))
        after = admitted(message("1", pushed=5), now=now, shown=group({"web": "acme/shop:2"}))
        assert [item.pushed_again for item in after.containers["web"].goods] == [False, True]

    def test_a_push_that_is_refused_changes_no_good_image(self) -> None:
        after = admitted(message("1", pushed=-5), now=container(goods=(good("1", digest=FIRST, pushed=0),)))
        assert (fate(after, "1")[0], after.containers["web"].goods[0].pushed_again) == ("superseded", False)


class TestSeveralContainers:
    """Two containers of one repository, each with a policy of its own."""

    BOTH = group({"web": "acme/shop:1.4", "blue": "acme/shop:1.4"})

    def rule(self, web: str, blue: str) -> Target:
        return Target(SHOP, {"web": ContainerRule(parse_policy(web)), "blue": ContainerRule(parse_policy(blue))})

    def test_a_push_becomes_a_candidate_of_both_containers(self) -> None:
        after = admitted(message("1.5"), shown=self.BOTH, rule=target("any", "web", "blue"))
        assert (queued(after), queued(after, "blue"), ends(after)) == (["1.5"], ["1.5"], [])

    @pytest.mark.parametrize("policies", [("any", "same-tag"), ("same-tag", "any")])
    def test_a_push_that_one_container_wants_has_not_ended(self, policies: tuple[str, str]) -> None:
        after = admitted(message("1.5"), shown=self.BOTH, rule=self.rule(*policies))
        assert (queued(after) + queued(after, "blue"), ends(after)) == (["1.5"], [])

    @pytest.mark.parametrize("older_on", ["web", "blue"])
    def test_a_push_that_no_container_wants_ends_once_and_as_superseded_if_it_is_older_on_either(
        self, older_on: str
    ) -> None:
        other = "blue" if older_on == "web" else "web"
        known = {older_on: container(goods=(good("1.4", pushed=99),)), other: container(goods=(good("1.4"),))}
        policies: dict[str, str] = {older_on: "any", other: "same-tag"}
        after = admitted(message("1.5"), now=record(known), shown=self.BOTH, rule=self.rule(**policies))
        assert ends(after) == [("1.5", "superseded", "acme/shop:1.4 is newer")]
        assert after.outcomes[0].containers == (older_on,)

    def test_each_container_has_a_ruling_of_its_own(self) -> None:
        rule = self.rule("any", "same-tag")
        known = acquaint(record(), self.BOTH, rule, NOW)
        _, rulings = consider(known, followings(self.BOTH.images, rule), message("1.5"))
        assert rulings == (
            Ruling("web", "wanted", "1.5 was pushed, and any follows every tag"),
            Ruling("blue", "ignored", "1.5 is not 1.4, the running tag, and same-tag follows only that"),
        )


class TestRepeats:
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
    def test_a_push_that_failed_is_not_tried_again_when_it_is_delivered_again(
        self, failed: dict[str, Any], again: dict[str, Any], *, repeats: bool
    ) -> None:
        now = container(failures=(failure(ONE), failure(message("2", **failed))))
        after = admitted(message("2", name="again", pushed=99, **again), now=now)
        told = ("ignored", "this push failed before, at 2026-01-01 12:01:00 UTC (CrashLoop)")
        assert fate(after, "again") == (told if repeats else ("wanted", ""))

    def test_another_tag_of_the_same_digest_is_another_push(self) -> None:
        now = container(failures=(failure(message("2", digest=SECOND)),))
        assert fate(admitted(message("3", digest=SECOND), now=now), "3")[0] == "wanted"

    def test_an_operators_push_is_tried_again(self) -> None:
        now = container(failures=(failure(TWO),))
        assert fate(admitted(message("2", sender=MANUAL), now=now))[0] == "wanted"

    def test_a_push_that_failed_by_circumstance_is_tried_again(self) -> None:
        now = container(failures=(failure(TWO, circumstance=True),))
        assert fate(admitted(TWO, now=now))[0] == "wanted"

    def test_the_registrys_digest_counts_before_the_senders(self) -> None:
        failed = container(failures=(failure(message("2", digest=SECOND)),))
        again = message("2", digest=THIRD)
        assert repeated(failed, again, SECOND) == failed.failures[0]
        assert repeated(failed, again, THIRD) is None


class TestAcquaint:
    """Every container of the group is recorded before a change restarts all of them."""

    def test_each_new_container_is_recorded_with_what_it_runs(self) -> None:
        # Regression: an image that another container's change had pulled was taken for the first good image.
        images = {"web": "acme/shop:1", "jobs": "acme/jobs:latest", "odd": "not an image!", "proxy": "nginx:7"}
        shown = group(images, {"jobs": pulled(FIRST)})
        known = acquaint(record(), shown, target("any", "web", "jobs", "odd"), NOW).containers
        assert known == {
            "web": container(),
            "jobs": ContainerRecord(
                repository="docker.io/acme/jobs", goods=(Good(image="acme/jobs:latest", tag="latest", digest=FIRST),)
            ),
            "odd": ContainerRecord(repository="not an image!", followed=False, goods=(Good(image="not an image!"),)),
            "proxy": ContainerRecord(
                repository="docker.io/library/nginx", followed=False, goods=(Good(image="nginx:7", tag="7"),)
            ),
        }

    def test_known_containers_stay_as_they_are(self) -> None:
        known = record({"web": container(candidate(TWO), pin=pin(good("0")), failures=(failure(ONE),), past=("a",))})
        assert acquaint(known, group(), target(), NOW) == known

    @pytest.mark.parametrize(("running", "swept"), [("acme/other:1", False), ("acme/shop:9", True)])
    def test_a_group_whose_container_follows_another_repository_is_swept_again(
        self, running: str, *, swept: bool
    ) -> None:
        # Regression: pushes of that repository passed it by until the list showed the group, and nothing found them.
        now = record({"web": container()}, swept=True)
        assert acquaint(now, group({"web": running}), target(), NOW).swept is swept

    @pytest.mark.parametrize(
        "now",
        [record({"web": container()}), record({"web": container(), "jobs": JOBS.but(followed=False)})],
        ids=["the container is new", "its rule is new"],
    )
    def test_a_group_of_which_another_container_is_followed_now_is_swept_again(self, now: Record) -> None:
        # Regression: what had been pushed for that container before was found by nobody.
        both = group({"web": "acme/shop:1", "jobs": "acme/jobs:1"})
        assert acquaint(now.but(swept=True), both, target("any", "web", "jobs"), NOW).swept is False
        assert acquaint(now.but(swept=True), both, target("any", "web"), NOW).swept is True

    def test_a_group_that_is_met_for_the_first_time_is_not_swept_twice(self) -> None:
        both = group({"web": "acme/shop:1", "jobs": "acme/jobs:1"})
        assert acquaint(record({}, swept=True), both, target("any", "web", "jobs"), NOW).swept is True

    def test_a_container_that_follows_another_repository_starts_anew(self) -> None:
        now = container(candidate(TWO), failures=(failure(ONE),), repository="docker.io/acme/old")
        after = acquaint(record({"web": now}), group(), target(), NOW)
        assert after.containers == {"web": container()}
        assert ends(after) == [("2", "ignored", "the container follows another repository now")]

    def test_a_container_whose_rule_is_gone_stays_known_without_candidates(self) -> None:
        now = container(candidate(TWO), candidate(ONE), pin=pin(good("0")), failures=(failure(THREE),))
        after = acquaint(record({"web": now}), group(), target("any", "other"), NOW)
        web = after.containers["web"]
        assert (web.followed, web.candidates, web.pin, web.failures) == (False, (), None, now.failures)
        why = "the container is no longer kept up to date"
        assert ends(after) == [("back", "ignored", why), ("1", "ignored", why), ("2", "ignored", why)]

    def test_a_container_that_gets_a_rule_starts_from_what_it_runs(self) -> None:
        now = container(goods=(good("1", digest=FIRST),), followed=False)
        after = acquaint(record({"web": now}), group(), target(), NOW)
        assert after.containers == {"web": now.but(followed=True)}

    def test_a_container_that_is_gone_is_removed(self) -> None:
        now = record({"gone": container(candidate(TWO)), "web": container(), "empty": container()})
        after = acquaint(now, group(), target(), NOW)
        assert after.containers == {"web": container()}
        assert ends(after) == [("2", "ignored", "the group no longer has a container gone")]
        assert after.outcomes[0].containers == ("gone",)

    def test_a_push_that_another_container_waits_for_has_not_ended(self) -> None:
        now = record({"gone": container(candidate(TWO)), "web": container(candidate(TWO))})
        after = acquaint(now, group(), target(), NOW)
        assert (queued(after), ends(after)) == (["2"], [])


class TestAbandoned:
    """A push whose unproven image nobody will watch any more fails, because a person should look at it."""

    WHY = "left on the group unproven"
    BEGUN = record(
        {"web": container(candidate(TWO), candidate(ONE))}, change=change({"web": "acme/shop:2", "blue": "acme/shop:1"})
    )

    def test_the_unproven_push_of_a_container_whose_rule_is_gone_fails(self) -> None:
        after = acquaint(self.BEGUN, group({"web": "acme/shop:2"}), target("any", "other"), NOW)
        rule = "the container is no longer kept up to date"
        assert ends(after) == [("1", "ignored", rule), ("2", "failed", f"{self.WHY}; {rule}")]
        assert (after.outbox[0].code, after.outbox[0].at) == ("TargetRemoved", NOW)
        assert (queued(after), after.undone) == ([], ())

    def test_the_record_remembers_the_images_that_pushes_brought_while_there_was_a_rule(self) -> None:
        after = acquaint(self.BEGUN, group({"web": "acme/shop:2"}), target("any", "other"), NOW).containers["web"]
        assert after.failures == (failure(TWO, code="TargetRemoved", at=NOW, circumstance=True),)
        assert after.past == ("acme/shop:1", "acme/shop:2")
        assert after.brought == {"acme/shop:2"}

    def test_the_unproven_push_of_a_container_that_is_gone_fails(self) -> None:
        after = acquaint(self.BEGUN, group({"blue": "acme/shop:1"}), target("any", "blue"), NOW)
        why = "the group no longer has a container web"
        assert ends(after) == [("1", "ignored", why), ("2", "failed", f"{self.WHY}; {why}")]

    def test_the_unproven_push_of_a_container_that_follows_another_repository_fails(self) -> None:
        shown = group({"web": "acme/other:1"})
        after = acquaint(self.BEGUN, shown, target(), NOW)
        assert ends(after)[1] == ("2", "failed", f"{self.WHY}; the container follows another repository now")

    def test_a_push_that_is_on_another_container_only_is_not_abandoned(self) -> None:
        begun = self.BEGUN.but(change=change(asked={"blue": "2"}))
        after = acquaint(begun, group({"web": "acme/shop:2"}), target("any", "other"), NOW)
        assert [end[:2] for end in ends(after)] == [("1", "ignored"), ("2", "ignored")]

    @pytest.mark.parametrize(
        ("images", "names", "why"),
        [
            pytest.param({"web": "acme/shop:1"}, ["other"], "the container is no longer kept up to date", id="rule"),
            pytest.param(
                {"web": "acme/other:1"},
                ["web"],
                "the container follows another repository now",
                id="repository",
            ),
            pytest.param(
                {"blue": "acme/shop:1"},
                ["web"],
                "the group no longer has a container web",
                id="container",
            ),
        ],
    )
    def test_a_rollback_by_hand_ends_with_its_container(
        self, images: dict[str, str], names: list[str], why: str
    ) -> None:
        now = record({"web": container(pin=pin(good("0")))})
        after = acquaint(now, group(images), target("any", *names), NOW)
        assert "web" not in after.containers or after.containers["web"].pin is None
        assert ends(after) == [("back", "ignored", why)]
        assert after.outcomes[0].containers == ("web",)

    def test_a_push_that_an_operator_rolls_back_from_fails_although_its_container_is_pinned(self) -> None:
        begun = self.BEGUN.but(containers={"web": container(candidate(TWO), pin=pin(good("0")))})
        after = acquaint(begun, group({"web": "acme/shop:2"}), target("any", "other"), NOW)
        rule = "the container is no longer kept up to date"
        assert ends(after) == [("back", "ignored", rule), ("2", "failed", f"{self.WHY}; {rule}")]

    def test_a_rollback_by_hand_does_not_go_on_for_another_rollback_s_container(self) -> None:
        now = record({"gone": container(pin=pin(good("0"))), "web": container(pin=pin(good("0"), "other"))})
        after = acquaint(now, group(), target(), NOW)
        assert [end[:2] for end in ends(after)] == [("back", "ignored")]

    def test_a_rollback_by_hand_goes_on_while_another_container_is_pinned_for_it(self) -> None:
        now = record(dict.fromkeys(("web", "blue"), container(pin=pin(good("0")))))
        after = acquaint(now, group(dict.fromkeys(("web", "blue"), "acme/shop:1")), target("any", "blue"), NOW)
        assert (after.containers["web"].pin, ends(after)) == (None, [])

    @pytest.mark.parametrize("names", [["other"], ["web"]], ids=["its rule is gone", "the container is gone"])
    def test_a_rollback_by_hand_that_is_on_the_group_ends_once(self, names: list[str]) -> None:
        images = {"web": "acme/shop:0"} if names == ["other"] else {"blue": "acme/shop:1"}
        now = record(
            {"web": container(pin=pin(good("0")))}, change=change({"web": "acme/shop:0"}, asked={"web": "back"})
        )
        after = acquaint(now, group(images), target("any", *names), NOW)
        assert [item.message.id for item in after.outbox] == ["back"]

    def test_a_rollback_by_hand_that_is_on_another_container_too_goes_on_there(self) -> None:
        both = dict.fromkeys(("web", "blue"), container(goods=(good("1"), good("0")), pin=pin(good("0"))))
        images = dict.fromkeys(both, "acme/shop:0")
        now = record(both, change=change(images, asked=dict.fromkeys(both, "back")))
        after = acquaint(now, group(images), target("any", "blue"), NOW)
        assert (after.containers["web"].pin, ends(after), after.undone) == (None, [], ())
        assert after.containers["blue"] == both["blue"]

    def test_a_push_that_failed_on_another_container_is_still_rolled_back(self) -> None:
        failed = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        now = record({"web": container(), "gone": container()}, undone=(failed,))
        assert acquaint(now, group(), target(), NOW).undone == (failed,)

    def test_what_failed_before_an_abandoned_push_is_still_rolled_back(self) -> None:
        failed = Undone(message=message("0"), code="CrashLoop", detail="it crashes", containers=("web",))
        after = acquaint(self.BEGUN.but(undone=(failed,)), group({"web": "acme/shop:2"}), target("any", "other"), NOW)
        assert after.undone == (failed,)

    def test_a_push_that_is_watched_on_another_container_goes_on_there(self) -> None:
        both = {"gone": container(candidate(TWO)), "web": container(candidate(TWO))}
        images = dict.fromkeys(both, "acme/shop:2")
        now = record(both, change=change(images, asked=dict.fromkeys(both, "2")))
        after = acquaint(now, group({"web": "acme/shop:2"}), target(), NOW)
        assert (queued(after), ends(after)) == (["2"], [])


class TestRedeployed:
    """The owner of the group has deployed an image without aci-hooks."""

    KNOWN = container(goods=(good("2.1", pushed=0), good("2.0")))
    BY_HAND = group({"web": "acme/shop:1.4.2"}, {"web": pulled(FIRST)})
    DEPLOYED = good("1.4.2", digest=FIRST)

    def goods(self, now: ContainerRecord | Record, shown: ContainerGroup = BY_HAND) -> list[Good]:
        before = record({"web": now}) if isinstance(now, ContainerRecord) else now
        return list(acquaint(before, shown, target(), NOW).containers["web"].goods)

    def test_the_owners_image_becomes_the_last_good_one_before_what_ran_until_then(self) -> None:
        assert self.goods(self.KNOWN) == [self.DEPLOYED, *self.KNOWN.goods]

    def test_only_a_few_good_images_are_kept(self) -> None:
        many = tuple(good(f"v{number}") for number in range(GOODS_KEPT))
        assert self.goods(container(goods=many)) == [self.DEPLOYED, *many[:-1]]

    def test_a_good_image_that_is_not_kept_is_still_known_as_ours(self) -> None:
        # A late change may bring it back, which must not pass for a choice of the owner's.
        many = tuple(good(f"v{number}") for number in range(GOODS_KEPT))
        after = acquaint(record({"web": container(goods=many)}), self.BY_HAND, target(), NOW)
        assert after.containers["web"].past == (many[-1].image,)

    def test_the_policy_compares_with_the_owners_image_from_then_on(self) -> None:
        # Regression: any version lower than one that aci-hooks had once brought was superseded for ever.
        after = admitted(message("1.4.3"), now=self.KNOWN, shown=self.BY_HAND, rule=target("semver:minor"))
        assert fate(after, "1.4.3") == ("wanted", "")

    def test_candidates_that_may_not_follow_the_owners_image_end(self) -> None:
        waits = self.KNOWN.but(candidates=(candidate(message("2.2.0")), candidate(message("1.5.0", pushed=5))))
        after = acquaint(record({"web": waits}), self.BY_HAND, target("semver:minor"), NOW)
        assert queued(after) == ["1.5.0"]
        assert ends(after) == [("2.2.0", "superseded", "acme/shop:1.4.2 was deployed by hand")]
        assert after.outcomes[0].containers == ("web",)
        assert after.containers["web"].past == ("acme/shop:2.2.0",)

    def test_a_pin_and_the_failures_are_kept(self) -> None:
        failed = self.KNOWN.but(failures=(failure(TWO),), past=("acme/shop:0",))
        after = acquaint(record({"web": failed}), self.BY_HAND, target(), NOW).containers["web"]
        assert after == failed.but(goods=(self.DEPLOYED, *self.KNOWN.goods))

    @pytest.mark.parametrize(
        "known",
        [
            {"goods": (good("2.1"), good("1.4.2"))},
            {"candidates": (candidate(message("1.4.2")),)},
            {"failures": (failure(message("1.4.2")),)},
            {"past": ("acme/shop:1.4.2",)},
        ],
        ids=["a good one", "a candidate", "a failed one", "one of the past"],
    )
    def test_an_image_that_the_worker_once_brought_is_not_taken_for_the_owners(self, known: dict[str, Any]) -> None:
        # A late change may have brought it back, which is corrected.
        now = self.KNOWN.but(**known)
        assert self.goods(now) == list(now.goods)

    @pytest.mark.parametrize(
        ("known", "ours"),
        [
            ({"goods": (good("2", digest=FIRST),)}, True),
            ({"failures": (failure(TWO, image=f"acme/shop@{FIRST}"),)}, True),
            ({"goods": (good("2", digest=SECOND),)}, False),
        ],
    )
    def test_an_image_by_digest_may_be_one_that_the_worker_brought(self, known: dict[str, Any], *, ours: bool) -> None:
        # Regression: a failed image that a late change brought back became the last good image.
        now = container(**known)
        found = self.goods(now, group({"web": f"acme/shop@{FIRST}"}))
        assert found == ([] if ours else [good(None, f"acme/shop@{FIRST}", digest=FIRST)]) + list(now.goods)

    @pytest.mark.parametrize(
        ("under_way", "shown"),
        [
            ({"change": change({"web": "acme/shop:1.4.2"})}, BY_HAND),
            ({}, group({"web": "acme/shop:1.4.2"}, state="Updating")),
            ({"containers": {"web": KNOWN.but(pin=pin(good("2.0")))}}, BY_HAND),
        ],
        ids=["a change brings it", "in transition", "an operator goes back"],
    )
    def test_an_image_that_may_be_the_workers_is_not_taken_for_the_owners(
        self, under_way: Mapping[str, Any], shown: ContainerGroup
    ) -> None:
        now = record({"web": self.KNOWN}).but(**under_way)
        assert is_redeployed(record({"web": self.KNOWN}), self.BY_HAND, "web")
        assert not is_redeployed(now, shown, "web")
        assert self.goods(now, shown) == list(self.KNOWN.goods)

    @pytest.mark.parametrize(
        "under_way",
        [
            {"change": change()},
            {"change": change({"blue": "acme/shop:1.4.2"})},
            {"flights": (Flight(generation=1, sent_at=at(0)),)},
        ],
        ids=["another image", "another container", "it may be on its way"],
    )
    def test_an_unknown_image_is_the_owners_even_while_a_change_is_under_way(self, under_way: dict[str, Any]) -> None:
        now = record({"web": self.KNOWN}).but(**under_way)
        assert is_redeployed(now, self.BY_HAND, "web")
        # But little is known about a container without a rule, and it may have been restarted with the others.
        alone = now.but(containers={"web": self.KNOWN.but(followed=False)})
        assert not is_redeployed(alone, self.BY_HAND, "web")

    @pytest.mark.parametrize(
        ("running", "deployed"),
        [
            ("acme/shop:2.1", False),
            (f"acme/shop@{FIRST}", False),
            ("acme/shop:2.0", True),
            ("acme/shop:9", False),
            ("acme/shop:8", True),
        ],
    )
    def test_without_a_rule_every_image_is_the_owners_unless_a_push_brought_it(
        self, running: str, *, deployed: bool
    ) -> None:
        goods = (good("2.1", digest=FIRST), good("2.0"))
        alone = record({"web": container(goods=goods, followed=False, past=("acme/shop:9", "acme/shop:2.0"))})
        after = acquaint(alone, group({"web": running}), target("any", "other"), NOW).containers["web"]
        by_hand = (good(running.partition(":")[2]), *(item for item in goods if item.image != running))
        assert after.goods == (by_hand if deployed else goods)

    def test_a_container_without_a_rule_has_no_candidates_to_end(self) -> None:
        alone = record({"web": container(goods=(good("2.1"),), followed=False)})
        after = acquaint(alone, self.BY_HAND, target("any", "other"), NOW)
        assert (after.containers["web"].good, ends(after)) == (self.DEPLOYED, [])

    def test_an_image_that_becomes_good_again_is_listed_once(self) -> None:
        alone = record({"web": container(goods=(good("2"), good("1", pushed=0)), followed=False)})
        after = acquaint(alone, group(), target("any", "other"), NOW).containers["web"]
        assert after.goods == (good("1"), good("2"))


class TestLeave:
    """A candidate is removed from one container."""

    @pytest.mark.parametrize("result", ["superseded", "unchanged"])
    def test_its_push_ends_and_its_image_is_remembered_as_past(self, result: Result) -> None:
        now = record({"web": container(candidate(TWO), candidate(ONE))})
        after = leave(now, "web", candidate(TWO), result, "so", NOW)
        assert (queued(after), ends(after)) == (["1"], [("2", result, "so")])
        assert after.containers["web"].past == ("acme/shop:2",)
        assert (after.outcomes[0].containers, after.outcomes[0].at) == (("web",), NOW)

    @pytest.mark.parametrize(("proven", "told"), [(["2"], []), (["1"], ["2"]), ([], ["2"])])
    def test_its_push_does_not_end_while_another_container_is_proving_it(
        self, proven: list[str], told: list[str]
    ) -> None:
        now = record({"web": container(candidate(TWO))})
        after = leave(now, "web", candidate(TWO), "superseded", "so", NOW, proven)
        assert (queued(after), [end[0] for end in ends(after)]) == ([], told)

    def test_its_push_does_not_end_while_another_container_waits_for_it(self) -> None:
        now = record({"web": container(candidate(TWO)), "blue": container(candidate(TWO))})
        after = leave(now, "web", candidate(TWO), "superseded", "so", NOW)
        assert (queued(after), queued(after, "blue"), ends(after)) == ([], ["2"], [])
