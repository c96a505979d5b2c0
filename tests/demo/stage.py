"""The processes of the demo, and what can be observed of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx

from shared.environment import read_settings
from shared.message import TargetId
from shared.settings import WorkerSettings
from tests.arm_simulator import SimulatorClient
from tests.arm_simulator.demo import GROUP, RESOURCE_GROUP, SUBSCRIPTION, set_up
from tests.azurite import Azurite
from tests.demo.deliveries import Registry, Webhook
from tests.ingress_harness import environment as ingress_environment
from tests.processes import INGRESS, SIMULATOR, WORKER, Processes, Program, free_ports
from worker.adapters.record_blobs.client import open_records
from worker.record.values import Outcome

CONTAINER = "web"
_TARGET = TargetId(subscription=SUBSCRIPTION, resource_group=RESOURCE_GROUP, container_group=GROUP)


@dataclass(frozen=True)
class Glance:
    """The container group at one moment, as it really is. `puts` are those that changed it."""

    image: str
    ip: str
    state: str
    puts: int


class Stage:
    """Azurite, the simulator with the demo's group, the ingress and two workers, all on free ports."""

    def __init__(self, azurite: Azurite, processes: Processes, registry: Registry, jwks_url: str) -> None:
        self._processes = processes
        self.registry = registry
        simulator, ingress, *workers = free_ports(4)
        self.simulator_url = f"http://127.0.0.1:{simulator}"
        self.ingress_url = f"http://127.0.0.1:{ingress}"
        self.worker_urls = [f"http://127.0.0.1:{port}" for port in workers]
        self.settings = _settings(azurite.connection_string, self.simulator_url)
        self._ingress_settings = ingress_environment(
            jwks_url, AZURE_STORAGE_CONNECTION_STRING=azurite.connection_string, PORT=str(ingress)
        )
        self._records = open_records(read_settings(WorkerSettings, self.settings))
        self.arm = SimulatorClient(self.simulator_url)
        self.programs = self._start()
        self._place_group()

    @property
    def workers(self) -> list[Program]:
        """The worker processes."""
        return [program for program in self.programs if program.name.startswith("worker")]

    def post(self, webhook: Webhook) -> httpx.Response:
        """Send a delivery to the ingress, as the registry would."""
        return httpx.post(
            f"{self.ingress_url}{webhook.path}",
            content=webhook.body,
            headers=webhook.headers,
            trust_env=False,
            timeout=10,
        )

    def glance(self) -> Glance:
        """The container group now."""
        truth = self.arm.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)
        images = {item["name"]: item["properties"]["image"] for item in truth["definition"]["properties"]["containers"]}
        state = truth["state"] if truth["provisioning_state"] == "Succeeded" else truth["provisioning_state"]
        return Glance(images[CONTAINER], str(truth["ip"]), state, truth["effective_puts"])

    def outcome(self, push_id: str) -> Outcome | None:
        """How a push ended by the group's record, None while it has not."""
        record, _ = self._records.load(_TARGET)
        return next((outcome for outcome in record.outcomes if outcome.id == push_id), None)

    def dead_letters(self) -> list[dict[str, Any]]:
        """What `aci-hooks dead-letters list --json` prints."""
        command = self._processes.start(
            "dead-letters", WORKER, "dead-letters", "list", "--json", environment=self.settings
        )
        if command.wait(20) != 0:
            raise command.error(f"exit code {command.exit_code}")
        letters: list[dict[str, Any]] = json.loads(command.output())
        return letters

    def _start(self) -> list[Program]:
        start = self._processes.start
        simulator = start("arm-simulator", SIMULATOR, "--port", self.simulator_url.rpartition(":")[2])
        ingress = start("ingress", INGRESS, "--host", "127.0.0.1", environment=self._ingress_settings)
        workers = [
            start(f"worker-{n}", WORKER, "run", environment={**self.settings, "ACI_HOOKS_WORKER_PORT": port})
            for n, port in enumerate((url.rpartition(":")[2] for url in self.worker_urls), start=1)
        ]
        simulator.wait_until_ready(f"{self.simulator_url}/_simulator/healthz", 20)
        ingress.wait_until_ready(f"{self.ingress_url}/readyz", 20)
        for worker, url in zip(workers, self.worker_urls, strict=True):
            worker.wait_until_ready(f"{url}/readyz", 20)
        return [simulator, ingress, *workers]

    def _place_group(self) -> None:
        """The simulator's own demo group, with the sender's image in it, as it was started an hour ago."""
        self.arm.options(transition_seconds=1.2, pull_seconds=0.6, back_off_seconds=0.5)
        set_up(self.arm)
        definition = self.arm.group(SUBSCRIPTION, RESOURCE_GROUP, GROUP)["definition"]
        for container in definition["properties"]["containers"]:
            if container["name"] == CONTAINER:
                container["properties"]["image"] = self.registry.image("v1")
        self.arm.put_group(SUBSCRIPTION, RESOURCE_GROUP, GROUP, definition)


def _settings(connection_string: str, simulator_url: str) -> dict[str, str]:
    """What the workers, and the commands of a person who looks at them, are configured by: faster than by default."""
    return {
        "AZURE_STORAGE_CONNECTION_STRING": connection_string,
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "RESOURCE_GROUP_NAME": RESOURCE_GROUP,
        "CONTAINER_GROUP_NAME": GROUP,
        "ACI_HOOKS_ARM_ENDPOINT": simulator_url,
        "ACI_HOOKS_POLL_MIN": "0.05",
        "ACI_HOOKS_POLL_MAX": "0.5",
        "ACI_HOOKS_CHECK_INTERVAL": "0.5",
        "ACI_HOOKS_SOAK": "1.5",
        "ACI_HOOKS_ROLLOUT_TIMEOUT": "20",
        # The images are made up, so no real registry is to be asked about them: a proxy that nobody runs.
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
