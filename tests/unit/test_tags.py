"""Resource tags: which targets they make, which of them are mistakes, and what holds a group."""

from __future__ import annotations

import pytest

from shared.message import TargetId
from worker.policies.parse import AnyTag, SameTag
from worker.targets.tags import BadTags, hold_reason, tags_for_later, target_from_tags
from worker.targets.target import ContainerRule, Target

SHOP = TargetId(subscription="s", resource_group="web", container_group="shop")


def test_resource_tags_make_a_target() -> None:
    tags = {"aci-hooks.policy": "any", "aci-hooks.policy.web": "semver:>=1.4 <2", "team": "web"}
    target = target_from_tags(SHOP, tags)
    assert isinstance(target, Target)
    assert (target.id, target.source, target.everything) == (SHOP, "tags", AnyTag())
    assert str(target.containers["web"].policy) == "semver:>=1.4 <2"
    assert target.rule_for("sidecar") == ContainerRule(AnyTag())


def test_a_tag_for_one_container_leaves_the_others_alone() -> None:
    target = target_from_tags(SHOP, {"ACI-Hooks.Policy.web": "same-tag"})
    assert isinstance(target, Target)
    assert target.rule_for("web") == ContainerRule(SameTag())
    assert target.rule_for("sidecar") is None


@pytest.mark.parametrize("tags", [None, {}, {"team": "web"}, {"aci-hooksx": "any"}, {"aci-hooks.hold": "x"}])
def test_other_resource_tags_make_no_target(tags: dict[str, str] | None) -> None:
    assert target_from_tags(SHOP, tags) is None


def test_bad_resource_tags_are_told_all_at_once_and_hold_the_group_back() -> None:
    tags = {"aci-hooks.policy": "any", "aci-hooks.policy.web": "semver:minro", "aci-hooks.policy.job": "latest"}
    bad = target_from_tags(SHOP, tags)
    assert isinstance(bad, BadTags)
    assert bad.id == SHOP
    job, web = bad.problems
    assert job.startswith("the tag aci-hooks.policy.job: 'latest' is not a policy")
    assert web.endswith("did you mean `semver:minor`?")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("aci-hooks.holds", "did you mean aci-hooks.hold?"),
        ("ACI-Hooks.Polcy", "did you mean aci-hooks.policy?"),
        ("aci-hooks.policy.", "did you mean aci-hooks.policy?"),
        ("aci-hooks.fleets", "did you mean aci-hooks.fleet?"),
        ("aci-hooks.x", "known are aci-hooks.policy, aci-hooks.policy.<container> and aci-hooks.hold"),
    ],
)
def test_a_misspelt_tag_holds_the_group_back(name: str, meant: str) -> None:
    # Regression: a group whose hold was misspelt was updated, and a misspelt policy was passed over without a word.
    for tags in ({name: "any"}, {name: "any", "aci-hooks.policy": "any"}):
        bad = target_from_tags(SHOP, tags)
        assert isinstance(bad, BadTags)
        assert bad.problems == (f"the tag {name.lower()} is unknown; {meant}",)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        (None, None),
        ({"aci-hooks.policy": "any"}, None),
        ({"aci-hooks.hold": " migration until Monday "}, "migration until Monday"),
        ({"Aci-Hooks.Hold": "audit"}, "audit"),
        ({"aci-hooks.hold": ""}, "the resource tag aci-hooks.hold"),
    ],
)
def test_hold(tags: dict[str, str] | None, reason: str | None) -> None:
    assert hold_reason(tags) == reason


@pytest.mark.parametrize("name", ["aci-hooks.fleet", "ACI-Hooks.Fleet"])
def test_the_tag_of_a_fleet_has_its_place_and_holds_nothing_back(name: str) -> None:
    # Regression: a group whose owner had given it a fleet already was not updated any more.
    target = target_from_tags(SHOP, {name: "shop/1", "aci-hooks.policy": "any"})
    assert isinstance(target, Target)
    assert target_from_tags(SHOP, {name: "shop/1"}) is None
    assert tags_for_later({name: "shop/1"}) == [
        "the tag aci-hooks.fleet has no effect yet: the group is updated without regard to a fleet"
    ]


@pytest.mark.parametrize("tags", [None, {}, {"aci-hooks.policy": "any"}, {"fleet": "shop/1"}])
def test_only_the_fleet_tag_is_reported_as_having_no_effect_yet(tags: dict[str, str] | None) -> None:
    assert tags_for_later(tags) == []
