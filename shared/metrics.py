"""The worker's Prometheus metrics, and what both programs tell of themselves.

Every combination of labels exists from the start, at 0: `increase()` sees nothing of a counter that appears with its
first event. So the values of a label are written down here, and none comes from outside. What all workers share, such
as the queue, is in worker.adapters.monitoring.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

RESULTS = ("updated", "unchanged", "superseded", "ignored", "rolled-back", "failed")
SETTLEMENTS = ("completed", "rescheduled", "dead-lettered")
OPERATIONS = ("get", "list", "logs", "put", "restart")
OTHER = "other"
"""Stands for every code that is not among FAILURE_CODES: Azure may invent any number of them."""
FAILURE_CODES = (
    "AuthenticationFailed",
    "AuthorizationFailed",
    "AuthorizationFailure",
    "AuthorizationPermissionMismatch",
    "BadGateway",
    "Conflict",
    "ContainerGroupQuotaReached",
    "ContainerGroupTransitioning",
    "CredentialUnavailable",
    "InaccessibleImage",
    "InternalServerError",
    "InvalidContainerGroupUpdate",
    "InvalidEnvironmentVariable",
    "InvalidImageRegistryPassword",
    "InvalidRequestContent",
    "InvalidStorageAccountKey",
    "LinkedAuthorizationFailed",
    "ManifestUnknown",
    "MissingSecrets",
    "NotOurs",
    "OperationNotAllowedThrottled",
    "RegistryErrorResponse",
    "RequestDisallowedByPolicy",
    "ResourceGroupNotFound",
    "ResourceNotFound",
    "SecretUnavailable",
    "ServerTimeout",
    "ServiceUnavailable",
    "StuckInTransition",
    "SubscriptionRequestsThrottled",
    "TooManyRequests",
    "Unauthorized",
    "Unreachable",
    "UnreadableRecord",
    "WorkerCrash",
    OTHER,
)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SECONDS = (
    10,
    30,
    _MINUTE,
    90,
    2 * _MINUTE,
    5 * _MINUTE,
    10 * _MINUTE,
    15 * _MINUTE,
    30 * _MINUTE,
)
_LONG = (_HOUR, 3 * _HOUR, 6 * _HOUR, _DAY)

_QUOTAS = {
    "x-ms-ratelimit-remaining-subscription-resource-requests-pt5m": (
        "aci-5m",
        5.0 * _MINUTE,
    ),
    "x-ms-ratelimit-remaining-subscription-resource-requests-pt1h": (
        "aci-1h",
        float(_HOUR),
    ),
    "x-ms-ratelimit-remaining-subscription-writes": ("arm", 5.0 * _MINUTE),
}
"""What Azure says of the quotas of a subscription's changes: our name of each, and for how long that tells anything."""


class WritesRemaining(Collector):
    """How many changes Azure still takes, as its last answer said.

    A number is left out once its quota is full again by itself: the last change of a busy hour would else be taken for
    the present.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}

    def note(self, subscription: str, headers: Callable[[str], str | None]) -> None:
        """Remember what the headers of an answer say; `headers` gives the value of a header, None without it."""
        for header, (quota, lifetime) in _QUOTAS.items():
            value = headers(header) or ""
            # `isdigit` alone accepts the digits of every script, and even `²`, which `float` can't read.
            if value.isascii() and value.isdigit():
                with self._lock:
                    self._seen[subscription.lower(), quota] = (
                        float(value),
                        self._clock() + lifetime,
                    )

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The numbers that still tell something."""
        family = GaugeMetricFamily(
            "aci_hooks_arm_writes_remaining",
            "Changes that Azure still takes, by its last answer to this worker (min over workers)",
            labels=["subscription", "quota"],
        )
        with self._lock:
            seen = dict(self._seen)
        now = self._clock()
        for labels, (value, until) in sorted(seen.items()):
            if now < until:
                family.add_metric(labels, value)
        yield family


# A second series beside each counter, of use to nobody who scrapes this.
disable_created_metrics()  # type: ignore[no-untyped-call]

ARM_CALLS = Counter(
    "aci_hooks_arm_calls_total", "Calls to Azure Resource Manager", ["operation"]
)
OUTCOMES = Counter(
    "aci_hooks_outcomes_total", "Pushes that ended for a target", ["outcome"]
)
DURATION = Histogram(
    "aci_hooks_rollout_duration_seconds",
    "Seconds from a push's receipt to its end for a target",
    ["outcome"],
    buckets=(*_SECONDS, *_LONG),
)
SETTLED = Counter("aci_hooks_settled_total", "Messages settled", ["settlement"])
STEP_FAILURES = Counter(
    "aci_hooks_step_failures_total", "Looks, changes and messages that failed", ["code"]
)
TARGETS_FILE_VALID = Gauge(
    "aci_hooks_targets_file_valid",
    "1 if the newest version of it is in force, else 0",
    ["file"],
)
ADDRESS_CHANGES = Counter(
    "aci_hooks_address_changes_total", "Rollouts that changed the address of a group"
)
SWEEP_INTERVAL = Gauge(
    "aci_hooks_sweep_interval_seconds",
    "ACI_HOOKS_SWEEP_INTERVAL; 0 if there are no sweeps",
)
WRITES_REMAINING = WritesRemaining()
REGISTRY.register(WRITES_REMAINING)


def ended(result: str, seconds: float | None) -> None:
    """Count the end of a push for a target, `seconds` after it was received."""
    OUTCOMES.labels(result).inc()
    DURATION.labels(result).observe(max(0.0, seconds or 0.0))


def step_failed(code: str) -> None:
    """Count a look, a change or a message that failed."""
    STEP_FAILURES.labels(code if code in FAILURE_CODES else OTHER).inc()


def tell_build(registry: CollectorRegistry = REGISTRY) -> None:
    """Say which version runs."""
    build = Gauge(
        "aci_hooks_build_info",
        "Always 1; the labels say what runs",
        ["version"],
        registry=registry,
    )
    build.labels(version("aci-hooks")).set(1)


for _counter, _values in (
    (ARM_CALLS, OPERATIONS),
    (OUTCOMES, RESULTS),
    (DURATION, RESULTS),
    (SETTLED, SETTLEMENTS),
    (STEP_FAILURES, FAILURE_CODES),
):
    for _value in _values:
        _counter.labels(_value)
