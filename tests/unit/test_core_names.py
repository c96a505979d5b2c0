"""What container groups are called, so that no two of them have one name."""

from __future__ import annotations

import pytest

from shared.message import TargetId
from worker.core.names import names_of


def of(subscription: str, group: str = "shop") -> TargetId:
    return TargetId(subscription=subscription, resource_group="web", container_group=group)


@pytest.mark.parametrize(
    ("targets", "names"),
    [
        ([of("a")], ["web/shop"]),
        ([of("a"), of("a", "api")], ["web/shop", "web/api"]),
        ([of("a"), of("a")], ["web/shop", "web/shop"]),
        ([of("a"), of("b"), of("a", "api")], ["a/web/shop", "b/web/shop", "web/api"]),
        ([of("a"), of("b", "SHOP")], ["a/web/shop", "b/web/SHOP"]),
        ([of("a", "straße"), of("b", "STRASSE")], ["web/straße", "web/STRASSE"]),
    ],
    ids=["alone", "others", "the same twice", "in two subscriptions", "in another spelling", "not quite the same"],
)
def test_a_group_is_called_by_its_subscription_where_another_one_has_its_name(
    targets: list[TargetId], names: list[str]
) -> None:
    assert [names_of(targets)(target) for target in targets] == names
