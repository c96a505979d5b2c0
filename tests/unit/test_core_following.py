"""Which repository a container follows, what it runs, and what a worker with another targets file does not know."""

from __future__ import annotations

import pytest

from shared.image import ImageReference
from tests.unit.builders import (
    SHOP,
    candidate,
    container,
    digest,
    good,
    group,
    message,
    pin,
    pulled,
    record,
    target,
)
from worker.core.following import (
    Following,
    followings,
    foreign_images,
    good_image,
    parsed,
    repository_of,
    running_digest,
    unknown_here,
)
from worker.policies.policy import AnyTag, SameTag
from worker.record.container import ContainerRecord, Good
from worker.targets.target import ContainerRule, Target, single_target

ONE, OTHER = digest("one"), digest("other")
ELSEWHERE = Target(SHOP, {"web": ContainerRule(AnyTag(), ImageReference.parse("acme/shop"))})
"""web is to run acme/shop, whatever it runs now."""


class TestFollowings:
    def test_a_container_with_a_rule_follows_the_repository_that_it_runs(self) -> None:
        images = {"web": "acme/shop:1", "proxy": "nginx:1"}
        assert followings(images, target("same-tag")) == {
            "web": Following("docker.io/acme/shop", SameTag(), "acme/shop:1")
        }

    def test_each_container_follows_by_its_own_rule(self) -> None:
        rules = {"proxy": ContainerRule(AnyTag()), "web": ContainerRule(SameTag())}
        assert followings({"web": "acme/shop:1", "proxy": "nginx:1"}, Target(SHOP, rules)) == {
            "web": Following("docker.io/acme/shop", SameTag(), "acme/shop:1"),
            "proxy": Following("docker.io/library/nginx", AnyTag(), "nginx:1"),
        }

    def test_in_single_target_mode_every_container_follows_every_tag(self) -> None:
        assert followings({"web": "acme/shop:1"}, single_target(SHOP)) == {
            "web": Following("docker.io/acme/shop", AnyTag(), "acme/shop:1")
        }

    def test_a_text_that_is_not_an_image_reference_names_no_repository(self) -> None:
        images = {"odd": "not an image!", "web": "acme/shop:1"}
        assert followings(images, target("any", "odd", "web")).keys() == {"web"}

    @pytest.mark.parametrize("running", ["mcr.microsoft.com/placeholder:1", "not an image!"])
    def test_a_rule_may_name_another_repository_than_the_running_one(self, running: str) -> None:
        # Its name is written in full, because the group has no spelling of it to keep.
        assert followings({"web": running}, ELSEWHERE) == {
            "web": Following("docker.io/acme/shop", AnyTag(), "docker.io/acme/shop")
        }

    def test_once_it_runs_the_named_repository_the_groups_spelling_is_kept(self) -> None:
        assert followings({"web": "index.docker.io/acme/shop:1"}, ELSEWHERE) == {
            "web": Following("docker.io/acme/shop", AnyTag(), "index.docker.io/acme/shop:1")
        }


class TestUnknownHere:
    WAITS = container(candidate(message("2")))

    def test_a_followed_container_is_known(self) -> None:
        assert unknown_here(record({"web": self.WAITS}), group(), target()) == []

    @pytest.mark.parametrize(
        "under_way", [WAITS, container(pin=pin(good("0")))], ids=["a push waits", "an operator goes back"]
    )
    def test_a_container_without_a_rule_but_with_an_update_under_way_is_unknown(
        self, under_way: ContainerRecord
    ) -> None:
        assert unknown_here(record({"web": under_way}), group(), target("any", "other")) == ["web"]

    def test_a_container_that_follows_another_repository_by_this_file_is_unknown(self) -> None:
        waits = container(candidate(message("2")), repository="docker.io/acme/placeholder")
        assert unknown_here(record({"web": waits}), group(), target()) == ["web"]

    def test_a_container_without_an_update_under_way_is_not_reported(self) -> None:
        assert unknown_here(record({"web": container()}), group(), target("any", "other")) == []

    def test_a_container_that_is_gone_is_not_reported(self) -> None:
        assert unknown_here(record({"gone": self.WAITS}), group(), target("any", "other")) == []

    def test_only_the_unknown_containers_are_named(self) -> None:
        now = record({"a": self.WAITS, "web": self.WAITS, "b": container()})
        shown = group(dict.fromkeys(("a", "web", "b"), "acme/shop:1"))
        assert unknown_here(now, shown, target("any", "web")) == ["a"]


class TestForeignImages:
    """Records are outside data: whatever they hold, an update may not bring in another repository."""

    @pytest.mark.parametrize(
        ("image", "foreign"),
        [
            ("acme/shop:2", False),
            (f"index.docker.io/acme/shop@{ONE}", False),
            ("evil/shop:2", True),
            ("ghcr.io/acme/shop:2", True),
            ("not an image!", True),
        ],
    )
    def test_an_image_of_another_repository_is_named(self, image: str, foreign: bool) -> None:
        found = foreign_images({"web": image}, group(), target(), record())
        assert found == ([f"web: {image}"] if foreign else [])

    def test_the_running_image_may_stay_whatever_it_is(self) -> None:
        assert foreign_images({"web": "not an image!"}, group({"web": "not an image!"}), target(), record()) == []

    def test_nothing_may_replace_a_text_that_is_not_an_image_reference(self) -> None:
        # Two texts that are not image references do not belong to one repository.
        assert foreign_images({"web": "another?"}, group({"web": "not an image!"}), target(), record()) == [
            "web: another?"
        ]

    @pytest.mark.parametrize("running", ["mcr.microsoft.com/placeholder:1", "not an image!"])
    def test_the_repository_that_the_rule_names_is_allowed(self, running: str) -> None:
        shown = group({"web": running})
        assert foreign_images({"web": "acme/shop:2"}, shown, ELSEWHERE, record()) == []
        assert foreign_images({"web": "acme/other:2"}, shown, ELSEWHERE, record()) == ["web: acme/other:2"]

    def test_the_repository_that_ran_before_is_allowed(self) -> None:
        shown = group({"web": "acme/placeholder:2"})
        assert foreign_images({"web": "acme/placeholder:1"}, shown, ELSEWHERE, record()) == []

    def test_a_container_without_a_rule_keeps_its_repository(self) -> None:
        shown = group({"web": "acme/shop:1", "proxy": "nginx:1"})
        images = {"web": "nginx:1", "proxy": "nginx:2"}
        assert foreign_images(images, shown, target(), record()) == ["web: nginx:1"]
        assert foreign_images({"web": "a/b", "proxy": "a/b"}, shown, target(), record()) == ["proxy: a/b", "web: a/b"]


class TestGoodImage:
    """What a container runs, as an image to go back to."""

    @pytest.mark.parametrize(
        ("running", "told", "image"),
        [
            ("acme/shop:1", None, Good(image="acme/shop:1", tag="1")),
            ("acme/shop:1", ONE, Good(image="acme/shop:1", tag="1", digest=ONE)),
            ("acme/shop", ONE, Good(image="acme/shop", tag="latest", digest=ONE)),
            (f"acme/shop@{ONE}", None, Good(image=f"acme/shop@{ONE}", digest=ONE)),
            (f"acme/shop:1@{ONE}", OTHER, Good(image=f"acme/shop:1@{ONE}", tag="1", digest=ONE)),
            ("not an image!", ONE, Good(image="not an image!")),
        ],
    )
    def test_it_has_the_written_image_and_the_pulled_digest(self, running: str, told: str | None, image: Good) -> None:
        shown = group({"web": running}, {"web": pulled(told)} if told else None)
        assert good_image(shown, "web") == image
        assert running_digest(shown, "web") == image.digest

    def test_it_is_that_of_the_container_asked_for(self) -> None:
        shown = group({"web": "acme/shop:1", "jobs": "acme/jobs:7"}, {"web": pulled(ONE), "jobs": pulled(OTHER)})
        assert good_image(shown, "jobs") == Good(image="acme/jobs:7", tag="7", digest=OTHER)


def test_an_image_reference_has_a_repository_and_any_other_text_has_none() -> None:
    assert (repository_of("nginx"), repository_of("R.io/a:1"), repository_of("a b")) == (
        "docker.io/library/nginx",
        "r.io/a",
        None,
    )
    assert (parsed("nginx:1"), parsed("a b")) == (ImageReference("docker.io", "library/nginx", "1"), None)


def test_where_the_rule_names_no_repository_a_record_brings_in_no_other_one_as_a_good_image() -> None:
    now = record({"web": container(goods=(good(image="evil/shop:1"),))})
    assert foreign_images({"web": "evil/shop:1"}, group(), target(), now) == ["web: evil/shop:1"]


def test_what_ran_before_a_rule_named_another_repository_may_come_back() -> None:
    followed = Target(SHOP, {"web": ContainerRule(AnyTag(), ImageReference.parse("acme/new"))})
    now = record({"web": container(repository="docker.io/acme/new")})
    shown = group({"web": "acme/new:1"})
    assert foreign_images({"web": "acme/shop:1"}, shown, followed, now) == []
    assert foreign_images({"web": "acme/evil:1"}, shown, followed, now) == ["web: acme/evil:1"]
