"""The metrics of both programs: every series is there from the start, and no label holds what others say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import get_args

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from ingress.metrics import OUTCOMES, Metrics
from shared.metrics import FAILURE_CODES, OPERATIONS, RESULTS, SETTLEMENTS, WritesRemaining, step_failed
from shared.settings import SENDERS
from tests.unit.controller_builders import counted
from tests.unit.test_operations_page import NO_LETTER, known_to_failures, name_of, parsed, written
from worker.failures import classify as failures
from worker.record.values import Result

NEVER_OF_A_LOOK = {"ContainerFailed", "ContainerStartFailed", "CrashLoop", "ImagePullFailed"}
"""Codes of pushes that failed on the group, where the look itself succeeded."""
QUOTA = "x-ms-ratelimit-remaining-subscription-resource-requests"


def labels_of(name: str, label: str) -> set[str]:
    """The values that a label has in the worker's registry."""
    return {
        sample.labels[label]
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == name and label in sample.labels
    }


@pytest.mark.parametrize(
    ("name", "label", "values"),
    [
        ("aci_hooks_outcomes_total", "outcome", RESULTS),
        ("aci_hooks_rollout_duration_seconds_count", "outcome", RESULTS),
        ("aci_hooks_settled_total", "settlement", SETTLEMENTS),
        ("aci_hooks_arm_calls_total", "operation", OPERATIONS),
        ("aci_hooks_step_failures_total", "code", FAILURE_CODES),
    ],
)
def test_every_combination_of_labels_is_there_from_the_start(name: str, label: str, values: tuple[str, ...]) -> None:
    assert labels_of(name, label) == set(values)


def test_every_way_in_which_a_push_ends_is_counted() -> None:
    assert set(RESULTS) == set(get_args(Result))


def test_every_code_that_a_look_can_fail_with_has_a_series() -> None:
    codes = {*written(), *known_to_failures(), *failures._THROTTLED}
    assert codes - set(FAILURE_CODES) == NEVER_OF_A_LOOK | NO_LETTER


def test_a_code_that_nobody_has_heard_of_makes_no_series() -> None:
    before = counted("aci_hooks_step_failures_total", code="other")
    step_failed("AzureInventedThisToday")
    assert counted("aci_hooks_step_failures_total", code="other") == before + 1
    assert labels_of("aci_hooks_step_failures_total", "code") == set(FAILURE_CODES)


def literal_labels(of: str) -> Iterator[str]:
    """The texts that the code passes to `labels` of a metric."""
    for node in parsed():
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and isinstance(called, ast.Attribute) and called.attr == "labels":
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if name_of(called.value) == of:
                yield from map(str, texts)


@pytest.mark.parametrize(("metric", "values"), [("ARM_CALLS", OPERATIONS), ("SETTLED", SETTLEMENTS)])
def test_what_the_code_counts_was_there_before(metric: str, values: tuple[str, ...]) -> None:
    assert set(literal_labels(metric)) == set(values)


class TestWritesRemaining:
    """How many changes Azure still takes, by its answers."""

    def samples(self, gauge: WritesRemaining) -> dict[tuple[str, str], float]:
        (family,) = gauge.collect()
        return {(sample.labels["subscription"], sample.labels["quota"]): sample.value for sample in family.samples}

    def test_each_quota_is_told_until_it_is_full_again_by_itself(self) -> None:
        now = [0.0]
        gauge = WritesRemaining(lambda: now[0])
        assert self.samples(gauge) == {}
        headers = {f"{QUOTA}-pt5m": "99", f"{QUOTA}-pt1h": "285", f"{QUOTA.partition('-resource')[0]}-writes": "199"}
        gauge.note("SUB", headers.get)
        assert self.samples(gauge) == {("sub", "aci-5m"): 99, ("sub", "aci-1h"): 285, ("sub", "arm"): 199}
        now[0] = 301.0
        assert self.samples(gauge) == {("sub", "aci-1h"): 285}
        gauge.note("sub", {f"{QUOTA}-pt5m": "7"}.get)
        assert self.samples(gauge) == {("sub", "aci-5m"): 7, ("sub", "aci-1h"): 285}
        now[0] = 3601.0
        assert self.samples(gauge) == {}

    @pytest.mark.parametrize("value", ["", "many", "-1", "1.5", "²", "Microsoft.Compute;12"])
    def test_what_is_no_number_is_left_out(self, value: str) -> None:
        gauge = WritesRemaining()
        gauge.note("sub", {f"{QUOTA}-pt5m": value}.get)
        assert self.samples(gauge) == {}


class TestIngress:
    """The ingress counts by senders that are served, and by nothing that a request says."""

    def test_every_combination_of_labels_is_there_from_the_start(self) -> None:
        text = Metrics(SENDERS).exposition().decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        deliveries = {
            (sample.labels["sender"], sample.labels["outcome"]) for sample in families["aci_hooks_deliveries"].samples
        }
        served = {(sender, outcome) for sender in SENDERS for outcome in OUTCOMES}
        assert deliveries == {*served, ("unknown", "refused")}
        assert {sample.labels["sender"] for sample in families["aci_hooks_pushes_enqueued"].samples} == set(SENDERS)
        assert all(sample.value == 0 for sample in families["aci_hooks_deliveries"].samples)
        (build,) = families["aci_hooks_build_info"].samples
        assert (set(build.labels), build.value) == ({"version"}, 1)
