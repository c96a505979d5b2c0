"""Many targets in one run of the real processes: by file and by resource tags, each by its own policy."""

from __future__ import annotations

import pytest

from tests.processes import PATIENCE, wait_until
from tests.site import RESOURCE_GROUP, SUBSCRIPTION, Site, definition, events, outcomes

# group: (policy, how it is given, what it runs, what it should run after the pushes below)
GROUPS = {
    "any-file": ("any", "file", "1.4.2", "nightly"),
    "same-tag-file": ("same-tag", "file", "stable", "stable"),
    "patch-file": ("semver:patch", "file", "1.4.2", "1.4.3"),
    "minor-file": ("semver:minor", "file", "1.4.2", "1.5.0"),
    "major-file": ("semver", "file", "1.4.2", "2.0.0"),
    "range-file": ("semver:>=1.4 <1.5", "file", "1.4.2", "1.4.3"),
    "glob-tags": ("glob:night*", "tags", "1.4.2", "nightly"),
    "regex-tags": ("regex:v?(?P<version>[0-9.]+)", "tags", "1.4.2", "2.0.0"),
    "pre-tags": ("semver:minor+pre", "tags", "1.4.2", "1.6.0-rc.1"),
    "never-down-tags": ("semver", "tags", "3.0.0", "3.0.0"),
    "any-tags": ("any", "tags", "1.4.2", "nightly"),
    "long-file": ("{exclude: [2.0.0, 'glob:*-rc*'], order: semver, within: major}", "file", "1.4.2", "1.5.0"),
    "start-file": ("{order: semver, start: true}", "file", "latest", "2.0.0"),
    "young-file": ("{order: semver, min_age: 2h}", "file", "1.4.2", "1.4.2"),
    "failing-file": ("any", "file", "1.4.2", "1.4.2"),
}
PUSHES = ("1.4.3", "1.5.0", "1.6.0-rc.1", "2.0.0", "nightly")


@pytest.fixture
def many(site: Site) -> Site:
    lines = ["targets:"]
    for name, (policy, how, running, _) in GROUPS.items():
        body = definition({"web": f"acme/shop:{running}", "sidecar": "acme/logs:1"})
        if how == "tags":
            body["tags"] = {"aci-hooks.policy.web": policy}
        else:
            lines += [
                f"  - container_group: {name}",
                f"    resource_group: {RESOURCE_GROUP}",
                f"    containers: {{web: {{policy: {policy if policy.startswith('{') else repr(policy)}}}}}",
            ]
        site.arm.put_group(SUBSCRIPTION, RESOURCE_GROUP, name, body)
    lines += ["discover:", f"  resource_groups: [{RESOURCE_GROUP}]"]
    file = site.processes.folder / "targets.yaml"
    file.write_text("\n".join(lines))
    site.environment["ACI_HOOKS_TARGETS"] = str(file)
    return site


def test_each_of_fifteen_groups_ends_where_its_policy_says_and_a_failing_one_delays_none(many: Site) -> None:
    many.arm.fault("refuse", status=403, code="AuthorizationFailed", method="PUT", group="failing-file", times=999)
    for tag in PUSHES:
        many.push(f"acme/shop:{tag}")
    many.drain(ACI_HOOKS_OUTAGE_PATIENCE="3", ACI_HOOKS_RETRY_MAX="1")
    ran = {name: many.images(name)["web"].removeprefix("acme/shop:") for name in GROUPS}
    assert ran == {name: expected for name, (_, _, _, expected) in GROUPS.items()}
    letters = many.dead_letters()
    assert {letter["target"]["container_group"] for letter in letters} == {"failing-file"}
    assert {letter["code"] for letter in letters} == {"AuthorizationFailed"}


def test_a_target_that_is_tried_again_and_again_delays_none(many: Site) -> None:
    many.arm.fault("refuse", status=503, code="ServiceUnavailable", retry_after=120, method="PUT", group="failing-file")
    for tag in PUSHES:
        many.push(f"acme/shop:{tag}")
    worker = many.worker()

    def rest_is_there() -> bool:
        return all(many.images(name)["web"].endswith(f":{after}") for name, (*_, after) in GROUPS.items())

    wait_until(rest_is_there, PATIENCE, "every other group where its policy says")
    assert worker.terminate() == 0
    failing = [event for event in events(worker) if event.get("target") == "web/failing-file"]
    assert {"applying", "change not made"} <= {event["event"] for event in failing}
    assert [event["outcome"] for event in failing if event["event"] == "ended"] == []
    assert many.waiting("failing-file") == {f"docker.io/acme/shop:{tag}" for tag in PUSHES}


def test_a_running_worker_takes_up_a_changed_file_and_keeps_the_old_one_for_a_broken_one(many: Site) -> None:
    file = many.processes.folder / "targets.yaml"
    text = file.read_text()
    worker = many.worker()
    worker.wait_for_log("worker started")
    file.write_text(text.replace("policy", "polcy"))
    # Nobody has to push for that.
    worker.wait_for_log("the targets file is invalid, keeping the previous version")
    assert "did you mean `policy`?" in worker.output()
    many.push("acme/shop:nightly")
    wait_until(lambda: many.images("any-file")["web"] == "acme/shop:nightly", PATIENCE, "the old version in force")
    file.write_text(text.replace("policy: 'same-tag'", "policy: 'any'"))
    worker.wait_for_log("the targets file has changed")
    many.push("acme/shop:weekly")
    wait_until(lambda: many.images("same-tag-file")["web"] == "acme/shop:weekly", PATIENCE, "the new version in force")
    assert worker.terminate() == 0


def test_groups_without_policy_are_left_alone(many: Site) -> None:
    many.push("acme/logs:2")
    assert set(outcomes(many.drain()).values()) == {"ignored"}
    assert {many.images(name)["sidecar"] for name in GROUPS} == {"acme/logs:1"}
