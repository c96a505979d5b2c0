"""Many targets in one run of the real processes: by file and by resource tags, each by its own policy."""

from __future__ import annotations

import pytest

from tests.site import RESOURCE_GROUP, SUBSCRIPTION, Site, definition, outcomes

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
                f"    containers: {{web: {{policy: '{policy}'}}}}",
            ]
        site.arm.put_group(SUBSCRIPTION, RESOURCE_GROUP, name, body)
    lines += ["discover:", f"  resource_groups: [{RESOURCE_GROUP}]"]
    file = site.processes.folder / "targets.yaml"
    file.write_text("\n".join(lines))
    site.environment["ACI_HOOKS_TARGETS"] = str(file)
    return site


def test_each_of_twelve_groups_ends_where_its_policy_says_and_a_failing_one_delays_none(many: Site) -> None:
    many.arm.fault("refuse", status=403, code="AuthorizationFailed", method="PUT", group="failing-file", times=999)
    for tag in PUSHES:
        many.push(f"acme/shop:{tag}")
    many.drain(within=120)
    ran = {name: many.images(name)["web"].removeprefix("acme/shop:") for name in GROUPS}
    assert ran == {name: expected for name, (_, _, _, expected) in GROUPS.items()}
    letters = many.dead_letters()
    assert {letter["target"]["container_group"] for letter in letters} == {"failing-file"}
    assert {letter["code"] for letter in letters} == {"AuthorizationFailed"}


def test_groups_without_policy_are_left_alone(many: Site) -> None:
    many.push("acme/logs:2")
    assert set(outcomes(many.drain()).values()) == {"ignored"}
    assert {many.images(name)["sidecar"] for name in GROUPS} == {"acme/logs:1"}
