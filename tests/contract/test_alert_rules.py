"""The shipped alert rules by Prometheus's own promtool: each fires for what it is for, and none in a quiet hour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ingress.metrics import Metrics
from shared.metrics import WritesRemaining
from shared.settings import SENDERS
from tests.fakes import EPOCH
from tests.monitoring import RULES, alerts, promtool
from tests.processes import PROJECT
from worker.adapters.monitoring import SharedGauges, Turn
from worker.ports import Gauges
from worker.record.overview import Overview

TROUBLE_BEGINS = 60
"""Minutes of quiet before anything happens."""
LONGEST = 5000
QUIET_VALUES = {
    # What a good hour brings: pushes, each of which ends well, and a conflict now and then.
    'aci_hooks_deliveries_total{outcome="queued",sender="dockerhub"}': f"0+1x{LONGEST}",
    'aci_hooks_deliveries_total{outcome="ignored",sender="dockerhub"}': f"0+1x{LONGEST}",
    'aci_hooks_outcomes_total{outcome="updated"}': f"0+1x{LONGEST}",
    'aci_hooks_step_failures_total{code="ContainerGroupTransitioning"}': f"0x20 1x20 2x{LONGEST}",
    'aci_hooks_settled_total{settlement="rescheduled"}': f"0+5x{LONGEST}",
    'aci_hooks_queue_messages{queue="aci-hooks-updates"}': f"0x10 9x5 0x{LONGEST}",
    "aci_hooks_targets": f"8x{LONGEST}",
    "aci_hooks_oldest_push_age_seconds": f"0x30 0+60x5 0x{LONGEST}",
    'aci_hooks_targets_file_valid{file="targets.yaml"}': f"1x{LONGEST}",
    'aci_hooks_arm_writes_remaining{quota="aci-5m",subscription="sub"}': f"99x{LONGEST}",
    'aci_hooks_arm_writes_remaining{quota="aci-1h",subscription="sub"}': f"280x{LONGEST}",
    "aci_hooks_sweep_interval_seconds": f"600x{LONGEST}",
    # A sweep has just ended, always: promtool's clock begins at 0.
    "aci_hooks_last_sweep_timestamp_seconds": f"0+60x{LONGEST}",
}


def then(value: str, before: str = "0") -> str:
    """Quiet at first, and this from then on."""
    return f"{before}x{TROUBLE_BEGINS - 1} {value}x{LONGEST}"


def names(families: Iterator[Metric]) -> Iterator[str]:
    """The series of these families, as they are written in a query."""
    for family in families:
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            yield sample.name + (f"{{{labels}}}" if labels else "")


def shared_series() -> list[str]:
    """What one worker reports for all."""
    gauges = Gauges(
        {"aci-hooks-updates": 0, "aci-hooks-updates-poison": 0}, 0, Overview(oldest=EPOCH), last_sweep=EPOCH
    )
    turn = Turn(lambda: True, lambda: None)
    turn.renew()
    return list(names(iter(SharedGauges(turn, lambda: gauges).collect())))


def worker_series() -> list[str]:
    """What each worker reports of itself."""
    quotas = WritesRemaining()
    prefix = "x-ms-ratelimit-remaining-subscription"
    quotas.note("sub", {f"{prefix}-resource-requests-pt5m": "9", f"{prefix}-resource-requests-pt1h": "9"}.get)
    own = (family for family in REGISTRY.collect() if family.name.startswith("aci_hooks"))
    # The file's label is its path, which other tests may have set as well.
    found = [name for name in names(own) if not name.startswith(("aci_hooks_targets_file", "aci_hooks_arm_writes"))]
    return [*found, *names(iter(quotas.collect())), 'aci_hooks_targets_file_valid{file="targets.yaml"}']


def ingress_series() -> list[str]:
    """What an ingress reports."""
    return list(names(iter(text_string_to_metric_families(Metrics(SENDERS).exposition().decode()))))


def of(instance: str, series: str) -> str:
    """The series as Prometheus has it, which scrapes this instance."""
    name, _, labels = series.rstrip("}").partition("{")
    return f'{name}{{{f"{labels}," if labels else ""}instance="{instance}"}}'


def input_series(trouble: Mapping[str, str]) -> list[dict[str, str]]:
    """Every real series of an ingress and two workers, in a quiet hour and with some `trouble` afterwards.

    In the quiet hour the first worker ends, and the second reports what all share.
    """
    first, second = shared_series(), shared_series()
    given = {of("ingress", series): values_of(series, trouble) for series in ingress_series()}
    for worker in ("worker-1", "worker-2"):
        given |= {of(worker, series): values_of(series, trouble) for series in worker_series()}
    given |= {of("worker-1", series): "0x29 stale" for series in first}
    given |= {of("worker-2", series): values_of(series, trouble) for series in second}
    given[of("worker-1", "aci_hooks_targets")] = "8x29 stale"
    given[of("worker-1", "aci_hooks_last_sweep_timestamp_seconds")] = "0+60x29 stale"
    unknown = set(trouble) - {*shared_series(), *worker_series(), *ingress_series()}
    assert not unknown, f"no program has these series: {unknown}"
    return [{"series": series, "values": values} for series, values in given.items()]


def values_of(series: str, trouble: Mapping[str, str]) -> str:
    return trouble.get(series, QUIET_VALUES.get(series, f"0x{LONGEST}"))


def gone(series: list[str]) -> dict[str, str]:
    """Nobody can scrape these any more."""
    first = {item: values_of(item, {}).partition(" ")[0].partition("x")[0] for item in series}
    return {item: f"{value}x{TROUBLE_BEGINS - 1} stale" for item, value in first.items()}


# What happens → the alert that must fire so many minutes after the quiet hour, and that does not fire earlier.
NIGHT: dict[str, tuple[dict[str, str], str, int, int]] = {
    "a dead letter": (
        {"aci_hooks_dead_letters": then("1"), 'aci_hooks_queue_messages{queue="aci-hooks-updates-poison"}': then("1")},
        "AciHooksDeadLetters",
        3,
        0,
    ),
    "a push fails": ({'aci_hooks_outcomes_total{outcome="failed"}': then("1")}, "AciHooksPushFailed", 2, -1),
    "a push is rolled back": (
        {'aci_hooks_outcomes_total{outcome="rolled-back"}': then("1")},
        "AciHooksPushFailed",
        2,
        -1,
    ),
    "an address changes": ({"aci_hooks_address_changes_total": then("1")}, "AciHooksAddressChanged", 2, -1),
    "a push does not end": (
        {"aci_hooks_oldest_push_age_seconds": f"0x{TROUBLE_BEGINS - 1} 0+60x{LONGEST}"},
        "AciHooksPushStuck",
        40,
        30,
    ),
    "Azure throttles": (
        {'aci_hooks_step_failures_total{code="TooManyRequests"}': f"0x{TROUBLE_BEGINS - 1} 0+1x{LONGEST}"},
        "AciHooksSteadyTrouble",
        20,
        4,
    ),
    "Azure throttles, and tries are far between": (
        {
            'aci_hooks_step_failures_total{code="TooManyRequests"}': f"0x{TROUBLE_BEGINS - 1} "
            + " ".join(f"{n}x3" for n in range(1, 40))
        },
        "AciHooksSteadyTrouble",
        45,
        10,
    ),
    "messages pile up": (
        {'aci_hooks_queue_messages{queue="aci-hooks-updates"}': then("100")},
        "AciHooksBacklog",
        17,
        14,
    ),
    "no worker is left": (gone(shared_series()), "AciHooksNoWorker", 7, 4),
    "no ingress is left": (gone(ingress_series()), "AciHooksNoIngress", 7, 4),
    "the queue does not take pushes": (
        {'aci_hooks_deliveries_total{outcome="unavailable",sender="ghcr"}': then("1")},
        "AciHooksQueueRefuses",
        2,
        -1,
    ),
    "a secret is wrong": (
        {'aci_hooks_deliveries_total{outcome="unauthorized",sender="ghcr"}': then("1")},
        "AciHooksWebhooksRefused",
        2,
        -1,
    ),
    "a sender sends nonsense": (
        {'aci_hooks_deliveries_total{outcome="malformed",sender="ghcr"}': then("1")},
        "AciHooksWebhooksRefused",
        2,
        -1,
    ),
    "the targets file is broken": (
        {'aci_hooks_targets_file_valid{file="targets.yaml"}': then("0", before="1")},
        "AciHooksTargetsFileInvalid",
        3,
        1,
    ),
    "a record can't be read": ({"aci_hooks_unreadable_records": then("1")}, "AciHooksUnreadableRecord", 6, 4),
    "the quota is nearly used up": (
        {'aci_hooks_arm_writes_remaining{quota="aci-5m",subscription="sub"}': then("3", before="99")},
        "AciHooksQuotaLow",
        1,
        -1,
    ),
    "sweeps fail": (
        {"aci_hooks_last_sweep_timestamp_seconds": f"0+60x{TROUBLE_BEGINS - 1} 3540x{LONGEST}"},
        "AciHooksSweepOverdue",
        40,
        30,
    ),
    "a hold is forgotten": ({'aci_hooks_targets_held{by="hand"}': then("1")}, "AciHooksHoldForgotten", 4325, 4310),
}
HARMLESS = {
    "a group waits for its owner": {'aci_hooks_targets_held{by="owner"}': then("1")},
    "a push is ignored": {'aci_hooks_outcomes_total{outcome="ignored"}': then("1")},
    "sweeps are off": {
        "aci_hooks_sweep_interval_seconds": f"0x{LONGEST}",
        "aci_hooks_last_sweep_timestamp_seconds": f"0x{LONGEST}",
    },
    "somebody asks for what is not there": {
        'aci_hooks_deliveries_total{outcome="refused",sender="unknown"}': f"0+9x{LONGEST}"
    },
}


def check(folder: Path, trouble: Mapping[str, str], expected: Mapping[int, set[str]]) -> None:
    """Run promtool: at each minute, exactly these alerts fire."""
    tests = [
        {
            "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)],
        }
        for minute, firing in expected.items()
    ]
    file = folder / "rules-test.yaml"
    series = input_series(trouble)
    for item in series:  # no longer than is looked at, which takes a tenth of the time
        item["values"] = item["values"].replace(f"x{LONGEST}", f"x{max(expected) + 1}")
    case = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [case]}))
    promtool("test", "rules", str(file))


def test_the_rules_are_rules() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", str(RULES))


def test_every_alert_has_its_trouble() -> None:
    assert {alert for _, alert, _, _ in NIGHT.values()} == set(alerts())


def test_every_metric_is_documented_and_no_other_one() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(aci_hooks_\w+)` \|([^|]*)\|", page, re.MULTILINE)
    told = {(name, tuple(re.findall(r"`(\w+)`", labels))) for name, labels in rows}
    assert told == set(families([*shared_series(), *worker_series(), *ingress_series()]))


def families(series: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each metric with its labels, a histogram as one; the order of two labels is that of the documentation."""
    for item in series:
        name, _, rest = item.partition("{")
        labels = set(re.findall(r'(\w+)="', rest)) - {"le"}
        order = ("sender", "outcome", "subscription", "quota")
        ordered = sorted(labels, key=lambda label: order.index(label) if label in order else 0)
        yield re.sub(r"(?<=_seconds)_(bucket|count|sum)$", "", name), tuple(ordered)


def test_every_alert_is_documented_with_its_severity() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (`AciHooks.*?) \|", page, re.MULTILINE)
    told = {name: severity for severity, names in rows for name in re.findall(r"`(\w+)`", names)}
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    assert told == {rule["alert"]: rule["labels"]["severity"] for rule in group["rules"]}


def test_nothing_fires_in_a_quiet_hour(tmp_path: Path) -> None:
    check(tmp_path, {}, {minute: set() for minute in range(1, 121)})


@pytest.mark.parametrize("trouble", HARMLESS.values(), ids=HARMLESS)
def test_nothing_fires_for_what_is_no_trouble(tmp_path: Path, trouble: Mapping[str, str]) -> None:
    check(tmp_path, trouble, {minute: set() for minute in range(10, 240, 10)})


@pytest.mark.parametrize(("trouble", "alert", "after", "not_before"), NIGHT.values(), ids=NIGHT)
def test_each_alert_fires_for_its_trouble_and_no_other_does(
    tmp_path: Path, trouble: Mapping[str, str], alert: str, after: int, not_before: int
) -> None:
    check(tmp_path, trouble, {TROUBLE_BEGINS + not_before: set(), TROUBLE_BEGINS + after: {alert}})
