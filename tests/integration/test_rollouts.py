"""The main job with real processes: pushes from the queue onto a group, through the real SDKs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.processes import PATIENCE, wait_until
from tests.site import IP, Site, outcomes


def test_two_pushes_in_a_row_both_arrive(site: Site) -> None:
    site.push("acme/shop:v2")
    site.drain()
    assert site.images() == {"web": "acme/shop:v2", "proxy": "nginx:1.27"}
    site.push("docker.io/acme/shop:v3")
    log = site.drain()
    assert site.images() == {"web": "acme/shop:v3", "proxy": "nginx:1.27"}
    assert (site.effective_puts(), site.ip()) == (2, IP)
    assert list(outcomes(log).values()) == ["updated"]


def test_the_short_name_of_an_official_image_is_its_long_one(site: Site) -> None:
    site.push("registry-1.docker.io/library/nginx:1.28")
    site.drain()
    assert site.images()["proxy"] == "nginx:1.28"


def test_a_push_that_no_container_runs_is_ignored(site: Site) -> None:
    message = site.push("quay.io/acme/shop:v2")
    assert outcomes(site.drain())[message.id] == "ignored"
    assert site.effective_puts() == 0


def test_an_older_push_that_comes_late_is_superseded_after_one_look_at_its_group(site: Site) -> None:
    now = datetime.now(UTC)
    site.push("acme/shop:v3", pushed_at=now)
    site.drain()
    before = site.arm.log()[-1]["n"]
    late = site.push("acme/shop:v2", pushed_at=now - timedelta(minutes=1))
    assert outcomes(site.drain())[late.id] == "superseded"
    assert site.images()["web"] == "acme/shop:v3"
    # The first one tells which repositories the group runs, as a running worker asks now and then; the other looks.
    assert [request["method"] for request in site.arm.log(since=before)] == ["GET", "GET"]


def test_six_deliveries_of_one_tag_make_one_put(site: Site) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    for _ in range(6):
        site.push("acme/shop:v2", pushed_at=at, sender="dockerhub")
    site.drain()
    assert (site.images()["web"], site.effective_puts()) == ("acme/shop:v2", 1)
    assert site.arm.stats()["restarts"] == 0


def test_a_crash_loop_is_rolled_back_and_the_next_good_push_deploys(site: Site) -> None:
    site.push("acme/shop:v2")
    site.drain()
    site.arm.image("acme/shop:v3", "crash-loop")
    bad = site.push("acme/shop:v3")
    assert outcomes(site.drain())[bad.id] == "rolled-back"
    assert (site.images()["web"], site.ip()) == ("acme/shop:v2", IP)
    (letter,) = site.dead_letters()
    assert (letter["code"], letter["image"]) == ("CrashLoop", "docker.io/acme/shop:v3")
    assert "rolled back to acme/shop:v2" in letter["detail"]
    site.push("acme/shop:v4")
    site.drain()
    assert (site.images()["web"], site.ip()) == ("acme/shop:v4", IP)


def test_an_image_that_can_not_be_pulled_is_rolled_back(site: Site) -> None:
    site.arm.image("acme/shop:v2", "unpullable")
    bad = site.push("acme/shop:v2")
    assert outcomes(site.drain())[bad.id] == "rolled-back"
    assert (site.images()["web"], site.ip()) == ("acme/shop:v1", IP)
    assert site.dead_letters()[0]["code"] == "ImagePullFailed"


def test_when_the_newest_push_fails_the_one_it_overtook_is_rolled_out(site: Site) -> None:
    site.arm.image("acme/shop:v3", "crash-loop")
    now = datetime.now(UTC)
    older = site.push("acme/shop:v2", pushed_at=now)
    bad = site.push("acme/shop:v3", pushed_at=now + timedelta(seconds=1))
    ended = outcomes(site.drain())
    assert (ended[bad.id], ended[older.id]) == ("rolled-back", "updated")
    assert site.images()["web"] == "acme/shop:v2"


def test_a_same_tag_of_unknown_digest_is_restarted_and_verified(site: Site) -> None:
    site.arm.image("acme/shop:v1", digest="sha256:" + "2" * 64)
    message = site.push("acme/shop:v1")
    log = site.drain()
    (ended,) = [event for event in log if event["event"] == "ended"]
    assert (ended["id"], ended["outcome"]) == (message.id, "updated")
    assert f"restarted and runs acme/shop:v1 at sha256:{'2' * 64}" in ended["detail"]
    assert (site.effective_puts(), site.arm.stats()["restarts"]) == (0, 1)


def test_a_same_tag_of_known_digest_is_put_by_digest_and_unchanged_the_second_time(site: Site) -> None:
    digest = "sha256:" + "3" * 64
    site.arm.image("acme/shop:v1", digest=digest)
    site.push(f"acme/shop:v1@{digest}")
    site.drain()
    assert site.images()["web"] == f"acme/shop@{digest}"
    again = site.push(f"acme/shop:v1@{digest}")
    assert outcomes(site.drain())[again.id] == "unchanged"
    assert (site.effective_puts(), site.arm.stats()["restarts"]) == (1, 0)
    site.push("acme/shop:v2")
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"


def test_secrets_that_azure_withholds_are_named_in_the_dead_letter_and_nothing_is_put(site: Site) -> None:
    site.group(
        "shop",
        {"web": "acme/shop:v1"},
        imageRegistryCredentials=[{"server": "index.docker.io", "username": "acme", "password": "hunter22"}],
        diagnostics={"logAnalytics": {"workspaceId": "w", "workspaceKey": "k"}},
    )
    site.push("acme/shop:v2")
    site.drain()
    (letter,) = site.dead_letters()
    assert letter["code"] == "MissingSecrets"
    assert "registry/index.docker.io, log-analytics/workspace-key" in letter["detail"]
    assert site.effective_puts() == 0


def test_a_group_that_its_owner_stopped_stays_stopped(site: Site) -> None:
    site.act("stop")
    site.push("acme/shop:v2")
    assert outcomes(site.drain()) == {}
    assert (site.effective_puts(), site.waiting()) == (0, {"docker.io/acme/shop:v2"})


def test_a_target_that_does_not_exist_is_dead_lettered(site: Site) -> None:
    site.push("acme/shop:v2")
    site.drain(CONTAINER_GROUP_NAME="nowhere")
    assert site.dead_letters()[0]["code"] == "ResourceNotFound"


def test_a_refusal_for_good_is_dead_lettered_at_once_and_can_be_redriven(site: Site) -> None:
    site.arm.fault("refuse", status=400, code="InvalidRequestContent", message="no", method="PUT", times=1)
    site.push("acme/shop:v2")
    site.drain()
    (letter,) = site.dead_letters()
    assert (letter["code"], letter["attempts"]) == ("InvalidRequestContent", 1)
    assert site.images()["web"] == "acme/shop:v1"
    site.command("dead-letters", "redrive", "--all")
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"
    assert site.dead_letters() == []


def test_an_outage_of_azure_is_waited_for_and_ends_in_a_dead_letter_once_it_has_gone_on_for_too_long(
    site: Site,
) -> None:
    site.arm.fault("error", method="PUT", group="shop")
    site.push("acme/shop:v2")
    site.drain(ACI_HOOKS_MAX_ATTEMPTS="2", ACI_HOOKS_RETRY_MAX="1", ACI_HOOKS_OUTAGE_PATIENCE="2")
    (letter,) = site.dead_letters()
    assert letter["code"] == "InternalServerError"
    assert site.arm.stats()["faults"] > 2  # not a number of attempts, but time
    assert (site.images()["web"], site.effective_puts(), site.is_at_rest()) == ("acme/shop:v1", 0, True)
    # It says nothing of the image, which may come again.
    site.arm.clear_faults()
    again = site.push("acme/shop:v2")
    assert outcomes(site.drain())[again.id] == "updated"


def test_an_undecodable_message_is_dead_lettered_raw(site: Site) -> None:
    site.updates.send("not base64, not ours")
    site.drain()
    (letter,) = site.dead_letters()
    assert letter["code"] == "Undecodable"
    assert "not base64, not ours" in site.command("dead-letters", "show", letter["id"])
    assert "can't be decoded" in site.command("dead-letters", "redrive", letter["id"], expect=1)
    site.command("dead-letters", "purge", letter["id"], "--yes")
    assert site.dead_letters() == []


def test_sigterm_finishes_the_step_in_hand_and_exits_0(site: Site) -> None:
    site.arm.fault("stall", method="PUT", seconds=1, times=1)
    worker = site.worker()
    site.push("acme/shop:v2")
    worker.wait_for_log('"applying"')
    assert worker.terminate() == 0
    wait_until(lambda: site.images()["web"] == "acme/shop:v2", PATIENCE, "the PUT that was in hand")
    site.drain()
    assert site.effective_puts() == 1
