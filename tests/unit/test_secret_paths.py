"""The paths of secrets: their spelling, which of them serve a secret volume, and what a misspelt one probably meant."""

from __future__ import annotations

import re

import pytest

from worker.groups import secret_paths
from worker.groups.secret_paths import any_file, file_name, nearest_path, provides


@pytest.mark.parametrize(
    "path",
    [
        secret_paths.variable("web", "DB_PASSWORD"),
        secret_paths.password("acme.azurecr.io:443"),
        secret_paths.storage_account_key("data"),
        secret_paths.any_file("certs"),
        secret_paths.WORKSPACE_KEY,
        secret_paths.protected_settings("kube-proxy"),
    ],
)
def test_every_path_that_we_write_is_one_that_the_targets_file_takes(path: str) -> None:
    assert re.fullmatch(secret_paths.PATTERN, path)


@pytest.mark.parametrize(
    ("configured", "withheld", "serves"),
    [
        ("env/web/A", "env/web/A", True),
        ("env/web/A", "env/web/B", False),
        ("volume/certs/secret/tls.pem", "volume/certs/secret/<file>", True),
        ("volume/other/secret/tls.pem", "volume/certs/secret/<file>", False),
        ("volume/certs/secret/a/b", "volume/certs/secret/<file>", False),
        ("volume/certs/storage-account-key", "volume/certs/secret/<file>", False),
        ("env/web/A", "env/web/<file>", False),
    ],
)
def test_any_file_of_a_secret_volume_provides_it(configured: str, withheld: str, *, serves: bool) -> None:
    assert provides(configured, withheld) is serves


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("volume/certs/secret/tls.pem", "tls.pem"),
        ("volume/certs-2/secret/tls.pem", None),
        ("volume/certs/storage-account-key", None),
        (any_file("other"), None),
    ],
)
def test_the_name_of_a_secret_volumes_file(path: str, name: str | None) -> None:
    assert file_name(path, "certs") == name


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("envs/web/PASSWORD", "env/web/PASSWORD"),
        ("registries/acme.azurecr.io", "registry/acme.azurecr.io"),
        ("volume/data/key", "volume/data/storage-account-key"),
        ("volume/certs/secrets/tls.pem", "volume/certs/secret/tls.pem"),
        ("log-analytics/key", "log-analytics/workspace-key"),
        ("log-analytics", "log-analytics/workspace-key"),
        ("extension/kube-proxy/settings", "extension/kube-proxy/protectedSettings"),
        ("extensions/kube-proxy/protectedSettings", "extension/kube-proxy/protectedSettings"),
        ("password", None),
        ("", None),
    ],
)
def test_what_a_misspelt_path_probably_meant(text: str, meant: str | None) -> None:
    assert nearest_path(text) == meant
