"""Targets: which rule a container has, and which targets a push concerns."""

from __future__ import annotations

import pytest

from shared.image import ImageReference
from shared.message import TargetId
from worker.policies.parse import AnyTag, SameTag, SemVer
from worker.targets.target import ContainerRule, Target, find_targets, merge, single_target

SHOP = TargetId(subscription="s", resource_group="web", container_group="shop")
API = TargetId(subscription="s", resource_group="web", container_group="api")
SHOUTED = TargetId(subscription="S", resource_group="WEB", container_group="Shop")
RULE = ContainerRule(SemVer("minor"))
NAMED = ContainerRule(SameTag(), ImageReference.parse("acme/shop-worker"))


def test_a_container_has_its_own_rule_or_that_for_everything_or_none() -> None:
    target = Target(SHOP, {"web": RULE}, everything=AnyTag())
    assert target.rule_for("web") == RULE
    assert target.rule_for("sidecar") == ContainerRule(AnyTag())
    assert Target(SHOP, {"web": RULE}).rule_for("sidecar") is None


def test_the_single_target_follows_every_tag_of_every_container() -> None:
    assert single_target(SHOP).rule_for("web") == ContainerRule(AnyTag())
    assert single_target(SHOP).source == "environment"


def test_targets_are_values() -> None:
    assert Target(SHOP, {"web": RULE}) == Target(SHOUTED, {"web": RULE})
    assert len({Target(SHOP, {"web": RULE}), Target(SHOP, {"web": RULE})}) == 1


WEB, WORKER, NGINX = "docker.io/acme/shop", "docker.io/acme/shop-worker", "docker.io/library/nginx"


@pytest.mark.parametrize(
    ("target", "images", "concerned"),
    [
        # A rule without an image follows what its container runs, in whatever spelling, tag or digest.
        (Target(SHOP, {"web": RULE}), {"web": "acme/shop:1.4.2"}, {WEB}),
        (Target(SHOP, {"web": RULE}), {"web": "index.docker.io/acme/shop@sha256:" + "a" * 64}, {WEB}),
        (Target(SHOP, {"web": RULE}), {"web": "nginx"}, {NGINX}),
        (Target(SHOP, {"web": RULE}), {"web": "acme/shop", "sidecar": "nginx"}, {WEB}),
        (Target(SHOP, {"web": RULE}), {"sidecar": "acme/shop"}, set()),
        (Target(SHOP, {"web": RULE}), {"web": "not an image"}, set()),
        (Target(SHOP, {"web": RULE}), {}, set()),
        # A rule's image counts, not what its container runs.
        (Target(SHOP, {"worker": NAMED}), {"worker": "nginx:1"}, {WORKER}),
        (Target(SHOP, {"worker": NAMED}), None, {WORKER}),
        (Target(SHOP, {"worker": NAMED, "web": RULE}), {"web": "acme/shop", "worker": "x"}, {WEB, WORKER}),
        # Of an unknown group the rollout will see.
        (Target(SHOP, {"worker": NAMED, "web": RULE}), None, {WEB, WORKER, NGINX}),
        (Target(SHOP, {"web": RULE}), None, {WEB, WORKER, NGINX}),
        (single_target(SHOP), None, {WEB, WORKER, NGINX}),
        (single_target(SHOP), {"web": "acme/shop", "sidecar": "nginx"}, {WEB, NGINX}),
        (Target(SHOP, {"web": NAMED}, everything=AnyTag()), {"web": "nginx", "b": "acme/shop"}, {WEB, WORKER}),
        (Target(SHOP), None, set()),
    ],
)
def test_which_pushes_concern_a_target(target: Target, images: dict[str, str] | None, concerned: set[str]) -> None:
    groups = {} if images is None else {SHOUTED: images}
    found = {push for push in (WEB, WORKER, NGINX) if find_targets(push, [target], groups)}
    assert found == concerned


def test_every_target_that_a_push_concerns_is_found() -> None:
    targets = [Target(SHOP, {"web": RULE}), Target(API, {"api": RULE}), Target(API, {"worker": NAMED})]
    groups = {SHOP: {"web": "acme/shop:1"}, API: {"api": "acme/shop:2"}}
    assert find_targets(WEB, targets, groups) == tuple(targets[:2])


def test_the_file_wins_over_tags() -> None:
    by_file, by_tags = Target(SHOP, {"web": RULE}), Target(SHOUTED, everything=AnyTag(), source="tags")
    other = Target(API, everything=AnyTag(), source="tags")
    assert set(merge([by_file], [by_tags, other])) == {by_file, other}
    assert [target.source for target in merge([by_file], [by_tags])] == ["file"]
    assert merge([], []) == ()
