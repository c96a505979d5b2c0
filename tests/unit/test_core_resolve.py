"""What a registry tells of the best candidate, and the image that it becomes."""

from __future__ import annotations

from typing import Any

import pytest

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
    pulled,
    queued,
    record,
    target,
)
from worker.core.following import Following, followings
from worker.core.resolve import MOST_LOOKUPS, no_image, not_there, resolve, unresolved
from worker.groups.group import ContainerGroup
from worker.policies.conditions import Conditions
from worker.policies.longform import LongForm
from worker.policies.policy import AnyTag
from worker.record.container import Candidate, ContainerRecord, Good
from worker.record.lookups import Found
from worker.record.record import Record
from worker.record.values import MANUAL, Hold
from worker.targets.target import ContainerRule, Target

FIRST, SECOND, THIRD = digest("first"), digest("second"), digest("third")
ONE, TWO, THREE = message("1", pushed=-10), message("2"), message("3", pushed=10)
NOW = at(60)


def open_(of: UpdateMessage, **rest: Any) -> Candidate:
    """A candidate whose digest nobody has asked for."""
    return candidate(of, None, digest=None, **rest)


def resolved(
    of: UpdateMessage,
    now: ContainerRecord | Record,
    told: str | None = None,
    shown: ContainerGroup | None = None,
    rule: Target | None = None,
    platforms: frozenset[str] = frozenset(),
) -> Record:
    """The record once the registry has told this digest."""
    before = record({"web": now}) if isinstance(now, ContainerRecord) else now
    shown = shown or group()
    found = Found(told, platforms) if told else None
    return resolve(before, shown, followings(shown.images, rule or target()), of, found, NOW)


def first(of: Record, name: str = "web") -> Candidate:
    return of.containers[name].candidates[0]


class TestUnresolved:
    """Only the best candidate of each container is asked for: a burst of pushes costs one look at the registry."""

    @pytest.mark.parametrize(
        ("containers", "asked"),
        [
            ({}, None),
            ({"web": container()}, None),
            ({"web": container(open_(THREE), open_(TWO))}, "3"),
            ({"web": container(candidate(THREE), open_(TWO))}, None),
            ({"web": container(candidate(THREE)), "blue": container(open_(TWO), open_(ONE))}, "2"),
            ({"web": container(), "blue": container(open_(TWO))}, "2"),
            ({"web": container(open_(THREE)), "blue": container(open_(TWO))}, "3"),
        ],
    )
    def test_the_first_best_one_whose_image_is_not_known(
        self, containers: dict[str, ContainerRecord], asked: str | None
    ) -> None:
        message_ = unresolved(record(containers), self.followed())
        assert (message_ and message_.id) == asked

    def test_nothing_while_the_group_is_held_by_hand(self) -> None:
        held = record({"web": container(open_(TWO))}, hold=Hold(reason="sale", since=NOW))
        assert unresolved(held, self.followed()) is None

    def test_no_registry_that_the_group_does_not_run_from(self) -> None:
        # A record is a blob: whoever can write one must not have the worker connect to where they like.
        inside = message("2", registry="127.0.0.1:8080", repository="admin")
        assert unresolved(record({"web": container(open_(inside))}), self.followed()) is None
        assert unresolved(record({"gone": container(open_(TWO))}), self.followed()) is None

    def followed(self) -> dict[str, Following]:
        return followings(dict.fromkeys(("web", "blue"), "acme/shop:1"), target("any", "web", "blue"))


class TestImage:
    @pytest.mark.parametrize(
        ("written", "pushed", "told", "image"),
        [
            ("acme/shop:1", "2", None, "acme/shop:2"),
            ("acme/shop:1", "2", SECOND, "acme/shop:2"),
            ("index.docker.io/acme/shop", "2", None, "index.docker.io/acme/shop:2"),
            (f"acme/shop@{FIRST}", "2", SECOND, "acme/shop:2"),
            ("acme/shop:1", "1", SECOND, f"acme/shop@{SECOND}"),
            (f"acme/shop:1@{FIRST}", "1", SECOND, f"acme/shop@{SECOND}"),
            (f"acme/shop:1@{FIRST}", "1", None, "acme/shop:1"),
        ],
    )
    def test_the_name_stays_as_written_and_a_tag_that_moved_goes_by_digest(
        self, written: str, pushed: str, told: str | None, image: str
    ) -> None:
        of = message(pushed)
        after = resolved(of, container(open_(of), goods=(good("1", written),)), told, group({"web": written}))
        assert first(after) == candidate(of, image, digest=told)

    def test_a_tag_that_moved_to_nobody_knows_what_is_a_restart(self) -> None:
        after = resolved(message("1"), container(open_(message("1"))))
        assert first(after) == candidate(message("1"), restart=True)

    def test_what_is_named_by_its_digest_needs_no_restart(self) -> None:
        shown = group({"web": f"acme/shop@{SECOND}"})
        after = resolved(message("1"), container(open_(message("1"))), SECOND, shown)
        assert first(after) == candidate(message("1"), f"acme/shop@{SECOND}", digest=SECOND)

    def test_a_tag_that_is_there_by_another_hand_and_new_to_us_needs_none_either(self) -> None:
        after = resolved(TWO, container(open_(TWO)), SECOND, group({"web": "acme/shop:2"}))
        assert first(after) == candidate(TWO, digest=SECOND)

    @pytest.mark.parametrize(
        "known",
        [
            {"goods": (good("1"), good("2"))},
            {"failures": (failure(ONE), failure(message("2", digest=FIRST)))},
            {"candidates": (open_(TWO), candidate(message("2", name="other", digest=FIRST)))},
        ],
        ids=["a good one", "a failed one", "another candidate"],
    )
    def test_a_tag_moves_if_anything_of_it_was_here_before(self, known: dict[str, Any]) -> None:
        # Regression: after a bad latest and a bad v5 it was "rolled back" to latest, which was the bad one by then.
        after = resolved(TWO, container(**({"candidates": (open_(TWO),)} | known)), SECOND)
        assert first(after).image == f"acme/shop@{SECOND}"

    def test_a_candidate_that_was_never_asked_for_was_not_here(self) -> None:
        now = container(open_(TWO), open_(message("2", name="other")))
        assert first(resolved(TWO, now, SECOND)).image == "acme/shop:2"

    def test_another_tag_of_the_running_digest_is_brought_in(self) -> None:
        after = resolved(TWO, container(open_(TWO)), FIRST, group(views={"web": pulled(FIRST)}))
        assert first(after).image == "acme/shop:2"

    def test_the_count_of_lookups_stays_and_so_do_the_others(self) -> None:
        others = (open_(ONE), candidate(message("0")))
        after = resolved(TWO, container(open_(TWO, lookups=2), *others), SECOND)
        assert after.containers["web"].candidates == (candidate(TWO, digest=SECOND, lookups=2), *others)

    @pytest.mark.parametrize(
        "now", [container(), container(candidate(TWO, "acme/shop:2", digest=FIRST))], ids=["none", "known already"]
    )
    def test_only_what_is_not_known_yet_gets_an_image(self, now: ContainerRecord) -> None:
        assert resolved(TWO, now, SECOND) == record({"web": now})

    def test_each_container_that_waits_for_it_in_its_own_spelling(self) -> None:
        shown = group({"none": "acme/shop:1", "web": "acme/shop:1", "blue": "docker.io/acme/shop:1"})
        both = container(open_(TWO))
        now = record({"none": container(), "web": both, "blue": both})
        after = resolved(TWO, now, SECOND, shown, target("any", "none", "web", "blue"))
        assert first(after) == candidate(TWO, digest=SECOND)
        assert first(after, "blue") == candidate(TWO, "docker.io/acme/shop:2", digest=SECOND)


class TestDisplaced:
    """A candidate whose tag a newer push has moved: from now on only its digest means it."""

    def beside(self, other: Candidate, told: str | None = SECOND) -> ContainerRecord:
        newer = message("2", name="newer", pushed=5)
        return resolved(newer, container(open_(newer), other, past=("acme/shop:0",)), told).containers["web"]

    @pytest.mark.parametrize("restart", [True, False])
    def test_it_is_written_by_its_digest_and_what_may_still_arrive_by_the_tag_is_known(self, restart: bool) -> None:
        after = self.beside(candidate(TWO, digest=FIRST, restart=restart))
        assert after.candidates[1] == candidate(TWO, f"acme/shop@{FIRST}", digest=FIRST)
        assert after.past == ("acme/shop:2", "acme/shop:0")

    def test_also_if_nobody_knows_what_the_newer_one_is(self) -> None:
        assert self.beside(candidate(TWO, digest=FIRST), None).candidates[1].image == f"acme/shop@{FIRST}"

    @pytest.mark.parametrize(
        "other",
        [
            candidate(TWO, digest=SECOND),
            candidate(TWO, digest=None),
            candidate(TWO, None, digest=FIRST),
            candidate(ONE, digest=FIRST),
        ],
        ids=["the same image", "its digest is not known", "not asked for yet", "of another tag"],
    )
    def test_others_stay_as_they_are(self, other: Candidate) -> None:
        after = self.beside(other)
        assert (after.candidates[1], after.past) == (other, ("acme/shop:0",))


class TestRepeats:
    FAILED = failure(message("2", digest=SECOND, pushed_at=None))
    WHY = "this push failed before, at 2026-01-01 12:01:00 UTC (CrashLoop)"

    def test_what_the_registry_shows_to_be_a_repeat_is_not_tried_again(self) -> None:
        after = resolved(TWO, container(open_(TWO), failures=(self.FAILED,)), SECOND)
        assert (queued(after), ends(after)) == ([], [("2", "ignored", self.WHY)])
        assert after.outcomes[0].containers == ("web",)

    @pytest.mark.parametrize("told", [THIRD, None])
    def test_another_image_of_that_tag_is_tried(self, told: str | None) -> None:
        after = resolved(TWO, container(open_(TWO), failures=(self.FAILED,)), told)
        assert (queued(after), ends(after)) == (["2"], [])

    def test_an_operator_may_insist(self) -> None:
        by_hand = message("2", sender=MANUAL)
        after = resolved(by_hand, container(open_(by_hand), failures=(self.FAILED,)), SECOND)
        assert first(after).image == f"acme/shop@{SECOND}"

    def test_it_goes_on_where_it_did_not_fail(self) -> None:
        now = record({"web": container(open_(TWO), failures=(self.FAILED,)), "blue": container(open_(TWO))})
        shown = group(dict.fromkeys(("web", "blue"), "acme/shop:1"))
        after = resolved(TWO, now, SECOND, shown, target("any", "web", "blue"))
        assert (queued(after), queued(after, "blue"), ends(after)) == ([], ["2"], [])


class TestUnchanged:
    AGAIN = message("1", pushed=5)
    RUNS = group(views={"web": pulled(FIRST)})

    def test_the_very_image_runs_already(self) -> None:
        after = resolved(self.AGAIN, container(open_(self.AGAIN)), FIRST, self.RUNS)
        assert (queued(after), ends(after)) == ([], [("1", "unchanged", "web runs docker.io/acme/shop:1 already")])
        assert after.outcomes[0].at == NOW
        assert after.outcomes[0].containers == ("web",)
        # What is known of it counts from now on.
        assert after.containers["web"].goods == (good("1", digest=FIRST, pushed=5),)

    @pytest.mark.parametrize(("known", "then"), [(9, 9), (1, 5), (None, 5)])
    def test_the_image_is_as_new_as_its_newest_push(self, known: float | None, then: float) -> None:
        now = container(open_(self.AGAIN), goods=(good("1", digest=FIRST, pushed=known), good("0")))
        after = resolved(self.AGAIN, now, FIRST, self.RUNS)
        assert after.containers["web"].goods == (good("1", digest=FIRST, pushed=then), good("0"))

    def test_its_digest_is_written_in_the_group(self) -> None:
        written = f"acme/shop:1@{FIRST}"
        now = container(open_(self.AGAIN), goods=(good("1", written, digest=FIRST),))
        assert queued(resolved(self.AGAIN, now, FIRST, group({"web": written}))) == []

    def test_the_group_may_have_it_by_its_digest(self) -> None:
        now = container(open_(self.AGAIN), goods=(good("1", digest=FIRST),))
        assert queued(resolved(self.AGAIN, now, FIRST, group({"web": f"acme/shop@{FIRST}"}))) == []

    @pytest.mark.parametrize("known", [None, FIRST, SECOND], ids=["not known", "the index", "the platform's"])
    def test_an_index_runs_as_one_of_the_manifests_that_it_lists(self, known: str | None) -> None:
        now = container(open_(self.AGAIN), goods=(good("1", digest=known),))
        shown = group(views={"web": pulled(SECOND)})
        after = resolved(self.AGAIN, now, FIRST, shown, platforms=frozenset({SECOND, THIRD}))
        assert ends(after) == [("1", "unchanged", "web runs docker.io/acme/shop:1 already")]
        assert after.containers["web"].good.digest == FIRST

    def test_a_manifest_that_the_index_does_not_list_is_another_image(self) -> None:
        now = container(open_(self.AGAIN), goods=(good("1", digest=SECOND),))
        after = resolved(self.AGAIN, now, FIRST, group(views={"web": pulled(SECOND)}), platforms=frozenset({THIRD}))
        assert first(after).image == f"acme/shop@{FIRST}"

    def test_what_it_is_newer_than_has_ended_and_what_is_better_waits_on(self) -> None:
        now = container(candidate(THREE), open_(self.AGAIN), open_(message("0")), candidate(message("00")))
        after = resolved(self.AGAIN, now, FIRST, self.RUNS)
        assert queued(after) == ["3"]
        why = "docker.io/acme/shop:1 is newer, and runs"
        assert [(ending.message.id, ending.result, ending.detail) for ending in after.outbox] == [
            ("1", "unchanged", "web runs docker.io/acme/shop:1 already"),
            ("0", "superseded", why),
            ("00", "superseded", why),
        ]
        assert [outcome.containers for outcome in after.outcomes] == [("web",), ("web",)]
        assert after.containers["web"].past == ("acme/shop:00",)

    @pytest.mark.parametrize(
        "under_way",
        [
            change({"blue": "acme/shop:2"}, asked={"blue": "2"}),
            change({"web": "acme/shop:1", "blue": "acme/shop:2"}, asked={"blue": "2"}),
            change({"web": f"acme/shop@{FIRST}"}, asked={}),
        ],
        ids=["of another container", "which leaves it as it is", "back to it by its digest"],
    )
    def test_a_change_may_be_under_way_that_leaves_it_as_it_is(self, under_way: Any) -> None:
        now = container(open_(self.AGAIN), goods=(good("1", digest=FIRST),))
        after = resolved(self.AGAIN, record({"web": now}, change=under_way), FIRST, self.RUNS)
        assert queued(after) == []

    @pytest.mark.parametrize(
        "under_way",
        [
            change({"web": "acme/shop:1"}, asked={"web": "other"}),
            change({"web": "acme/shop:2"}, asked={}),
            change({"web": "acme/shop:2", "blue": "acme/shop:2"}, asked={"web": "2"}),
        ],
        ids=["it is to be restarted", "it gets another image unasked", "it gets another image"],
    )
    def test_what_a_change_has_brought_or_will_bring_may_be_anything(self, under_way: Any) -> None:
        # Regression: what another container's change had pulled, a crash-looping image perhaps, was "unchanged".
        now = container(open_(self.AGAIN), goods=(good("1", digest=FIRST),))
        after = resolved(self.AGAIN, record({"web": now}, change=under_way), FIRST, self.RUNS)
        assert first(after).image == f"acme/shop@{FIRST}"

    @pytest.mark.parametrize("digest_known", [None, FIRST])
    def test_without_a_digest_the_push_that_brought_it_here_is_known_by_its_time(
        self, digest_known: str | None
    ) -> None:
        # Regression: of six deliveries of one push, those that came after its change restarted the group once more.
        proven = good("1", digest=digest_known, pushed=5)
        after = resolved(self.AGAIN, container(open_(self.AGAIN), goods=(proven,)), None, self.RUNS)
        assert (queued(after), ends(after)[0][1]) == ([], "unchanged")
        assert after.containers["web"].goods == (proven,)

    def test_without_an_answer_that_push_is_known_by_its_digest_too_and_whenever_it_was_received(self) -> None:
        again = message("1", pushed=5, digest=FIRST)
        proven = good("1", digest=FIRST).but(order=(at(5), at(3)))
        assert queued(resolved(again, container(open_(again), goods=(proven,)), None, self.RUNS)) == []

    def test_an_image_whose_tag_is_known_to_point_at_it_again_may_come_back_by_its_tag(self) -> None:
        now = container(open_(self.AGAIN), goods=(good("1", digest=FIRST, pushed_again=True),))
        assert resolved(self.AGAIN, now, FIRST, self.RUNS).containers["web"].good == good("1", digest=FIRST, pushed=5)

    @pytest.mark.parametrize(
        "proven", [good("1", pushed=4), good("1"), good("1", "acme/shop:one", pushed=5), good("2", pushed=5)]
    )
    def test_without_a_digest_any_other_push_is_a_restart(self, proven: Good) -> None:
        after = resolved(self.AGAIN, container(open_(self.AGAIN), goods=(proven,)), None, self.RUNS)
        assert (first(after).image, first(after).restart) == ("acme/shop:1", True)

    @pytest.mark.parametrize(
        ("goods", "shown"),
        [
            ((good("1", digest=SECOND),), RUNS),
            ((good("0"), good("1", digest=FIRST)), RUNS),
            ((good("1"),), group({"web": "acme/shop:0"}, {"web": pulled(FIRST)})),
            ((good("1"),), group(views={"web": pulled(SECOND)})),
            ((good("1"),), group()),
        ],
        ids=["another one was proven", "of another tag", "not there", "not running", "nobody knows what runs"],
    )
    def test_only_what_is_there_and_ran_well_is_unchanged(self, goods: Any, shown: ContainerGroup) -> None:
        after = resolved(self.AGAIN, container(open_(self.AGAIN), goods=goods), FIRST, shown)
        assert first(after).image == f"acme/shop@{FIRST}"

    def test_a_push_that_another_container_waits_for_goes_on(self) -> None:
        now = record({"web": container(open_(self.AGAIN)), "blue": container(open_(self.AGAIN))})
        shown = group(dict.fromkeys(("web", "blue"), "acme/shop:1"), {"web": pulled(FIRST)})
        after = resolved(self.AGAIN, now, FIRST, shown, target("any", "web", "blue"))
        assert (queued(after), queued(after, "blue"), ends(after)) == ([], ["1"], [])
        assert first(after, "blue").image == f"acme/shop@{FIRST}"


class TestPlatform:
    """An image without the platform that a policy asks for is not rolled out; others of the group go by their own."""

    @pytest.mark.parametrize(
        ("built_for", "kept"),
        [
            (None, True),
            (frozenset({"linux/amd64"}), True),
            (frozenset({"linux/arm64", "linux/amd64/v2"}), True),
            (frozenset({"linux/arm64"}), False),
            (frozenset[str](), False),
        ],
    )
    def test_it_has_to_be_there_as_far_as_that_is_known(self, built_for: frozenset[str] | None, *, kept: bool) -> None:
        policy = LongForm(AnyTag(), conditions=Conditions(platform="linux/amd64"))
        rules = Target(SHOP, {"web": ContainerRule(policy), "blue": ContainerRule(AnyTag())})
        shown = group(dict.fromkeys(("web", "blue"), "acme/shop:1"))
        now = record({"web": container(open_(TWO)), "blue": container(open_(TWO))})
        found = Found(SECOND, built_for=built_for)
        after = resolve(now, shown, followings(shown.images, rules), TWO, found, NOW)
        assert (queued(after), queued(after, "blue"), ends(after)) == (["2"] if kept else [], ["2"], [])
        alone = resolve(record({"web": container(open_(TWO))}), shown, followings(shown.images, rules), TWO, found, NOW)
        assert [end[:2] for end in ends(alone)] == ([] if kept else [("2", "ignored")])
        assert all(ending.detail.startswith("docker.io/acme/shop:2 is built for ") for ending in alone.outbox)
        assert all("and not for linux/amd64" in ending.detail for ending in alone.outbox)


class TestNoImage:
    """What was pushed is a cache, a chart or a signature, as the registry's manifest tells."""

    def test_it_is_ignored_everywhere_and_what_was_pushed_before_it_goes_on(self) -> None:
        now = record({"web": container(open_(THREE), open_(TWO)), "blue": container(open_(THREE)), "jobs": container()})
        after = no_image(now, THREE, "its config is x", NOW)
        why = "docker.io/acme/shop:3 is not an image that a container can run: its config is x"
        assert (queued(after), queued(after, "blue"), ends(after)) == (["2"], [], [("3", "ignored", why)])
        assert after.containers["web"].failures == ()


class TestNotThere:
    """The registry says that there is no such image: one that was pushed a moment ago may show yet."""

    def gone(self, now: Record, seconds: float = 60) -> Record:
        return not_there(now, TWO, "ManifestUnknown", "no such image", at(seconds))

    def test_it_is_counted_for_this_push_alone(self) -> None:
        now = record({"web": container(open_(THREE), open_(TWO), candidate(ONE)), "blue": container(open_(TWO))})
        after = self.gone(now)
        counted = open_(TWO, lookups=1, looked_up_at=NOW)
        assert after.containers["web"].candidates == (open_(THREE), counted, candidate(ONE))
        assert after.containers["blue"].candidates == (counted,)
        assert (ends(after), after.undone) == ([], ())

    def test_after_a_few_times_the_push_has_failed_by_circumstance(self) -> None:
        now = record({"web": container(open_(TWO), candidate(ONE))})
        for count in range(1, MOST_LOOKUPS):
            now = self.gone(now, 60 - 5 * (MOST_LOOKUPS - count))
            assert first(now).lookups == count
        after = self.gone(now)
        assert (queued(after), ends(after)) == (["1"], [("2", "failed", "no such image")])
        assert (after.outbox[0].code, after.outbox[0].at, after.outbox[0].attempts) == ("ManifestUnknown", NOW, 3)
        (failed,) = after.containers["web"].failures
        assert failed == failure(TWO, image=None, code="ManifestUnknown", at=NOW, circumstance=True)

    @pytest.mark.parametrize(("seconds", "counted"), [(0, 1), (4.9, 1), (5, 2)])
    def test_lookups_within_a_moment_count_as_one(self, seconds: float, counted: int) -> None:
        # Regression: other pushes had the group looked at again and again, and the image failed within a second.
        now = self.gone(record({"web": container(open_(TWO))}))
        assert first(self.gone(now, 60 + seconds)).lookups == counted

    def test_it_is_asked_three_times(self) -> None:
        assert MOST_LOOKUPS == 3

    def test_what_another_push_has_asked_for_does_not_count(self) -> None:
        now = record({"web": container(open_(THREE, lookups=MOST_LOOKUPS), open_(TWO))})
        assert [item.lookups for item in self.gone(now).containers["web"].candidates] == [MOST_LOOKUPS, 1]

    @pytest.mark.parametrize("lookups", [(2, 0), (0, 2)])
    def test_of_two_containers_the_one_that_asked_most_often_counts(self, lookups: tuple[int, int]) -> None:
        one, other = (container(open_(TWO, lookups=count)) for count in lookups)
        after = self.gone(record({"web": one, "blue": other}))
        assert (queued(after), queued(after, "blue")) == ([], [])
        assert [end[:2] for end in ends(after)] == [("2", "failed")]
        assert set(after.outcomes[0].containers) == {"web", "blue"}

    def test_two_answers_are_not_enough_however_many_containers_wait(self) -> None:
        both = record(dict.fromkeys(("web", "blue"), container(open_(TWO, lookups=1))))
        assert [first(self.gone(both), name).lookups for name in both.containers] == [2, 2]

    def test_what_waits_for_nothing_changes_nothing(self) -> None:
        now = record({"web": container(open_(THREE, lookups=2))})
        assert self.gone(now) == now
