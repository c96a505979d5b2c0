"""Where container groups are listed: as few places as possible, and none twice."""

from __future__ import annotations

import pytest

from shared.image import ImageReference
from shared.message import TargetId
from worker.discovery.scopes import Scope, scopes_of
from worker.policies.policy import AnyTag
from worker.targets.file import Discover, TargetsFile
from worker.targets.target import ContainerRule, Target

RUNNING = ContainerRule(AnyTag())
NAMED = ContainerRule(AnyTag(), ImageReference.parse("acme/shop"))


def target(name: str, rule: ContainerRule = RUNNING, *, place: str = "web", subscription: str = "sub") -> Target:
    where = TargetId(subscription=subscription, resource_group=place, container_group=name)
    return Target(where, {"web": rule})


def file(*targets: Target, discover: Discover | None = None) -> TargetsFile:
    return TargetsFile(targets=targets, discover=discover, registries={}, notify=())


def test_of_a_single_target_its_own_group_is_read() -> None:
    (scope,) = scopes_of(file(target("shop")))
    assert (scope, str(scope)) == (Scope("sub", "web", container_group="shop"), "container group shop")
    assert scope.group == target("SHOP").id
    assert [scope.covers(target(name).id) for name in ("Shop", "other")] == [True, False]
    assert not scope.covers(target("shop", subscription="other").id)
    assert scopes_of(file(target("shop", NAMED))) == ()
    assert Scope("sub", "web").group is None


def test_several_targets_are_listed_by_resource_group_each_once() -> None:
    # Azure's names have no case.
    several = file(target("a"), target("b", place="WEB"), target("c", place="batch", subscription="SUB"))
    assert scopes_of(several) == (Scope("sub", "web"), Scope("sub", "batch"))


def test_a_target_whose_rules_name_every_repository_needs_no_list() -> None:
    assert scopes_of(file(target("a", NAMED), target("b", NAMED))) == ()
    assert scopes_of(file(target("a", NAMED), target("b", RUNNING, place="batch"))) == (Scope("sub", "batch"),)


def test_a_target_of_all_containers_needs_a_list() -> None:
    all_of_it = Target(target("a").id, {"web": NAMED}, everything=AnyTag())
    assert scopes_of(file(all_of_it, target("b", NAMED, place="batch"))) == (Scope("sub", "web"),)


def test_targets_are_discovered_in_whole_subscriptions_or_in_resource_groups() -> None:
    whole = Discover(subscriptions=("one", "two"), resource_groups=None)
    assert scopes_of(file(discover=whole)) == (Scope("one", discover=True), Scope("two", discover=True))
    some = Discover(subscriptions=("one",), resource_groups=("web", "batch"))
    assert scopes_of(file(discover=some)) == (
        Scope("one", "web", discover=True),
        Scope("one", "batch", discover=True),
    )


def test_a_single_target_beside_discovery_is_listed_like_any_other() -> None:
    beside = file(target("shop"), discover=Discover(("sub",), ("batch",)))
    assert scopes_of(beside) == (Scope("sub", "web"), Scope("sub", "batch", discover=True))


def test_where_targets_are_discovered_and_listed_discovery_wins() -> None:
    both = file(target("shop"), target("other"), discover=Discover(("Sub",), ("Web",)))
    assert scopes_of(both) == (Scope("Sub", "Web", discover=True),)


@pytest.mark.parametrize(
    ("scope", "covers"),
    [
        (Scope("sub"), True),
        (Scope("SUB", "WEB"), True),
        (Scope("sub", "batch"), False),
        (Scope("other"), False),
        (Scope("other", "web"), False),
    ],
)
def test_a_scope_covers_the_groups_that_its_list_would_show(scope: Scope, *, covers: bool) -> None:
    assert scope.covers(target("shop").id) is covers


def test_a_scope_is_written_as_people_call_it() -> None:
    assert str(Scope("sub", "web")) == "resource group web"
    assert str(Scope("sub")) == "subscription sub"
