"""The sweep: what counts as missed, what is looked at once more, and that one target's trouble holds up no other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from shared.errors import RemoteError
from shared.image import ImageReference
from shared.message import Look, TargetId, UpdateMessage
from shared.push import Push
from tests.fakes import NoTimes
from tests.unit.builders import (
    API,
    HOLD,
    OLD,
    REPOSITORY,
    SHOP,
    at,
    candidate,
    container,
    digest,
    failure,
    good,
    message,
    pin,
    record,
    timer,
)
from tests.unit.controller_builders import DOWN, TARGET, Bench, conflict, group_of
from tests.unit.policy_table import policy_of
from worker.controller.sweep import MOST_TRIED, Sweeper, Swept
from worker.controller.timers import CONFLICTS
from worker.groups.health import LONG_AGO
from worker.policies.parse import parse_policy
from worker.ports import Absent, Dated, Found, Lookup, Unknown
from worker.record.container import ContainerRecord, Good
from worker.record.record import Record
from worker.record.values import Flight
from worker.targets.target import ContainerRule, Target, single_target

ONE, NEXT = digest("one"), digest("next")
TAGS = {"1": Found(ONE), "1.2": Found(NEXT), "1.3": Found(digest("three")), "latest": Found(ONE), "0.9": Found(ONE)}


class Registry(NoTimes):
    """A registry by what it says of a tag, and what it was asked for."""

    def __init__(
        self,
        tags: Mapping[str, Lookup] | None = None,
        error: RemoteError | None = None,
        recent: Mapping[str, float] | None = None,
    ) -> None:
        self._tags = tags or {"1": Found(ONE)}
        self._error = error
        self._recent = recent
        self.asked: list[str] = []

    def lookup(self, image: ImageReference, running: frozenset[str] = frozenset()) -> Lookup:
        self.asked.append(str(image))
        return self._tags.get(image.tag or "", Absent(f"{image} is not in its registry"))

    def recent(self, image: ImageReference) -> list[Dated] | None:
        if self._error:
            raise self._error
        return None if self._recent is None else [Dated(tag, at(time)) for tag, time in self._recent.items()]

    def tags(self, image: ImageReference) -> list[str]:
        if self._error:
            raise self._error
        self.asked.append(f"tags of {image.name}")
        return list(self._tags)


class Round(Bench):
    """One sweep of `shop`, an hour after noon, whose container runs acme/shop:1 at the digest ONE."""

    def __init__(
        self,
        now: Record | None = None,
        registry: Registry | None = None,
        *,
        images: Mapping[str, str] | None = None,
        digests: Mapping[str, str] | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(now)
        for image, pulled in ({"acme/shop:1": ONE} | dict(digests or {})).items():
            self.azure.image(image, digest=pulled)
        state = rest.pop("state", "Running")
        self.azure.place(SHOP, group_of(images or OLD, **rest), state)
        self.registry = registry or Registry()
        self.clock.advance(3600)

    def sweeper(self, **rest: Any) -> Sweeper:
        return Sweeper(self.ports(), self.registry, **rest)

    def run(self, target: Target = TARGET, **rest: Any) -> Swept:
        return self.sweeper(**rest).sweep_one(target)

    @property
    def pushes(self) -> list[tuple[str, str | None]]:
        """The pushes that were found missing, as they are on the queue: tag and digest."""
        return [(each.push.tag, each.push.digest) for each in self.sent if isinstance(each, UpdateMessage)]


def semver(range_: str = "semver") -> Target:
    return Target(SHOP, everything=parse_policy(range_))


class TestMissed:
    def test_where_the_group_runs_what_its_tag_points_at_nothing_is_missed(self) -> None:
        swept = Round()
        assert swept.run() == Swept(SHOP)
        assert (swept.sent, swept.registry.asked) == ([], ["docker.io/acme/shop:1"])

    def test_a_tag_that_moved_is_found(self) -> None:
        swept = Round(registry=Registry({"1": Found(NEXT)}))
        push = Push(
            sender="sweep",
            registry="docker.io",
            repository="acme/shop",
            tag="1",
            digest=NEXT,
            pushed_at=LONG_AGO,
            proof="own",
        )
        with capture_logs() as lines:
            assert swept.run() == Swept(SHOP, missed=(push,))
        assert swept.sent == [UpdateMessage(id="id-1", kind="rollout", push=push, received_at=at(3600), target=SHOP)]
        assert [(line["event"], line["image"], line["digest"], line["target"]) for line in lines] == [
            ("missed push found", "docker.io/acme/shop:1", NEXT, "web/shop")
        ]

    def test_an_index_and_what_was_pulled_of_it_are_one_image(self) -> None:
        known = container(goods=(good("1", digest=NEXT),))
        assert Round(record({"web": known}), Registry({"1": Found(NEXT)})).run() == Swept(SHOP)

    @pytest.mark.parametrize("known", [None, ONE, NEXT], ids=["nothing known", "the platform's", "the index"])
    def test_an_index_that_lists_what_was_pulled_has_not_moved(self, known: str | None) -> None:
        # Regression: the first sweep after a rollout restarted every group that runs a multi-arch image.
        registry = Registry({"1": Found(NEXT, frozenset({ONE}))})
        swept = Round(record({"web": container(goods=(good("1", digest=known),))}), registry)
        assert swept.run() == Swept(SHOP)
        assert Round(registry=Registry({"1": Found(NEXT, frozenset({digest("other")}))})).run().missed

    def test_what_is_no_image_is_not_missed(self) -> None:
        assert Round(registry=Registry({"1": Found(NEXT, artifact="its config is a cache's")})).run() == Swept(SHOP)

    def test_what_another_good_image_was_says_nothing_of_what_runs(self) -> None:
        known = container(goods=(good("1", digest=ONE),), failures=(failure(message("9"), image="acme/shop:2"),))
        swept = Round(
            record({"web": known}, timer=timer(3600)),
            Registry({"2": Found(ONE)}),
            images={"web": "acme/shop:2"},
            digests={"acme/shop:2": NEXT},
        )
        swept.run()
        assert swept.pushes == [("2", ONE)]

    def test_without_any_digest_of_what_runs_nothing_can_be_told(self) -> None:
        swept = Round(registry=Registry({"1": Found(NEXT)}))
        get = swept.azure.get

        class Azure:
            def get(self, target: TargetId) -> Any:
                shown = get(target)
                for each in shown.raw["properties"]["containers"]:
                    each["properties"]["instanceView"]["events"] = []
                return shown

        swept.azure = Azure()  # type: ignore[assignment]
        assert swept.run() == Swept(SHOP)

    def test_what_runs_by_digest_follows_the_tag_that_the_record_knows(self) -> None:
        written = f"acme/shop@{ONE}"
        known = container(goods=(good("1", digest=ONE, moved=True),))
        swept = Round(record({"web": known}), Registry({"1": Found(NEXT)}), images={"web": written})
        swept.run()
        assert swept.pushes == [("1", NEXT)]

    def test_of_what_runs_by_a_digest_that_nobody_knows_nothing_is_missed(self) -> None:
        written = f"acme/shop@{ONE}"
        for known in (None, record({"web": container(goods=(good("9"),), past=(written,))}, timer=timer(3600))):
            swept = Round(known, images={"web": written})
            assert swept.run() == Swept(SHOP)
            assert swept.registry.asked == []

    def test_a_digest_that_is_written_is_what_runs(self) -> None:
        swept = Round(registry=Registry({"1": Found(NEXT)}), images={"web": f"acme/shop:1@{NEXT}"})
        assert swept.run() == Swept(SHOP)

    def test_two_containers_of_one_image_miss_one_push(self) -> None:
        swept = Round(registry=Registry({"1": Found(NEXT)}), images=OLD | {"blue": "acme/shop:1"})
        assert len(swept.run().missed) == 1
        assert swept.pushes == [("1", NEXT)]

    @pytest.mark.parametrize(
        ("kept", "missed"),
        [
            ({"candidates": (candidate(message("1", name="again"), None),)}, False),
            ({"pin": pin(good("1"))}, False),
            ({}, True),
        ],
        ids=["a push waits", "an operator went back", "neither"],
    )
    def test_what_is_under_way_for_a_container_is_not_missed(self, kept: Any, *, missed: bool) -> None:
        swept = Round(record({"web": container(**kept)}, timer=timer(3600)), Registry({"1": Found(NEXT)}))
        assert bool(swept.run().missed) == missed

    @pytest.mark.parametrize(
        ("failed", "missed"),
        [
            ({"digest": NEXT}, False),
            ({"digest": None}, False),
            ({"digest": digest("other")}, True),
            ({"digest": NEXT, "circumstance": True}, True),
            ({"digest": NEXT, "tag": "0"}, True),
        ],
    )
    def test_what_failed_before_is_not_brought_again(self, failed: Any, *, missed: bool) -> None:
        known = container(failures=(failure(message("1"), **failed),))
        swept = Round(record({"web": known}), Registry({"1": Found(NEXT)}))
        assert bool(swept.run().missed) == missed

    @pytest.mark.parametrize(
        ("code", "tries", "ago", "pause", "missed"),
        [
            ("ImagePullFailed", 1, 299, 300, False),
            ("ImagePullFailed", 1, 300, 300, True),
            ("ImagePullFailed", 2, 599, 300, False),
            ("ImagePullFailed", 2, 600, 300, True),
            ("ImagePullFailed", 9, 3599, 300, False),
            ("ImagePullFailed", 9, 3600, 300, True),
            ("ImagePullFailed", 9, 0, 0, True),
            ("InaccessibleImage", 9, 0, 300, True),
        ],
    )
    def test_what_took_the_group_down_is_tried_less_and_less_often(
        self, code: str, tries: int, ago: float, pause: float, *, missed: bool
    ) -> None:
        # A registry's limit lasts for hours, and each try takes the group down for a while.
        limit = {"digest": NEXT, "circumstance": True, "code": code}
        failures = [failure(message("1"), seconds=3600 - ago - 99 * number, **limit) for number in range(tries)]
        other = failure(message("0"), seconds=3600, **limit)
        swept = Round(record({"web": container(failures=(other, *failures))}), Registry({"1": Found(NEXT)}))
        assert bool(swept.run(pause=timedelta(seconds=pause)).missed) == missed

    @pytest.mark.parametrize(
        ("said", "problem"),
        [
            (Unknown("docker.io: unreachable"), "web: docker.io: unreachable"),
            (Absent("it is not there"), "web: it is not there"),
        ],
    )
    def test_what_could_not_be_found_out_is_said(self, said: Lookup, problem: str) -> None:
        # Regression: with the registry unreachable, a sweep said that all was well.
        assert Round(registry=Registry({"1": said})).run() == Swept(SHOP, problem=problem)

    def test_the_trouble_of_several_containers_is_all_told_and_holds_up_none(self) -> None:
        registry = Registry({"1": Found(NEXT), "4": Unknown("no word"), "5": Unknown("none here")})
        images = {"bad": "acme/jobs:4", "worse": "acme/jobs:5"} | OLD
        swept = Round(registry=registry, images=images).run()
        assert (swept.problem, len(swept.missed)) == ("bad: no word; worse: none here", 1)

    def test_an_image_that_nobody_can_read_is_told_and_holds_up_no_other(self) -> None:
        rules = {"bad": ContainerRule(parse_policy("any"), ImageReference("docker.io", "Bad Name", "1", None))}
        target = Target(SHOP, rules, everything=parse_policy("any"))
        swept = Round(registry=Registry({"1": Found(NEXT)}), images=OLD | {"bad": "acme/other:1"}).run(target)
        assert swept.problem is not None
        assert swept.problem.startswith("bad: ")
        assert len(swept.missed) == 1

    def test_a_container_without_a_rule_misses_nothing(self) -> None:
        swept = Round(registry=Registry({"1": Found(NEXT)}))
        assert swept.run(Target(SHOP, {"jobs": ContainerRule(parse_policy("any"))})) == Swept(SHOP)


class TestVersions:
    def test_the_highest_version_that_is_allowed_is_missed(self) -> None:
        swept = Round(registry=Registry(TAGS), images={"web": "acme/shop:1.2"})
        swept.run(semver())
        assert swept.pushes == [("1.3", digest("three"))]
        assert swept.registry.asked == [f"tags of {REPOSITORY}", f"{REPOSITORY}:1.3"]

    def test_one_that_failed_is_passed_over_for_the_next(self) -> None:
        known = container(goods=(good("1.1"),), failures=(failure(message("1.3")),))
        swept = Round(record({"web": known}), Registry(TAGS), images={"web": "acme/shop:1.1"})
        swept.run(semver())
        assert swept.pushes == [("1.2", NEXT)]

    def test_one_that_failed_by_circumstance_is_brought_again(self) -> None:
        known = container(goods=(good("1.1"),), failures=(failure(message("1.3"), circumstance=True),))
        swept = Round(record({"web": known}), Registry(TAGS), images={"web": "acme/shop:1.1"})
        swept.run(semver())
        assert swept.pushes == [("1.3", digest("three"))]

    def test_without_a_higher_one_it_is_the_running_tag_that_may_have_moved(self) -> None:
        swept = Round(
            registry=Registry(TAGS), images={"web": "acme/shop:1.3"}, digests={"acme/shop:1.3": digest("three")}
        )
        assert swept.run(semver()) == Swept(SHOP)
        swept = Round(registry=Registry(TAGS), images={"web": "acme/shop:1.3"})
        swept.run(semver())
        assert swept.pushes == [("1.3", digest("three"))]

    def test_where_the_running_tag_is_not_known_no_tags_are_listed(self) -> None:
        swept = Round(registry=Registry(TAGS), images={"web": f"acme/shop@{ONE}"})
        assert swept.run(semver()) == Swept(SHOP)
        assert swept.registry.asked == []

    def test_tags_that_can_not_be_listed_are_the_targets_trouble(self) -> None:
        swept = Round(registry=Registry(error=DOWN))
        assert swept.run(semver()) == Swept(SHOP, problem=f"web: {DOWN.message}")

    def test_the_order_of_the_list_makes_no_difference(self) -> None:
        tags = ["1.10.6", "1.9.9", "1.11", "1.11.0", "v1.12.0", "1.11.0-alpine", "latest", "2021.12.16", "1.12.0-rc.1"]
        for listed in (tags, tags[::-1], sorted(tags)):
            swept = Round(registry=Registry({tag: Found(NEXT) for tag in listed}), images={"web": "acme/shop:1.10.6"})
            swept.run(semver())
            assert swept.pushes == [("1.11.0", NEXT)]

    def test_the_builds_of_the_running_version_are_left_to_the_webhooks(self) -> None:
        tags = {f"3.4.6-r{build}": Found(NEXT) for build in range(3)}
        swept = Round(
            registry=Registry(tags), images={"web": "acme/shop:3.4.6-r1"}, digests={"acme/shop:3.4.6-r1": NEXT}
        )
        assert swept.run(semver(r"regex:(?P<version>\d+\.\d+\.\d+)-r\d+")) == Swept(SHOP)

    @pytest.mark.parametrize(("start", "found"), [("true", [("1.3", digest("three"))]), ("false", [])])
    def test_a_container_of_latest_is_started_where_the_policy_says_so(self, start: str, found: list[Any]) -> None:
        swept = Round(registry=Registry(TAGS | {"latest": Found(NEXT)}), images={"web": "acme/shop:latest"})
        swept.run(Target(SHOP, everything=policy_of(f"{{order: semver, start: {start}}}")))
        assert swept.pushes == found

    def test_a_tag_that_moved_is_not_brought_where_the_policy_would_not_have_it(self) -> None:
        # Regression: latest, which semver skips, was enqueued by every sweep, and ignored each time.
        swept = Round(registry=Registry(TAGS | {"latest": Found(NEXT)}), images={"web": "acme/shop:latest"})
        assert swept.run(semver()) == Swept(SHOP)


class TestOrder:
    @pytest.mark.parametrize("tag", ["1", "1.3"])
    @pytest.mark.parametrize(("known", "since"), [(None, LONG_AGO), (good("1", pushed=5), at(5))])
    def test_what_is_found_never_counts_as_newer_than_what_a_webhook_told(
        self, tag: str, known: Good | None, since: datetime
    ) -> None:
        # Regression: a new tag counted as pushed at the time of the sweep, and so outranked a webhook of a minute ago.
        now = record({"web": container(goods=(known,))}) if known else None
        swept = Round(now, Registry({"1": Found(NEXT), tag: Found(NEXT)}))
        swept.run(semver(r"regex:(?P<version>\d+)(\.\d+)?"))
        (sent,) = swept.sent
        assert isinstance(sent, UpdateMessage)
        assert sent.push.pushed_at == since
        assert sent.order < message("1", pushed=6).order

    def test_a_push_that_waits_for_its_age_is_not_found_again(self) -> None:
        waits = record({"web": container()}, inbox=(message("2"),), timer=timer(3600))
        assert Round(waits, Registry({"1": Found(NEXT)})).run() == Swept(SHOP)
        other = record({"web": container()}, inbox=(message("2", repository="acme/other"),), timer=timer(3600))
        assert len(Round(other, Registry({"1": Found(NEXT)})).run().missed) == 1


CACHE = Found(digest("cache"), artifact="its config is a cache's")


class TestPushedLater:
    """Policies by which the later push wins: what a lost webhook told is found where the registry tells times."""

    TIMES: ClassVar[dict[str, float]] = {"cache": 400, "3": 300, "2": 200, "1": 100}
    SAID: ClassVar[dict[str, Lookup]] = {
        "1": Found(ONE),
        "2": Found(NEXT),
        "3": Found(digest("three")),
        "cache": CACHE,
    }

    def swept(self, policy: str = "any", known: ContainerRecord | None = None, **registry: Any) -> Round:
        said: dict[str, Any] = {"tags": self.SAID, "recent": self.TIMES}
        swept = Round(record({"web": known}) if known else None, Registry(**(said | registry)))
        swept.run(Target(SHOP, everything=parse_policy(policy)))
        return swept

    def test_the_last_push_that_is_an_image_is_found_with_its_time(self) -> None:
        # What BuildKit caches is always the last push of a build.
        swept = self.swept()
        assert swept.pushes == [("3", digest("three"))]
        assert [each.push.pushed_at for each in swept.sent if isinstance(each, UpdateMessage)] == [at(300)]

    @pytest.mark.parametrize(("policy", "found"), [("glob:2*", "2"), ("regex:^[12]$", "2"), ("same-tag", None)])
    def test_what_the_policy_does_not_admit_does_not_count(self, policy: str, found: str | None) -> None:
        assert [tag for tag, _ in self.swept(policy).pushes] == ([found] if found else [])

    def test_one_that_failed_is_passed_over(self) -> None:
        known = container(failures=(failure(message("3"), digest=digest("three")),))
        assert [tag for tag, _ in self.swept(known=known).pushes] == ["2"]

    def test_another_tag_of_what_runs_changes_nothing(self) -> None:
        assert self.swept(tags=self.SAID | {"3": Found(ONE)}, recent={"3": 300, "1": 100}).pushes == []
        assert self.swept(tags=self.SAID | {"3": Found(NEXT, frozenset({ONE}))}, recent={"3": 300}).pushes == []

    @pytest.mark.parametrize(("told", "runs_since", "counts"), [(9999, 0, 3600), (300, 500, 500), (300, 0, 300)])
    def test_a_time_that_has_still_to_come_is_now_and_an_old_one_that_of_what_runs(
        self, told: float, runs_since: float, counts: float
    ) -> None:
        known = container(goods=(good("1", digest=ONE, pushed=runs_since),))
        swept = self.swept(known=known, recent={"3": told})
        assert [each.push.pushed_at for each in swept.sent if isinstance(each, UpdateMessage)] == [at(counts)]

    def test_where_nothing_tells_what_is_last_the_running_tag_may_have_moved_all_the_same(self) -> None:
        swept = Round(registry=Registry({"1": Found(NEXT)}, error=DOWN))
        told = swept.run()
        assert (swept.pushes, told.problem) == ([("1", NEXT)], f"web: {DOWN.message}")

    def test_only_so_many_are_looked_up(self) -> None:
        caches = {f"c{number}": CACHE for number in range(20)}
        swept = self.swept(tags=self.SAID | caches, recent=dict.fromkeys(caches, 900.0) | self.TIMES)
        assert (swept.pushes, len(swept.registry.asked)) == ([], MOST_TRIED)

    def test_a_version_that_is_no_image_is_passed_over_too(self) -> None:
        swept = Round(registry=Registry(TAGS | {"1.3": CACHE}), images={"web": "acme/shop:1.1"})
        swept.run(semver())
        assert swept.pushes == [("1.2", NEXT)]


class TestHeld:
    @pytest.mark.parametrize("how", [{"state": "Stopped"}, {"tags": {"aci-hooks.hold": "x"}}])
    def test_a_group_that_its_owner_stopped_or_a_tag_holds_is_left_alone(self, how: Any) -> None:
        now = record({"web": container(goods=(good("0"),))})
        swept = Round(now, Registry({"1": Found(NEXT)}), **how)
        assert swept.run() == Swept(SHOP, problem="held or stopped", held=True)
        assert (swept.sent, swept.record) == ([], now)

    def test_a_group_that_is_not_ours_to_change_is_not_compared(self) -> None:
        swept = Round(registry=Registry({"1": Found(NEXT)}), orchestratorId="/subscriptions/s/x/ngroups/n")
        result = swept.run()
        assert (result.missed, result.held, swept.registry.asked) == ((), False, [])
        assert "NGroup" in (result.problem or "")

    def test_of_a_group_that_is_held_by_hand_only_what_goes_back_is_looked_at(self) -> None:
        back = container(pin=pin(good("0")), goods=(good("1"), good("0")))
        swept = Round(record({"web": back}, hold=HOLD), Registry({"1": Found(NEXT)}))
        assert swept.run() == Swept(SHOP, woken=1, problem="held", held=True)
        assert swept.sent == [Look(target=SHOP, token="id-1", count=1)]
        assert Round(record({"web": container()}, hold=HOLD)).run() == Swept(SHOP, problem="held", held=True)


class TestWake:
    @pytest.mark.parametrize(("due", "woken"), [(3600 - 120, 0), (3600 - 121, 1), (9999, 0)])
    def test_a_group_whose_timer_was_lost_is_looked_at(self, due: float, woken: int) -> None:
        swept = Round(record({"web": container()}, timer=timer(due), count=4))
        assert swept.run() == Swept(SHOP, woken=woken)
        assert swept.sent == [Look(target=SHOP, token="id-1", count=5)] * woken
        assert swept.record.timer == (timer(3600, "id-1") if woken else timer(due))

    @pytest.mark.parametrize(
        ("now", "woken"),
        [
            (record({"web": container(goods=(good("0"),))}), 1),
            (record({"web": container(goods=(good("0"),))}, timer=timer(3600)), 0),
            (record({"web": container()}), 0),
            (record(), 0),
            (record(flights=(Flight(generation=1, sent_at=at(0)),)), 0),
        ],
        ids=["another image", "one that is looked at anyway", "what it should", "of which nothing is known", "so"],
    )
    def test_a_group_at_rest_that_runs_another_image_than_it_should_is_looked_at(self, now: Record, woken: int) -> None:
        assert Round(now).run().woken == woken

    def test_a_group_in_transition_is_waited_for(self) -> None:
        swept = Round(record({"web": container(goods=(good("0"),))}))
        swept.azure.options(transition_seconds=9)
        swept.azure.put(SHOP, swept.azure.get(SHOP).definition({}, {}), lambda: None)
        assert swept.run().woken == 0

    def test_with_rollback_off_what_failed_stays(self) -> None:
        failed = container(goods=(good("0"),), failures=(failure(message("1")),))
        assert Round(record({"web": failed})).run(rollback=False).woken == 0
        assert Round(record({"web": failed})).run(rollback=True).woken == 1

    def test_one_that_somebody_is_at_work_on_is_left_to_them_and_the_sweep_goes_on(self) -> None:
        swept = Round(record({"web": container(goods=(good("0"),))}), Registry({"1": Found(NEXT)}))
        swept.on("save", *[conflict()] * CONFLICTS)
        found = swept.run()
        assert (found.woken, len(found.missed)) == (0, 1)


class TestTrouble:
    @pytest.mark.parametrize(
        "trouble",
        [RemoteError("arm", 404, "ResourceGroupNotFound", "gone"), DOWN, ValueError("a broken record")],
    )
    def test_ones_trouble_holds_up_no_other(self, trouble: Exception) -> None:
        # Regression: what was no error of a remote system ended the sweep, and its thread with it.
        swept = Round()
        swept.on("get", trouble)
        with capture_logs() as lines:
            found = list(swept.sweeper().sweep([single_target(API), TARGET]))
        gone = isinstance(trouble, RemoteError) and trouble.status == 404
        assert found == [Swept(API, problem=str(trouble), gone=gone), Swept(SHOP)]
        assert [line["event"] for line in lines] == (["target not swept"] if isinstance(trouble, ValueError) else [])

    def test_trouble_without_a_text_is_told_by_its_name(self) -> None:
        swept = Round()
        swept.on("get", ValueError())
        with capture_logs():
            assert swept.run() == Swept(SHOP, problem="ValueError")
