"""What an operator does and sees: hold, release, rollback, history, plan, check, push, sweep."""

from __future__ import annotations

from pathlib import Path

from tests.processes import wait_until
from tests.site import IP, Site, definition, outcomes

READS = {"GET", "HEAD"}


def test_a_push_to_a_held_group_waits_and_release_applies_the_newest(site: Site) -> None:
    site.command("history")
    site.push("acme/shop:v2")
    site.drain()
    site.command("hold", "shop", "--reason", "black friday")
    for tag in ("v3", "v4"):
        message = site.push(f"acme/shop:{tag}")
        assert outcomes(site.drain())[message.id] == "held"
    assert (site.images()["web"], site.effective_puts()) == ("acme/shop:v2", 1)
    assert "black friday" in site.command("history", "shop")
    site.command("release", "shop")
    site.drain()
    assert (site.images()["web"], site.effective_puts()) == ("acme/shop:v4", 2)


def test_a_manual_rollback_holds_so_that_the_next_push_does_not_undo_it(site: Site) -> None:
    for tag in ("v2", "v3"):
        site.push(f"acme/shop:{tag}")
        site.drain()
    site.command("rollback", "web/shop")
    site.drain()
    assert (site.images()["web"], site.ip()) == ("acme/shop:v2", IP)
    site.push("acme/shop:v4")
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"
    site.command("release", "shop")
    site.drain()
    assert site.images()["web"] == "acme/shop:v4"


def test_rollback_without_an_image_before_says_so(site: Site) -> None:
    site.push("quay.io/acme/other:v1")
    site.drain()
    assert "no good image before" in site.command("rollback", "shop", expect=1)


def test_a_hold_by_resource_tag_is_respected(site: Site) -> None:
    subscription = site.environment["AZURE_SUBSCRIPTION_ID"]
    tagged = definition({"web": "acme/shop:v1"}) | {"tags": {"aci-hooks.hold": "audit until friday"}}
    site.arm.put_group(subscription, "web", "shop", tagged)
    message = site.push("acme/shop:v2")
    log = site.drain()
    assert outcomes(log)[message.id] == "held"
    assert any("audit until friday" in str(event.get("detail")) for event in log)
    assert site.effective_puts() == 0


def test_plan_shows_the_difference_masks_secrets_and_reads_only(site: Site) -> None:
    containers = definition({"web": "acme/shop:v1", "sidecar": "acme/logs:1"})["properties"]["containers"]
    containers[0]["properties"]["environmentVariables"] = [
        {"name": "PLAIN", "value": "visible-or-not"},
        {"name": "DB_PASSWORD", "secureValue": "hunter22hunter22"},
    ]
    site.group("shop", {}, containers=containers)
    before = site.arm.log()[-1]["n"] if site.arm.log() else 0
    file = site.processes.folder / "targets.yaml"
    file.write_text(
        "targets:\n  - container_group: shop\n    resource_group: web\n    containers:\n      web: {policy: any}\n"
        "    secrets:\n      env/web/DB_PASSWORD: env:DB\n"
    )
    out = site.command("plan", "acme/shop:v2", ACI_HOOKS_TARGETS=str(file), DB="hunter22hunter22")
    assert '-          "image": "acme/shop:v1"' in out.replace("  -", "-").replace("  +", "+")
    assert '"image": "acme/shop:v2"' in out
    assert "hunter22" not in out
    assert "visible-or-not" not in out
    assert "sidecar" not in {line[3:] for line in out.splitlines() if line.startswith(("  +", "  -"))}
    assert {request["method"] for request in site.arm.log(since=before)} <= READS
    assert (site.updates.count(), site.record().containers) == (0, {})


def test_plan_says_why_a_push_would_be_skipped(site: Site, tmp_path: Path) -> None:
    site.group("shop", {"web": "acme/shop:1.4.2"})
    file = targets(tmp_path, "semver:minor")
    (plan,) = site.json_of("plan", "acme/shop:2.0.0", ACI_HOOKS_TARGETS=file)
    assert plan["action"] == "skip"
    assert plan["reasons"] == ["web: 2.0.0 is a major update of 1.4.2, and semver:minor stays within 1"]


def test_check_is_content_with_a_site_that_is_in_order(site: Site) -> None:
    rows = site.json_of("check")
    assert [row for row in rows if not row["ok"]] == []
    assert {row["check"] for row in rows} >= {"settings", "updates queue", "records", "target web/shop"}


def test_check_reports_every_mistake_of_a_targets_file_with_its_line(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "targets.yaml"
    file.write_text(
        "targets:\n  - container_grup: shop\n    resource_group: web\n    containers: {web: {policy: anny}}\n"
    )
    rows = site.json_of("check", expect=1, ACI_HOOKS_TARGETS=str(file))
    problems = [row["detail"] for row in rows if not row["ok"]]
    assert len(problems) == 2
    assert "targets.yaml:2:" in problems[0]
    assert "container_group" in problems[0]
    assert "targets.yaml:4:" in problems[1]
    assert "any" in problems[1]


def test_check_names_secrets_that_are_not_configured(site: Site) -> None:
    site.group("shop", {"web": "acme/shop:v1"}, diagnostics={"logAnalytics": {"workspaceId": "w", "workspaceKey": "k"}})
    rows = site.json_of("check", expect=1)
    (wrong,) = [row for row in rows if not row["ok"]]
    assert "log-analytics/workspace-key" in wrong["detail"]


def test_push_by_hand(site: Site) -> None:
    assert "queued docker.io/acme/shop:v2" in site.command("push", "acme/shop:v2")
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"
    assert "say which tag" in site.command("push", "acme/shop", expect=2)


def test_a_wanted_push_whose_message_was_lost_is_woken_by_a_sweep(site: Site) -> None:
    site.arm.fault("error", method="PUT", group="shop", times=99)
    site.push("acme/shop:v2")
    worker = site.worker()
    worker.wait_for_log("step failed")
    worker.kill()
    site.lose_messages()
    assert list(site.record().open()) == ["web"]
    site.arm.clear_faults()
    # A wanted push counts as lost only after two visibility timeouts.
    wait_until(lambda: site.json_of("sweep")[0]["woken"] == 1, 30, "the sweep that wakes it")
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"


def targets(folder: Path, policy: str) -> str:
    """A targets file with this policy for the container `web` of `shop`."""
    file = folder / "targets.yaml"
    rule = f"containers: {{web: {{policy: '{policy}'}}}}"
    file.write_text(f"targets:\n  - container_group: shop\n    resource_group: web\n    {rule}\n")
    return str(file)
