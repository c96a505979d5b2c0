"""docs/operations.md says what is to be done about every dead letter that this code can write."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib.abc import SourceLoader

import shared
import worker
from shared.cloud import CLOUDS
from shared.credential import NoToken
from tests.processes import PROJECT
from worker.controller import settlement
from worker.controller.crash_logs import RIGHT
from worker.failures import classify as failures

PAGE = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
CODE = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)*")
# Of shared/time_limit.TimeLimit. The ingress answers 503, and a worker goes on without a crash log: no dead letter.
NO_LETTER = {"Busy", "Timeout"}
WRITERS = {"Broken", "RemoteError", "refused", "give_up", "dead_lettered", "bad_answer"}


@cache
def parsed() -> list[ast.AST]:
    """Every node of every module that a worker may run, wherever it is."""
    return [node for source in sources() for node in ast.walk(ast.parse(source))]


def sources() -> Iterator[str]:
    for package in (shared, worker):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            spec = importlib.util.find_spec(module.name)
            if spec and isinstance(spec.loader, SourceLoader):
                yield spec.loader.get_source(module.name) or ""


def written() -> Iterator[str]:
    """The codes that are written in the code where an error or a failure is made."""
    for node in parsed():
        if isinstance(node, ast.Call) and name_of(node.func) in WRITERS:
            texts = (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))
            yield from (text for text in texts if CODE.fullmatch(text))


def name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def known_to_failures() -> frozenset[str]:
    """Azure's codes that the worker knows, but for throttling, which no number of times makes a failure."""
    groups = [value for value in vars(failures).values() if isinstance(value, frozenset)]
    return frozenset[str]().union(*groups) - failures._THROTTLED


def documented() -> set[str]:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)}


def test_every_code_is_explained() -> None:
    codes = {NoToken.error_code, *written(), *settlement.EXPLANATIONS, *known_to_failures()}
    assert {"CrashLoop", "StuckInTransition", "WorkerCrash", "InaccessibleImage", "SecretUnavailable"} <= codes
    assert codes - documented() == NO_LETTER


def test_the_clouds_are_those_of_the_program() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `Azure")]
    told = {tuple(cell.strip(" `") for cell in row.split("|")[1:5]) for row in rows}
    assert told == {
        (name, cloud.authority, cloud.resource_manager.removeprefix("https://"), cloud.storage_suffix)
        for name, cloud in CLOUDS.items()
    }


def test_the_documentation_knows_one_command() -> None:
    # Regression: half of the pages still called it by the names that it had before.
    pages = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if re.search(r"aci-hooks-(worker|ingress):? [a-z-]", line)] == []


def test_the_role_that_reads_logs_is_in_the_example() -> None:
    assert PAGE.count(f'\\"{RIGHT}\\"') == 1
