"""The values in a record."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from tests.unit.builders import SHOP, at, candidate, container, digest, failure, good, message
from worker.record.container import Candidate, ContainerRecord, FailedPush, Good, Pin
from worker.record.record import Record
from worker.record.values import (
    MANUAL,
    ROLLBACK,
    AddressChange,
    Change,
    Ending,
    Outcome,
    Patience,
    Result,
    Timer,
    Undone,
    Value,
)

ONE = digest("one")
BY_DIGEST = f"acme/shop@{ONE}"


class TestGood:
    """Which image brings a good one back, and in which spellings a group may have it."""

    @pytest.mark.parametrize(
        ("image", "by_digest", "restored", "spellings"),
        [
            (good("1"), None, "acme/shop:1", {"acme/shop:1"}),
            (good("1", digest=ONE), BY_DIGEST, "acme/shop:1", {"acme/shop:1", BY_DIGEST}),
            (good("1", digest=ONE, moved=True), BY_DIGEST, BY_DIGEST, {BY_DIGEST}),
            (good("1", moved=True), None, None, set()),
            (good("1", BY_DIGEST, digest=ONE), BY_DIGEST, BY_DIGEST, {BY_DIGEST}),
            (good("1", BY_DIGEST, digest=ONE, moved=True), BY_DIGEST, BY_DIGEST, {BY_DIGEST}),
            (good("1", BY_DIGEST, moved=True), None, BY_DIGEST, {BY_DIGEST}),
            (
                good("1", f"acme/shop:1@{ONE}", digest=ONE, moved=True),
                BY_DIGEST,
                f"acme/shop:1@{ONE}",
                {f"acme/shop:1@{ONE}", BY_DIGEST},
            ),
        ],
    )
    def test_it_comes_back_by_its_tag_unless_the_tag_has_moved(
        self, image: Good, by_digest: str | None, restored: str | None, spellings: set[str]
    ) -> None:
        assert image.by_digest == by_digest
        assert image.restored == restored
        assert image.spellings == spellings

    def test_by_digest_it_keeps_the_spelling_of_its_name(self) -> None:
        image = good("1", "index.docker.io/acme/shop:1", digest=ONE, moved=True)
        assert image.restored == f"index.docker.io/acme/shop@{ONE}"


class TestContainer:
    NOW = container(
        candidate(message("5")),
        candidate(message("4"), None),
        goods=(good("3", digest=ONE), good("2")),
        failures=(failure(message("6")), failure(message("7"), image=None)),
        past=("acme/shop:1", "acme/shop:2"),
    )

    def test_images_are_all_that_we_may_have_brought_or_that_ran_before(self) -> None:
        tags = {f"acme/shop:{tag}" for tag in "12356"}
        assert self.NOW.images == tags | {BY_DIGEST}

    def test_brought_are_the_images_of_pushes_that_are_not_good(self) -> None:
        assert self.NOW.brought == {f"acme/shop:{tag}" for tag in "156"}

    def test_a_candidate_is_found_by_its_message(self) -> None:
        assert self.NOW.candidate("4") == candidate(message("4"), None)
        assert self.NOW.candidate("9") is None
        assert self.NOW.candidate(None) is None

    def test_the_last_good_image_is_the_first(self) -> None:
        assert self.NOW.good == good("3", digest=ONE)


class TestCandidate:
    def test_its_id_and_tag_are_those_of_its_message(self) -> None:
        one = candidate(message("2", name="id"))
        assert (one.id, one.tag) == ("id", "2")


class TestPatience:
    """For how long something was watched. Time in which nobody could look does not count."""

    @pytest.mark.parametrize(("seconds", "waited"), [(15, 15), (30, 30), (3000, 30), (0, 0), (-5, 0)], ids=str)
    def test_a_pause_counts_up_to_the_longest_planned(self, seconds: float, waited: float) -> None:
        once = Patience(looked_at=at(0)).looked(at(seconds), timedelta(seconds=30))
        assert once == Patience(waited=waited, looked_at=at(seconds))

    def test_pauses_add_up(self) -> None:
        twice = Patience(looked_at=at(0), waited=7.5).looked(at(10), timedelta(seconds=30))
        assert twice == Patience(waited=17.5, looked_at=at(10))


class TestSameImage:
    """A moved tag that was restarted several times stands for several images."""

    @pytest.mark.parametrize(
        ("other", "same"),
        [
            (good("1", digest=ONE, moved=True, pushed=9), True),
            (good("other", "acme/shop:1", digest=ONE), True),
            (good("1", digest=digest("two")), False),
            (good("1"), False),
            (good("2", digest=ONE), False),
        ],
    )
    def test_images_are_compared_by_spelling_and_digest(self, other: Good, same: bool) -> None:
        assert good("1", digest=ONE).is_same(other) is same


class TestNothingSaid:
    """Defaults of fields that an older record does not have."""

    @pytest.mark.parametrize(
        ("value", "rest"),
        [
            (
                Candidate(message=message("2")),
                {"image": None, "digest": None, "restart": False, "lookups": 0},
            ),
            (Good(image="a"), {"tag": None, "digest": None, "order": None, "moved": False}),
            (Pin(message=message("2"), good=good("1")), {"reverting": False}),
            (
                FailedPush(id="2", tag="2", code="C", at=at(0)),
                {"image": None, "digest": None, "pushed_at": None, "circumstance": False},
            ),
            (
                ContainerRecord(repository="r", goods=()),
                {"followed": True, "candidates": (), "pin": None, "failures": (), "past": ()},
            ),
            (Patience(looked_at=at(0)), {"waited": 0.0}),
            (
                Change(generation=1, images={}, began_at=at(0), patience=Patience(looked_at=at(0))),
                {
                    "asked": {},
                    "touched": frozenset(),
                    "restart": False,
                    "tries": 1,
                    "well": {},
                    "address": {},
                    "failed_before": False,
                    "refused": None,
                },
            ),
            (Timer(token="t", due=at(0)), {"owner": False, "throttled": False}),
            (Undone(message=message("2"), code="C", detail="", containers=()), {"attempts": 1}),
            (Ending(message=message("2"), result="failed", detail="", at=at(0)), {"code": None, "attempts": 1}),
            (AddressChange(before={}, after={}), {"message": None}),
            (Outcome(at=at(0), id="2", image="a", containers=(), result="updated"), {"detail": "", "count": 1}),
            (
                Record(target=SHOP),
                {
                    "swept": False,
                    "containers": {},
                    "inbox": (),
                    "hold": None,
                    "change": None,
                    "flights": (),
                    "generation": 0,
                    "apart": False,
                    "stuck": None,
                    "undone": (),
                    "timer": None,
                    "count": 0,
                    "outbox": (),
                    "address_changes": (),
                    "ended": (),
                    "outcomes": (),
                },
            ),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_every_optional_field_has_its_default(self, value: Value, rest: dict[str, object]) -> None:
        told = {name: getattr(value, name) for name in rest}
        assert told == rest
        assert [type(item) for item in told.values()] == [type(item) for item in rest.values()]


@pytest.mark.parametrize("result", ["updated", "unchanged", "superseded", "ignored", "rolled-back", "failed"])
def test_a_push_ends_in_one_of_six_ways(result: Result) -> None:
    Ending.model_validate(Ending(message=message("2"), result=result, detail="", at=at(0)).model_dump())


def test_a_push_ends_in_no_other_way() -> None:
    end = Ending(message=message("2"), result="failed", detail="", at=at(0)).model_dump() | {"result": "lost"}
    with pytest.raises(ValidationError, match="result"):
        Ending.model_validate(end)


def test_operators_pushes_and_rollbacks_are_known_by_their_senders() -> None:
    assert (MANUAL, ROLLBACK) == ("manual", "rollback")


def test_an_address_change_reads_as_a_sentence() -> None:
    label = {"fqdn": "shop.westeurope.azurecontainer.io"}
    moved = AddressChange(before={"ip": "20.50.0.2", **label}, after={"ip": "20.50.0.3", **label})
    assert str(moved) == "THE ADDRESS CHANGED: ip from 20.50.0.2 to 20.50.0.3"


@pytest.mark.parametrize("after", [{}, {"ip": "0.0.0.0"}])
def test_an_address_change_names_no_part_that_azure_did_not_show(after: dict[str, str]) -> None:
    moved = AddressChange(before={"ip": "20.50.0.2", "fqdn": "a.azurecontainer.io"}, after={"fqdn": "b", **after})
    assert str(moved) == "THE ADDRESS CHANGED: fqdn from a.azurecontainer.io to b"


def test_changing_a_value_makes_a_copy() -> None:
    before = good("1")
    assert before.but(moved=True, tag="2") == Good(image="acme/shop:1", tag="2", moved=True)
    assert before == good("1")
