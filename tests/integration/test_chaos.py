"""A short chaos run, and bursts onto few containers: real processes, the promises checked afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.arm_simulator import ArmSimulator, SimulatorRefusedError
from tests.chaos import bursts
from tests.chaos.plan import HOLD_TAG, draw
from tests.chaos.run import run
from tests.chaos.stage import definition

SEED = 7


def test_a_short_chaos_run_breaks_no_law(tmp_path: Path) -> None:
    done = run(draw(SEED, pushes=80, seconds=20), tmp_path)
    assert done.verdict.violations == [], f"logs in {tmp_path}"
    assert {one.push.number for one in done.evidence.accepted} == set(range(80))
    kinds = {"kill worker", "freeze worker", "restart azurite", "ARM outage", "ARM read outage", "hold", "stop group"}
    assert kinds | {"tag group"} <= set(done.mischief)
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
