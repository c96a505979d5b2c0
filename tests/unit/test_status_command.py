"""How `status` prints groups: a table where there is room, and blocks where a table would break up the names."""

from __future__ import annotations

import pytest

from tests.unit.builders import SHOP, at, candidate, container, group, message, record, timer
from worker.commands.output import ROOMY, console
from worker.commands.status_view import groups_shown
from worker.core.status import Status, status_of
from worker.record.values import Hold

IMAGE = "registry.internal.example/acme/shop:1"


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, *found: Status) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    console().print(groups_shown(found))
    return capsys.readouterr().out


def blocked() -> Status:
    waiting = {"web": container(candidate(message("2")))}
    hold = Hold(reason="sale", since=at(0))
    now = record(waiting, hold=hold, timer=timer(trouble="the registry is down"))
    failed = now.end(message("1"), "failed", "it crashed", ("web",), at(0))
    return status_of(SHOP, failed, group({"web": IMAGE}))


def test_in_a_narrow_place_a_group_is_a_line_with_what_else_there_is_beneath(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line.rstrip() for line in printed(monkeypatch, capsys, ROOMY - 1, blocked()).splitlines()]
    assert lines[0] == f"web/shop  TROUBLE  web {IMAGE} healthy  20.50.0.2"
    assert lines[1] == "  held by hand: sale; waiting: docker.io/acme/shop:2"
    assert lines[2].startswith("  last: failed shop:1, ")
    assert lines[3:5] == ["", "web/shop: blocked for now, and retried: the registry is down"]
    assert lines[5] == "web/shop: docker.io/acme/shop:1 failed: it crashed"


def test_where_there_is_room_it_is_a_table_and_beneath_it_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(monkeypatch, capsys, 200, blocked(), status_of(SHOP, record(), group({"web": IMAGE}))).splitlines()
    assert lines[0].split() == ["group", "runs", "address", "rollout", "held", "or", "waiting", "last"]
    assert lines[1].startswith("web/shop  TROUBLE  web registry")
    assert "web/shop: docker.io/acme/shop:1 failed: it crashed" in lines


def test_where_all_is_well_nothing_is_beneath(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(monkeypatch, capsys, 80, status_of(SHOP, record(), group({"web": "acme/shop:1"})))
    assert shown.splitlines() == ["web/shop  ok  web acme/shop:1 healthy  20.50.0.2"]
