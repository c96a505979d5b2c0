"""The rooms of the architecture: who may import which outside system, and what the pure modules keep away from."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.processes import PROJECT

OWNERS = {
    "apprise": {"worker.adapters.notifications.services"},
    "azure.storage.queue": {"shared.leased_message", "shared.queue", "shared.queue_rights"},
    "azure.storage.blob": {
        "worker.adapters.record_blobs.client",
        "worker.adapters.record_blobs.container",
        "worker.adapters.record_blobs.turns",
    },
    "azure.mgmt": {"worker.adapters.arm.client"},
    "azure.identity": {"shared.credential"},
    "azure.keyvault": {"worker.adapters.secret_sources"},
    "azure.monitor": {"shared.otel_export"},
    "opentelemetry": {"shared.otel_export", "shared.otel_tracer"},
    "flask": {"ingress.app", "worker.dashboard.app"},
    "uvicorn": {"shared.serving"},
}
IMPURE = {"os", "time", "random", "socket", "subprocess", "threading", "pathlib", "uuid", "secrets"}
CARRY_OUT = [
    "shared.leased_message",
    "shared.queue",
    "shared.queue_rights",
    "worker.controller",
    "worker.discovery",
    "worker.failures",
    "worker.wiring",
]
# failures.py is handed its random numbers; targets.schema.json is written by targets_file.
HANDED_IN = {("worker.failures.classify", "random")}


@cache
def trees() -> list[tuple[str, ast.AST]]:
    """Every module of the project, parsed."""
    paths = [
        path for room in ("aci_hooks", "ingress", "worker", "shared") for path in sorted((PROJECT / room).rglob("*.py"))
    ]
    return [
        (".".join(path.relative_to(PROJECT).with_suffix("").parts), ast.parse(path.read_text(encoding="utf-8")))
        for path in paths
    ]


def modules() -> Iterator[tuple[str, set[str]]]:
    """Every module of the project, and the modules that it imports."""
    for name, tree in trees():
        yield name, set(imports(tree))


def reads_the_environment(tree: ast.AST) -> bool:
    """Is there an `os.environ` or `os.getenv`, or an import of either?"""
    of_os = (
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os"
    )
    from_os = (
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        for alias in node.names
    )
    return bool({*of_os, *from_os} & {"environ", "environb", "getenv"})


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def tool(name: str) -> Any:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][name]


def pure_modules() -> list[str]:
    contracts = tool("importlinter")["contracts"]
    return next(
        list(contract["source_modules"]) for contract in contracts if contract["name"].startswith("the pure modules")
    )


@pytest.mark.parametrize(("library", "owners"), OWNERS.items())
def test_each_outside_library_has_one_owner(library: str, owners: set[str]) -> None:
    users = {
        name for name, used in modules() if any(item == library or item.startswith(f"{library}.") for item in used)
    }
    assert users == owners


def test_the_pure_modules_know_no_clock_no_environment_and_no_disk() -> None:
    pure = pure_modules()
    found = {
        (name, item)
        for name, used in modules()
        for item in used & IMPURE
        if any(name == module or name.startswith(f"{module}.") for module in pure)
    }
    assert found - HANDED_IN == set()


def test_every_pure_module_is_to_be_covered() -> None:
    assert uncovered(pure_modules()) == set()


def test_whatever_carries_decisions_out_is_to_be_covered() -> None:
    assert uncovered(CARRY_OUT) == set()


def uncovered(modules: list[str]) -> set[str]:
    """Those of these modules and rooms whose branches need not be tested."""
    wanted = tool("coverage")["report"]["include"]
    covered = {file.removesuffix(".py").removesuffix("/*").replace("/", ".") for file in wanted}
    return {name for name in modules if name not in covered and name.rpartition(".")[0] not in covered}


def test_only_the_main_modules_read_the_environment() -> None:
    readers = {name for name, tree in trees() if reads_the_environment(tree)}
    assert readers == {"ingress.__main__", "worker.__main__"}
