"""What has run well for long enough is proven: the last good image, how pushes end, the address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.builders import (
    ADDRESS,
    NEW,
    TWO,
    Json,
    at,
    candidate,
    change,
    container,
    digest,
    event,
    good,
    group,
    message,
    pin,
    record,
    running,
)
from worker.core.proving import prove
from worker.groups.group import ContainerGroup
from worker.record.container import Candidate, ContainerRecord, Good
from worker.record.record import GOODS_KEPT, Record
from worker.record.values import AddressChange, Undone

MOVED = {"ip": "20.50.0.9"}


def proven(
    now: Record, shown: ContainerGroup | None = None, unproven: Mapping[str, str] | None = None, seconds: float = 40
) -> Record:
    return prove(now, shown or seen(), {"web": "2"} if unproven is None else unproven, at(seconds))


def seen(
    images: Mapping[str, str] | None = None, pulled: str | None = None, at_: float = 8, **rest: Any
) -> ContainerGroup:
    """The group as it runs since ten seconds after noon, and what web has pulled."""
    events = [event("Pulled", at_, f'pulled "acme/shop@{digest(pulled)}"')] if pulled else []
    return group(images or NEW, {"web": running(10, *events)}, **rest)


def watching(*candidates: Candidate, sent: Json | None = None, **rest: Any) -> Record:
    """:2 runs on web and was watched."""
    return record({"web": container(*(candidates or (candidate(TWO),)), **rest)}, change=change(**(sent or {})))


def web(of: Record) -> ContainerRecord:
    return of.containers["web"]


def ends(of: Record) -> list[tuple[str, str, str]]:
    return [(ending.message.id, ending.result, ending.detail) for ending in of.outbox]


def test_a_record_without_a_change_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"^the record has no change to prove$"):
        proven(record({"web": container()}))


class TestAPush:
    def test_its_image_becomes_the_last_good_one_and_the_push_ends(self) -> None:
        of = message("2", digest=digest("two"), pushed=-60)
        result = proven(watching(candidate(of)))
        assert web(result).goods == (good("2", pushed=-60, digest=digest("two")), good("1"))
        assert web(result).candidates == ()
        assert ends(result) == [("2", "updated", "web runs acme/shop:2")]
        assert (result.outcomes[0].containers, result.outcomes[0].at) == (("web",), at(40))
        assert result.outbox[0].message == of
        assert result.outcomes[0].before == {"web": "acme/shop:1"}
        assert result.change == change()

    @pytest.mark.parametrize(
        ("pulled", "when", "pushed", "known"),
        [
            ("pulled", 8, "pushed", "pulled"),
            ("before", -100, "pushed", "pushed"),
            ("before", -100, None, "before"),
            (None, 0, None, None),
        ],
        ids=["since the change", "its sender knows", "what it pulled last", "nobody knows"],
    )
    def test_the_digest_is_what_was_pulled_since_or_else_what_the_push_says(
        self, pulled: str | None, when: float, pushed: str | None, known: str | None
    ) -> None:
        of = message("2", digest=digest(pushed) if pushed else None)
        result = proven(watching(candidate(of)), seen(pulled=pulled, at_=when))
        assert web(result).good.digest == (digest(known) if known else None)

    def test_a_push_without_a_known_image_is_recorded_with_what_runs(self) -> None:
        assert web(proven(watching(candidate(TWO, None)))).goods == (good("2", pushed=0), good("1"))

    def test_older_candidates_end_and_better_ones_go_on_waiting(self) -> None:
        better, older, oldest = message("3", pushed=9), message("1.9", pushed=-9), message("1.8", pushed=-10)
        candidates = [candidate(better, None), candidate(TWO), candidate(older), candidate(oldest, None)]
        result = proven(watching(*candidates))
        assert web(result).candidates == (candidate(better, None),)
        newer = "docker.io/acme/shop:2 is newer, and runs"
        assert ends(result) == [
            ("1.9", "superseded", newer),
            ("1.8", "superseded", newer),
            ("2", "updated", "web runs acme/shop:2"),
        ]
        assert [(each.containers, each.at) for each in result.outcomes] == [(("web",), at(40))] * 2
        assert web(result).past == ("acme/shop:1.9",)

    def test_a_push_on_two_containers_ends_once_and_names_both(self) -> None:
        now = record(dict.fromkeys(("web", "blue"), container(candidate(TWO))), change=change())
        shown = seen(NEW | {"blue": "acme/shop:2"})
        result = proven(now, shown, {"web": "2", "blue": "2"})
        assert ends(result) == [("2", "updated", "blue runs acme/shop:2; web runs acme/shop:2")]
        assert result.outcomes[0].containers == ("blue", "web")

    @pytest.mark.parametrize("names", [("blue", "web"), ("web", "blue")])
    def test_a_push_that_is_proven_on_one_container_is_not_superseded_on_another(self, names: tuple[str, str]) -> None:
        newer = message("3", pushed=9)
        one, other = names
        containers = {one: container(candidate(TWO)), other: container(candidate(newer), candidate(TWO))}
        shown = seen({one: "acme/shop:2", other: "acme/shop:3"})
        result = proven(record(containers, change=change()), shown, {one: "2", other: "3"})
        assert sorted(ends(result)) == [
            ("2", "updated", f"{one} runs acme/shop:2"),
            ("3", "updated", f"{other} runs acme/shop:3"),
        ]

    def test_an_image_whose_push_has_ended_meanwhile_ends_nothing(self) -> None:
        result = proven(record({"web": container()}, change=change()))
        assert (ends(result), web(result).goods) == ([], (good("1"),))

    def test_without_anything_unproven_nothing_ends(self) -> None:
        now = watching()
        assert proven(now, unproven={}) == now


class TestGoodImages:
    def test_only_a_few_are_kept_and_the_oldest_are_remembered_as_past(self) -> None:
        goods = tuple(good(f"0.{number}") for number in range(GOODS_KEPT))
        result = proven(watching(goods=goods, past=("acme/shop:old",)))
        assert [each.image for each in web(result).goods] == ["acme/shop:2", *(f"acme/shop:0.{n}" for n in range(4))]
        assert web(result).past == ("acme/shop:0.4", "acme/shop:old")

    def test_an_image_that_was_good_before_is_listed_once(self) -> None:
        of = candidate(message("2", digest=digest("two")))
        result = proven(watching(of, goods=(good("1"), good("2", pushed=-99, digest=digest("two")))))
        assert web(result).goods == (good("2", pushed=0, digest=digest("two")), good("1"))

    @pytest.mark.parametrize(("before", "moved"), [("two", False), ("other", True), (None, True)])
    def test_an_earlier_good_image_of_the_same_tag_comes_back_by_its_digest_alone(
        self, before: str | None, *, moved: bool
    ) -> None:
        # Only another digest shows that the tag has moved. Without a digest, it may have.
        of = candidate(message("1", name="2", digest=digest("two")), f"acme/shop@{digest('two')}")
        last = good("1", digest=digest(before) if before else None)
        result = proven(watching(of, goods=(last,)), seen({"web": f"acme/shop@{digest('two')}"}))
        assert [each.moved for each in web(result).goods] == [False, moved]

    @pytest.mark.parametrize(("pulled", "kept"), [("two", True), ("one", False)])
    def test_an_image_replaced_by_a_restart_is_still_known_by_its_own_digest(self, pulled: str, *, kept: bool) -> None:
        of = candidate(message("1", name="2"), "acme/shop:1", restart=True)
        last = good("1", digest=digest("one"))
        result = proven(watching(of, goods=(last,)), seen({"web": "acme/shop:1"}, pulled))
        before = (last.but(moved=True),) if kept else ()
        assert web(result).goods == (good("1", pushed=0, digest=digest(pulled)), *before)


class TestARestart:
    @pytest.mark.parametrize(
        ("when", "detail"),
        [
            (8, f"web was restarted and runs acme/shop:1 at {digest('moved')}"),
            (-100, "web was restarted with acme/shop:1; unverified: Azure does not say which image it pulled"),
        ],
        ids=["pulled since", "pulled before"],
    )
    def test_it_is_verified_by_the_pulled_digest_or_reported_as_unverified(self, when: float, detail: str) -> None:
        of = candidate(message("1", name="2"), "acme/shop:1", restart=True)
        result = proven(watching(of), seen({"web": "acme/shop:1"}, "moved", when))
        assert ends(result) == [("2", "updated", detail)]


class TestAWayBack:
    def test_the_images_it_went_back_over_are_no_longer_good_ones(self) -> None:
        goods = (good("3", pushed=3), good("2", pushed=2), good("1", pushed=1), good("0"))
        back = pin(good("1", pushed=1), seconds=60)
        now = watching(pin=back, goods=goods, past=("acme/shop:old",))
        result = proven(now, seen({"web": "acme/shop:1"}), {"web": "back"})
        assert web(result).pin is None
        assert web(result).goods == (good("1", pushed=60), good("0"))
        assert web(result).past == ("acme/shop:3", "acme/shop:2", "acme/shop:old")
        assert ends(result) == [("back", "updated", "web runs acme/shop:1")]
        assert result.outbox[0].message == back.message

    def test_its_end_names_the_image_in_the_groups_spelling(self) -> None:
        one = good("1", digest=digest("one"), moved=True)
        now = watching(pin=pin(one), goods=(good("2"), one))
        result = proven(now, seen({"web": f"acme/shop@{digest('one')}"}), {"web": "back"})
        assert ends(result) == [("back", "updated", f"web runs acme/shop@{digest('one')}")]

    def test_an_image_that_is_no_longer_among_the_good_ones_becomes_the_only_one(self) -> None:
        now = watching(pin=pin(good("1")), goods=(good("3"), good("2")))
        result = proven(now, seen({"web": "acme/shop:1"}), {"web": "back"})
        assert web(result).goods == (good("1", pushed=60),)
        assert web(result).past == ("acme/shop:3", "acme/shop:2")

    def test_a_rollback_that_was_reverted_ends_by_its_failure_alone(self) -> None:
        goods = (good("2", pushed=2), good("1"))
        now = watching(pin=pin(good("2", pushed=2), reverting=True), goods=goods)
        undone = Undone(message=message("1", name="back"), code="CrashLoop", detail="it crashes", containers=("web",))
        result = proven(now.but(undone=(undone,)), seen(NEW), {"web": "back"})
        assert (web(result).pin, web(result).goods) == (None, goods)
        assert ends(result) == [("back", "rolled-back", "it crashes; rolled back to acme/shop:2")]

    def test_candidates_behind_it_go_on_waiting(self) -> None:
        now = watching(candidate(TWO, None), pin=pin(good("1")), goods=(good("3"), good("1")))
        result = proven(now, seen({"web": "acme/shop:1"}), {"web": "back"})
        assert web(result).candidates == (candidate(TWO, None),)


class TestWhatFailedBefore:
    def test_a_failed_push_has_been_rolled_back_once_the_group_runs_well(self) -> None:
        undone = Undone(message=TWO, code="CrashLoop", detail="it crashes", containers=("web",))
        now = record({"web": container()}, undone=(undone,), change=change({"web": "acme/shop:1"}, asked={}))
        result = proven(now, seen({"web": "acme/shop:1"}), {})
        assert ends(result) == [("2", "rolled-back", "it crashes; rolled back to acme/shop:1")]
        assert (result.outbox[0].at, result.outbox[0].code, result.undone) == (at(40), "CrashLoop", ())


class TestTheAddress:
    def test_a_changed_address_is_told_with_the_push_and_by_itself(self) -> None:
        result = proven(watching(sent={"address": MOVED}))
        told = f"web runs acme/shop:2; {AddressChange(before=MOVED, after=ADDRESS)}"
        assert ends(result) == [("2", "updated", told)]
        assert result.address_changes == (AddressChange(message=TWO, before=MOVED, after=ADDRESS),)

    def test_an_earlier_change_of_address_that_is_not_told_yet_is_kept(self) -> None:
        before = AddressChange(message=None, before={"ip": "1.1.1.1"}, after=MOVED)
        result = proven(watching(sent={"address": MOVED}).but(address_changes=(before,)))
        assert result.address_changes == (before, AddressChange(message=TWO, before=MOVED, after=ADDRESS))

    def test_a_change_of_address_during_a_rollback_belongs_to_no_push(self) -> None:
        now = record({"web": container()}, change=change({"web": "acme/shop:1"}, asked={}, address=MOVED))
        result = proven(now, seen({"web": "acme/shop:1"}), {})
        assert result.address_changes == (AddressChange(message=None, before=MOVED, after=ADDRESS),)

    @pytest.mark.parametrize(
        ("before", "after", "told"),
        [
            (ADDRESS, ADDRESS, False),
            ({}, ADDRESS, False),
            (ADDRESS, {}, False),
            ({"ip": "20.50.0.2"}, ADDRESS, False),
            ({"fqdn": "other.westeurope.azurecontainer.io"}, ADDRESS, True),
            (ADDRESS | {"ip": "20.50.0.9"}, ADDRESS, True),
            ({"ip": "0.0.0.0"}, ADDRESS, False),
            (ADDRESS, {"ip": "0.0.0.0"}, False),
        ],
    )
    def test_only_addresses_that_are_known_before_and_after_are_compared(
        self, before: dict[str, str], after: dict[str, str], *, told: bool
    ) -> None:
        result = proven(watching(sent={"address": before}), seen(ipAddress=after))
        assert result.address_changes == ((AddressChange(message=TWO, before=before, after=after),) if told else ())


def test_containers_are_proven_in_the_order_of_their_names() -> None:
    jobs = container(
        candidate(message("5", repository="acme/jobs"), "acme/jobs:5"),
        repository="docker.io/acme/jobs",
        goods=(Good(image="acme/jobs:4", tag="4"),),
    )
    now = record({"web": container(candidate(TWO)), "jobs": jobs}, change=change(address=MOVED))
    result = proven(now, seen(NEW | {"jobs": "acme/jobs:5"}), {"web": "2", "jobs": "5"})
    assert [ending.message.id for ending in result.outbox] == ["5", "2"]
    assert [each.message.id for each in result.address_changes if each.message] == ["5"]
