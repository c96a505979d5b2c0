"""What an operator does and sees: hold, release, rollback, history, plan, check, push, sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from tests.processes import PROJECT
from tests.site import IP, SUBSCRIPTION, Site, definition, outcomes, target_of
from tests.stub_server import Answer, Headers, StubServer

READS = {"GET", "HEAD"}


def test_a_push_to_a_held_group_waits_and_release_applies_the_newest(site: Site) -> None:
    site.command("history")
    site.push("acme/shop:v2")
    site.drain()
    site.command("hold", "shop", "--reason", "black friday")
    older, newest = (site.push(f"acme/shop:{tag}") for tag in ("v3", "v4"))
    assert outcomes(site.drain()) == {}
    # A hold by hand needs no timer: `release` starts one.
    assert (site.images()["web"], site.effective_puts(), site.updates.count()) == ("acme/shop:v2", 1, 0)
    told = site.command("history", "shop")
    assert "web/shop is held since " in told
    assert "UTC: black friday" in told
    assert "web/shop: docker.io/acme/shop:v4 waits (received " in told
    (shown,) = site.json_of("status")
    assert shown["held"] == "black friday"
    assert set(shown["waiting"]) == {"docker.io/acme/shop:v3", "docker.io/acme/shop:v4"}
    out = site.command("release", "shop")
    assert out == "web/shop is released; applying docker.io/acme/shop:v3, docker.io/acme/shop:v4\n"
    assert outcomes(site.drain()) == {older.id: "superseded", newest.id: "updated"}
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
    assert "no good image older than the running one is known" in site.command("rollback", "shop", expect=1)


def test_a_hold_by_resource_tag_is_respected(site: Site) -> None:
    subscription = site.environment["AZURE_SUBSCRIPTION_ID"]
    tagged = definition({"web": "acme/shop:v1"}) | {"tags": {"aci-hooks.hold": "audit until friday"}}
    site.arm.put_group(subscription, "web", "shop", tagged)
    site.push("acme/shop:v2")
    log = site.drain()
    assert outcomes(log) == {}
    assert any("audit until friday" in str(event.get("reason")) for event in log)
    assert (site.effective_puts(), site.waiting()) == (0, {"docker.io/acme/shop:v2"})


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
    changed = [" ".join(line.split()) for line in out.splitlines() if line.startswith(("  @", "  -", "  +"))]
    shown = [
        "--- running",
        "+++ planned",
        "@@ container web @@",
        '- "image": "acme/shop:v1",',
        '+ "image": "acme/shop:v2",',
    ]
    assert changed == shown
    assert "hunter22" not in out
    assert "visible-or-not" not in out
    assert {request["method"] for request in site.arm.log(since=before)} <= READS
    assert (site.updates.count(), site.record().containers) == (0, {})


def test_plan_says_why_a_push_would_be_skipped(site: Site, tmp_path: Path) -> None:
    site.group("shop", {"web": "acme/shop:1.4.2"})
    file = targets(tmp_path, "semver:minor")
    (plan,) = site.json_of("plan", "acme/shop:2.0.0", ACI_HOOKS_TARGETS=file)
    assert plan["action"] == "skip"
    assert plan["reasons"] == ["web: 2.0.0 is a major update of 1.4.2, and semver:minor stays within 1"]


def test_plan_goes_on_where_one_target_can_not_be_read(site: Site, tmp_path: Path) -> None:
    file = targets_file(tmp_path, "gone", "shop")
    gone, shop = site.json_of("plan", "acme/shop:v2", expect=1, ACI_HOOKS_TARGETS=file)
    assert (gone["target"]["container_group"], gone["action"]) == ("gone", "fail")
    assert "ResourceNotFound" in gone["reasons"][0]
    assert (shop["target"]["container_group"], shop["action"]) == ("shop", "update")


def test_plan_says_that_an_image_is_in_no_registry_beside_what_the_policy_says(site: Site, tmp_path: Path) -> None:
    file = targets_file(tmp_path, "shop", "shop-2")
    with empty_registry() as (host, asked):
        for name in ("shop", "shop-2"):
            site.group(name, {"web": f"{host}/acme/shop:v1"})
        plans = site.json_of("plan", f"{host}/acme/shop:v2", ACI_HOOKS_TARGETS=file)
    absent = "not in its registry yet: a push of it now would be a dead letter"
    assert [plan["action"] for plan in plans] == ["update"] * 2
    assert [plan["reasons"] for plan in plans] == [["web: v2 was pushed, and any follows every tag", absent]] * 2
    # Once, not for every target.
    assert asked == ["HEAD", "GET"]


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
    # It hides nothing else.
    assert {"updates queue", "poison queue", "records"} <= {row["check"] for row in rows}


def test_check_names_everything_that_is_wrong_with_a_target(site: Site, tmp_path: Path) -> None:
    site.group("shop", {"web": "acme/shop:v1"}, diagnostics={"logAnalytics": {"workspaceId": "w", "workspaceKey": "k"}})
    file = targets_file(tmp_path, "shop", more="    secrets: {env/api/A: 'env:A', env/api/B: 'env:B'}\n")
    Path(file).write_text(Path(file).read_text().replace("web: {", "api: {"))
    rows = site.json_of("check", expect=1, ACI_HOOKS_TARGETS=file)
    problems = [row["detail"] for row in rows if not row["ok"]]
    assert problems[0] == "the group has no container api; it has web"
    assert "log-analytics/workspace-key" in problems[1]
    assert all(f"env/api/{name} can't be read: env:{name} is not set" in problems[2] for name in "AB")
    assert {row["check"] for row in rows if not row["ok"]} == {"target web/shop"}


def test_check_reads_the_secrets_of_registries_and_notifications_and_the_tags_of_groups(
    site: Site, tmp_path: Path
) -> None:
    tagged = definition({"web": "acme/shop:v1"}) | {"tags": {"aci-hooks.policy": "semver:minro"}}
    site.arm.put_group(SUBSCRIPTION, "web", "tagged", tagged)
    more = (
        "discover: {resource_groups: [web]}\nregistries: {ghcr.io: {username: 'env:USER_', password: 'env:TOKEN'}}\n"
        "notify: ['env:CHAT', 'env:PLAIN']\n"
    )
    file = targets_file(tmp_path, "shop", more=more)
    rows = site.json_of("check", expect=1, ACI_HOOKS_TARGETS=file, USER_="acme", PLAIN="http://chat.example/hook")
    problems = {row["check"]: row["detail"] for row in rows if not row["ok"]}
    assert problems.keys() == {"discovery", "registry ghcr.io", "notify[0]", "notify[1]"}
    assert "web/tagged: the tag aci-hooks.policy: 'semver:minro'" in problems["discovery"]
    assert problems["registry ghcr.io"].endswith("registries/ghcr.io.password can't be read: env:TOKEN is not set")
    assert "env:CHAT is not set" in problems["notify[0]"]
    assert problems["notify[1]"] == "nothing can be sent to the URL in env:PLAIN: it is not https"


def test_check_tells_what_is_held_from_what_is_ok(site: Site) -> None:
    tagged = definition({"web": "acme/shop:v1"}) | {"tags": {"aci-hooks.hold": "audit"}}
    site.arm.put_group(SUBSCRIPTION, "web", "shop", tagged, state="Stopped")
    site.command("hold", "shop", "--reason", "sale")
    (row,) = [row for row in site.json_of("check") if row["check"] == "target web/shop"]
    held = "held by hand: sale; held by a resource tag: audit; stopped by its owner; web any"
    assert row == {"check": "target web/shop", "ok": True, "detail": held}
    assert "HELD" in site.command("check")


def test_check_gives_hints_that_fail_nothing(site: Site) -> None:
    hints = {"crash logs", "target web/shop"}
    assert "hint" not in site.command("check")
    site.arm.options(may_read_logs=False)
    tagged = definition({"web": "acme/shop:v1"}) | {"tags": {"aci-hooks.fleet": "shop/1"}}
    site.arm.put_group(SUBSCRIPTION, "web", "shop", tagged)
    rows = {row["detail"]: row for row in site.json_of("check") if row["check"] in hints}
    assert all(row["ok"] for row in rows.values())
    told = "\n".join(rows)
    assert "lacks Microsoft.ContainerInstance/containerGroups/containers/logs/read in the resource group web" in told
    assert "the tag aci-hooks.fleet has no effect yet" in told
    assert "hint" in site.command("check", "--short")
    assert "crash logs" not in {row["check"] for row in site.json_of("check", ACI_HOOKS_CRASH_LOG_LINES="0")}


def test_check_tells_an_empty_queue_from_one_that_does_not_exist_and_makes_none(site: Site) -> None:
    site.environment |= {"ACI_HOOKS_QUEUE": "nowhere", "ACI_HOOKS_RECORDS": "nowhere"}
    for _ in range(2):
        rows = {row["check"]: row["detail"] for row in site.json_of("check")}
        absent = "does not exist yet; the worker creates it when needed"
        assert rows["updates queue"] == rows["records"] == f"nowhere {absent}"
        assert rows["poison queue"] == f"nowhere-poison {absent}"
    assert "missing" in site.command("check")


def test_a_variable_that_is_misspelt_is_named_beside_the_one_that_is_missing(site: Site) -> None:
    del site.environment["CONTAINER_GROUP_NAME"]
    out = site.command("history", expect=2, ACI_HOOKS_TARGET="targets.yaml")
    assert "CONTAINER_GROUP_NAME: not set" in out
    assert "ACI_HOOKS_TARGET is not a setting; did you mean ACI_HOOKS_TARGETS?" in out


def test_a_hold_over_a_hold_says_what_it_was_and_needs_a_reason(site: Site) -> None:
    assert "must not be empty" in site.command("hold", "shop", "--reason", " ", expect=2)
    site.command("hold", "shop", "--reason", "sale")
    out = site.command("hold", "shop", "--reason", "audit")
    assert "web/shop is held: audit (before, since " in out
    assert out.rstrip().endswith(": sale)")


def test_release_says_what_still_holds_a_group(site: Site) -> None:
    assert "web/shop was not held by hand\n" in site.command("release", "shop")
    site.command("hold", "shop", "--reason", "sale")
    site.push("acme/shop:v2")
    site.drain()
    tagged = definition({"web": "acme/shop:v1"}) | {"tags": {"aci-hooks.hold": "audit"}}
    site.arm.put_group(SUBSCRIPTION, "web", "shop", tagged)
    out = site.command("release", "shop")
    still = "held by a resource tag: audit; waiting: docker.io/acme/shop:v2"
    assert f"web/shop is released, but its updates still wait: {still}" in out


def test_dead_letters_are_found_by_the_beginning_of_their_ids(site: Site) -> None:
    for text in ("not ours", "not ours either"):
        site.poison.send(text)
    first, second = site.dead_letters()
    lengths = (n for n in range(1, 37) if first["id"][:n] != second["id"][:n])
    short = first["id"][: next(lengths)]
    assert site.command("dead-letters", "show", short, "--json").splitlines() == ['"not ours"']
    assert "nothing was deleted; use --yes" in site.command("dead-letters", "purge", short, expect=1)
    assert "1 deleted" in site.command("dead-letters", "purge", short, first["id"], short, "--yes")
    (taken,) = site.poison.receive(1)
    out = site.command("dead-letters", "list")
    assert "no dead letters" in out
    assert "1 more dead letter is being processed by another command" in out
    site.poison.complete(taken)


def test_a_hold_needs_no_list_where_the_group_is_named_in_full(site: Site, tmp_path: Path) -> None:
    # Regression: while Azure Resource Manager was down nobody could hold a group.
    site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, "shop", more="discover: {}\n")
    site.environment["ACI_HOOKS_ARM_ENDPOINT"] = "http://127.0.0.1:9"
    out = site.command("hold", f"{SUBSCRIPTION}/web/shop", "--reason", "trouble")
    assert out == "web/shop is held: trouble\n"
    assert "not all targets could be listed" in site.command("release", "shop")
    assert site.record().hold is None


def test_what_could_not_be_looked_at_is_said(site: Site, tmp_path: Path) -> None:
    # Regression: a resource group that does not exist, or may not be listed, looked like one without targets.
    file = targets_file(tmp_path, "shop", more="discover: {resource_groups: [wbe]}\n")
    site.environment["ACI_HOOKS_TARGETS"] = file
    out = site.command("plan", "acme/shop:v2", expect=1)
    assert "web/shop: would be updated" in out
    assert "total: 1 would be updated" in out
    assert "not looked at: resource group wbe can't be listed" in out
    update, unseen = site.json_of("plan", "acme/shop:v2", expect=1)
    assert update["changes"] == [{"container": "web", "from": "acme/shop:v1", "to": "acme/shop:v2"}]
    assert update["restarts"] == ["web", "proxy"]
    assert (unseen["target"], unseen["action"]) == (None, "fail")
    *_, place = site.json_of("sweep", expect=1)
    assert "resource group wbe can't be listed" in place["problem"]


def test_a_group_that_only_its_tags_name_is_planned_for(site: Site, tmp_path: Path) -> None:
    # Regression: targets were looked up before the groups had been listed, so plan said that nobody runs the image.
    tagged = definition({"web": "acme/shop:v1"}) | {"tags": {"aci-hooks.policy": "any"}}
    site.arm.put_group(SUBSCRIPTION, "web", "tagged", tagged)
    file = tmp_path / "targets.yaml"
    file.write_text("discover: {resource_groups: [web]}\n")
    (plan,) = site.json_of("plan", "acme/shop:v2", ACI_HOOKS_TARGETS=str(file))
    assert (plan["target"]["container_group"], plan["action"]) == ("tagged", "update")


def test_plan_says_that_a_secret_could_not_be_read(site: Site, tmp_path: Path) -> None:
    containers = definition({"web": "acme/shop:v1"})["properties"]["containers"]
    containers[0]["properties"]["environmentVariables"] = [{"name": "TOKEN", "secureValue": "hunter22hunter22"}]
    site.group("shop", {}, containers=containers)
    file = targets_file(tmp_path, "shop", more="    secrets: {env/web/TOKEN: env:NOT_SET_ANYWHERE}\n")
    (plan,) = site.json_of("plan", "acme/shop:v2", expect=1, ACI_HOOKS_TARGETS=file)
    assert plan["action"] == "fail"
    assert "NOT_SET_ANYWHERE" in plan["reasons"][-1]


def test_two_groups_of_one_name_are_told_apart_by_their_subscriptions(site: Site, tmp_path: Path) -> None:
    other = "00000000-0000-0000-0000-000000000002"
    site.arm.put_group(other, "web", "shop", definition({"web": "acme/shop:v1"}))
    file = targets_file(tmp_path, "shop", "shop", more=f"    subscription: {other}\n")
    out = site.command("plan", "acme/shop:v2", ACI_HOOKS_TARGETS=file)
    assert f"{SUBSCRIPTION}/web/shop: would be updated" in out
    assert f"{other}/web/shop: would be updated" in out


@pytest.mark.parametrize(("typed", "completed"), [("s", "plain,shop"), ("W", "plain,web/shop"), ("x", "")])
def test_a_shell_completes_groups(site: Site, typed: str, completed: str) -> None:
    words = {"_ACI_HOOKS_COMPLETE": "bash_complete", "COMP_WORDS": f"aci-hooks hold {typed}"}
    command = [sys.executable, "-m", "aci_hooks"]
    for environment, expected in ((site.environment, completed), ({}, "")):
        given = {**environment, **words, "COMP_CWORD": "2", "PATH": os.environ["PATH"]}
        ended = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == expected


def test_schema_prints_what_is_shipped(site: Site) -> None:
    shipped = (PROJECT / "worker" / "targets.schema.json").read_text(encoding="utf-8")
    assert json.loads(site.command("schema")) == json.loads(shipped)


def test_a_push_by_hand_is_rolled_out(site: Site) -> None:
    assert "queued docker.io/acme/shop:v2" in site.command("push", "acme/shop:v2")
    queued = json.loads(site.command("push", "acme/shop:v2", "--json"))
    assert (len(queued["id"]), queued["image"]) == (32, "docker.io/acme/shop:v2")
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"
    assert "the tag is missing" in site.command("push", "acme/shop", expect=2)


def test_a_waiting_push_whose_timer_was_lost_is_taken_up_again(site: Site) -> None:
    site.group("shop", {"web": "acme/shop:v1"})
    site.arm.fault("error", method="PUT", group="shop")
    site.push("acme/shop:v2")
    worker = site.worker()
    worker.wait_for_log("change not made")
    worker.kill()
    site.lose_messages()
    assert site.waiting() == {"docker.io/acme/shop:v2"}
    site.arm.clear_faults()
    assert site.json_of("sweep")[0]["woken"] == 0  # for all that anybody can tell it is on its way
    long_ago(site)
    assert site.json_of("sweep")[0]["woken"] == 1
    site.drain()
    assert (site.images()["web"], site.effective_puts(), site.is_at_rest()) == ("acme/shop:v2", 1, True)


def long_ago(site: Site) -> None:
    """Set back the time for which the group's next look was announced, as if hours had passed."""
    record, etag = site.records.load(target_of("shop"))
    assert record.timer
    site.records.save(record.but(timer=record.timer.but(due=record.timer.due - timedelta(hours=3))), etag)


def targets(folder: Path, policy: str) -> str:
    """A targets file with this policy for the container `web` of `shop`."""
    return targets_file(folder, "shop", policy=policy)


def targets_file(folder: Path, *names: str, policy: str = "any", more: str = "") -> str:
    """A targets file with these groups; `more` comes after the last of them."""
    file = folder / "targets.yaml"
    rule = f"containers: {{web: {{policy: '{policy}'}}}}"
    groups = [f"  - container_group: {name}\n    resource_group: web\n    {rule}\n" for name in names]
    file.write_text(f"targets:\n{''.join(groups)}{more}")
    return str(file)


@contextmanager
def empty_registry() -> Iterator[tuple[str, list[str]]]:
    """A registry without any image: its host, and the methods that it was asked with."""
    asked: list[str] = []

    def answer(method: str, path: str, headers: Headers) -> Answer:
        asked.append(method)
        body = b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}'
        return 404, {"Content-Type": "application/json"}, body

    with StubServer(answer) as server:
        yield server.host, asked
