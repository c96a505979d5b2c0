"""A site: Azurite, the ARM simulator, and the project's own processes on one queue, for the integration tests."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from azure.storage.blob import ContainerClient

from shared.environment import read_settings
from shared.image import ImageReference
from shared.message import TargetId, UpdateMessage
from shared.push import Push
from shared.queue import open_queues
from shared.settings import WorkerSettings
from tests.arm_simulator import ArmSimulator
from tests.azurite import Azurite
from tests.processes import PATIENCE, WORKER, Processes, Program, wait_until
from worker.adapters.record_blobs.client import open_records
from worker.record.record import Record

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
RESOURCE_GROUP = "web"
IP = "20.50.0.9"
NO_REGISTRY = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
"""Nothing that is pushed here exists in any registry, and none is to be asked: their lookups end at a closed port."""


def definition(images: Mapping[str, str], **properties: Any) -> dict[str, Any]:
    """A plain container group with these containers (name → image)."""
    return {
        "location": "westeurope",
        "properties": {
            "containers": [
                {
                    "name": name,
                    "properties": {
                        "image": image,
                        "ports": [{"port": 8080 + index}],
                        "environmentVariables": [],
                        "resources": {"requests": {"cpu": 1.0, "memoryInGB": 1.5}},
                    },
                }
                for index, (name, image) in enumerate(images.items())
            ],
            "osType": "Linux",
            "restartPolicy": "Always",
            "ipAddress": {
                "type": "Public",
                "ip": IP,
                "dnsNameLabel": "shop",
                "ports": [{"port": 80, "protocol": "TCP"}],
            },
            **properties,
        },
    }


class Site:
    """One queue, one records container, one simulator with one group `shop`, and the processes that work on them."""

    def __init__(self, azurite: Azurite, arm: ArmSimulator, processes: Processes, **settings: str) -> None:
        unique = secrets.token_hex(4)
        self.arm = arm.client
        self.processes = processes
        self.environment = {
            "AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string,
            "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
            "RESOURCE_GROUP_NAME": RESOURCE_GROUP,
            "CONTAINER_GROUP_NAME": "shop",
            "ACI_HOOKS_ARM_ENDPOINT": arm.url,
            "ACI_HOOKS_QUEUE": f"updates-{unique}",
            "ACI_HOOKS_RECORDS": f"records-{unique}",
            "ACI_HOOKS_WORKER_PORT": "0",
            "ACI_HOOKS_VISIBILITY_TIMEOUT": "2",
            "ACI_HOOKS_POLL_MIN": "0.05",
            "ACI_HOOKS_POLL_MAX": "0.2",
            "ACI_HOOKS_CHECK_INTERVAL": "0.2",
            "ACI_HOOKS_SOAK": "0.5",
            # A change whose answer nobody got is waited for half as long.
            "ACI_HOOKS_ROLLOUT_TIMEOUT": "12",
            "ACI_HOOKS_RETRY_BASE": "0.2",
            **NO_REGISTRY,
            **settings,
        }
        worker = read_settings(WorkerSettings, self.environment)
        self.updates, self.poison = open_queues(worker)
        self.records = open_records(worker)
        for store in (self.updates, self.poison, self.records):
            store.ensure()
        self.arm.options(transition_seconds=0.3, pull_seconds=0.1, back_off_seconds=0.3)

    def group(self, name: str, images: Mapping[str, str], **properties: Any) -> None:
        """Put a running group into the simulator."""
        self.arm.put_group(SUBSCRIPTION, RESOURCE_GROUP, name, definition(images, **properties))

    def push(
        self, image: str, *, pushed_at: datetime | None = None, sender: str = "generic", proof: str = "own"
    ) -> UpdateMessage:
        """Enqueue a push, as the ingress does for a sender that has proved itself."""
        now = datetime.now(UTC)
        push = Push.of(sender, ImageReference.parse(image), pushed_at=pushed_at or now, proof=proof)
        message = UpdateMessage(id=secrets.token_hex(8), kind="push", push=push, received_at=now)
        self.updates.send(message.encode())
        return message

    def worker(self, *arguments: str, name: str = "worker", **settings: str) -> Program:
        """Start `aci-hooks run` with these arguments."""
        return self.processes.start(name, WORKER, "run", *arguments, environment={**self.environment, **settings})

    def drain(self, **settings: str) -> list[dict[str, Any]]:
        """Run one worker until nothing is left to do; its log's events."""
        program = self.worker("--drain", name=f"drain-{secrets.token_hex(2)}", **settings)
        code = program.wait(PATIENCE)
        if code != 0:
            raise program.error(f"exit code {code}")
        return list(events(program))

    def command(self, *arguments: str, expect: int = 0, **settings: str) -> str:
        """Run another command of aci-hooks-worker; what it printed."""
        name = f"command-{secrets.token_hex(3)}"
        program = self.processes.start(name, WORKER, *arguments, environment={**self.environment, **settings})
        code = program.wait(PATIENCE)
        if code != expect:
            raise program.error(f"exit code {code}, not {expect}")
        return program.output()

    def json_of(self, *arguments: str, expect: int = 0, **settings: str) -> Any:
        """What another command printed as JSON, after whatever it logged."""
        lines = self.command(*arguments, "--json", expect=expect, **settings).splitlines()
        return json.loads("\n".join(lines[lines.index("[") :] if "[" in lines else lines[-1:]))

    def images(self, name: str = "shop") -> dict[str, str]:
        """What the group runs, by the simulator."""
        containers = self._truth(name)["definition"]["properties"]["containers"]
        return {container["name"]: container["properties"]["image"] for container in containers}

    def effective_puts(self, name: str = "shop") -> int:
        """PUTs that took effect on the group."""
        return int(self._truth(name)["effective_puts"])

    def ip(self, name: str = "shop") -> str:
        """The group's public IP."""
        return str(self._truth(name)["ip"])

    def record(self, name: str = "shop") -> Record:
        """The group's record."""
        return self.records.load(target_of(name))[0]

    def waiting(self, name: str = "shop") -> set[str]:
        """The images of the pushes that wait in the group's record."""
        return {str(message.push.image) for message in self.record(name).waiting().values()}

    def is_at_rest(self, name: str = "shop") -> bool:
        """Does the group's record say that nothing is left to be done or told?"""
        record = self.record(name)
        left = record.timer or record.change or record.flights or record.undone or record.outbox or record.waiting()
        return not left

    def write_blob(self, name: str, text: str) -> None:
        """Write a blob into the records' container, over whatever is there, as somebody by hand."""
        connection = self.environment["AZURE_STORAGE_CONNECTION_STRING"]
        with ContainerClient.from_connection_string(connection, self.environment["ACI_HOOKS_RECORDS"]) as container:
            container.upload_blob(name, text, overwrite=True)

    def write_record(self, name: str, text: str) -> None:
        """Write anything in the place of a group's record."""
        self.write_blob(f"groups/{target_of(name).key}.json", text)

    def delete_group(self, name: str = "shop") -> None:
        """Delete the group, as its owner would."""
        path = f"subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.ContainerInstance"
        httpx.delete(
            f"{self.environment['ACI_HOOKS_ARM_ENDPOINT']}/{path}/containerGroups/{name}",
            params={"api-version": "2025-09-01"},
            headers={"Authorization": "Bearer owner"},
            trust_env=False,
        ).raise_for_status()

    def let_patrol(self) -> None:
        """Let a worker compare all records with the groups soon, as if it had been long since the last time."""
        self.write_blob("patrol.json", "2020-01-01T00:00:00+00:00")

    def act(self, action: str, name: str = "shop") -> None:
        """Stop, start or restart the group, as its owner would."""
        self.arm.act(action, SUBSCRIPTION, RESOURCE_GROUP, name)

    def tag(self, tags: Mapping[str, str], name: str = "shop") -> None:
        """Give the group these resource tags instead of those that it has, as its owner would."""
        self.arm.tag(SUBSCRIPTION, RESOURCE_GROUP, name, tags)

    def lose_messages(self) -> None:
        """Delete every message of the updates queue, as nobody ever should."""

        def gone() -> bool:
            for message in self.updates.receive(32):
                self.updates.complete(message)
            return self.updates.count() == 0

        wait_until(gone, PATIENCE, "an empty queue")

    def dead_letters(self) -> list[dict[str, Any]]:
        """What `dead-letters list --json` prints."""
        return list(self.json_of("dead-letters", "list"))

    def _truth(self, name: str) -> Any:
        return self.arm.group(SUBSCRIPTION, RESOURCE_GROUP, name)


def target_of(name: str) -> TargetId:
    """The container group of this name."""
    return TargetId(subscription=SUBSCRIPTION, resource_group=RESOURCE_GROUP, container_group=name)


def events(program: Program) -> Iterator[dict[str, Any]]:
    """The JSON lines of a program's log."""
    for line in program.output().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def outcomes(log: list[dict[str, Any]]) -> dict[str, str]:
    """How each push ended by a log: id → outcome."""
    return {event["id"]: event["outcome"] for event in log if event["event"] == "ended"}


@contextmanager
def running_site(azurite: Azurite, **settings: str) -> Iterator[Site]:
    """A site whose group `shop` runs `web: acme/shop:v1` beside `proxy: nginx:1.27`."""
    with ArmSimulator() as arm, Processes() as processes:
        site = Site(azurite, arm, processes, **settings)
        site.group("shop", {"web": "acme/shop:v1", "proxy": "nginx:1.27"})
        yield site
