"""The status of a group: what runs, how it fares, what is under way, what keeps it back; trouble first."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import ADDRESS, SHOP, at, candidate, change, container, digest, group, message, record, timer
from worker.core.entries import as_entry
from worker.core.status import STOPPED, ContainerStatus, RolloutStatus, Status, phase_of, status_of, why_held
from worker.groups.group import ContainerGroup
from worker.groups.health import LONG_AGO
from worker.record.record import Record
from worker.record.values import Flight, Hold, Patience

IMAGES = {"web": "acme/shop:1", "proxy": "nginx:1"}


def shown(now: Record | None = None, of: ContainerGroup | None = None, **rest: Any) -> Status:
    return status_of(SHOP, now or record(), of or group(IMAGES), **rest)


class TestWhatRuns:
    def test_every_container_with_its_image_and_health(self) -> None:
        status = shown()
        assert [(item.name, item.image, item.health) for item in status.containers] == [
            ("web", "acme/shop:1", "healthy"),
            ("proxy", "nginx:1", "healthy"),
        ]
        assert (status.address, status.problem, status.word) == (ADDRESS["ip"], None, "ok")

    @pytest.mark.parametrize(
        ("known", "told"), [({"fqdn": "a.example"}, "a.example"), ({}, None), (ADDRESS, ADDRESS["ip"])]
    )
    def test_a_group_without_an_ip_address_has_its_name(self, known: dict[str, str], told: str | None) -> None:
        assert shown(of=group(IMAGES, ipAddress=known)).address == told

    def test_a_group_that_is_not_read_shows_nothing_and_says_why(self) -> None:
        status = status_of(SHOP, None, None, ["arm: down", "records: down"])
        assert status == Status(SHOP, problem="arm: down; records: down", unread=True)
        assert status.word == "TROUBLE"


def raw(state: dict[str, Any], **of_group: Any) -> ContainerGroup:
    view = {"currentState": state, **of_group.pop("view", {})}
    web = {"name": "web", "properties": {"image": "acme/shop:1", "instanceView": view}}
    properties = {"containers": [web, {"name": "odd"}], "provisioningState": "Succeeded", **of_group}
    properties["containers"] = [web]
    ids = "/subscriptions/sub/resourceGroups/web/providers/Microsoft.ContainerInstance/containerGroups/shop"
    return ContainerGroup({"id": ids, "name": "shop", "properties": properties})


class TestHealth:
    def test_one_that_crashes_is_broken_and_trouble(self) -> None:
        crashing = {"state": "Waiting", "detailStatus": "CrashLoopBackOff"}
        status = shown(of=raw(crashing, view={"restartCount": 4, "previousState": {"exitCode": 1}}))
        (one,) = status.containers
        assert (one.health, one.restarts) == ("broken", 4)
        assert status.problem is not None
        assert status.problem.startswith("web: CrashLoop: ")

    def test_one_that_has_ended_as_it_should(self) -> None:
        ended = {"state": "Terminated", "exitCode": 0, "finishTime": "2026-01-01T00:00:00Z"}
        status = shown(of=raw(ended, restartPolicy="Never"))
        assert [item.health for item in status.containers] == ["ended"]

    def test_one_that_is_on_its_way(self) -> None:
        assert [item.health for item in shown(of=raw({"state": "Waiting"})).containers] == ["starting"]

    def test_a_stopped_group_is_no_trouble(self) -> None:
        crashing = {"state": "Waiting", "detailStatus": "CrashLoopBackOff"}
        status = shown(of=raw(crashing, instanceView={"state": "Stopped"}))
        assert [item.health for item in status.containers] == ["stopped"]
        assert (status.problem, status.held, status.reason, status.word) == (None, STOPPED, STOPPED, "held")

    @pytest.mark.parametrize("count", [None, "many"])
    def test_what_azure_does_not_tell_is_no_restart(self, count: object) -> None:
        status = shown(of=raw({"state": "Running"}, view={"restartCount": count}))
        assert status.containers == (ContainerStatus("web", "acme/shop:1", None, "starting", 0),) or [
            item.restarts for item in status.containers
        ] == [0]

    @pytest.mark.parametrize("view", [{}, {"instanceView": None}])
    def test_a_container_that_azure_tells_nothing_of_was_not_restarted(self, view: dict[str, Any]) -> None:
        bare = raw({})
        bare.raw["properties"]["containers"][0]["properties"] = {"image": "acme/shop:1"} | view
        assert [(item.health, item.restarts) for item in shown(of=bare).containers] == [("starting", 0)]

    @pytest.mark.parametrize("properties", [{"containers": None}, {}, None])
    def test_a_group_without_containers_shows_none(self, properties: dict[str, Any] | None) -> None:
        assert shown(of=ContainerGroup({"id": "/x", "properties": properties})).containers == ()

    def test_the_digest_that_azure_tells(self) -> None:
        pulled = {"name": "Pulled", "message": f"Successfully pulled image acme/shop@{digest('one')}", "count": 1}
        event = pulled | {"lastTimestamp": "2026-01-01T00:00:00Z"}
        status = shown(of=raw({"state": "Running"}, view={"events": [event]}))
        assert [item.digest for item in status.containers] == [digest("one")]


class TestRollout:
    WAITING = container(candidate(message("2")))

    def test_none_is_under_way(self) -> None:
        assert shown().rollout is None

    def test_what_it_brings_since_when_and_how_far_it_is(self) -> None:
        looked = change(since=5, patience=Patience(looked_at=at(9)))
        status = shown(record({"web": self.WAITING}, change=looked))
        assert status.rollout == RolloutStatus("acme/shop:2", at(5), "an update is watched")
        assert (status.waiting, status.word) == ((), "rolling out")

    def test_every_image_that_a_push_asked_for_is_named(self) -> None:
        images = {"web": "acme/shop:2", "jobs": "acme/jobs:5", "proxy": "nginx:1"}
        asked = {"web": "2", "jobs": "5", "gone": "2"}
        rollout = shown(record(change=change(images, asked=asked, touched=frozenset()))).rollout
        assert rollout is not None
        assert rollout.image == "acme/jobs:5, acme/shop:2"

    def test_a_group_that_is_only_looked_at_has_none(self) -> None:
        now = record({"web": self.WAITING}, change=change(asked={}, touched=frozenset()))
        status = shown(now)
        assert (status.rollout, status.waiting) == (None, ("docker.io/acme/shop:2",))
        assert phase_of(now) == "the group is watched"

    def test_what_its_pushes_wait_for_to_be_over_is_a_problem(self) -> None:
        now = record({"web": self.WAITING}, timer=timer(trouble="RegistryErrorResponse: it is down"))
        status = shown(now)
        assert status.problem == "blocked for now, and retried: RegistryErrorResponse: it is down"
        assert (status.word, status.unread) == ("TROUBLE", False)
        assert shown(record({"web": self.WAITING}, timer=timer())).problem is None

    def test_an_operation_of_azure_is_told(self) -> None:
        now = record({"web": self.WAITING}, change=change())
        rollout = shown(now, group(IMAGES, state="Updating")).rollout
        assert rollout is not None
        assert rollout.phase == "Azure carries out an update"
        unread = status_of(SHOP, now, None).rollout
        assert unread is not None
        assert unread.phase == "an update is watched"

    def test_one_that_nobody_saw_beginning_counts_from_the_first_look(self) -> None:
        unseen = change(since=7).but(began_at=LONG_AGO)
        rollout = shown(record({"web": self.WAITING}, change=unseen)).rollout
        assert rollout is not None
        assert rollout.since == at(7)

    def test_a_way_back_brings_what_it_touches(self) -> None:
        back = change({"web": "acme/shop:1", "proxy": "nginx:1"}, asked={})
        rollout = shown(record({"web": self.WAITING}, change=back)).rollout
        assert rollout is not None
        assert (rollout.image, rollout.phase) == ("acme/shop:1", "the way back is watched")

    @pytest.mark.parametrize(
        ("now", "in_transition", "phase"),
        [
            (record(), False, "at rest"),
            (record(timer=timer()), False, "about to be looked at"),
            (record(change=change(refused="so")), False, "Azure refuses an update: so"),
            (record(change=change(), flights=(Flight(generation=1, sent_at=at(0)),)), True, "an update is being sent"),
            (record(change=change(), flights=(Flight(generation=9, sent_at=at(0)),)), True, "Azure carries out an up"),
        ],
    )
    def test_every_phase_has_its_words(self, now: Record, in_transition: bool, phase: str) -> None:
        assert phase_of(now, in_transition=in_transition).startswith(phase)


class TestWhatKeepsItBack:
    def test_everything_is_told(self) -> None:
        held = record(hold=Hold(reason="sale", since=at(0), by="ann", until=at(60)))
        tagged = ContainerGroup({**group(IMAGES).raw, "tags": {"aci-hooks.hold": "audit"}})
        assert list(why_held(held, tagged)) == [
            f"held by hand: sale (ann, until {at(60):%Y-%m-%d %H:%M} UTC)",
            "held by a resource tag: audit",
        ]
        assert shown(held, tagged).reason == "sale; audit"

    def test_programs_get_the_reason_alone(self) -> None:
        # Regression: `held` was `held by hand: sale (ann)`, of which nobody could have taken the reason.
        assert as_entry(shown(record(hold=Hold(reason="sale", since=at(0), by="ann"))))["held"] == "sale"
        assert as_entry(shown())["held"] is None

    @pytest.mark.parametrize(
        ("more", "told"), [({}, "sale"), ({"by": "ann"}, "sale (ann)"), ({"until": at(60)}, "sale, until ")]
    )
    def test_who_and_how_long_as_far_as_known(self, more: dict[str, Any], told: str) -> None:
        (reason,) = why_held(record(hold=Hold(reason="sale", since=at(0), **more)), None)
        assert reason.startswith(f"held by hand: {told}")

    def test_several_reasons_are_told_as_one_text(self) -> None:
        now = record(hold=Hold(reason="sale", since=at(0)))
        assert shown(now, group(IMAGES, shown="Stopped")).held == "held by hand: sale; stopped by its owner"

    def test_what_waits_is_what_is_not_on_the_group(self) -> None:
        both = container(candidate(message("3")), candidate(message("2")))
        assert shown(record({"web": both}, change=change())).waiting == ("docker.io/acme/shop:3",)
        assert shown(record({"web": both})).word == "waits"


class TestOrder:
    def test_trouble_comes_first(self) -> None:
        failed = record().end(message("2"), "failed", "", (), at(0))
        updated = record().end(message("2"), "updated", "", (), at(0))
        held = record(hold=Hold(reason="sale", since=at(0)))
        found = [
            shown(),
            shown(record({"web": container(candidate(message("2")))})),
            shown(held),
            shown(record(change=change())),
            shown(failed),
            shown(unread=["so"]),
        ]
        words = ["TROUBLE", "failed", "rolling out", "held", "waits", "ok"]
        assert [item.word for item in sorted(found, key=lambda item: item.rank)] == words
        assert shown(updated).word == "ok"
