"""The adapter of Azure Resource Manager, with the real SDK, on the simulator: the last look before a change is sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.cloud import CLOUDS
from shared.errors import RemoteError
from shared.message import TargetId
from shared.queue import LeaseLost
from tests.arm_simulator import ArmSimulator
from tests.site import RESOURCE_GROUP, SUBSCRIPTION, definition
from worker.adapters.arm import Arm, PlaceholderCredential

SHOP = TargetId(subscription=SUBSCRIPTION, resource_group=RESOURCE_GROUP, container_group="shop")
SCOPE = CLOUDS["AzureCloud"].resource_manager_scope


class Lease:
    """A lease that stands for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def check_lease(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise LeaseLost("it")


@pytest.fixture
def simulator() -> Iterator[ArmSimulator]:
    with ArmSimulator() as running:
        running.client.options(transition_seconds=0)
        running.client.put_group(SUBSCRIPTION, RESOURCE_GROUP, "shop", definition({"web": "acme/shop:1"}))
        yield running


@pytest.mark.parametrize(("change", "method"), [("put", "PUT"), ("restart", "POST")])
@pytest.mark.parametrize(("looks", "sent"), [(0, 0), (1, 1), (2, 2)])
def test_a_change_is_not_sent_again_once_the_lease_is_lost(
    simulator: ArmSimulator, change: str, method: str, looks: int, sent: int
) -> None:
    # Found by chaos: a worker that froze between a throttled PUT and the next try undid a push that was proven.
    arm = Arm(PlaceholderCredential(), simulator.url, "2025-09-01", SCOPE, (5, 20))
    simulator.client.fault("throttle", method=method, times=1, retry_after=0)
    lease = Lease(looks)

    def send() -> None:
        if change == "put":
            arm.put(SHOP, arm.get(SHOP).definition({"web": "acme/shop:2"}, {}), lease.check_lease)
        else:
            arm.restart(SHOP, lease.check_lease)

    if looks < 2:
        with pytest.raises(LeaseLost):
            send()
    else:
        send()
    calls = [entry for entry in simulator.client.log() if entry["method"] == method]
    assert len(calls) == sent


ALL = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/containerGroups?api-version=2025-09-01"


@pytest.mark.parametrize(
    ("next_link", "lists"),
    [
        (f"{{base}}{ALL}&round=1", 2),
        (f"{{base}}{ALL}", 1),
        (f"http://127.0.0.2:9{ALL}", 1),
        (f"http://evil.example{ALL}", 1),
        ("http://[", 1),
        ("file:///etc/passwd", 1),
    ],
    ids=["for ever", "round", "another port", "another host", "no URL", "a file"],
)
def test_a_list_goes_on_at_azures_own_host_alone_and_never_twice(
    simulator: ArmSimulator, next_link: str, lists: int
) -> None:
    arm = Arm(PlaceholderCredential(), simulator.url, "2025-09-01", SCOPE, (5, 20))
    simulator.client.options(next_link=next_link)
    with pytest.raises(RemoteError, match="the list of groups goes on at"):
        list(arm.list(SUBSCRIPTION))
    assert simulator.client.stats()["lists"] == lists


def test_a_list_of_several_pages_is_read_to_its_end(simulator: ArmSimulator) -> None:
    arm = Arm(PlaceholderCredential(), simulator.url, "2025-09-01", SCOPE, (5, 20))
    simulator.client.put_group(SUBSCRIPTION, RESOURCE_GROUP, "api", definition({"web": "acme/api:1"}))
    simulator.client.options(page_size=1)
    assert [group.id.container_group for group in arm.list(SUBSCRIPTION)] == ["api", "shop"]
