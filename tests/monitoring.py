"""The alerts and the dashboard in deploy/monitoring, read for the tests; and Debian's Prometheus, to run them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.debian import unpacked
from tests.processes import PROJECT, Processes, free_ports

FOLDER = PROJECT / "deploy" / "monitoring"
RULES, DASHBOARD = FOLDER / "prometheus-rules.yaml", FOLDER / "grafana-dashboard.json"
KUSTO = FOLDER / "azure-monitor"

_SELECTOR = re.compile(r"(?P<name>aci_hooks_\w+)(?:\{(?P<matchers>[^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Selector:
    """A metric in an expression: its name and text, and the labels that it or the expression around it asks for."""

    name: str
    text: str
    labels: frozenset[str]


def alerts() -> dict[str, str]:
    """The expression of each alert, by its name."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def dashboard_expressions() -> dict[str, str]:
    """Each expression of the dashboard, by its panel and letter, with a time in the place of Grafana's variables."""
    return {
        f"{panel['title']} {query['refId']}": re.sub(r"\$__\w+", "5m", query["expr"])
        for panel in panels()
        for query in panel["targets"]
    }


def selectors(expression: str) -> Iterator[Selector]:
    """The metrics in an expression."""
    grouped = {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",")}
    for found in _SELECTOR.finditer(expression):
        matched = {label for label, _, _ in _MATCHER.findall(found["matchers"] or "")}
        yield Selector(found["name"], found[0], frozenset((grouped | matched) - {""}))


def promtool(*arguments: str) -> str:
    """What promtool prints; AssertionError with all of it if it finds anything wrong."""
    done = subprocess.run(
        [unpacked("prometheus", "promtool"), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


class Prometheus:
    """A running Prometheus with the shipped rules."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an expression now."""
        answer = httpx.get(f"{self._url}/api/v1/query", params={"query": expression}, timeout=30, trust_env=False)
        said = answer.json()
        assert said["status"] == "success", f"{expression}: {said}"
        found = said["data"]["result"]
        return found if isinstance(found, list) else [found]


@contextmanager
def prometheus(processes: Processes, folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Prometheus, which scrapes these hosts with ports every two seconds."""
    (port,) = free_ports(1)
    configuration = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1m"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "aci-hooks", "static_configs": [{"targets": list(targets)}]}],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    url = f"http://127.0.0.1:{port}"
    program = processes.start(
        "prometheus",
        [unpacked("prometheus", "prometheus")],
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
        url=f"{url}/-/ready",
    )
    yield Prometheus(url)
    program.terminate()
