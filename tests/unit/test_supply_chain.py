"""What is run beside our own code is pinned, and no service of the compose file may do or take more than it needs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.processes import PROJECT

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text("utf-8"))["services"]


@pytest.mark.parametrize("name", SERVICES)
class TestService:
    def test_its_image_is_built_here_or_pinned(self, name: str) -> None:
        service = SERVICES[name]
        assert "build" in service or re.search(r":\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?\Z", service["image"])

    def test_its_ports_are_on_loopback(self, name: str) -> None:
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))

    def test_it_has_limits_and_no_capability(self, name: str) -> None:
        service = SERVICES[name]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()


def test_azurite_is_the_one_that_the_tests_use() -> None:
    locked = json.loads((PROJECT / "package.json").read_text("utf-8"))
    version = next(group["azurite"] for group in locked.values() if isinstance(group, dict) and "azurite" in group)
    assert SERVICES["azurite"]["image"].endswith(f":{version}")


def test_the_base_image_is_pinned() -> None:
    dockerfile = (PROJECT / "Dockerfile").read_text("utf-8")
    assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?$", dockerfile, re.MULTILINE)
    bases = set(re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE))
    assert bases == {"${PYTHON}", "runtime"}
