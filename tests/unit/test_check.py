"""What `check` says of what can't be checked: only the targets file can promise it."""

from __future__ import annotations

import pytest

from tests.unit.builders import SHOP, Json, group
from worker.commands.check_targets import _promised
from worker.policies.parse import parse_policy
from worker.targets.target import ContainerRule, Target

CERTS: Json = {"name": "certs", "secret": {}}
KEYS: Json = {"name": "keys", "secret": {}}


def promised(volumes: list[Json], *paths: str) -> list[str]:
    target = Target(SHOP, {"web": ContainerRule(parse_policy("any"))}, secrets=dict.fromkeys(paths, "env:A"))
    return list(_promised(target, group(volumes=volumes)))


def test_a_secret_volume_may_have_more_files_than_are_configured() -> None:
    said = promised([CERTS, KEYS], "volume/certs/secret/tls.pem", "volume/certs/secret/ca.pem", "registry/r.io")
    assert said == [
        "volume certs will have only the files ca.pem, tls.pem: Azure does not say whether it has more, so name all"
    ]


@pytest.mark.parametrize("paths", [(), ("volume/other/secret/tls.pem",), ("volume/certs/storage-account-key",)])
def test_what_is_missing_is_told_as_that(paths: tuple[str, ...]) -> None:
    assert promised([CERTS], *paths) == []


def test_a_volume_of_another_kind_promises_nothing() -> None:
    share = {"name": "certs", "azureFile": {"shareName": "s", "storageAccountName": "a"}}
    assert promised([share], "volume/certs/secret/tls.pem") == []
