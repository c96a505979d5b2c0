"""SIGTERM where storage accepts connections and never answers: both programs end in order, well before they are killed.

Platforms kill what has not ended 10 seconds after SIGTERM. These tests allow for a few more, as the machine may be
busy; what waits for storage's own timeouts takes twice as long.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.ingress_process import Line
from tests.processes import INGRESS, PATIENCE, WORKER, Processes, Program, free_ports, wait_until
from tests.site import Site, events

IN_TIME = 14.0
"""Seconds."""
KEY = "c2VjcmV0LW9mLW5vYm9keQ=="
TOKEN = "a-token-that-nobody-guesses"


class SilentServer:
    """Accepts every connection and says nothing; `clients` are those that have come."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.clients: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self.clients.append(self._listener.accept()[0])

    def close(self) -> None:
        for item in (self._listener, *self.clients):
            item.close()


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.close()


@pytest.fixture
def processes() -> Iterator[Processes]:
    with Processes() as running:
        yield running


def environment(silent: SilentServer) -> dict[str, str]:
    """Settings by which everything outside is silent: storage, Azure and, if spans are sent, the collector."""
    account = f"{silent.url}/devstoreaccount1"
    endpoints = f"BlobEndpoint={account};QueueEndpoint={account}"
    return {
        "AZURE_STORAGE_CONNECTION_STRING": f"AccountName=devstoreaccount1;AccountKey={KEY};{endpoints}",
        "AZURE_SUBSCRIPTION_ID": "sub",
        "RESOURCE_GROUP_NAME": "web",
        "CONTAINER_GROUP_NAME": "shop",
        "ACI_HOOKS_ARM_ENDPOINT": silent.url,
        "ACI_HOOKS_WORKER_PORT": "0",
        "ACI_HOOKS_WEBHOOK_TOKENS": TOKEN,
    }


def ends_in_order(program: Program) -> None:
    assert program.terminate(IN_TIME) == 0
    assert "stopping" in {event["event"] for event in events(program)}


def test_a_worker_whose_storage_was_never_there(processes: Processes, silent: SilentServer) -> None:
    worker = processes.start("worker", WORKER, "run", environment=environment(silent))
    wait_until(lambda: bool(silent.clients), PATIENCE, "the first request")
    ends_in_order(worker)


def test_a_worker_whose_storage_falls_silent_in_the_middle_of_its_steps(site: Site) -> None:
    connection = site.environment["AZURE_STORAGE_CONNECTION_STRING"]
    with ExitStack() as stack:
        lines = []
        for kind in ("Queue", "Blob"):
            found = re.search(rf"{kind}Endpoint=(http://[^/;]+)", connection)
            assert found
            upstream = urlsplit(found[1])
            line = Line((str(upstream.hostname), int(upstream.port or 80)))
            stack.callback(line.cut)
            connection = connection.replace(found[1], line.url)
            lines.append(line)
        worker = site.worker(AZURE_STORAGE_CONNECTION_STRING=connection, ACI_HOOKS_VISIBILITY_TIMEOUT="30")
        site.push("acme/shop:v2")
        worker.wait_for_log("applying")
        for line in lines:
            line.stall()
        ends_in_order(worker)
        for line in lines:
            line.restore()
    # Nothing is lost: another worker goes on.
    site.drain()
    assert site.images()["web"] == "acme/shop:v2"


@pytest.mark.parametrize("traced", [False, True])
def test_an_ingress_with_a_webhook_in_hand(processes: Processes, silent: SilentServer, traced: bool) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    settings = {**environment(silent), "PORT": str(port)}
    if traced:
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = silent.url
    program = processes.start("ingress", INGRESS, "--host", "127.0.0.1", environment=settings, url=f"{url}/healthz")
    answers: list[int] = []

    def post() -> None:
        target = f"{url}/webhooks/generic/{TOKEN}"
        answers.append(httpx.post(target, json={"image": "acme/shop:v2"}, timeout=30, trust_env=False).status_code)

    wait_until(lambda: bool(silent.clients), PATIENCE, "the first look at the queue")
    before = len(silent.clients)
    sender = threading.Thread(target=post)
    sender.start()
    wait_until(lambda: len(silent.clients) > before, PATIENCE, "the webhook's request to the queue")
    ends_in_order(program)
    sender.join(PATIENCE)
    # It was answered all the same: its sender is to come again.
    assert answers == [503]
