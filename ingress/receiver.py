"""The receiver: from a delivery to its answer. What is authentic and a push is on the queue before it says so."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ingress import problems
from ingress.authentication import FOR_EVERY_SENDER, Secrets, is_authentic
from ingress.delivery import Delivery, Handshake, Ignored, Malformed
from ingress.metrics import Metrics
from ingress.outbox import Outbox
from ingress.problems import Problem
from ingress.senders import Sender
from shared.errors import RemoteError
from shared.message import UpdateMessage
from shared.push import Push


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a delivery that was understood. `outcome` is queued, ignored or handshake."""

    status: int
    outcome: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes deliveries of every sender. `tokens` are the common secrets, `secrets` those of each sender alone."""

    senders: Mapping[str, Sender]
    tokens: Secrets
    secrets: Mapping[str, Secrets]
    outbox: Outbox
    metrics: Metrics
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex

    def receive(self, delivery: Delivery, arrived: float, traceparent: str) -> Reply | Problem:
        """Verify, then parse, then enqueue. `arrived` is when the whole of it was there, by the outbox's clock."""
        sender = self.senders[delivery.sender]
        try:
            if not self._is_authentic(delivery, sender):
                return problems.unauthorized([scheme.label for scheme in (*FOR_EVERY_SENDER, *sender.accepts)])
            outcome = sender.parse(delivery)
            if isinstance(outcome, Ignored):
                return Reply(200, "ignored", {"status": "ignored", "reason": outcome.reason})
            if isinstance(outcome, Handshake):
                return Reply(200, "handshake", outcome.answer)
            return self._enqueue(delivery, outcome, arrived, traceparent)
        except Malformed as error:
            return problems.malformed(str(error))
        except RemoteError as error:
            return problems.unavailable(f"the {error.service} cannot be reached now ({error.code}); send it again")

    def knows(self, delivery: Delivery) -> bool:
        """Is the request from somebody who has a secret of its sender's? Nothing is read or enqueued."""
        return self._is_authentic(delivery, self.senders[delivery.sender])

    def _is_authentic(self, delivery: Delivery, sender: Sender) -> bool:
        return is_authentic(
            delivery,
            tokens=self.tokens,
            secrets=self.secrets.get(delivery.sender, ()),
            accepts=sender.accepts,
        )

    def _enqueue(self, delivery: Delivery, pushes: list[Push], arrived: float, traceparent: str) -> Reply:
        delivery_id = self.new_id()
        ids = [delivery_id] if len(pushes) == 1 else [f"{delivery_id}.{n}" for n in range(1, len(pushes) + 1)]
        messages = [
            UpdateMessage(
                id=message_id,
                kind="push",
                push=push.not_after(delivery.received_at),
                received_at=delivery.received_at,
                traceparent=traceparent,
            )
            for message_id, push in zip(ids, pushes, strict=True)
        ]
        with self.metrics.enqueue_seconds.time():
            self.outbox.send(messages, arrived)
        self.metrics.pushes.labels(delivery.sender).inc(len(pushes))
        body = {
            "status": "queued",
            "id": delivery_id,
            "pushes": [{"image": str(push.image), "digest": push.digest} for push in pushes],
        }
        return Reply(202, "queued", body)
