"""Secrets that Azure withholds: put back from the targets file's sources, and found in no artefact of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.message import from_base64
from tests.site import SUBSCRIPTION, Site, definition

SECRETS = {
    "DB_PASSWORD": "hunter22-database",
    "HUB_PASSWORD": "hunter22-registry",
    "STORAGE_KEY": "aHVudGVyMjItc3RvcmFnZQ==",
    "TLS_PEM": "hunter22-certificate",
    "LA_KEY": "hunter22-workspace",
}
TLS_IN_BASE64 = "aHVudGVyMjItY2VydGlmaWNhdGU="


def rich_group(site: Site) -> None:
    containers = definition({"web": "acme/shop:v1", "sidecar": "acme/logs:1"})["properties"]["containers"]
    containers[0]["properties"]["environmentVariables"] = [
        {"name": "PLAIN", "value": "x"},
        {"name": "DB_PASSWORD", "secureValue": SECRETS["DB_PASSWORD"]},
    ]
    site.group(
        "shop",
        {},
        containers=containers,
        imageRegistryCredentials=[
            {"server": "index.docker.io", "username": "acme", "password": SECRETS["HUB_PASSWORD"]},
            {"server": "acme.azurecr.io", "identity": "/subscriptions/s/resourceGroups/g/identity"},
        ],
        volumes=[
            {
                "name": "data",
                "azureFile": {"shareName": "s", "storageAccountName": "a", "storageAccountKey": SECRETS["STORAGE_KEY"]},
            },
            {"name": "certs", "secret": {"tls.pem": TLS_IN_BASE64}},
        ],
        diagnostics={"logAnalytics": {"workspaceId": "w", "workspaceKey": SECRETS["LA_KEY"]}},
    )


def configure(site: Site, tmp_path: Path) -> None:
    pem = tmp_path / "tls.pem"
    pem.write_text(SECRETS["TLS_PEM"] + "\n")
    file = tmp_path / "targets.yaml"
    file.write_text(
        f"""targets:
  - container_group: shop
    resource_group: web
    containers: {{web: {{policy: any}}}}
    secrets:
      env/web/DB_PASSWORD: env:DB_PASSWORD
      registry/index.docker.io: env:HUB_PASSWORD
      volume/data/storage-account-key: env:STORAGE_KEY
      volume/certs/secret/tls.pem: file:{pem}
      log-analytics/workspace-key: env:LA_KEY
"""
    )
    site.environment |= SECRETS | {"ACI_HOOKS_TARGETS": str(file)}


def test_plan_shows_the_change_and_no_secret_and_reads_only(site: Site, tmp_path: Path) -> None:
    rich_group(site)
    configure(site, tmp_path)
    before = site.arm.log()[-1]["n"] if site.arm.log() else 0
    for arguments in (("plan", "acme/shop:v2"), ("plan", "acme/shop:v2", "--json")):
        out = site.command(*arguments)
        assert "acme/shop:v1" in out
        assert "acme/shop:v2" in out
        assert not [value for value in (*SECRETS.values(), TLS_IN_BASE64) if value in out]
    assert {request["method"] for request in site.arm.log(since=before)} <= {"GET", "HEAD"}
    assert (site.updates.count(), site.effective_puts()) == (0, 0)


def test_all_five_kinds_survive_an_update(site: Site, tmp_path: Path) -> None:
    rich_group(site)
    configure(site, tmp_path)
    before, after = (update(site, tag) for tag in ("v2", "v3"))
    before["properties"]["containers"][0]["properties"]["image"] = "acme/shop:v3"
    assert after == before
    text = json.dumps(after)
    assert [
        secret for secret in [*list(SECRETS.values())[:3], TLS_IN_BASE64, SECRETS["LA_KEY"]] if secret not in text
    ] == []


def update(site: Site, tag: str) -> Any:
    """Bring a tag onto the group; the group's whole definition, secrets included."""
    site.push(f"acme/shop:{tag}")
    site.drain()
    return site.arm.group(SUBSCRIPTION, "web", "shop")["definition"]


def test_no_secret_is_in_any_artefact_of_a_run_that_goes_wrong(site: Site, tmp_path: Path) -> None:
    rich_group(site)
    configure(site, tmp_path)
    # A server that echoes a secret in its error is the worst that can happen.
    site.arm.fault("refuse", status=400, code="Odd", message=f"bad key {SECRETS['LA_KEY']}", method="PUT", times=1)
    site.push("acme/shop:v2")
    site.drain()
    printed = f"password={SECRETS['DB_PASSWORD']}\n{SECRETS['STORAGE_KEY'][:9]}\x1b[1m{SECRETS['STORAGE_KEY'][9:]}\n"
    site.arm.image("acme/shop:v3", "crash-loop", output=printed)
    site.push("acme/shop:v3")
    site.drain()
    for command in (["check"], ["plan", "acme/shop:v4"], ["history"], ["dead-letters", "list"]):
        site.command(*command)
    letters = [from_base64(message.text).decode() for message in site.poison.receive(32)]
    artefacts = {
        **{log.name: log.read_text() for log in site.processes.folder.glob("*.log")},
        "record": site.record().model_dump_json(),
        "dead letters": "\n".join(letters),
    }
    assert len(letters) == 2
    assert [letter.get("log") for letter in map(json.loads, letters)] == [None, "password=***\n***"]
    found = {
        (name, secret)
        for name, text in artefacts.items()
        for secret in [*SECRETS.values(), TLS_IN_BASE64]
        if secret in text
    }
    assert found == set()


def test_a_source_that_can_not_be_read_is_named_and_nothing_is_put(site: Site, tmp_path: Path) -> None:
    rich_group(site)
    configure(site, tmp_path)
    del site.environment["HUB_PASSWORD"]
    site.push("acme/shop:v2")
    site.drain(ACI_HOOKS_MAX_ATTEMPTS="2")
    (letter,) = site.dead_letters()
    assert letter["code"] == "SecretUnavailable"
    assert "registry/index.docker.io" in letter["detail"]
    assert site.effective_puts() == 0
