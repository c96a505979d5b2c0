"""The right to read the logs of containers is asked for once in a resource group, and in a few of them alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.errors import RemoteError
from shared.message import TargetId
from tests.unit.builders import group
from worker.commands.logs_right import MOST_ASKED, LogsRight
from worker.groups.group import ContainerGroup
from worker.wiring.deployment import Deployment

FORBIDDEN = RemoteError("arm", 403, "AuthorizationFailed", "no")


def of(resource_group: str, name: str = "shop", images: dict[str, str] | None = None) -> ContainerGroup:
    own = f"/subscriptions/sub/resourceGroups/{resource_group}/providers/x/containerGroups/{name}"
    return ContainerGroup({**group({"web": "acme/shop:1"} if images is None else images).raw, "id": own})


class Logs:
    """Answers with the error, or with a line; remembers what was asked."""

    def __init__(self, error: RemoteError | None = None) -> None:
        self.error = error
        self.asked: list[str] = []

    def read(self, target: TargetId, container: str, _deadline: float) -> str:
        self.asked.append(f"{target}/{container}")
        if self.error:
            raise self.error
        return "a line"

    def right(self, last_lines: Any = ...) -> LogsRight:
        ports = SimpleNamespace(last_lines=self.read if last_lines is ... else last_lines)
        return LogsRight(cast(Deployment, SimpleNamespace(ports=ports)))


def test_a_right_that_is_missing_is_named_once_in_a_resource_group() -> None:
    logs = Logs(FORBIDDEN)
    right = logs.right()
    told = [right.missing(of(scope, name)) for scope, name in (("web", "shop"), ("WEB", "api"), ("batch", "job"))]
    assert [bool(sentence) for sentence in told] == [True, False, True]
    assert "lacks Microsoft.ContainerInstance/containerGroups/containers/logs/read in the resource group web" in (
        told[0] or ""
    )
    assert logs.asked == ["web/shop/web", "batch/job/web"]


@pytest.mark.parametrize("error", [None, RemoteError("arm", 404, "ContainerLogNotAvailable", "not yet")], ids=str)
def test_a_right_that_is_there_or_can_not_be_told_is_no_word(error: RemoteError | None) -> None:
    assert Logs(error).right().missing(of("web")) is None


def test_nothing_is_asked_where_nobody_wants_the_lines_or_there_is_no_container() -> None:
    logs = Logs(FORBIDDEN)
    assert logs.right(last_lines=None).missing(of("web")) is None
    assert logs.right().missing(ContainerGroup({"id": of("web").raw["id"], "properties": {"containers": []}})) is None
    assert logs.asked == []


def test_only_a_few_resource_groups_are_asked() -> None:
    logs = Logs(FORBIDDEN)
    right = logs.right()
    assert sum(bool(right.missing(of(f"rg{number}"))) for number in range(MOST_ASKED + 5)) == MOST_ASKED
    assert len(logs.asked) == MOST_ASKED
