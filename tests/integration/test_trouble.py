"""Trouble with Azure and among workers: what has failed is told all the same, and nothing is waited for twice."""

from __future__ import annotations

import re
import signal
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from tests.azurite import Azurite
from tests.integration.test_crashes import endpoint, through
from tests.processes import PATIENCE, wait_until
from tests.site import Site, events, outcomes, running_site
from tests.tripwire import Tripwire


def test_what_failed_is_told_though_the_change_after_it_is_refused_for_a_while(site: Site) -> None:
    now = datetime.now(UTC)
    site.arm.fault("refuse", status=400, code="InvalidRequestContent", message="no", method="PUT", times=1)
    site.arm.fault("refuse", status=403, code="AuthorizationFailed", message="not yet", method="PUT")
    older = site.push("acme/shop:v2", pushed_at=now)
    bad = site.push("acme/shop:v3", pushed_at=now + timedelta(seconds=1))
    worker = site.worker()
    worker.wait_for_log('"AuthorizationFailed"')
    worker.wait_for_log(bad.id, 30)
    wait_until(lambda: bad.id in outcomes(list(events(worker))), PATIENCE, "the end of what failed")
    assert (site.poison.count(), site.waiting()) == (1, {"docker.io/acme/shop:v2"})
    site.arm.clear_faults()
    wait_until(site.is_at_rest, PATIENCE, "the older push going on")
    assert worker.terminate() == 0
    assert outcomes(list(events(worker))) == {bad.id: "failed", older.id: "updated"}


def test_pushes_that_a_circumstance_keeps_back_wait_for_it_together_and_once(site: Site) -> None:
    site.arm.fault("refuse", status=403, code="AuthorizationFailed", message="no role", method="PUT")
    now = datetime.now(UTC)
    for seconds, tag in enumerate(("v2", "v3", "v4", "v5")):
        site.push(f"acme/shop:{tag}", pushed_at=now + timedelta(seconds=seconds))
    log = site.drain(ACI_HOOKS_MAX_ATTEMPTS="2", ACI_HOOKS_OUTAGE_PATIENCE="1", ACI_HOOKS_RETRY_MAX="1")
    tried = {event["images"]["web"] for event in log if event["event"] == "applying"}
    assert tried == {"acme/shop:v5"}
    assert {(letter["image"], letter["code"]) for letter in site.dead_letters()} == {
        (f"docker.io/acme/shop:{tag}", "AuthorizationFailed") for tag in ("v2", "v3", "v4", "v5")
    }
    assert (site.is_at_rest(), site.effective_puts()) == (True, 0)


def test_a_look_that_another_worker_receives_before_its_record_is_written_waits_for_moments(azurite: Azurite) -> None:
    came_back, asked = Event(), list[int]()

    def holds_back_the_record(method: str, path: str) -> bool:
        if method == "PUT" and "/groups/" in path and not came_back.is_set():
            came_back.wait(PATIENCE)
        return False

    def sees_what_comes_back(method: str, path: str) -> bool:
        if method == "PUT" and (match := re.search(r"/messages/.*visibilitytimeout=(\d+)", path)):
            asked.append(int(match[1]))
            came_back.set()
        return False

    with (
        running_site(azurite, ACI_HOOKS_VISIBILITY_TIMEOUT="30") as site,
        Tripwire(endpoint(site, "blob"), holds_back_the_record) as blobs,
        Tripwire(endpoint(site, "queue"), sees_what_comes_back) as queue,
    ):
        # With one step at a time it leaves the look that it has sent to the other worker.
        sender = site.worker(name="sender", ACI_HOOKS_CONCURRENCY="1", **through(site, "blob", blobs.url))
        site.push("acme/shop:v2")
        wait_until(lambda: site.updates.count() == 2, PATIENCE, "the look beside the rollout")
        receiver = site.worker(name="receiver", **through(site, "queue", queue.url))
        wait_until(lambda: site.is_at_rest() and bool(site.record().outcomes), PATIENCE, "the end of the push")
        assert (sender.terminate(), receiver.terminate()) == (0, 0)
        assert (site.images()["web"], site.effective_puts()) == ("acme/shop:v2", 1)
    assert asked[0] <= 1


@pytest.mark.parametrize("in_hand", [False, True], ids=["with nothing to do", "with a step in hand"])
def test_sigterm_ends_a_worker_while_the_storage_is_frozen(*, in_hand: bool) -> None:
    with Azurite() as own, running_site(own) as site:
        site.arm.fault("stall", method="PUT", seconds=1, times=1)
        worker = site.worker()
        worker.wait_for_log("worker started")
        if in_hand:
            site.push("acme/shop:v2")
            worker.wait_for_log('"applying"')
        own.program.signal(signal.SIGSTOP)
        try:
            assert worker.terminate() == 0
        finally:
            own.program.signal(signal.SIGCONT)
        if in_hand:
            site.drain()
            assert (site.images()["web"], site.effective_puts()) == ("acme/shop:v2", 1)
