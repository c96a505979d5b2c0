"""What a push would do to a target: the word, the reasons, and the difference, with nothing secret in it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import (
    RULES,
    SHOP,
    at,
    container,
    crash_loop,
    digest,
    failure,
    good,
    group,
    message,
    record,
    rollout,
    wanted,
)
from worker.groups.group import ContainerGroup
from worker.manual import hold
from worker.planning import MASK, Change, Plan, difference, plan
from worker.policies.parse import parse_policy
from worker.record import Record
from worker.record_parts import ContainerRecord
from worker.targets.target import ContainerRule, Target

TWO = message("2")
THREE = message("3", pushed=60)


def planned(
    of: UpdateMessage = TWO,
    now: Record | None = None,
    shown: ContainerGroup | None = None,
    *,
    policy: str = "any",
    digest_: str | None = None,
) -> Plan:
    target = Target(SHOP, {"web": ContainerRule(parse_policy(policy))})
    return plan(target, shown or group(), now or record(), of, digest_, RULES, at(120))


def ended(of: UpdateMessage = TWO, status: str = "done", **rest: Any) -> ContainerRecord:
    return container(wanted(of, status=status, began=0), goods=(good(of.push.tag, pushed=0),), **rest)


class TestAction:
    def test_an_update_shows_what_changes_and_why(self) -> None:
        seen = planned()
        assert (seen.action, seen.reasons) == ("update", ("web: 2 was pushed, and any follows every tag",))
        assert seen.diff[:3] == ("--- running", "+++ planned", "@@ container web @@")
        changed = [" ".join(line.split()) for line in seen.diff[3:] if line[0] in "+-"]
        assert changed == ['- "image": "acme/shop:1"', '+ "image": "acme/shop:2"']
        assert seen.changes == (Change("web", "acme/shop:1", "acme/shop:2"),)

    def test_every_container_of_the_group_starts_anew(self) -> None:
        seen = planned(shown=group({"web": "acme/shop:1", "proxy": "nginx:1"}))
        assert (seen.restarts, len(seen.changes)) == (("web", "proxy"), 1)

    def test_a_tag_that_moved_to_nobody_knows_what_is_a_restart_without_a_difference(self) -> None:
        seen = planned(message("1"))
        unknown = "its digest is not known, so that the tag may stand for another image by now"
        assert (seen.action, seen.reasons, seen.diff) == ("restart", ("web: the tag 1 moved", unknown), ())
        assert (seen.changes, seen.restarts) == ((), ("web",))

    def test_no_container_runs_it(self) -> None:
        seen = planned(message("2", repository="acme/other"))
        assert seen.action == "ignore"
        assert seen.reasons == ("no container that is kept up to date runs docker.io/acme/other",)

    def test_what_runs_already_is_nothing_to_do(self) -> None:
        one = digest("one")
        seen = planned(message("1"), shown=group({"web": f"acme/shop:1@{one}"}), digest_=one)
        assert (seen.action, seen.reasons) == ("nothing", ("web: web runs docker.io/acme/shop:1 already",))

    @pytest.mark.parametrize(
        ("of", "now", "policy", "reason"),
        [
            (TWO, record(), "semver:patch", "2 is a major update"),
            (TWO, record({"web": ended(THREE)}), "any", "docker.io/acme/shop:3 is newer"),
            (TWO, record({"web": ended(THREE, failures=(failure(TWO),))}), "any", "failed before"),
        ],
        ids=["ignored", "superseded", "failed"],
    )
    def test_what_is_not_let_in_is_skipped(self, of: UpdateMessage, now: Record, policy: str, reason: str) -> None:
        seen = planned(of, now, policy=policy)
        assert (seen.action, seen.diff) == ("skip", ())
        assert reason in seen.reasons[0]

    def test_a_group_in_transition_is_waited_for(self) -> None:
        seen = planned(shown=group(state="Updating"))
        assert (seen.action, seen.reasons[1:]) == ("wait", ("the group is in transition",))

    def test_a_held_group(self) -> None:
        seen = planned(now=hold(record(), "sale", at(0)))
        assert (seen.action, seen.reasons[1:]) == ("held", ("by hand: sale",))

    def test_a_secret_that_nobody_configured(self) -> None:
        seen = planned(shown=group(imageRegistryCredentials=[{"server": "docker.io", "username": "acme"}]))
        assert seen.action == "fail"
        assert seen.reasons[1].startswith("MissingSecrets: ")
        assert "registry/docker.io" in seen.reasons[1]

    def test_a_push_whose_rollout_just_broke_would_be_rolled_back(self) -> None:
        under_way = record(
            {"web": container(wanted(TWO, began=0))}, rollout=rollout("2", {"web": "acme/shop:2"}, since=0)
        )
        seen = planned(now=under_way, shown=group({"web": "acme/shop:2"}, {"web": crash_loop(60)}))
        assert (seen.action, seen.diff) == ("roll back", ())


class TestDifference:
    @pytest.mark.parametrize(
        "neighbour",
        [
            {"value": "hidden"},
            {"secureValue": "hidden"},
            {"password": "hidden"},
            {"storageAccountKey": "hidden"},
            {"workspaceKey": "hidden"},
            {"secret": {"tls.pem": "hidden"}},
            {"password": ["hidden"]},
            {"command": ["serve", "--token=hidden"]},
            {"keyValuePairs": {"token": "hidden"}},
        ],
        ids=str,
    )
    def test_no_value_that_may_be_secret_is_shown(self, neighbour: dict[str, Any]) -> None:
        # Its place does not matter to the mask, and beside the image it is within the difference.
        web = {"name": "web", "properties": {**neighbour, "image": "acme/shop:1"}}
        text = "\n".join(difference(group(containers=[web]), {"web": "acme/shop:2"}))
        assert MASK in text
        assert "hidden" not in text

    def test_a_reference_to_a_secret_is_shown(self) -> None:
        web = {"name": "web", "properties": {"secureValueReference": "vault", "image": "acme/shop:1"}}
        assert "vault" in "".join(difference(group(containers=[web]), {"web": "acme/shop:2"}))

    def test_nothing_changes(self) -> None:
        assert difference(group(), {"web": "acme/shop:1"}) == ()

    def test_each_change_stands_under_its_container(self) -> None:
        shown = group({"web": "acme/shop:1", "proxy": "nginx:1", "worker": "acme/shop:1"})
        seen = difference(shown, {"web": "acme/shop:2", "worker": "acme/shop:2"})
        headed = [line for line in seen if line.startswith("@@")]
        assert headed == ["@@ container web @@", "@@ container worker @@"]
        assert not any("nginx" in line for line in seen)
