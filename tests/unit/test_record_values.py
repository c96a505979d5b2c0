"""The values that a record is made of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.builders import at, candidate, container, digest, failure, good, message
from worker.record.values import AddressChange, Good, Patience

ONE = digest("one")
BY_DIGEST = f"acme/shop@{ONE}"


class TestGood:
    """What brings an image that ran well back, and in which spellings a group may have it."""

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
    def test_by_tag_unless_the_tag_has_moved(
        self, image: Good, by_digest: str | None, restored: str | None, spellings: set[str]
    ) -> None:
        assert image.by_digest == by_digest
        assert image.restored == restored
        assert image.spellings == spellings

    def test_the_name_stays_as_it_was_written(self) -> None:
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

    def test_every_image_that_may_be_here_by_our_doing_or_was_here_before(self) -> None:
        tags = {f"acme/shop:{tag}" for tag in "12356"}
        assert self.NOW.images == tags | {BY_DIGEST}

    def test_the_images_of_pushes_that_are_not_good(self) -> None:
        assert self.NOW.brought == {f"acme/shop:{tag}" for tag in "156"}

    def test_a_candidate_is_found_by_its_message(self) -> None:
        assert self.NOW.candidate("4") == candidate(message("4"), None)
        assert self.NOW.candidate("9") is None
        assert self.NOW.candidate(None) is None

    def test_the_last_good_image_is_the_first(self) -> None:
        assert self.NOW.good == good("3", digest=ONE)


class TestCandidate:
    def test_it_is_known_by_its_message(self) -> None:
        one = candidate(message("2", name="id"))
        assert (one.id, one.tag) == ("id", "2")


class TestPatience:
    """How long something was looked at: the time in which nobody could look is not counted."""

    @pytest.mark.parametrize(("seconds", "waited"), [(15, 15), (30, 30), (3000, 30), (0, 0), (-5, 0)], ids=str)
    def test_a_pause_counts_as_long_as_it_is_no_absence(self, seconds: float, waited: float) -> None:
        once = Patience(looked_at=at(0)).looked(at(seconds), timedelta(seconds=30))
        assert once == Patience(waited=waited, looked_at=at(seconds))

    def test_pauses_add_up(self) -> None:
        twice = Patience(looked_at=at(0), waited=7.5).looked(at(10), timedelta(seconds=30))
        assert twice == Patience(waited=17.5, looked_at=at(10))


def test_a_new_value_starts_at_nothing() -> None:
    assert Patience(looked_at=at(0)).waited == 0.0


def test_an_address_change_reads_as_a_sentence() -> None:
    moved = AddressChange(before={"ip": "20.50.0.2"}, after={"ip": "20.50.0.3"})
    assert str(moved) == "THE ADDRESS CHANGED from {'ip': '20.50.0.2'} to {'ip': '20.50.0.3'}"


def test_a_value_is_changed_by_making_another_one() -> None:
    before = good("1")
    assert before.but(moved=True, tag="2") == Good(image="acme/shop:1", tag="2", moved=True)
    assert before == good("1")
