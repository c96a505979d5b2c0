"""The ingress's Prometheus metrics, in a registry of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)


class Metrics:
    """Counters by sender. The sender is always a known name, never a text from a request."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "aci_hooks_deliveries",
            "Webhook deliveries by result",
            ["sender", "outcome"],
            registry=self._registry,
        )
        self.pushes = Counter("aci_hooks_pushes_enqueued", "Pushes on the queue", ["sender"], registry=self._registry)
        self.enqueue_seconds = Histogram(
            "aci_hooks_enqueue_seconds",
            "Time until the queue accepted a delivery's pushes, or refused them",
            buckets=_SECONDS,
            registry=self._registry,
        )

    def exposition(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
