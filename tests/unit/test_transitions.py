"""Many groups in transition are waited for by one list, and still each is seen in time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.errors import RemoteError
from shared.message import TargetId
from tests.unit.builders import SHOP
from worker.adapters.transitions import UNSEEN, WORTH_A_LIST, Watch
from worker.groups.group import ContainerGroup

INTERVAL = 5.0


def named(name: str) -> TargetId:
    return TargetId(subscription=SHOP.subscription, resource_group="web", container_group=name)


GROUPS = [named(f"shop-{number}") for number in range(WORTH_A_LIST)]
FIRST, *OTHERS = GROUPS


class Lists:
    """Lists every group in one state, or fails, and counts the calls."""

    def __init__(self) -> None:
        self.state = "Creating"
        self.error: RemoteError | None = None
        self.calls = 0
        self.now = 0.0

    def get(self, target: TargetId) -> ContainerGroup:
        raise AssertionError(f"nobody but the look itself reads {target}")

    def list(self, subscription: str, resource_group: str | None = None) -> Iterator[ContainerGroup]:
        assert (subscription, resource_group) == (SHOP.subscription, None)
        self.calls += 1
        if self.error:
            raise self.error
        for group in GROUPS:
            path = f"/subscriptions/{group.subscription}/resourceGroups/web/providers/x/containerGroups"
            properties = {"provisioningState": self.state, "containers": []}
            yield ContainerGroup({"id": f"{path}/{group.container_group}", "properties": properties})


class Scene:
    """Groups that are looked at once an interval."""

    def __init__(self) -> None:
        self.azure = Lists()
        self.watch = Watch(self.azure, INTERVAL, lambda: self.azure.now)

    def wait(self, groups: list[TargetId]) -> None:
        for group in groups:
            self.watch.waits(group)

    def looks(self, groups: list[TargetId], rounds: int) -> list[set[str]]:
        """For each round, the groups that had to be read."""
        read = []
        for _ in range(rounds):
            self.azure.now += INTERVAL + 0.1
            read.append({group.container_group for group in groups if self.watch.glance(group) is None})
            self.wait(groups)
        return read


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_few_are_read_one_by_one(scene: Scene) -> None:
    scene.wait(OTHERS)
    assert scene.looks(OTHERS, 2) == [{group.container_group for group in OTHERS}] * 2
    assert scene.azure.calls == 0


def test_many_in_transition_are_listed_once_for_all(scene: Scene) -> None:
    scene.wait(GROUPS)
    assert scene.looks(GROUPS, 3) == [set(), set(), set()]
    assert scene.azure.calls == 3


def test_each_is_read_all_the_same_before_long(scene: Scene) -> None:
    # Regression: an image that can't be pulled keeps its group in transition. A list does not show why, so that with
    # five others under way the group was down for minutes before the failed pull was seen.
    scene.wait(GROUPS)
    rounds = scene.looks(GROUPS, 3 * UNSEEN)
    unseen = [number for number, read in enumerate(rounds) if FIRST.container_group in read]
    assert unseen == [UNSEEN, 2 * UNSEEN]


def test_what_is_no_longer_in_transition_is_read(scene: Scene) -> None:
    scene.wait(GROUPS)
    scene.azure.state = "Succeeded"
    assert scene.looks(GROUPS, 1) == [{group.container_group for group in GROUPS}]


def test_what_nobody_waits_for_is_read_and_forgotten(scene: Scene) -> None:
    scene.wait(GROUPS)
    assert scene.watch.glance(named("another")) is None
    scene.azure.now = 10 * INTERVAL + 1
    assert scene.watch.glance(FIRST) is None
    assert scene.azure.calls == 0


def test_where_no_list_is_to_be_had_each_is_read_and_the_list_is_not_asked_for_at_once(scene: Scene) -> None:
    scene.wait(GROUPS)
    scene.azure.error = RemoteError("arm", 403, "AuthorizationFailed", "no")
    assert scene.looks(GROUPS, 1) == [{group.container_group for group in GROUPS}]
    assert scene.azure.calls == 1
