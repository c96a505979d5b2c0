"""What the first core broke on real processes: outages failed healthy pushes, and one message ended every worker.

tests/property/test_breaches.py has all that it broke, in memory.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from shared.message import to_base64
from tests.integration.test_crashes import endpoint, through
from tests.processes import PATIENCE, Program, wait_until
from tests.site import IP, Site
from tests.tripwire import Tripwire

MANY = 15
"""Requests that an outage lets fail: far more than the attempts that a worker has."""
FEW_ATTEMPTS = {"ACI_HOOKS_MAX_ATTEMPTS": "2", "ACI_HOOKS_RETRY_BASE": "0.1", "ACI_HOOKS_RETRY_MAX": "0.3"}
A_RECORD = r"/groups/"


class Outage(Tripwire):
    """A proxy that says 503 to some requests, those whose path matches, from `begin` to `end`."""

    def __init__(self, upstream: str, path: str) -> None:
        super().__init__(upstream, lambda _method, _path: False)
        self.refused = 0
        self._path = path
        self._lasts = threading.Event()

    def begin(self) -> None:
        """It is down."""
        self._lasts.set()

    def end(self) -> None:
        """It is well again."""
        self._lasts.clear()

    def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        if self._lasts.is_set() and re.search(self._path, path):
            self.refused += 1
            return 503, [("x-ms-error-code", "ServerBusy")], b""
        return super()._forward(method, path, headers, body)


def wait_for(condition: Callable[[], bool], what: str, *workers: Program) -> None:
    """Wait for it, and show what the workers said if it does not come about."""
    try:
        wait_until(condition, PATIENCE, what)
    except TimeoutError as error:
        raise AssertionError("\n".join([str(error), *(worker.tail(60) for worker in workers)])) from error


def runs_well(site: Site, image: str, worker: Program) -> None:
    """The push was the one change that there was, and it has come to its end without a letter."""
    wait_for(lambda: site.images()["web"] == image or site.poison.count() > 0, f"{image} on the group", worker)
    wait_for(lambda: site.updates.count() == 0, "an empty queue", worker)
    assert site.dead_letters() == []
    assert (site.images()["web"], site.effective_puts(), site.ip()) == (image, 1, IP)
    assert any('"outcome": "updated"' in line for line in worker.output().splitlines())


@pytest.mark.parametrize("begun", [False, True])
def test_an_outage_of_azures_reads_fails_no_healthy_push(site: Site, begun: bool) -> None:
    worker = site.worker(**FEW_ATTEMPTS, ACI_HOOKS_SOAK="2")
    worker.wait_for_log("worker started")
    if not begun:
        site.arm.fault("error", method="GET")
    site.push("acme/shop:v2")
    if begun:
        wait_for(lambda: site.effective_puts() == 1, "the PUT", worker)
        site.arm.fault("error", method="GET")
    wait_for(lambda: site.arm.stats()["faults"] >= MANY or site.poison.count() > 0, "failing reads", worker)
    site.arm.clear_faults()
    runs_well(site, "acme/shop:v2", worker)


@pytest.mark.parametrize("begun", [False, True])
def test_an_outage_of_the_records_fails_no_healthy_push(site: Site, begun: bool) -> None:
    with Outage(endpoint(site, "blob"), A_RECORD) as outage:
        worker = site.worker(**FEW_ATTEMPTS, **through(site, "blob", outage.url), ACI_HOOKS_SOAK="2")
        worker.wait_for_log("worker started")
        if not begun:
            outage.begin()
        site.push("acme/shop:v2")
        if begun:
            wait_for(lambda: site.effective_puts() == 1, "the PUT", worker)
            outage.begin()
        wait_for(lambda: outage.refused >= MANY, "failing reads of the record", worker)
        outage.end()
        runs_well(site, "acme/shop:v2", worker)


def test_a_message_from_the_year_9999_ends_no_worker(site: Site) -> None:
    worker = site.worker()
    now = datetime.now(UTC).isoformat()
    push = {"sender": "generic", "registry": "docker.io", "repository": "acme/shop", "tag": "v9", "pushed_at": now}
    message = {"schema": "aci-hooks/1", "id": "far-off", "kind": "push", "push": push}
    text = to_base64(json.dumps(message | {"received_at": "9999-12-31T23:59:59Z"}))
    site.updates.send(text)
    wait_for(lambda: site.poison.count() == 1 or not worker.running, "its dead letter", worker)
    assert worker.running, worker.tail()
    (letter,) = site.dead_letters()
    assert (letter["code"], letter["image"], letter["target"]) == ("Undecodable", None, None)
    assert text in site.command("dead-letters", "show", letter["id"])
    site.push("acme/shop:v2")
    wait_for(lambda: site.images()["web"] == "acme/shop:v2", "the next push on the group", worker)
    wait_for(lambda: site.updates.count() == 0, "an empty queue", worker)
    assert (site.poison.count(), worker.terminate()) == (1, 0)
