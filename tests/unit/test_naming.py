"""Which group is meant by GROUP, and that a name of no group is a wrong argument for every command that takes one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner

from aci_hooks.__main__ import main
from shared.errors import RemoteError
from shared.message import TargetId
from tests.fakes import Clock, MemoryQueue, MemoryRecords
from tests.unit.builders import SHOP
from worker.commands.naming import find_group
from worker.record.record import Record
from worker.targets.target import Target, single_target
from worker.wiring import Deployment

API = TargetId(subscription="sub", resource_group="web", container_group="api")
OTHER_API = TargetId(subscription="sub", resource_group="batch", container_group="api")
DOWN = RemoteError("arm", 503, "ServiceUnavailable", "later")


class Groups(MemoryRecords):
    """The records of these groups."""

    def __init__(self, *targets: TargetId) -> None:
        super().__init__()
        for target in targets:
            self.save(Record(target=target), None)

    def all(self) -> Iterator[TargetId]:
        yield from (target for target, _ in self.versions())


@dataclass
class Catalogue:
    """Targets of the file, and those that a list finds, unless it fails."""

    file: Sequence[TargetId] = ()
    found: Sequence[TargetId] = ()
    error: RemoteError | None = None
    unseen: Sequence[str] = ()

    def all(self) -> tuple[Target, ...]:
        return tuple(map(single_target, self.file))

    def known(self) -> tuple[Target, ...]:
        if self.error:
            raise self.error
        return tuple(map(single_target, [*self.file, *self.found]))

    def problems(self) -> list[str]:
        return list(self.unseen)


@dataclass
class Fake:
    """As much of a deployment as it takes to find a group."""

    catalogue: Catalogue
    records: Groups
    poison: MemoryQueue = field(default_factory=lambda: MemoryQueue(Clock(), name="poison"))


def deployment(*records: TargetId, **catalogue: Any) -> Deployment:
    return cast(Deployment, Fake(Catalogue(**catalogue), Groups(*records)))


def refused(text: str, of: Deployment) -> click.ClickException:
    with pytest.raises(click.ClickException) as error:
        find_group(of, text)
    return error.value


@pytest.mark.parametrize("text", ["shop", "web/shop", "sub/web/shop", "SHOP", "/Web/Shop/"])
def test_a_group_by_any_of_its_names(text: str) -> None:
    for of in (deployment(SHOP, API), deployment(file=[SHOP, API]), deployment(found=[SHOP, API])):
        assert find_group(of, text) == SHOP


def test_a_name_of_no_group_is_a_wrong_argument_with_the_nearest_name() -> None:
    error = refused("shopp", deployment(file=[SHOP, API]))
    assert (error.exit_code, error.message) == (2, "no target and no record is named shopp; did you mean shop?")
    error = refused("xyz", deployment(SHOP, found=[API]))
    assert (error.exit_code, error.message) == (2, "no target and no record is named xyz; known are web/api, web/shop")
    assert refused("xyz", deployment()).message == "no target and no record is named xyz; known are none"


def test_a_name_of_several_groups_is_a_wrong_argument() -> None:
    error = refused("api", deployment(file=[API, OTHER_API]))
    assert (error.exit_code, error.message) == (2, "api is ambiguous: it may be any of sub/batch/api, sub/web/api")


@pytest.mark.parametrize("trouble", [{"error": DOWN}, {"unseen": ["subscription s2: arm: later"]}], ids=["all", "some"])
def test_a_name_may_be_that_of_a_group_that_could_not_be_listed(trouble: dict[str, Any]) -> None:
    of = deployment(file=[SHOP], **trouble)
    error = refused("shopp", of)
    assert error.exit_code == 1
    assert "did you mean shop?" in error.message
    assert find_group(of, "shop") == SHOP


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "shopp"),
        ("status", "shop", "shopp", "--json"),
        ("history", "shopp"),
        ("follow", "shopp"),
        ("hold", "shopp", "--reason", "sale"),
        ("release", "shopp"),
        ("rollback", "shopp"),
        ("dead-letters", "list", "--group", "shopp"),
        ("dead-letters", "redrive", "--all", "--group", "shopp"),
        ("dead-letters", "purge", "--all", "--group", "shopp", "--yes"),
    ],
    ids=" ".join,
)
def test_every_command_ends_with_exit_code_2(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    # Regression: it was 1, as if something had failed.
    of = deployment(file=[SHOP, API])
    monkeypatch.setattr("worker.commands.opening.Opening.__call__", lambda _self: of)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert "no target and no record is named shopp; did you mean shop?" in result.output
    assert "Traceback" not in result.output
