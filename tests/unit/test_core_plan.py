"""What a push would do to a target: the word, the reasons, and the difference, with nothing secret in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.message import UpdateMessage
from tests.unit.builders import (
    RULES,
    SHOP,
    TWO,
    at,
    candidate,
    change,
    container,
    crash_loop,
    digest,
    failure,
    good,
    group,
    message,
    pin,
    pulled,
    record,
    target,
)
from tests.unit.policy_table import policy_of
from worker.core.look import Absence, Digest
from worker.core.plan import MASK, Plan, PlannedImage, difference, plan
from worker.groups.group import ContainerGroup
from worker.policies.parse import parse_policy
from worker.record.container import ContainerRecord, Good
from worker.record.overrides import hold
from worker.record.record import MOST_WAITING, Record
from worker.targets.target import ContainerRule, Target

THREE = message("3", pushed=60)
FIRST, SECOND = digest("first"), digest("second")


def planned(
    of: UpdateMessage = TWO,
    now: Record | ContainerRecord | None = None,
    shown: ContainerGroup | None = None,
    *,
    policy: str = "any",
    told: Digest = None,
) -> Plan:
    """What a push would do if this is the registry's answer."""
    known = record({"web": now}) if isinstance(now, ContainerRecord) else now or record()
    return plan(target(policy), shown or group(), known, of, told, RULES, at(120))


class TestUpdate:
    def test_it_shows_what_would_change_and_why(self) -> None:
        seen = planned()
        assert seen.target == target()
        assert (seen.action, seen.reasons) == ("update", ("web: 2 was pushed, and any follows every tag",))
        assert seen.changes == (PlannedImage("web", "acme/shop:1", "acme/shop:2"),)
        assert seen.restarts == ("web",)
        assert seen.diff[:3] == ("--- running", "+++ planned", "@@ container web @@")
        changed = [" ".join(line.split()) for line in seen.diff[3:] if line[0] in "+-"]
        assert changed == ['- "image": "acme/shop:1"', '+ "image": "acme/shop:2"']

    def test_the_registrys_answer_decides_on_the_image(self) -> None:
        seen = planned(message("1"), told=SECOND)
        assert (seen.action, seen.reasons) == ("update", ("web: the tag 1 moved",))
        assert seen.changes == (PlannedImage("web", "acme/shop:1", f"acme/shop@{SECOND}"),)

    def test_every_container_of_the_group_would_be_restarted(self) -> None:
        seen = planned(shown=group({"web": "acme/shop:1", "proxy": "nginx:1"}))
        assert seen.restarts == ("web", "proxy")
        assert [item.container for item in seen.changes] == ["web"]

    def test_only_what_gets_another_image_counts_as_changed(self) -> None:
        jobs = container(repository="docker.io/acme/jobs", goods=(Good(image="acme/jobs:1", tag="1"),))
        shown = group({"web": "acme/shop:1", "jobs": "acme/jobs:1"})
        now = record({"web": container(), "jobs": jobs})
        seen = plan(target("any", "web", "jobs"), shown, now, TWO, None, RULES, at(120))
        assert seen.changes == (PlannedImage("web", "acme/shop:1", "acme/shop:2"),)

    def test_there_is_a_reason_for_each_container_of_the_repository(self) -> None:
        rules = {"web": ContainerRule(parse_policy("any")), "blue": ContainerRule(parse_policy("same-tag"))}
        shown = group({"web": "acme/shop:1", "blue": "acme/shop:1", "proxy": "nginx:1"})
        seen = plan(Target(SHOP, rules), shown, record(), TWO, None, RULES, at(120))
        assert seen.reasons == (
            "web: 2 was pushed, and any follows every tag",
            "blue: 2 is not 1, the running tag, and same-tag follows only that",
        )

    def test_a_push_that_waits_already_is_part_of_the_plan(self) -> None:
        images = {"web": "acme/shop:1", "jobs": "acme/jobs:1"}
        jobs = container(
            candidate(message("9", repository="acme/jobs"), None, digest=FIRST),
            repository="docker.io/acme/jobs",
            goods=(Good(image="acme/jobs:1", tag="1"),),
        )
        both = target("any", "web", "jobs")
        seen = plan(both, group(images), record({"web": container(), "jobs": jobs}), TWO, SECOND, RULES, at(120))
        assert [item.after for item in seen.changes] == ["acme/shop:2", "acme/jobs:9"]

    def test_a_push_that_waits_already_is_planned_with_its_senders_digest(self) -> None:
        # Only the planned push is looked up in its registry.
        waits = candidate(message("1", name="w", repository="acme/jobs", digest=FIRST), None)
        jobs = container(waits, repository="docker.io/acme/jobs", goods=(Good(image="acme/jobs:1", tag="1"),))
        shown = group({"web": "acme/shop:1", "jobs": "acme/jobs:1"})
        now = record({"web": container(), "jobs": jobs})
        seen = plan(target("any", "web", "jobs"), shown, now, TWO, SECOND, RULES, at(120))
        assert [item.after for item in seen.changes] == ["acme/shop:2", f"acme/jobs@{FIRST}"]

    def test_nothing_is_written(self) -> None:
        now = record({"web": container()})
        planned(now=now)
        assert now == record({"web": container()})

    def test_configured_secrets_do_not_block_it(self) -> None:
        shown = group(imageRegistryCredentials=[{"server": "docker.io", "username": "acme"}])
        known = Target(SHOP, target().containers, secrets={"registry/docker.io": "env:PASSWORD"})
        rules = replace(RULES, secrets=frozenset(known.secrets))
        seen = plan(known, shown, record(), TWO, None, rules, at(120))
        assert (seen.action, len(seen.changes)) == ("update", 1)


class TestRestart:
    def test_a_moved_tag_without_a_digest_is_a_restart_without_a_difference(self) -> None:
        seen = planned(message("1"))
        unknown = "its digest is not known, so the tag may point at another image by now"
        assert (seen.action, seen.reasons, seen.diff) == ("restart", ("web: the tag 1 moved", unknown), ())
        assert (seen.changes, seen.restarts) == ((), ("web",))


class TestNothingToDo:
    def test_a_repository_that_no_container_runs_is_ignored(self) -> None:
        seen = planned(message("2", repository="acme/other"))
        assert seen == Plan(target(), "ignore", ("no container that is kept up to date runs docker.io/acme/other",))

    def test_an_image_that_runs_already_changes_nothing(self) -> None:
        shown = group({"web": f"acme/shop:1@{FIRST}"})
        seen = planned(
            message("1"), container(goods=(good("1", f"acme/shop:1@{FIRST}", digest=FIRST),)), shown, told=FIRST
        )
        reasons = ("web: the tag 1 moved", "web runs docker.io/acme/shop:1 already")
        assert seen == Plan(target(), "nothing", reasons)

    def test_an_image_that_somebody_else_deployed_and_that_runs_well_changes_nothing(self) -> None:
        now = container(past=("acme/shop:2",))
        seen = planned(TWO, now, group({"web": "acme/shop:2"}), told=SECOND)
        assert seen == Plan(
            target(), "nothing", ("web: 2 was pushed, and any follows every tag", "web runs acme/shop:2")
        )

    @pytest.mark.parametrize(
        ("of", "now", "running", "policy", "reason"),
        [
            (
                TWO,
                record(),
                "acme/shop:1",
                "semver:patch",
                "2 is a major update of 1, and semver:patch stays within 1",
            ),
            (
                message("2-alpine"),
                record(),
                "acme/shop:1",
                "semver",
                "2-alpine is the variant alpine, and 1 is the plain image: semver keeps the variant",
            ),
            (TWO, container(goods=(good("3", pushed=60),)), "acme/shop:3", "any", "acme/shop:3 is newer"),
            (
                TWO,
                container(failures=(failure(TWO),)),
                "acme/shop:1",
                "any",
                "this push failed before, at 2026-01-01 12:01:00 UTC (CrashLoop)",
            ),
        ],
        ids=["ignored", "a reason with a colon", "superseded", "failed before"],
    )
    def test_a_push_that_the_policy_refuses_is_skipped_with_one_reason(
        self, of: UpdateMessage, now: Record | ContainerRecord, running: str, policy: str, reason: str
    ) -> None:
        seen = planned(of, now, group({"web": running}), policy=policy)
        assert seen == Plan(target(policy), "skip", (f"web: {reason}",))

    def test_an_outdated_push_is_skipped_together_with_another_one(self) -> None:
        now = record({"web": container(goods=(good("4", pushed=90),))}, inbox=(message("3", pushed=5),))
        seen = planned(TWO, now, group({"web": "acme/shop:4"}))
        assert seen == Plan(target(), "skip", ("web: acme/shop:4 is newer",))

    def test_a_push_that_failed_before_by_its_registrys_digest_is_skipped(self) -> None:
        now = container(failures=(failure(message("2", digest=SECOND, pushed_at=None)),))
        seen = planned(TWO, now, told=SECOND)
        assert seen.action == "skip"
        assert seen.reasons[1] == "this push failed before, at 2026-01-01 12:01:00 UTC (CrashLoop)"

    def test_an_image_that_the_registry_does_not_have_fails(self) -> None:
        seen = planned(told=Absence("ManifestUnknown", "no such image"))
        assert seen == Plan(target(), "fail", ("web: 2 was pushed, and any follows every tag", "no such image"))

    def test_a_missing_secret_fails_it(self) -> None:
        seen = planned(shown=group(imageRegistryCredentials=[{"server": "docker.io", "username": "acme"}]))
        assert (seen.action, seen.diff, seen.changes, seen.restarts) == ("fail", (), (), ())
        assert seen.reasons[1].startswith("Azure does not return these secrets")
        assert seen.reasons[1].endswith(": registry/docker.io")


class TestWait:
    def test_a_group_in_transition_makes_it_wait(self) -> None:
        seen = planned(now=container(), shown=group(state="Updating"))
        assert (seen.action, seen.reasons[1:]) == ("wait", ("the group is in transition",))
        assert (seen.changes, seen.restarts, seen.diff) == ((), (), ())

    def test_a_group_that_is_held_by_hand_makes_it_wait(self) -> None:
        seen = planned(now=hold(record(), "sale", at(0)))
        assert (seen.action, seen.reasons[1:]) == ("held", ("held by hand: sale",))

    def test_a_rollback_by_hand_whose_image_nobody_can_bring_back_makes_it_wait(self) -> None:
        seen = planned(now=container(pin=pin(good("0", moved=True))))
        assert (seen.action, seen.reasons) == ("held", ("web: 2 was pushed, and any follows every tag",))

    def test_pushes_that_end_because_their_container_is_gone_do_not_disturb_it(self) -> None:
        seen = planned(now=record({"gone": container(candidate(THREE)), "web": container()}))
        assert seen.changes == (PlannedImage("web", "acme/shop:1", "acme/shop:2"),)

    @pytest.mark.parametrize(
        ("shown", "why"),
        [
            (group(shown="Stopped"), "stopped by its owner: an update would start it"),
            (group(tags={"aci-hooks.hold": "audit"}), "held by a resource tag: audit"),
        ],
    )
    def test_a_group_that_waits_for_its_owner_makes_it_wait(self, shown: ContainerGroup, why: str) -> None:
        seen = planned(shown=shown)
        assert (seen.action, seen.reasons[1:]) == ("held", (why,))

    def test_a_push_that_is_too_young(self) -> None:
        rule = Target(SHOP, everything=policy_of("{order: semver, min_age: 2h}"))
        why = "pushes wait until they are as old as the policy wants them (min_age)"
        seen = plan(rule, group(), record(), TWO, None, RULES, at(120))
        reasons = ("web: 2 is a major update of 1", "pushed 2m ago, and min_age is 2h", why)
        assert (seen.action, seen.reasons, seen.changes) == ("held", reasons, ())
        skipped = plan(rule, group(), record(), message("latest"), None, RULES, at(120))
        assert (skipped.action, len(skipped.reasons)) == ("skip", 1)

    def test_a_better_candidate_makes_it_wait(self) -> None:
        # The better candidate is being watched. This one gets its turn if that fails.
        now = record(
            {"web": container(candidate(THREE, digest=SECOND))},
            change=change({"web": "acme/shop:3"}, asked={"web": "3"}),
        )
        shown = group({"web": "acme/shop:3"}, {"web": pulled(SECOND, 100)})
        seen = planned(now=now, shown=shown)
        assert (seen.action, seen.reasons[1:]) == ("wait", ("healthy, waiting for the end of the soak",))

    def test_a_push_that_one_container_alone_wants_may_be_too_young(self) -> None:
        rules = Target(SHOP, everything=policy_of("{order: semver, min_age: 2m}"))
        shown = group({"web": "acme/shop:1", "blue": "acme/shop:9"})
        seen = plan(rules, shown, record(), message("2", pushed=119), None, RULES, at(120))
        assert seen.action == "held"
        assert "pushed 1s ago, and min_age is 2m" in seen.reasons

    def test_a_full_record_leaves_it_on_the_queue(self) -> None:
        many = tuple(message("0", name=f"m{number}", pushed=-99) for number in range(MOST_WAITING))
        held = hold(record({"web": container()}, inbox=many), "sale", at(0))
        assert planned(now=held).action == "held"

    def test_a_registry_without_answers_is_not_asked_for_ever(self) -> None:
        failed = failure(message("0", digest=SECOND, pushed_at=None))
        many = (candidate(message("0", name=f"m{number}", digest=SECOND), None) for number in range(60))
        seen = planned(TWO, container(*many, failures=(failed,)), told=SECOND)
        assert (seen.action, seen.reasons[1:]) == ("wait", ("pushes wait for their registry lookup",))

    def test_a_push_after_one_that_is_broken_takes_its_place(self) -> None:
        under_way = record({"web": container(candidate(TWO))}, change=change())
        seen = planned(THREE, under_way, group({"web": "acme/shop:2"}, {"web": crash_loop(60)}))
        assert (seen.action, seen.changes) == ("update", (PlannedImage("web", "acme/shop:2", "acme/shop:3"),))


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
            {"value": {"deep": "hidden"}},
            {"deep": {"password": "hidden"}},
        ],
        ids=str,
    )
    def test_no_value_that_may_be_secret_is_shown(self, neighbour: dict[str, Any]) -> None:
        # The mask works anywhere, and beside the image the value is within the lines of the difference.
        web = {"name": "web", "properties": {**neighbour, "image": "acme/shop:1"}}
        text = "\n".join(difference(group(containers=[web]), {"web": "acme/shop:2"}))
        assert MASK == "***"
        assert f'"{MASK}"' in text
        assert "hidden" not in text

    @pytest.mark.parametrize(
        "shown",
        [{"secureValueReference": "seen"}, {"secret": "seen"}, {"ports": ["seen"]}, {"ports": {"port": "seen"}}],
    )
    def test_other_values_are_shown(self, shown: dict[str, Any]) -> None:
        web = {"name": "web", "properties": {**shown, "image": "acme/shop:1"}}
        text = "\n".join(difference(group(containers=[web]), {"web": "acme/shop:2"}))
        assert '"seen"' in text
        assert MASK not in text

    def test_a_configured_secret_is_not_a_difference(self) -> None:
        variables = [{"name": "PASSWORD", "secureValue": None}]
        web = {"name": "web", "properties": {"environmentVariables": variables, "image": "acme/shop:1"}}
        shown, path = group(containers=[web]), "env/web/PASSWORD"
        assert shown.withheld() == [path]
        assert difference(shown, {}, (path,)) == ()

    def test_protected_settings_that_are_configured_are_no_difference(self) -> None:
        extension = {"name": "kube-proxy", "properties": {"extensionType": "kube-proxy"}}
        shown = group(extensions=[extension])
        assert difference(shown, {}, ("extension/kube-proxy/protectedSettings",)) == ()
        assert "kubeConfig" not in "".join(difference(shown, {"web": "acme/shop:2"}, tuple(shown.withheld())))

    def test_a_configured_text_and_a_configured_object_are_no_difference_beside_another_one(self) -> None:
        variables = [{"name": "PASSWORD", "secureValue": None}]
        web = {"name": "web", "properties": {"environmentVariables": variables, "image": "acme/shop:1"}}
        shown = group(containers=[web], extensions=[{"name": "kube", "properties": {"extensionType": "kube-proxy"}}])
        assert difference(shown, {}, ("env/web/PASSWORD", "extension/kube/protectedSettings")) == ()

    def test_without_changes_there_is_no_difference(self) -> None:
        assert difference(group(), {"web": "acme/shop:1"}) == ()
        assert difference(group(), {}) == ()

    def test_each_change_is_under_its_containers_name_without_line_numbers(self) -> None:
        shown = group({"web": "acme/shop:1", "proxy": "nginx:1", "worker": "acme/shop:1"})
        seen = difference(shown, {"web": "acme/shop:2", "worker": "acme/shop:3"})
        assert seen == (
            "--- running",
            "+++ planned",
            "@@ container web @@",
            '   "name": "web",',
            '   "properties": {',
            '-    "image": "acme/shop:1"',
            '+    "image": "acme/shop:2"',
            "   }",
            " }",
            "@@ container worker @@",
            '   "name": "worker",',
            '   "properties": {',
            '-    "image": "acme/shop:1"',
            '+    "image": "acme/shop:3"',
            "   }",
            " }",
        )

    def test_values_in_any_script_are_shown_unescaped(self) -> None:
        web = {"name": "web", "properties": {"note": "größer", "image": "acme/shop:1"}}
        assert "größer" in "".join(difference(group(containers=[web]), {"web": "acme/shop:2"}))
