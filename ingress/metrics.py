"""The ingress's Prometheus metrics, in a registry of their own.

Every combination of labels exists from the start, at 0: `increase()` sees nothing of a counter that appears with its
first event.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from shared.metrics import tell_build

CONTENT_TYPE = CONTENT_TYPE_LATEST

REFUSALS = {400: "malformed", 401: "unauthorized", 413: "too large", 503: "unavailable"}
"""The outcomes of deliveries that are answered with these statuses."""
OUTCOMES = ("queued", "ignored", "handshake", *REFUSALS.values(), "refused")
UNKNOWN = "unknown"
"""Stands for every sender that is not served: its name is a request's own text."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)


class Metrics:
    """Counters by sender. The sender is always one of `senders`, or UNKNOWN, and never a text from a request."""

    def __init__(self, senders: Iterable[str] = ()) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "aci_hooks_deliveries",
            "Webhook deliveries by result",
            ["sender", "outcome"],
            registry=self._registry,
        )
        self.pushes = Counter(
            "aci_hooks_pushes_enqueued",
            "Pushes on the queue",
            ["sender"],
            registry=self._registry,
        )
        self.enqueue_seconds = Histogram(
            "aci_hooks_enqueue_seconds",
            "Time until the queue accepted a delivery's pushes, or refused them",
            buckets=_SECONDS,
            registry=self._registry,
        )

        tell_build(self._registry)
        # A label from a request's path would let a stranger create series without end.
        for sender in senders:
            self.pushes.labels(sender)
            for outcome in OUTCOMES:
                self.deliveries.labels(sender, outcome)
        # Nothing of a sender that is not served is read, so it has but one outcome.
        self.deliveries.labels(UNKNOWN, "refused")

    def exposition(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
