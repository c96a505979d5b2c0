"""A night as an operator finds it: container groups in every state, with the records and dead letters that tell of it.

The groups are the simulator's, the records and letters are written as workers write them. The status page's tests and
the pictures in docs/ show it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from shared.dead_letter import DeadLetter
from shared.image import ImageReference
from shared.message import UpdateMessage, to_base64
from shared.push import Push
from tests.azurite import Azurite
from tests.processes import WORKER, free_ports
from tests.site import RESOURCE_GROUP, SUBSCRIPTION, Site, definition, running_site, target_of
from worker.record.container import Candidate, ContainerRecord, Good
from worker.record.record import Record
from worker.record.values import Change, Hold, Patience, Result

LOG = """2026-11-27T02:11:52Z INFO  starting, version 2.1.0, commit 8f3c1d2
2026-11-27T02:11:53Z INFO  config loaded from /etc/api/config.yaml
2026-11-27T02:11:53Z INFO  connecting to postgres at db.internal:5432
2026-11-27T02:11:54Z ERROR could not apply migration 0042_orders: column "tax" of relation "orders" does not exist
Traceback (most recent call last):
  File "/app/main.py", line 31, in <module>
    migrate(engine)
sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedColumn) column "tax" does not exist
2026-11-27T02:11:54Z INFO  exit 1"""
HOSTILE = "<script>alert('x')</script> \x1b[31m\u202egnp.exe\u2066 <img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Served:
    """A site with a status page. `ahead` moves the times of what happened."""

    site: Site
    url: str
    now: datetime

    def ago(self, minutes: float) -> datetime:
        """So many minutes before the night's present."""
        return self.now - timedelta(minutes=minutes)


def message(image: str, group: str, at: datetime, pusher: str = "ci-bot", sender: str = "ghcr") -> UpdateMessage:
    """The rollout message of a push of this image."""
    push = Push.of(sender, ImageReference.parse(image), pushed_at=at, pusher=pusher)
    name = sha256(f"{image} {group}".encode()).hexdigest()[:32]
    return UpdateMessage(id=name, kind="rollout", push=push, received_at=at, target=target_of(group))


def record_of(group: str, images: Mapping[str, str]) -> Record:
    """The record of a group that runs well."""
    containers = {
        name: ContainerRecord(repository=ImageReference.parse(image).name, goods=(Good(image=image),))
        for name, image in images.items()
    }
    return Record(target=target_of(group), swept=True, containers=containers)


def ended(
    record: Record, message: UpdateMessage, result: Result, detail: str, at: datetime, code: str | None = None
) -> Record:
    """The record after that end, which was told."""
    return record.end(message, result, detail, record.containers, at, code).but(outbox=(), address_changes=())


def save(site: Site, record: Record) -> None:
    """Write the record, over whatever there is."""
    site.records.save(record, site.records.load(record.target)[1])


def send_letter(
    site: Site, message: UpdateMessage, code: str, detail: str, at: datetime, log: str | None = None
) -> None:
    """Put a letter onto the poison queue, as a worker does; with a `log`, as one that reads logs."""
    letter = DeadLetter(
        reason="rolled back" if code == "CrashLoop" else "failed",
        code=code,
        detail=detail,
        attempts=1,
        first_received_at=message.received_at,
        dead_lettered_at=at,
        message=message,
    )
    content = json.loads(letter.model_dump_json()) | ({"log": log} if log else {})
    site.poison.send(to_base64(json.dumps(content)))


def group(site: Site, name: str, images: Mapping[str, str], ip: str, tags: Mapping[str, str] | None = None) -> None:
    """Put a running group into the simulator."""
    body = definition(images, ipAddress={"type": "Public", "ip": ip, "ports": [{"port": 80, "protocol": "TCP"}]})
    site.arm.put_group(SUBSCRIPTION, RESOURCE_GROUP, name, {**body, "tags": dict(tags or {})})


CALM = {
    "accounts": {"web": "acme.azurecr.io/accounts:3.14.2"},
    "catalogue": {"web": "acme.azurecr.io/catalogue:2.7.0", "cache": "redis:7.4"},
    "invoices": {"app": "ghcr.io/acme/invoices:2026-11-20"},
    "search": {"web": "acme.azurecr.io/search:5.1.9", "proxy": "nginx:1.27"},
    "sessions": {"app": "ghcr.io/acme/sessions:1.0.3"},
    "tracking": {"app": "ghcr.io/acme/tracking:0.9.12"},
}


def lay_out(served: Served) -> None:
    """The night: crash loops, a missing secret, a rollout, holds, pushes that wait, and quiet groups."""
    site, ago = served.site, served.ago
    site.arm.options(transition_seconds=0.3, pull_seconds=0.1, back_off_seconds=600)
    _quiet(served)
    _crash_loop(served)
    _failed(served)
    _under_way(served)
    _kept_back(served)
    site.updates.send(message("ghcr.io/acme/invoices:2026-11-27", "invoices", ago(0)).encode())


def _quiet(served: Served) -> None:
    for number, (name, images) in enumerate(CALM.items()):
        group(served.site, name, images, f"20.50.0.{20 + number}")
        record = record_of(name, images)
        first = next(iter(images.values()))
        at = served.ago(95 + 213 * number)
        push = message(first, name, at - timedelta(seconds=71))
        save(served.site, ended(record, push, "updated", "it runs well", at))


def _crash_loop(served: Served) -> None:
    site, ago = served.site, served.ago
    images = {"api": "acme.azurecr.io/api:2.0.4", "worker": "acme.azurecr.io/api-worker:2.0.4"}
    group(site, "api", images, "20.50.0.7")
    bad = message("acme.azurecr.io/api:2.1.0", "api", ago(14), "jana")
    evidence = "api: CrashLoopBackOff: Back-off restarting failed container; 4 restarts; last exit code 1 (Error)"
    save(
        site,
        ended(record_of("api", images), bad, "rolled-back", f"{evidence}; 2.0.4 was put back", ago(12), "CrashLoop"),
    )
    send_letter(site, bad, "CrashLoop", evidence, ago(12), LOG)
    # And one that its owner broke.
    images = {"web": "acme.azurecr.io/checkout:8.8.1"}
    group(site, "checkout", images, "20.50.0.8")
    site.arm.image("acme.azurecr.io/checkout:8.8.1", "crash-loop")
    site.act("restart", "checkout")
    save(
        site,
        ended(record_of("checkout", images), message(images["web"], "checkout", ago(400)), "updated", "", ago(399)),
    )


def _failed(served: Served) -> None:
    site, ago = served.site, served.ago
    images = {"app": "registry.internal.example/billing:41"}
    group(site, "billing", images, "20.50.0.9")
    bad = message("registry.internal.example/billing:42", "billing", ago(62), "omar", "distribution")
    why = "MissingSecrets: not configured: env/app/STRIPE_KEY, registry/registry.internal.example"
    save(site, ended(record_of("billing", images), bad, "failed", why, ago(61), "MissingSecrets"))
    send_letter(site, bad, "MissingSecrets", why, ago(61))


def _under_way(served: Served) -> None:
    site, ago = served.site, served.ago
    images = {"web": "acme.azurecr.io/shop:1.5.0", "proxy": "nginx:1.27"}
    group(site, "shop", images | {"web": "acme.azurecr.io/shop:1.6.0"}, "20.50.0.10")
    push = message("acme.azurecr.io/shop:1.6.0", "shop", ago(1.4), "inga")
    record = ended(
        record_of("shop", images), message("acme.azurecr.io/shop:1.5.0", "shop", ago(2000)), "updated", "", ago(1999)
    )
    save(site, with_change(record, push, "web", ago(1)))


def with_change(record: Record, push: UpdateMessage, container: str, at: datetime) -> Record:
    """The record while the push's image is watched."""
    image = str(push.push.image)
    candidate = Candidate(message=push, image=image)
    change = Change(
        generation=1,
        images={container: image},
        asked={container: push.id},
        touched=frozenset({container}),
        began_at=at,
        patience=Patience(looked_at=at),
    )
    return record.with_container(container, candidates=(candidate,)).but(change=change, generation=1)


def _kept_back(served: Served) -> None:
    site, ago = served.site, served.ago
    images = {"job": "ghcr.io/acme/reports:7"}
    group(site, "reports", images, "20.50.0.11")
    waiting = Candidate(message=message("ghcr.io/acme/reports:8", "reports", ago(33)), image="ghcr.io/acme/reports:8")
    hold = Hold(reason="month's end: no change until the books are closed", since=ago(600), by="mira", until=ago(-720))
    save(site, record_of("reports", images).with_container("job", candidates=(waiting,)).but(hold=hold))
    images = {"app": "ghcr.io/acme/legacy:2019.4"}
    group(site, "legacy", images, "20.50.0.12", {"aci-hooks.hold": "do not touch before the audit"})
    save(
        site,
        ended(
            record_of("legacy", images),
            message("ghcr.io/acme/legacy:2020.1", "legacy", ago(4000)),
            "ignored",
            "the policy admits no other tag",
            ago(4000),
        ),
    )


def targets_file(folder: Path, names: Mapping[str, Mapping[str, str]]) -> Path:
    """A targets file for these groups (name → container → policy)."""
    entries: list[Any] = [
        {
            "container_group": name,
            "resource_group": RESOURCE_GROUP,
            "containers": {container: {"policy": policy} for container, policy in containers.items()},
        }
        for name, containers in names.items()
    ]
    path = folder / "targets.yaml"
    path.write_text(json.dumps({"targets": entries}), encoding="utf-8")
    return path


POLICIES = {
    **{name: dict.fromkeys(images, "semver:minor") for name, images in CALM.items()},
    "api": {"api": "semver:minor", "worker": "same-tag"},
    "checkout": {"web": "semver"},
    "billing": {"app": "any"},
    "shop": {"web": "semver:minor"},
    "reports": {"job": "any"},
    "legacy": {"app": "glob:2019.*"},
}


@contextmanager
def night(azurite: Azurite, folder: Path, **settings: str) -> Iterator[Served]:
    """The night with a status page that is served; no worker runs."""
    file = targets_file(folder, POLICIES)
    with running_site(azurite, ACI_HOOKS_TARGETS=str(file), **settings) as site:
        served = Served(site, serve(site, **settings), datetime.now(UTC))
        lay_out(served)
        yield served


def serve(site: Site, *arguments: str, **settings: str) -> str:
    """Start `aci-hooks dashboard` on a free port; its URL."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    site.processes.start(
        f"dashboard-{port}",
        WORKER,
        "dashboard",
        "--port",
        str(port),
        *arguments,
        environment={**site.environment, **settings},
        url=f"{url}/healthz",
    )
    return url
