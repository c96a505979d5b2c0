"""One night of real processes, watched by a real Prometheus: alerts, dashboard and Kusto queries against what is real.

An ingress and two workers work on Azurite and the simulator. First nothing but a good push happens, then everything
that there is an alert for.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from shared.image import ImageReference
from shared.message import UpdateMessage
from shared.push import Push
from tests.azurite import Azurite
from tests.monitoring import KUSTO, Prometheus, alerts, dashboard_expressions, panels, prometheus, selectors
from tests.processes import INGRESS, PATIENCE, Program, free_ports, wait_until
from tests.site import IP, RESOURCE_GROUP, SUBSCRIPTION, Site, definition, events, running_site
from tests.stub_server import listening
from tests.told_night import GROUPS, Told, come_to_pass, is_told, lay_out

TOKEN = "a-token-of-the-tests-night"
OWN = ("held", "odd", "slow", "locked", *GROUPS)
"""Groups whose one container has their name."""
TARGETS = "\n".join(
    [
        "notify: ['env:CHAT']",
        "targets:",
        "  - {container_group: shop, resource_group: web, containers: {web: {policy: any}}}",
        *(
            f"  - {{container_group: {item}, resource_group: web, containers: {{{item}: {{policy: any}}}}}}"
            for item in OWN
        ),
    ]
)
ALONE = {"AciHooksNoWorker", "AciHooksNoIngress"}
"""These fire when everything else is over."""


@dataclass
class Night:
    """The processes of one night, and what was seen of them."""

    site: Site
    watch: Prometheus
    ingress: Program
    workers: list[Program]
    url: str
    targets: Path
    told: Told
    lines: list[dict[str, Any]] = field(default_factory=list)
    metrics: str = ""

    def deliver(self, tag: str, *, token: str = TOKEN) -> int:
        """Post what the generic sender sends for a push of acme/shop; the answer's status."""
        return self.post(json.dumps({"image": f"acme/shop:{tag}"}).encode(), token)

    def post(self, body: bytes, token: str = TOKEN) -> int:
        """Post this; the answer's status."""
        answer = httpx.post(f"{self.url}/webhooks/generic/{token}", content=body, trust_env=False, timeout=PATIENCE)
        return answer.status_code

    def wait_for(self, expression: str) -> None:
        """Wait until the expression has a result."""
        wait_until(lambda: bool(self.watch.query(expression)), PATIENCE, expression)

    def wait_for_line(self, event: str) -> None:
        """Wait until a worker has logged this."""
        logs = [worker.log for worker in self.workers]
        wait_until(lambda: any(f'"event": "{event}"' in log.read_text() for log in logs), PATIENCE, event)

    def firing(self) -> dict[str, list[Any]]:
        """The alerts whose expressions hold now, whatever their `for` says."""
        return {name: found for name, expression in alerts().items() if (found := self.watch.query(expression))}


def test_in_a_night_of_trouble_everything_that_is_shipped_says_so(azurite: Azurite, tmp_path: Path) -> None:
    # One test, so that the processes of one night are started once, however many share the tests among them.
    with whole_night(azurite, tmp_path) as night:
        every_alert_holds_in_trouble(night)
        every_expression_of_the_dashboard_has_a_result(night)
        every_metric_and_label_in_an_expression_is_real(night)
        the_gauges_that_all_workers_share_are_reported_once(night)
        is_told(night.told)
        no_metric_tells_a_secret_or_a_push(night)
        every_kusto_query_means_real_lines_that_have_its_fields(night)
        every_value_in_a_kusto_query_is_real(night)
        on_the_quiet_side_no_kusto_query_means_a_line(night)
        when_all_have_ended_their_absence_is_noticed_and_both_have_said_goodbye(night)


@contextmanager
def whole_night(azurite: Azurite, folder: Path) -> Iterator[Night]:
    """The night, up to the end of its trouble."""
    targets = folder / "targets.yaml"
    targets.write_text(TARGETS)
    ports = free_ports(3)
    settings = {
        "ACI_HOOKS_TARGETS": str(targets),
        "ACI_HOOKS_WEBHOOK_TOKENS": TOKEN,
        # The update of `slow` must still be under way at the end of the night, however long that takes here.
        "ACI_HOOKS_ROLLOUT_TIMEOUT": "900",
        "ACI_HOOKS_SWEEP_INTERVAL": "600",
        "PORT": str(ports[0]),
    }
    with listening() as (chat, posted), running_site(azurite, CHAT=f"http://{chat}/hook", **settings) as site:
        lay_out(site)
        (folder / "whole.yaml").write_text(TARGETS)  # the other one will be spoilt
        told = Told(site, folder / "whole.yaml", posted)
        for name in ("held", "odd", "slow"):
            site.group(name, {name: f"acme/{name}:v1"})
        site.group("locked", {}, containers=with_a_secret("locked"))
        url = f"http://127.0.0.1:{ports[0]}"
        ingress = start_ingress(site, url)
        workers = [
            site.worker(name=f"worker-{number}", ACI_HOOKS_WORKER_PORT=str(port))
            for number, port in enumerate(ports[1:])
        ]
        with prometheus(site.processes, folder, [f"127.0.0.1:{port}" for port in ports]) as watch:
            night = Night(site, watch, ingress, workers, url, targets, told)
            be_quiet(night)
            make_trouble(night)
            night.metrics = "".join(
                httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=PATIENCE).text for port in ports
            )
            night.lines = [line for program in site.processes.programs for line in events(program)]
            yield night


def with_a_secret(name: str) -> list[dict[str, Any]]:
    """A container with a variable that Azure withholds."""
    containers: list[dict[str, Any]] = definition({name: f"acme/{name}:v1"})["properties"]["containers"]
    containers[0]["properties"]["environmentVariables"] = [{"name": "PASSWORD", "secureValue": "hunter22hunter22"}]
    return containers


def be_quiet(night: Night) -> None:
    """A good push, and nothing else."""
    night.site.records.turns.note_time("swept", datetime.now(UTC))
    night.wait_for("sum(aci_hooks_targets) == 12 and count(aci_hooks_build_info) == 3")
    assert night.deliver("v2") == 202
    night.wait_for('sum(aci_hooks_outcomes_total{outcome="updated"}) == 1')
    night.wait_for("sum(aci_hooks_pushes) == 0 and sum(aci_hooks_targets_changing) == 0")
    # Whatever has once counted up holds for a quarter of an hour. But on a busy machine a scrape may fail for a moment.
    wait_until(lambda: not night.firing(), PATIENCE, "no alert holds")


def make_trouble(night: Night) -> None:
    """Everything that there is an alert for, and the trouble of the groups in tests/told_night.py."""
    site = night.site
    come_to_pass(night.told)
    night.wait_for("sum(aci_hooks_dead_letters) == 2")
    site.arm.image("acme/shop:v3", "crash-loop")
    night.deliver("v3")
    night.wait_for("sum(aci_hooks_dead_letters) == 3")
    site.arm.options(keep_ip=False)
    for method, event in (("PUT", "change not made"), ("GET", "look failed")):
        site.arm.fault("refuse", method=method, group="shop", name=method)
        night.deliver(f"v4-{method}")
        night.wait_for_line(event)
        site.arm.clear_faults(method)
    night.deliver("v4")
    night.wait_for("sum(aci_hooks_address_changes_total) >= 1")
    assert night.deliver("v5", token="a-token-that-nobody-knows") == 401
    assert night.post(b"nonsense") == 400
    assert night.post(b" " * 2_000_000) == 413
    night.wait_for('sum(aci_hooks_deliveries_total{outcome=~"unauthorized|malformed|too large"}) == 3')
    refuse_at_the_queue(night)
    use_up_the_quota(night)
    # An end as "failed", and a message that says nothing to anybody.
    enqueue(site, "locked", received=datetime.now(UTC))
    site.updates.send("nonsense")
    night.wait_for('sum(aci_hooks_outcomes_total{outcome="failed"}) == 1')
    night.wait_for('sum(aci_hooks_settled_total{settlement="dead-lettered"}) == 1')
    # What does not end: a push that arrived an hour ago, to a group whose operation does not end.
    site.arm.options(stuck="slow")
    enqueue(site, "slow", received=datetime.now(UTC) - timedelta(hours=1))
    night.wait_for("sum(aci_hooks_oldest_push_age_seconds) > 3600")
    site.write_record("odd", "{}")
    for _ in range(50):
        enqueue(site, "odd", received=datetime.now(UTC))
    night.targets.write_text("targets: [")
    site.records.turns.note_time("swept", datetime.now(UTC) - timedelta(hours=1))
    for name in set(alerts()) - ALONE:
        night.wait_for(alerts()[name])


def enqueue(site: Site, name: str, *, received: datetime) -> None:
    """Put a push of a group's image onto the queue that was received at this time."""
    push = Push.of("generic", ImageReference.parse(f"acme/{name}:v2"), pushed_at=received, proof="own")
    message = UpdateMessage(id=os.urandom(8).hex(), kind="push", push=push, received_at=received)
    site.updates.send(message.encode())


def refuse_at_the_queue(night: Night) -> None:
    """For a moment the ingress has no queue, and answers a push with 503."""
    (nowhere,) = free_ports(1)
    string = night.site.environment["AZURE_STORAGE_CONNECTION_STRING"]
    string = re.sub(r"(QueueEndpoint=http://[^:]+):\d+", rf"\1:{nowhere}", string)
    night.ingress.terminate()
    lost = start_ingress(night.site, night.url, AZURE_STORAGE_CONNECTION_STRING=string)
    night.wait_for('aci_hooks_deliveries_total{sender="generic",outcome="unavailable"} == 0')
    assert night.deliver("v6") == 503
    night.wait_for('aci_hooks_deliveries_total{sender="generic",outcome="unavailable"} == 1')
    lost.terminate()
    night.ingress = start_ingress(night.site, night.url)


def start_ingress(site: Site, url: str, **settings: str) -> Program:
    """An ingress of the site."""
    environment = {**site.environment, **settings}
    return site.processes.start("ingress", INGRESS, environment=environment, url=f"{url}/healthz")


def use_up_the_quota(night: Night) -> None:
    """Somebody else changes groups of the subscription; then a push has the worker see what is left."""
    path = f"subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.ContainerInstance"
    url = f"{night.site.environment['ACI_HOOKS_ARM_ENDPOINT']}/{path}/containerGroups"
    with httpx.Client(trust_env=False, headers={"Authorization": "Bearer owner"}, timeout=PATIENCE) as client:
        for number in range(95):
            body = definition({"web": "acme/other:v1"})
            answer = client.put(f"{url}/other-{number}", params={"api-version": "2025-09-01"}, json=body)
            answer.raise_for_status()
    night.deliver("v7")
    night.wait_for('min(aci_hooks_arm_writes_remaining{quota="aci-5m"}) < 10')


def every_alert_holds_in_trouble(night: Night) -> None:
    wait_until(lambda: set(night.firing()) == set(alerts()) - ALONE, PATIENCE, "every alert holds that there is")


def every_expression_of_the_dashboard_has_a_result(night: Night) -> None:
    for expression in dashboard_expressions().values():
        night.wait_for(expression)


def every_metric_and_label_in_an_expression_is_real(night: Night) -> None:
    for expression in (*alerts().values(), *dashboard_expressions().values()):
        found = list(selectors(expression))
        assert found, f"{expression} asks for no metric"
        for selector in found:
            night.wait_for(selector.text)
            labels = {label for item in night.watch.query(selector.text) for label in item["metric"]}
            assert selector.labels <= labels, f"{selector.name} has no label {selector.labels - labels}"


def the_gauges_that_all_workers_share_are_reported_once(night: Night) -> None:
    for name in ("aci_hooks_targets", "aci_hooks_dead_letters", 'aci_hooks_queue_messages{queue=~".+-poison"}'):
        night.wait_for(f"count({name}) == 1")
    night.wait_for("sum(aci_hooks_targets) == 12")
    night.wait_for("count(aci_hooks_sweep_interval_seconds) == 2")


def no_metric_tells_a_secret_or_a_push(night: Night) -> None:
    assert TOKEN not in night.metrics
    assert "acme/shop" not in night.metrics


def test_panels_do_not_lie_upon_each_other() -> None:
    places = [panel["gridPos"] for panel in panels()]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(at["x"] + at["w"] <= 24 for at in places)
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert {query["datasource"]["uid"] for panel in panels() for query in panel["targets"]} == {"${datasource}"}


def cells_of(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    yield from itertools.product(range(x, x + w), range(y, y + h))


QUERIES = sorted((KUSTO / "alerts").glob("*.kql"))
_IS = re.compile(r'Line\.(\w+) == "([^"]+)"')
_IS_ONE_OF = re.compile(r"Line\.(\w+) (!?in) \(([^)]+)\)")
_FIELD = re.compile(r"Line\.(\w+)")


def meant(query: str, line: dict[str, Any]) -> bool:
    """Does the query's `where` mean this line? Only what the shipped queries use is understood."""
    (where,) = [splitline for splitline in query.splitlines() if splitline.startswith("| where Line.")]
    rest = re.sub(r"\band\b|\| where", "", _IS_ONE_OF.sub("", _IS.sub("", where)))
    assert not rest.strip(), f"not understood: {rest}"
    one_of = all(
        (line.get(name) in json.loads(f"[{values}]")) == (operator == "in")
        for name, operator, values in _IS_ONE_OF.findall(where)
    )
    return one_of and all(line.get(name) == value for name, value in _IS.findall(where))


def every_kusto_query_means_real_lines_that_have_its_fields(night: Night) -> None:
    for file in QUERIES:
        query = file.read_text()
        lines = [line for line in night.lines if meant(query, line)]
        assert lines, f"{file.stem} means no line of the night"
        assert set(_FIELD.findall(query)) <= {name for line in lines for name in line}, file.stem


def every_value_in_a_kusto_query_is_real(night: Night) -> None:
    seen = {(name, value) for line in night.lines for name, value in line.items() if isinstance(value, str)}
    for file in QUERIES:
        query = file.read_text()
        asked = set(_IS.findall(query))
        asked |= {(name, value) for name, _, values in _IS_ONE_OF.findall(query) for value in json.loads(f"[{values}]")}
        assert asked <= seen, file.stem


def on_the_quiet_side_no_kusto_query_means_a_line(night: Night) -> None:
    first_failure = min(line["timestamp"] for line in night.lines if line["event"] == "push failed on the group")
    quiet = [line for line in night.lines if line["timestamp"] < first_failure]
    assert any(line["event"] == "ended" for line in quiet)
    meant_by = {file.stem: [line for line in quiet if meant(file.read_text(), line)] for file in QUERIES}
    assert {name: lines for name, lines in meant_by.items() if lines} == {}


def test_the_alerts_of_azure_monitor_are_created_as_documented(tmp_path: Path) -> None:
    az = tmp_path / "az"
    az.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> "$CALLS"\nprintf "\\1" >> "$CALLS"\n')
    az.chmod(0o755)
    calls = tmp_path / "calls"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)}
    script = [str(KUSTO / "create-alerts.sh"), "rg", "/subscriptions/s/workspaces/w", "/subscriptions/s/actionGroups/a"]
    subprocess.run(script, env=environment, check=True, capture_output=True)
    made = [call.split("\0") for call in calls.read_text().split("\1") if call]
    assert len(made) == len(QUERIES)
    for arguments, file in zip(made, QUERIES, strict=True):
        given = dict(zip(arguments[3::2], arguments[4::2], strict=False))
        assert arguments[:3] == ["monitor", "scheduled-query", "create"]
        assert (given["--name"], given["--scopes"]) == (f"aci-hooks-{file.stem}", "/subscriptions/s/workspaces/w")
        assert given["--severity"] in "0123"
        assert given["--description"]
        assert given["--action-groups"] == "/subscriptions/s/actionGroups/a"
        query = given["--condition-query"]
        assert query.startswith("Lines=")
        assert query.endswith(file.read_text().strip())
        assert "union isfuzzy=true" in query
    usage = subprocess.run(script[:1], env=environment, check=False, capture_output=True, text=True)
    assert usage.returncode == 2
    assert "create-alerts.sh RESOURCE_GROUP WORKSPACE_ID" in usage.stderr


def when_all_have_ended_their_absence_is_noticed_and_both_have_said_goodbye(night: Night) -> None:
    assert night.site.ip() != IP
    for program in (night.ingress, *night.workers):
        program.terminate()
        assert "stopping" in [event["event"] for event in events(program)]
    for name in ALONE:
        night.wait_for(alerts()[name])
