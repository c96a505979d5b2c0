"""Which group is meant by GROUP, and that a name of no group is a wrong argument for every command that takes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import click
import pytest
from click.testing import CliRunner

from aci_hooks.__main__ import main
from shared.environment import SettingsError
from shared.errors import RemoteError
from shared.message import TargetId
from tests.fakes import Clock, MemoryQueue, MemoryRecords
from tests.unit.builders import SHOP, at, group, record
from worker.commands.naming import complete_group, find_group, held_back, is_group, known_targets
from worker.record.record import Record
from worker.record.values import Hold
from worker.targets.file import TargetsError
from worker.targets.target import Target, single_target
from worker.wiring.deployment import Deployment

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


def test_what_azure_says_of_a_place_controls_no_terminal() -> None:
    error = refused("shopp", deployment(file=[SHOP], unseen=["s2 can't be listed: arm: \x1b]0;x\x07\u202e"]))
    assert error.message.endswith(r"s2 can't be listed: arm: \x1b]0;x\x07\u202e")


def test_the_known_targets_are_those_of_the_file_where_none_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert known_targets(deployment(file=[SHOP], found=[API])) == [API, SHOP]
    assert capsys.readouterr().err == ""
    assert known_targets(deployment(file=[SHOP], found=[API], error=DOWN)) == [SHOP]
    assert "not all targets could be listed" in capsys.readouterr().err


PUSH = "0a1b2c3d4e5f"
CALLED_LIKE_A_PUSH = TargetId(subscription="sub", resource_group="web", container_group="deadbeef")


@pytest.mark.parametrize(
    ("text", "of", "is_one"),
    [
        ("web/anything", deployment(), True),
        ("no-push", deployment(), True),
        (PUSH, deployment(SHOP, file=[API]), False),
        (f"{PUSH}.2", deployment(), False),
        (PUSH, deployment(error=DOWN), False),
        ("DEADBEEF", deployment(CALLED_LIKE_A_PUSH), True),
        ("deadbeef", deployment(file=[CALLED_LIKE_A_PUSH]), True),
        ("deadbeef", deployment(found=[CALLED_LIKE_A_PUSH]), True),
    ],
)
def test_what_names_a_group_and_what_is_the_id_of_a_push(text: str, of: Deployment, is_one: bool) -> None:
    assert is_group(of, text) is is_one


def completed(incomplete: str, opened: Callable[[], Deployment]) -> list[str]:
    context = click.Context(main, obj=SimpleNamespace(deployment=opened))
    return complete_group(context, click.Argument(["group"]), incomplete)


def test_a_group_is_completed_by_its_short_name_where_that_is_of_one_group_alone() -> None:
    of = deployment(SHOP, API, file=[OTHER_API])
    assert completed("", lambda: of) == ["batch/api", "shop", "web/api", "web/shop"]
    assert completed("SH", lambda: of) == ["shop"]
    assert completed("api", lambda: of) == []


@pytest.mark.parametrize("error", [SettingsError(["what is wrong"]), TargetsError("targets.yaml", []), DOWN])
def test_nothing_is_completed_where_no_group_can_be_known(error: Exception) -> None:
    def opened() -> Deployment:
        raise error

    assert completed("s", opened) == []


HELD = Hold(reason="sale", since=at(0))


@pytest.mark.parametrize(
    ("hold", "tags", "stopped", "reasons"),
    [
        (None, {}, False, []),
        (HELD, {}, False, ["held by hand: sale"]),
        (None, {"aci-hooks.hold": "audit"}, False, ["held by a resource tag: audit"]),
        (None, {}, True, ["stopped by its owner"]),
        (
            HELD,
            {"aci-hooks.hold": "audit"},
            True,
            ["held by hand: sale", "held by a resource tag: audit", "stopped by its owner"],
        ),
    ],
)
def test_everything_that_keeps_updates_back_is_told(
    hold: Hold | None, tags: dict[str, str], stopped: bool, reasons: list[str]
) -> None:
    shown = group(tags=tags, shown="Stopped" if stopped else "Running")
    assert held_back(record(hold=hold), shown) == reasons


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
