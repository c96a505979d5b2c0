"""The stage: Azurite, the ARM simulator, ingresses and workers as processes to be killed, frozen and restarted.

The workers and ingresses may be those of another checkout, to see what an older version does to the same.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from shared.environment import read_settings
from shared.queue import Queue, open_queues
from shared.settings import WorkerSettings
from tests.arm_simulator import SimulatorClient
from tests.arm_simulator.reports import GroupTruth
from tests.azurite import Azurite
from tests.chaos.records import Records
from tests.processes import (
    INGRESS,
    PROJECT,
    SIMULATOR,
    WORKER,
    ProcessError,
    Processes,
    Program,
    free_ports,
    wait_until,
)

SUBSCRIPTION = "00000000-0000-0000-0000-00000000c405"
RESOURCE_GROUP = "chaos"
TOKEN = "a-token-of-the-chaos-runs"
# Nothing that is pushed here exists in any registry, and none is to be asked: their lookups end at a closed port.
_NO_REGISTRY = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
FAST = {
    "ACI_HOOKS_WORKER_PORT": "0",
    "ACI_HOOKS_VISIBILITY_TIMEOUT": "4",
    "ACI_HOOKS_POLL_MIN": "0.05",
    "ACI_HOOKS_POLL_MAX": "0.5",
    "ACI_HOOKS_CHECK_INTERVAL": "0.3",
    "ACI_HOOKS_SOAK": "1",
    "ACI_HOOKS_RETRY_BASE": "0.3",
    "ACI_HOOKS_RETRY_MAX": "5",
    "ACI_HOOKS_ROLLOUT_TIMEOUT": "20",
}
"""A worker's settings under which a rollout takes seconds."""


class Slot:
    """The place of one program: kills and restarts change the program, not the place. Thread-safe."""

    def __init__(self, name: str, start: Callable[[], Program]) -> None:
        self.name = name
        self._start = start
        self._lock = threading.Lock()
        self.program = start()

    def kill(self) -> None:
        """SIGKILL, and another one in its place."""
        with self._lock:
            self.program.kill()
            self.program = self._start()

    def freeze(self) -> None:
        """SIGSTOP to it and its children."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to them."""
        self._signal(signal.SIGCONT)

    def revive(self) -> None:
        """Let it run on, or start it again if it is gone."""
        self.thaw()
        with self._lock:
            if not self.program.running:
                self.program = self._start()

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, suppress(ProcessLookupError):
            if self.program.running:
                os.killpg(self.program.pid, number)


class Stage:
    """Everything that a run needs, from `with` to its end; all logs and data are in `folder`."""

    def __init__(
        self,
        folder: Path,
        targets: str,
        *,
        checkout: Path = PROJECT,
        storage: Callable[[Path], Azurite] = Azurite,
        **settings: str,
    ) -> None:
        """`checkout` is where the workers and the ingresses come from; `storage` starts Azurite on a folder."""
        self.folder = folder
        self.worker = from_checkout(checkout, WORKER)
        self._ingress = from_checkout(checkout, INGRESS)
        self._storage = storage
        self._targets = targets
        self._settings = settings
        self._exits = ExitStack()
        self.workers: list[Slot] = []
        self.ingresses: list[Slot] = []
        self.urls: list[str] = []

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self.azurite = undo.enter_context(self._storage(self.folder / "azurite"))
            self.processes = undo.enter_context(Processes(self.folder))
            self._start_simulator(undo)
            self._exits = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in [*self.workers, *self.ingresses]:
            slot.thaw()
        self._exits.close()

    def _start_simulator(self, undo: ExitStack) -> None:
        (port,) = free_ports(1)
        self.arm_url = f"http://127.0.0.1:{port}"
        health = f"{self.arm_url}/_simulator/healthz"
        self.processes.start("simulator", SIMULATOR, "--port", str(port), url=health)
        self.arm = undo.enter_context(SimulatorClient(self.arm_url))
        file = self.folder / "targets.yaml"
        file.write_text(self._targets, encoding="utf-8")
        storage = {"AZURE_STORAGE_CONNECTION_STRING": self.azurite.connection_string}
        self._ingress_environment = {**storage, "ACI_HOOKS_WEBHOOK_TOKENS": TOKEN}
        self.environment: Mapping[str, str] = {
            **storage,
            **_NO_REGISTRY,
            **FAST,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "ACI_HOOKS_TARGETS": str(file),
            "ACI_HOOKS_ARM_ENDPOINT": self.arm_url,
            **self._settings,
        }

    def open(self) -> tuple[Queue, Queue, Records]:
        """Clients of its own for the updates queue, the poison queue and the records; all three exist afterwards."""
        settings = read_settings(WorkerSettings, dict(self.environment))
        updates, poison = open_queues(settings)
        records = Records(self.azurite.connection_string, settings.records)
        for store in (updates, poison, records):
            store.ensure()
        return updates, poison, records

    def start_workers(self, count: int) -> None:
        """So many more workers, which need not be ready when this returns."""
        for _ in range(count):
            name = f"worker-{len(self.workers) + 1}"
            self.workers.append(Slot(name, self._starter(name, (*self.worker, "run"), self.environment)))

    def start_ingresses(self, count: int) -> None:
        """So many more ingresses, each ready when this returns."""
        for port in free_ports(count):
            name = f"ingress-{len(self.ingresses) + 1}"
            command = (*self._ingress, "--host", "127.0.0.1", "--port", str(port))
            slot = Slot(name, self._starter(name, command, self._ingress_environment))
            self.ingresses.append(slot)
            self.urls.append(f"http://127.0.0.1:{port}")
        for slot, url in zip(self.ingresses, self.urls, strict=True):
            slot.program.wait_until_ready(f"{url}/readyz", 60)

    def wait_for_workers(self) -> None:
        """Return once every worker works."""
        for slot in self.workers:
            slot.program.wait_for_log("worker started", 60)

    def command(self, *arguments: str) -> Program:
        """Another command of aci-hooks-worker, begun."""
        return self.processes.start("commands", self.worker, *arguments, environment=self.environment)

    def place(self, group: str, images: Mapping[str, str], tags: Mapping[str, str] | None = None) -> None:
        """Put a running group with a public IP into the simulator."""
        self.arm.put_group(SUBSCRIPTION, RESOURCE_GROUP, group, definition(images, tags or {}))

    def owner(self, action: str, group: str) -> GroupTruth:
        """What the group's owner does to it: `stop`, `start` or `restart`. Refused while it is in transition."""
        return self.arm.act(action, SUBSCRIPTION, RESOURCE_GROUP, group)

    def tag(self, group: str, tags: Mapping[str, str]) -> None:
        """Give the group these resource tags and no others, as its owner would."""
        self.arm.tag(SUBSCRIPTION, RESOURCE_GROUP, group, tags)

    def delete(self, group: str) -> None:
        """Delete the group, as its owner would, until no fault meets it."""
        path = f"subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.ContainerInstance"
        ask = partial(
            httpx.delete,
            f"{self.arm_url}/{path}/containerGroups/{group}",
            params={"api-version": "2025-09-01"},
            headers={"Authorization": "Bearer owner"},
            trust_env=False,
            timeout=30,
        )

        def gone() -> bool:
            try:
                return ask().status_code in {200, 204}
            except httpx.HTTPError:
                return False

        wait_until(gone, 60, f"{group} could not be deleted")

    def truth(self, group: str) -> GroupTruth:
        """The group as it really is."""
        return self.arm.group(SUBSCRIPTION, RESOURCE_GROUP, group)

    def restart_azurite(self, pause: Callable[[], object]) -> None:
        """Stop Azurite in order, `pause`, and start it again on the same data and ports."""
        self.azurite.stop()
        if answers_at_all(self.azurite.connection_string):
            raise ProcessError("Azurite was stopped and still answers")
        pause()
        self.azurite.start()

    def stop_workers(self) -> dict[str, int]:
        """End them in order; their exit codes by name."""
        return {slot.name: slot.program.terminate(60) for slot in self.workers}

    def _starter(self, name: str, command: tuple[str, ...], environment: Mapping[str, str]) -> Callable[[], Program]:
        return lambda: self.processes.start(name, command, environment=environment)


def from_checkout(checkout: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command, run in another checkout of the project, with that one's environment if it has one of its own."""
    if checkout == PROJECT:
        return command
    own = checkout / ".venv" / "bin" / "python"
    python = str(own if own.exists() else sys.executable)
    # A Python that is given a module looks for it in the working directory first. `exec` keeps the process's id.
    return ("sh", "-c", 'cd "$0" && exec "$@"', str(checkout), python, *command[1:])


def answers_at_all(connection_string: str) -> bool:
    """Does anything listen where the queue of this connection string is?"""
    address = urlsplit(parse_connection(connection_string)["QueueEndpoint"])
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname or "", address.port or 0)) == 0


def parse_connection(connection_string: str) -> dict[str, str]:
    """The parts of a connection string by their names."""
    return dict(part.split("=", 1) for part in connection_string.split(";") if part)


def definition(images: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, Any]:
    """A container group with these containers (name → image) and resource tags."""
    containers = [
        {
            "name": name,
            "properties": {
                "image": image,
                "ports": [{"port": 8080 + index}],
                "resources": {"requests": {"cpu": 0.5, "memoryInGB": 0.5}},
            },
        }
        for index, (name, image) in enumerate(images.items())
    ]
    address = {"type": "Public", "ports": [{"protocol": "TCP", "port": 8080}]}
    properties = {"containers": containers, "osType": "Linux", "restartPolicy": "Always", "ipAddress": address}
    return {"location": "westeurope", "tags": dict(tags), "properties": properties}
