"""A first targets file: it is one, it has every group and container, and a source for each withheld secret."""

from __future__ import annotations

from typing import Any

import yaml

from tests.unit.builders import group
from worker.groups.group import ContainerGroup
from worker.groups.withheld import missing_secrets
from worker.targets.file import parse_targets
from worker.targets.starter import starter

SECRETS: dict[str, Any] = {
    "imageRegistryCredentials": [{"server": "index.docker.io", "username": "acme"}],
    "volumes": [
        {"name": "data", "azureFile": {"shareName": "s", "storageAccountName": "a"}},
        {"name": "certs", "secret": {}},
    ],
    "diagnostics": {"logAnalytics": {"workspaceId": "w"}},
}


def named(of: ContainerGroup, name: str, subscription: str = "sub") -> ContainerGroup:
    own = (
        f"/subscriptions/{subscription}/resourceGroups/web/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )
    return ContainerGroup({**of.raw, "id": own})


def test_it_is_a_targets_file_with_everything_that_exists() -> None:
    shop = group({"web": "acme/shop:1.4.2", "on": "nginx", "bare": f"acme/x@sha256:{'a' * 64}", "odd": "NO IMAGE"})
    groups = [named(shop, "shop"), named(group({"job": "acme/job:latest"}), "jobs", "other")]
    file = parse_targets(starter(groups, "sub"), "sub")
    policies = {
        (target.id.subscription, target.id.container_group): {
            name: str(rule.policy) for name, rule in target.containers.items()
        }
        for target in file.targets
    }
    assert policies == {
        ("sub", "shop"): {"web": "semver:minor", "on": "same-tag", "bare": "same-tag", "odd": "same-tag"},
        ("other", "jobs"): {"job": "same-tag"},
    }


def test_every_withheld_secret_has_a_source() -> None:
    shop = group({"web": "acme/shop:1.4.2"}, **SECRETS)
    text = starter([shop], "sub")
    (target,) = parse_targets(text, "sub").targets
    assert set(shop.withheld()) == {
        "registry/index.docker.io",
        "volume/data/storage-account-key",
        "volume/certs/secret/<file>",
        "log-analytics/workspace-key",
    }
    assert not missing_secrets(shop.withheld(), target.secrets.keys())
    assert target.secrets["registry/index.docker.io"] == "env:INDEX_DOCKER_IO"
    assert target.secrets["volume/data/storage-account-key"] == "file:/run/secrets/data-storage-account-key"


def test_nothing_that_azure_says_leaves_its_line() -> None:
    text = starter([group({"web": "acme/shop:1\n  - evil: true"}, tags={"a": "b"})], "sub")
    (target,) = parse_targets(text, "sub").targets
    assert list(target.containers) == ["web"]
    assert "\n  - evil" not in text


def test_where_no_group_exists_it_says_so() -> None:
    assert starter([], "sub").startswith("# No container group was found.")


def test_what_azure_says_controls_no_terminal_and_is_read_again() -> None:
    odd = "we\x1b[2Jb\u202e\u2066"
    text = starter([named(group({odd: "acme/shop:1\x1b[2J\u202e"}), "shop")], "sub")
    assert not {"\x1b", "\u202e", "\u2066"} & set(text)
    assert list(yaml.safe_load(text)["targets"][0]["containers"]) == [odd]
    assert "größe" in starter([named(group({"größe": "acme/shop:1"}), "shop")], "sub")
