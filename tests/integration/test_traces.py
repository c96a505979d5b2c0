"""Traces, as a collector receives them from real processes: one for each push, over every program that works on it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.otlp import Collector, Received, collecting
from tests.processes import INGRESS, PATIENCE, Program, free_ports, wait_until
from tests.site import Site, events, outcomes

TOKEN = "a-token-that-nobody-guesses"
TRACE, SENDER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of its own for each test."""
    with collecting() as running:
        yield running


def ingress(site: Site, **settings: str) -> tuple[Program, str]:
    """A running ingress, and the URL of webhooks with its token."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = {**site.environment, "ACI_HOOKS_WEBHOOK_TOKENS": TOKEN, "PORT": str(port), **settings}
    arguments = ("--host", "127.0.0.1")
    program = site.processes.start("ingress", INGRESS, *arguments, environment=environment, url=f"{url}/healthz")
    return program, f"{url}/webhooks/generic/{TOKEN}"


def post(url: str, image: str, **headers: str) -> str:
    """Send a webhook; the id that its push got."""
    answer = httpx.post(url, json={"image": image}, headers=headers, trust_env=False)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def lineage(spans: list[Received], span: Received) -> list[str]:
    """The names from a span up to the one that began its trace here."""
    by_id = {item.span_id: item for item in spans}
    names = [span.name]
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        names.append(span.name)
    return names


def test_one_trace_from_the_webhook_to_the_end_over_a_killed_worker(site: Site, collector: Collector) -> None:
    program, url = ingress(site, **collector.settings)
    site.arm.options(transition_seconds=3)
    # The first worker waits for ever, so it can't be quick enough to end the rollout itself.
    killed = site.worker(name="killed", ACI_HOOKS_SOAK="600", **collector.settings)
    push_id = post(url, "acme/shop:v2", traceparent=f"00-{TRACE}-{SENDER}-01")
    wait_until(lambda: len(collector.named("look")) >= 2 and bool(collector.named("arm put")), PATIENCE, "a rollout")
    killed.kill()
    first = collector.named("arm put")[0].service
    log = site.drain(**collector.settings)
    assert outcomes(log) == {push_id: "updated"}
    assert program.terminate() == 0

    spans = collector.spans
    assert {span.trace_id for span in spans} == {TRACE}
    services = {span.service for span in spans}
    assert Counter(service.split()[0] for service in services) == {"aci-hooks-ingress": 1, "aci-hooks-worker": 2}
    (webhook,) = collector.named("POST /webhooks/generic")
    assert (webhook.parent_id, webhook.kind) == (SENDER, "server")
    assert webhook.attributes["http.response.status_code"] == 202
    above = ["send rollout", "process push", "send push", "POST /webhooks/generic"]
    for name, parents in {
        "process rollout": above,
        "look": above,
        "rollout": above,
        "registry": ["look", *above],
        "arm put": ["look", *above],
    }.items():
        found = collector.named(name)
        assert found, name
        assert {tuple(lineage(spans, span)[1:]) for span in found} == {tuple(parents)}, name
    # Whatever the killed worker was in the middle of is not told.
    gets = [lineage(spans, span)[1] for span in collector.named("arm get") if span.service != first]
    assert set(gets) == {"look"}
    assert len({span.service for span in collector.named("look")}) == 2
    (rollout,), (put,) = collector.named("rollout"), collector.named("arm put")
    assert put.service == first != rollout.service
    assert put.attributes["http.response.status_code"] == 201
    assert rollout.attributes["aci_hooks.result"] == "updated"
    assert rollout.attributes["aci_hooks.push.id"] == push_id
    # No span is open while nobody looks.
    assert max(span.ended - span.started for span in collector.named("look")) < rollout.ended - rollout.started
    # The lines of the log lead to the spans.
    ids = {span.span_id for span in spans}
    told = [event for event in [*events(program), *log] if event.get("trace_id") == TRACE]
    assert {"delivery", "ended"} <= {event["event"] for event in told}
    assert {event["span_id"] for event in told} <= ids
    assert not any(TOKEN.encode() in content for content in collector.raw)


def test_a_failed_rollout_and_its_rollback_are_two_spans_and_the_failure_is_said(
    site: Site, collector: Collector
) -> None:
    site.arm.image("acme/shop:v2", "crash-loop")
    push = site.push("acme/shop:v2")
    site.drain(**collector.settings)
    (rollout,), (rollback,) = collector.named("rollout"), collector.named("rollback")
    assert rollout.attributes["error.type"] == "CrashLoop"
    assert rollout.error
    assert (rollback.error, rollback.attributes["aci_hooks.result"]) == (None, "rolled-back")
    assert rollout.started < rollback.started
    # The push came without any trace, as a sweep's does: each process makes the same one of its id.
    assert len({span.trace_id for span in collector.spans}) == 1
    assert {span.attributes["aci_hooks.push.id"] for span in (rollout, rollback)} == {push.id}


def test_a_push_by_hand_begins_a_trace(site: Site, collector: Collector) -> None:
    site.command("push", "acme/shop:v2", "--json", expect=0, **collector.settings)
    site.drain(**collector.settings)
    (begun,) = collector.named("push by hand")
    assert {span.trace_id for span in collector.spans} == {begun.trace_id}
    assert lineage(collector.spans, collector.named("rollout")[0])[-1] == "push by hand"


def test_what_the_environment_says_of_the_exporter_counts(site: Site, collector: Collector) -> None:
    key = "an-api-key-of-some-length"
    site.push("acme/shop:v2")
    folder = site.processes.folder / "headers"
    folder.write_text(f"x-api-key={key}\n")
    site.drain(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/somewhere/else",
        OTEL_EXPORTER_OTLP_HEADERS_FILE=str(folder),
        OTEL_SERVICE_NAME="deployer",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=staging,service.name=other",
    )
    assert {path for path, _ in collector.requests} == {"/somewhere/else"}
    assert {headers["x-api-key"] for _, headers in collector.requests} == {key}
    (resource,) = {json.dumps(span.resource) for span in collector.spans}
    assert json.loads(resource)["service.name"] == "deployer"
    assert json.loads(resource)["deployment.environment.name"] == "staging"


def test_what_is_not_sampled_is_not_sent(site: Site, collector: Collector) -> None:
    push = site.push("acme/shop:v2")
    log = site.drain(**collector.settings, OTEL_TRACES_SAMPLER="always_off")
    assert outcomes(log) == {push.id: "updated"}
    assert collector.requests == []


def test_a_collector_that_is_gone_holds_up_nothing(site: Site) -> None:
    (port,) = free_ports(1)
    push = site.push("acme/shop:v2")
    log = site.drain(
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    assert outcomes(log) == {push.id: "updated"}
    # It is said once, however often it is tried.
    assert [event["event"] for event in log if event["level"] == "warning"] == [
        "spans can't be sent, so traces have gaps"
    ]


def test_azure_monitor_gets_the_same_spans(site: Site, collector: Collector) -> None:
    key = "11111111-2222-3333-4444-555555555555"
    push = site.push("acme/shop:v2")
    log = site.drain(
        APPLICATIONINSIGHTS_CONNECTION_STRING=f"InstrumentationKey={key};IngestionEndpoint={collector.url}"
    )
    assert outcomes(log) == {push.id: "updated"}
    spans: dict[str, list[dict[str, Any]]] = {"RequestData": [], "RemoteDependencyData": []}
    for envelope in collector.envelopes:  # numbers about the exporter itself come, too
        spans.get(envelope["data"]["baseType"], []).append(envelope)
    assert all(spans.values())
    tags = [envelope["tags"] for kind in spans.values() for envelope in kind]
    assert {tag["ai.cloud.role"] for tag in tags} == {"aci-hooks-worker"}
    assert len({tag["ai.operation.id"] for tag in tags}) == 1
    assert {"look", "rollout"} <= {item["data"]["baseData"]["name"] for kind in spans.values() for item in kind}
