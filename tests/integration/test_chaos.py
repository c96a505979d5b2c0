"""A short chaos run, and bursts onto few containers: real processes, the promises checked afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.arm_simulator import ArmSimulator, SimulatorRefusedError
from tests.chaos import bursts
from tests.chaos.census import Sample
from tests.chaos.evidence import Ended, Evidence, LeftAlone, Letter
from tests.chaos.hostile import ATTACKS
from tests.chaos.laws import judge
from tests.chaos.plan import CALM, HOLD_TAG, Plan, Push, Repository, draw
from tests.chaos.run import run
from tests.chaos.senders import Accepted
from tests.chaos.stage import definition
from tests.processes import free_ports

SEED = 7


def test_a_short_chaos_run_breaks_no_law(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    done = run(draw(SEED, pushes=80, seconds=20, registry=f"127.0.0.1:{port}"), tmp_path)
    # How many messages wait beside the pushes depends on how busy the machine is, so only `make chaos` judges that.
    broken = [violation for violation in done.verdict.violations if not violation.startswith("MANY MESSAGES")]
    assert broken == [], f"logs in {tmp_path}"
    assert {item.push.number for item in done.evidence.accepted} == set(range(80))
    kinds = {"kill worker", "freeze worker", "restart azurite", "ARM outage", "ARM read outage", "hold", "stop group"}
    hostile = {*ATTACKS, "tamper with record", "forge record", "forge messages", "recreate group"}
    assert kinds | hostile | {"tag group", "workers away"} <= set(done.mischief)
    assert sum(done.evidence.faults.values()) > 0
    assert len(done.evidence.samples) > 0


def test_what_owners_do_is_no_request_to_arm_and_outages_end_one_by_one() -> None:
    with ArmSimulator() as arm:
        shop = ("subscription", "web", "shop")
        placed = arm.client.put_group(*shop, definition({"web": "acme/shop:v1"}, {"team": "a"}))
        assert arm.client.act("stop", *shop)["state"] == "Stopped"
        assert arm.client.act("start", *shop)["ip"] not in {None, placed["ip"]}
        with pytest.raises(SimulatorRefusedError, match="ContainerGroupTransitioning"):
            arm.client.act("stop", *shop)
        assert arm.client.tag(*shop, {HOLD_TAG: "asleep"})["definition"]["tags"] == {HOLD_TAG: "asleep"}
        arm.client.fault("error", status=503, name="outage")
        arm.client.fault("throttle", method="PUT")
        arm.client.clear_faults("outage")
        path = f"{arm.url}/subscriptions/subscription/providers/Microsoft.ContainerInstance/containerGroups"
        asked: dict[str, Any] = {"params": {"api-version": "2025-09-01"}, "headers": {"Authorization": "Bearer x"}}
        asked |= {"trust_env": False}
        assert (httpx.get(path, **asked).status_code, httpx.put(path, **asked).status_code) == (200, 429)
        stats = arm.client.stats()
        assert (stats["reads"], stats["lists"], stats["effective_puts"], stats["faults"]) == (0, 2, 0, 1)


def test_the_same_seed_draws_the_same_plan() -> None:
    assert draw(SEED, 300, 60) == draw(SEED, 300, 60)
    assert draw(SEED, 300, 60) != draw(SEED + 1, 300, 60)


_NOTHING = Evidence(
    accepted=[],
    ended=[],
    letters=[],
    left=0,
    records={},
    groups={},
    addresses={},
    exit_codes={},
    stats={"reads": 0, "writes": 0, "lists": 0, "effective_puts": 0, "restarts": 0, "faults": 0, "by_group": {}},
    puts={},
)
_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_BREACHES: dict[str, dict[str, Any]] = {
    "MANY LETTERS": {"letters": [Letter("1", "g00", "acme/shop:v1", "CrashLoop", "")] * 4},
    "MANY TIMERS": {"samples": [Sample(count=3, pushes=0, live=Counter(g00=3))]},
    "MANY MESSAGES": {"samples": [Sample(count=4, pushes=1)]},
    "NOT LEFT ALONE": {
        "left_alone": [LeftAlone("g00", "stopped", _NOON, _NOON + timedelta(minutes=2))],
        "puts": {"g00": [_NOON + timedelta(minutes=1)]},
    },
    "LEFT OVER": {"left": 1},
    "LEFT OPEN": {"records": {"g00": {"timer": {"token": "t", "due": "2026-01-01T12:00:00Z"}}}},
}


@pytest.mark.parametrize("law", _BREACHES)
def test_a_breach_of_a_law_is_seen(law: str) -> None:
    plan = Plan(seed=0, seconds=1, workers=1, ingresses=1, groups={"g00": {}}, pushes=(), acts=())
    containers: Any = {"properties": {"containers": []}}
    group: Any = {"state": "Running", "provisioning_state": "Succeeded", "definition": containers}
    well = replace(_NOTHING, groups={"g00": group})
    assert judge(plan, well).violations == []
    violations = judge(plan, replace(well, **_BREACHES[law])).violations
    broken = [violation for violation in violations if violation.startswith(law)]
    assert len(broken) == 1


@pytest.mark.parametrize(
    ("ends", "lost"),
    [
        ({None: "ignored"}, False),
        ({"g00": "ignored", "g01": "ignored"}, False),
        ({"g00": "ignored"}, True),
        ({"g00": "ignored", "g01": "superseded"}, True),
        ({}, True),
    ],
)
def test_a_push_that_nobody_runs_ends_for_all_or_is_ignored_by_every_group(
    ends: dict[str | None, str], *, lost: bool
) -> None:
    # The record of CALM is deleted by hand, and what waits there with it.
    groups: dict[str, dict[str, Repository]] = {"g00": {}, "g01": {}, CALM: {}}
    plan = Plan(seed=0, seconds=1, workers=1, ingresses=1, groups=groups, pushes=(), acts=())
    containers: Any = {"properties": {"containers": []}}
    group: Any = {"state": "Running", "provisioning_state": "Succeeded", "definition": containers}
    push = Push(0, Repository(99, "any"), "v1", rank=0, behaviour="good", pushed_at=0, deliveries=(0,))
    told = [Ended(_NOON, "id", where, outcome, "", "worker") for where, outcome in ends.items()]
    seen = replace(_NOTHING, groups=dict.fromkeys(groups, group), accepted=[Accepted("id", push)], ended=told)
    assert any(violation.startswith("LOST") for violation in judge(plan, seen).violations) is lost


@pytest.mark.parametrize("backlog", [False, True], ids=["while the workers run", "before they start"])
def test_200_shuffled_pushes_to_one_container_cost_three_puts_at_most(tmp_path: Path, backlog: bool) -> None:
    seen = bursts.one_container(tmp_path, backlog=backlog)
    assert seen.images == {"shop": {"web": "registry.test/acme/shop:v200"}}
    assert (seen.left, seen.poison) == (0, 0)
    assert 1 <= seen.puts <= bursts.MOST_PUTS


def test_two_containers_of_a_group_pushed_at_once(tmp_path: Path) -> None:
    for number, seen in enumerate(bursts.two_containers(tmp_path, rounds=8), start=1):
        assert seen.images == {"shop": bursts.both_at(number)}
        assert (seen.left, seen.poison) == (0, 0)


def test_100_pushes_to_ten_groups_through_faults(tmp_path: Path) -> None:
    seen = bursts.ten_groups(tmp_path)
    assert seen.images == {f"g{n}": {"web": f"registry.test/acme/g{n}:v10"} for n in range(10)}
    assert (seen.left, seen.poison) == (0, 0)
