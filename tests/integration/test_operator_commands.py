"""What an operator sees in one look, and what a push leaves behind: status, follow, push --wait, history, init, …"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.image import ImageReference
from shared.message import UpdateMessage
from shared.push import Push
from tests.processes import INGRESS, PATIENCE, PROJECT, environment_of, free_ports, wait_until
from tests.site import SUBSCRIPTION, Site, definition, events
from tests.stub_server import Answer, Headers, StubServer
from worker.record.trace import End
from worker.record.values import Outcome
from worker.targets.file import parse_targets

ACI_HOOKS = (sys.executable, "-m", "aci_hooks")
TOKEN = "a-token-of-the-tests"


def run(site: Site, *arguments: str, expect: int = 0, answer: str | None = None, **settings: str) -> str:
    """Run `aci-hooks`; what it printed on stdout."""
    ended = subprocess.run(
        [*ACI_HOOKS, *arguments],
        cwd=PROJECT,
        env=environment_of({**site.environment, **settings}),
        input=answer,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == expect, ended.stdout + ended.stderr
    return ended.stdout


def json_of(site: Site, *arguments: str, expect: int = 0, **settings: str) -> Any:
    return json.loads(run(site, *arguments, "--json", expect=expect, **settings))


def targets_file(folder: Path, *names: str, more: str = "") -> str:
    file = folder / "targets.yaml"
    groups = [
        f"  - {{container_group: {name}, resource_group: web, containers: {{web: {{policy: any}}}}}}\n"
        for name in names
    ]
    file.write_text(f"targets:\n{''.join(groups)}{more}")
    return str(file)


class TestPushAndWait:
    def test_exit_0_where_it_was_updated_and_where_it_runs_already(self, site: Site) -> None:
        site.worker()
        lines = run(site, "push", "acme/shop:v2", "--wait", "--by", "ann").splitlines()
        assert lines[0].startswith("queued docker.io/acme/shop:v2 as ")
        assert lines[-1].endswith("web/shop: updated: web runs acme/shop:v2")
        (outcome,) = json_of(site, "history")
        message_id = lines[0].rpartition(" ")[2]
        assert {name: outcome[name] for name in ("id", "image", "from", "containers", "result", "by", "pusher")} == {
            "id": message_id,
            "image": "docker.io/acme/shop:v2",
            "from": {"web": "acme/shop:v1"},
            "containers": ["web"],
            "result": "updated",
            "by": "ann",
            "pusher": None,
        }
        assert outcome["target"]["container_group"] == "shop"
        assert outcome["seconds"] >= 0
        assert "updated" in run(site, "follow", message_id)

    def test_exit_1_where_it_is_rolled_back_and_the_letter_is_found_by_the_pushs_id(self, site: Site) -> None:
        site.arm.image("acme/shop:v2", "crash-loop", output="\x1b[31mcannot reach\x1b[0m postgres://app:s3cret@db\n")
        site.worker()
        out = run(site, "push", "acme/shop:v2", "--wait", "--json", expect=1)
        first, *_, last = [json.loads(line) for line in out.splitlines()]
        assert (last["id"], last["result"]) == (first["id"], "rolled-back")
        shown = run(site, "dead-letters", "show", first["id"])
        assert "(CrashLoop)" in shown
        assert "what to do: push a good image" in shown
        assert "the last lines of the crashed container's log:\n  cannot reach postgres://app:***@db\n" in shown
        assert json_of(site, "dead-letters", "show", first["id"])["log"] == "cannot reach postgres://app:***@db"
        assert json_of(site, "dead-letters", "show", first["id"])["message"]["id"] == first["id"]
        run(site, "follow", first["id"], expect=1)

    def test_exit_1_and_a_trace_where_no_target_runs_it(self, site: Site, tmp_path: Path) -> None:
        single = json_of_lines(run(site, "push", "acme/nothing:v1", "--json"))
        site.drain()
        site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, "shop", more="discover: {}\n")
        listed = json_of_lines(run(site, "push", "acme/nothing:v2", "--json"))
        site.drain()
        ends = {end["id"]: end for end in json_of(site, "history")}
        assert {ends[item]["result"] for item in (single, listed)} == {"ignored"}
        assert ends[listed]["target"] is None
        assert ends[listed]["detail"] == "no target runs docker.io/acme/nothing"
        for item in (single, listed):
            run(site, "follow", item, expect=1)

    def test_exit_3_where_it_takes_too_long(self, site: Site) -> None:
        run(site, "push", "acme/shop:v2", "--wait", "--timeout", "1", expect=3)

    def test_it_says_that_no_target_runs_it_where_there_is_one_target_alone(self, site: Site) -> None:
        assert "no target runs docker.io/acme/nothing at present" in site.command("push", "acme/nothing:v1")
        assert "no target" not in site.command("push", "nginx:v1")


def json_of_lines(out: str) -> str:
    return str(json.loads(out)["id"])


class TestFollowing:
    def test_a_group_is_followed_until_nothing_is_under_way(self, site: Site) -> None:
        site.push("acme/shop:v2")
        worker = site.worker()
        worker.wait_for_log('"applying"')
        assert run(site, "follow", "web/shop").splitlines()[-1].endswith("updated: web runs acme/shop:v2")
        assert "nothing is under way; the last push: docker.io/acme/shop:v2 updated" in run(site, "follow", "shop")

    def test_a_delivery_of_several_pushes_is_followed_by_the_id_of_its_202(self, site: Site) -> None:
        delivery = secrets.token_hex(16)
        for number, image in enumerate(("acme/shop:v2", "nginx:1.28"), start=1):
            push = Push.of("generic", ImageReference.parse(image))
            message = UpdateMessage(id=f"{delivery}.{number}", kind="push", push=push, received_at=datetime.now(UTC))
            site.updates.send(message.encode())
        site.worker()
        out = run(site, "follow", delivery)
        assert "updated: web runs acme/shop:v2" in out
        assert "updated: proxy runs nginx:1.28" in out

    def test_what_nobody_has_seen_is_waited_for_and_said(self, site: Site) -> None:
        run(site, "follow", "f" * 32, "--timeout", "0", expect=3)


class TestStatus:
    def test_one_line_a_group_trouble_first_and_the_queues(self, site: Site, tmp_path: Path) -> None:
        site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, "fine", "gone", "shop")
        site.group("fine", {"web": "acme/fine:v1"})
        run(site, "hold", "shop", "--reason", "sale", "--by", "ann")
        site.push("acme/shop:v2")  # a dead letter for the group that is gone
        site.drain()
        found = json_of(site, "status", expect=1)
        assert [item["target"]["container_group"] for item in found] == ["gone", "shop", "fine"]
        gone, shop, fine = found
        assert "ResourceNotFound" in gone["problem"]
        assert (shop["held"], shop["waiting"]) == ("sale", ["docker.io/acme/shop:v2"])
        assert fine["problem"] is None
        assert {name: fine["containers"][0][name] for name in ("name", "image", "health", "restarts")} == {
            "name": "web",
            "image": "acme/fine:v1",
            "health": "healthy",
            "restarts": 0,
        }
        assert fine.keys() == {
            "target", "containers", "address", "rollout", "held", "waiting", "last", "problem",
        }  # fmt: skip
        out = run(site, "status", "fine", "shop")
        assert out.splitlines()[-1] == "queue: 0 messages; dead letters: 1; see `aci-hooks dead-letters list`"

    def test_a_rollout_under_way_says_what_it_brings_and_how_far_it_is(self, site: Site) -> None:
        site.push("acme/shop:v2")
        worker = site.worker(ACI_HOOKS_SOAK="60")
        worker.wait_for_log("healthy, waiting for the end of the soak")
        (status,) = json_of(site, "status")
        assert (status["rollout"]["image"], status["rollout"]["phase"]) == ("acme/shop:v2", "an update is watched")
        assert status["last"] is None


class TestHistory:
    def test_the_newest_first_over_all_groups_and_filtered(self, site: Site, tmp_path: Path) -> None:
        site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, "one", "two")
        for name in ("one", "two"):
            site.group(name, {"web": f"acme/{name}:v1"})
        site.arm.image("acme/two:v2", "crash-loop")
        for image in ("acme/one:v2", "acme/two:v2", "acme/one:v3"):
            site.push(image)
            site.drain()
        images = [end["image"].rpartition("/")[2] for end in json_of(site, "history")]
        assert images == ["one:v3", "two:v2", "one:v2"]
        assert [end["image"] for end in json_of(site, "history", "--failed")] == ["docker.io/acme/two:v2"]
        assert len(json_of(site, "history", "--limit", "2")) == 2
        assert len(json_of(site, "history", "--since", "1h", "one")) == 2
        assert json_of(site, "history", "--since", "2099-01-01") == []
        run(site, "history", "--since", "yesterday", expect=2)


class TestDeadLetters:
    def test_they_are_filtered_and_deleted_only_after_a_yes(self, site: Site, tmp_path: Path) -> None:
        site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, "gone", "shop")
        site.arm.image("acme/shop:v2", "crash-loop")
        site.push("acme/shop:v2")
        site.drain()
        site.poison.send("not ours")
        codes = [item["code"] for item in json_of(site, "dead-letters", "list", "--group", "shop")]
        assert codes == ["CrashLoop"]
        (one,) = json_of(site, "dead-letters", "list", "--code", "undecodable")
        assert one["id"] != json_of(site, "dead-letters", "list", "--code", "CrashLoop")[0]["id"]
        run(site, "dead-letters", "purge", "--code", "Undecodable", answer="n\n", expect=1)
        assert site.poison.count() == 3
        assert "1 deleted" in run(site, "dead-letters", "purge", "--code", "Undecodable", answer="y\n")
        assert len(json_of(site, "dead-letters", "purge", "--all", "--yes")["done"]) == 2
        run(site, "dead-letters", "purge", expect=2)


class TestHolds:
    def test_every_group_is_held_until_a_time_and_released(self, site: Site, tmp_path: Path) -> None:
        site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, "one", "two")
        for name in ("one", "two"):
            site.group(name, {"web": f"acme/{name}:v1"})
        out = run(site, "hold", "--all", "--reason", "night", "--until", "2h", "--by", "ann")
        assert [line.partition(" is held until ")[0] for line in out.splitlines()] == ["web/one", "web/two"]
        hold = site.record("one").hold
        assert hold is not None
        assert (hold.by, hold.until is not None) == ("ann", True)
        run(site, "hold", "--all", "one", "--reason", "night", expect=2)
        run(site, "hold", "one", "--reason", "night", "--until", "2020-01-01", expect=2)
        run(site, "hold", "one", "--reason", "night", "--until", "soon", expect=2)
        run(site, "release", "--all", "--by", "bob")
        assert [site.record(name).hold for name in ("one", "two")] == [None, None]
        newest, _ = site.record("one").deeds
        assert (newest.by, newest.what) == ("bob", "released")

    def test_a_hold_whose_time_is_over_ends_by_itself(self, site: Site) -> None:
        run(site, "hold", "shop", "--reason", "a moment", "--until", "1s")
        site.push("acme/shop:v2")
        site.let_patrol()
        site.worker().wait_for_log("a hold has ended, as its time is over", 60)
        wait_until(lambda: site.images()["web"] == "acme/shop:v2" and site.is_at_rest(), PATIENCE, "the update")


class TestRollback:
    def test_to_an_image_that_the_record_knows_and_to_one_that_it_does_not(self, site: Site) -> None:
        for tag in ("v2", "v3"):
            site.push(f"acme/shop:{tag}")
            site.drain()
        run(site, "rollback", "shop", "--to", "acme/shop:v1", "--reason", "v3 is slow", "--by", "ann")
        site.drain()
        assert site.images()["web"] == "acme/shop:v1"
        assert "rolled back: v3 is slow (by ann)" in run(site, "history", "shop")
        newest = json_of(site, "history", "--limit", "1")[0]
        assert (newest["result"], newest["by"], newest["from"]) == ("updated", "ann", {"web": "acme/shop:v3"})
        run(site, "rollback", "shop", "--to", "acme/shop:v9")
        site.drain()
        assert (site.images()["web"], site.images()["proxy"]) == ("acme/shop:v9", "nginx:1.27")
        run(site, "rollback", "shop", "--to", "acme/other:v1", expect=1)
        run(site, "rollback", "shop", "--to", "acme/shop", expect=2)


def test_init_prints_a_targets_file_of_what_exists_and_needs_neither_storage_nor_targets(site: Site) -> None:
    containers = definition({"web": "acme/api:1.4.2"})["properties"]["containers"]
    containers[0]["properties"]["environmentVariables"] = [{"name": "TOKEN", "secureValue": "hunter22hunter22"}]
    site.group("api", {}, containers=containers)
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "RESOURCE_GROUP_NAME", "CONTAINER_GROUP_NAME"):
        del site.environment[name]
    text = run(site, "init", "--resource-group", "web")
    assert "hunter22" not in text
    api, shop = parse_targets(text, SUBSCRIPTION).targets
    assert (api.id.container_group, dict(api.secrets)) == ("api", {"env/web/TOKEN": "env:WEB_TOKEN"})
    assert {name: str(rule.policy) for name, rule in api.containers.items()} == {"web": "semver:minor"}
    assert {name: str(rule.policy) for name, rule in shop.containers.items()} == dict.fromkeys(
        ("web", "proxy"), "same-tag"
    )
    run(site, "init", expect=2, AZURE_SUBSCRIPTION_ID="")


@pytest.mark.parametrize("answered", [200, 404])
def test_notify_test_tells_everybody_and_says_who_was_not_reached(site: Site, tmp_path: Path, answered: int) -> None:
    with listener(answered) as (url, bodies):
        site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, "shop", more="notify: ['env:CHAT']\n")
        (one,) = json_of(site, "notify-test", expect=0 if answered == 200 else 1, CHAT=url)
        assert one == {
            "notify": "notify[0]",
            "delivered": answered == 200,
            "problem": None if answered == 200 else "answered 404",
        }
    assert "this is a test notification" in json.loads(bodies[0])["text"]


@pytest.mark.parametrize(
    ("sender", "own", "proof"),
    [
        ("dockerhub", {}, "the token in the URL"),
        ("ghcr", {"ACI_HOOKS_SECRET_GHCR": "key-of-the-tests"}, "its own proof"),
    ],
)
def test_a_test_webhook_goes_the_whole_way(site: Site, sender: str, own: dict[str, str], proof: str) -> None:
    (port,) = free_ports(1)
    site.environment |= {**own, "ACI_HOOKS_WEBHOOK_TOKENS": TOKEN, "PORT": str(port)}
    ingress = site.processes.start(
        "ingress", INGRESS, environment=site.environment, url=f"http://127.0.0.1:{port}/healthz"
    )
    told = json_of(site, "test-webhook", sender)
    assert (told["status"], told["answer"]["status"]) == (202, "queued")
    assert told["proof"].startswith(proof)
    site.drain()
    (end,) = json_of(site, "history")
    assert (end["id"], end["result"], end["image"]) == (told["answer"]["id"], "ignored", told["image"])
    for name in own or ("ACI_HOOKS_WEBHOOK_TOKENS",):
        site.environment[name] = "another-secret-entirely"
    assert json_of(site, "test-webhook", sender, expect=1)["status"] == 401
    assert ingress.terminate() == 0
    assert [event["event"] for event in events(ingress)][-1] == "stopping"
    assert TOKEN not in ingress.output()


def test_failures_and_the_end_of_a_worker_are_in_the_log_at_levels_that_alert(site: Site) -> None:
    site.arm.image("acme/shop:v2", "crash-loop")
    site.push("acme/shop:v2")
    worker = site.worker()
    worker.wait_for_log("rolled-back")
    wait_until(site.is_at_rest, PATIENCE, "rest")
    worker.terminate()
    lines = [(event["event"], event["level"]) for event in events(worker)]
    assert ("ended", "warning") in lines
    assert ("dead letter", "error") in lines
    assert lines.index(("stopping", "info")) < lines.index(("worker stopped", "info"))


def test_workers_that_leave_traces_at_once_overwrite_none(site: Site) -> None:
    message = site.push("acme/nothing:v1")
    ends = [
        End(
            outcome=Outcome.of(
                message.model_copy(update={"id": f"push-{number}"}), "ignored", "", (), datetime.now(UTC)
            )
        )
        for number in range(8)
    ]
    with ThreadPoolExecutor(len(ends)) as workers:
        list(workers.map(site.records.leave_trace, ends))
    assert {end.outcome.id for end in site.records.trace().ends} == {f"push-{number}" for number in range(8)}
    site.write_blob("trace.json", "not ours")
    assert site.records.trace().ends == ()
    site.records.leave_trace(ends[0])
    assert site.records.trace().ends == (ends[0],)


def test_check_and_plan_have_a_short_form_for_many_targets(site: Site, tmp_path: Path) -> None:
    names = [f"shop-{number}" for number in range(12)]
    for name in names:
        site.group(name, {"web": "acme/shop:v1"})
    site.environment["ACI_HOOKS_TARGETS"] = targets_file(tmp_path, *names, "gone")
    checked = json_of(site, "check", expect=1)
    assert [row["check"] for row in checked if row["check"].startswith("target ")] == [
        f"target web/{name}" for name in [*names, "gone"]
    ]
    assert "16 of 17 are ok" not in run(site, "check", expect=1)
    short = run(site, "check", "--short", expect=1)
    assert f"{len(checked) - 1} of {len(checked)} are ok" in short
    assert "web/shop-3" not in short
    plans = run(site, "plan", "acme/shop:v2", "--short", expect=1)
    assert plans.splitlines()[-1] == "total: 12 would be updated, 1 push would fail"
    assert "web/shop-0, web/shop-1, " in plans.replace("\n", " ")


@contextmanager
def listener(status: int) -> Iterator[tuple[str, list[bytes]]]:
    """A chat: its URL, and what was posted to it."""
    bodies: list[bytes] = []

    def answer(method: str, path: str, headers: Headers, body: bytes) -> Answer:
        bodies.append(body)
        return status, {}, b""

    with StubServer(full=answer) as server:
        yield f"{server.url}/hook", bodies
