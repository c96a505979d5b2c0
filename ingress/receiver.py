"""The receiver: from a delivery to its answer. An authentic push is on the queue before it answers so."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ingress import problems
from ingress.authority import (
    FOR_EVERY_SENDER,
    Authority,
    Standing,
    standing_of,
    why_not,
)
from ingress.delivery import Delivery, Handshake, Ignored, Malformed
from ingress.metrics import Metrics
from ingress.outbox import Outbox
from ingress.senders import Sender
from shared import tracing
from shared.errors import RemoteError
from shared.message import UpdateMessage
from shared.problem import Problem
from shared.push import Push
from shared.tracing import Span

_MAX_REASONS = 3
_ID_LENGTH = 32  # as many characters as a uuid4 has in hexadecimal


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a delivery that was understood. `outcome` is queued, ignored or handshake.

    `passed_over` says why pushes of the delivery are not among those that were queued.
    """

    status: int
    outcome: str
    body: Mapping[str, Any]
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receiver:
    """Receives the deliveries of all enabled senders. `authorities` may prove those of each sender."""

    senders: Mapping[str, Sender]
    authorities: Mapping[str, Sequence[Authority]]
    outbox: Outbox
    metrics: Metrics
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex

    def refusal(self, head: Delivery) -> Problem | None:
        """Why the head alone is enough to refuse a delivery, None if its body must be read. Needs no other server."""
        # A list, so that every authority is asked: the time must not show which of them has a similar secret.
        may_be_proven = [
            authority.may_be_used(head) for authority in self.authorities[head.sender]
        ]
        return None if any(may_be_proven) else self._unauthorized(head)

    def receive(
        self, delivery: Delivery, arrived: float, begin_trace: Callable[[], str]
    ) -> Reply | Problem:
        """Verify, then parse, then enqueue. `arrived` is the time (the outbox's clock) from which the seconds count.

        `begin_trace` is called once the sender is proven, and gives the traceparent of what follows.
        """
        # The order is a matter of trust: nothing that a stranger sends reaches a parser.
        try:
            standing = standing_of(delivery, self.authorities[delivery.sender])
            if standing is None:
                return self._unauthorized(delivery)
            traceparent = begin_trace()
            outcome = self.senders[delivery.sender].parse(delivery)
            if isinstance(outcome, Ignored):
                return _ignored([outcome.reason])
            if isinstance(outcome, Handshake):
                return Reply(200, "handshake", outcome.answer)
            return self._take(delivery, standing, outcome, arrived, traceparent)
        except Malformed as error:
            return problems.malformed(str(error))
        except RemoteError as error:
            # The queue, or the server of the keys that a signed token needs. Nothing was lost if the sender repeats it.
            return problems.unavailable(
                f"the {error.service} cannot be reached now ({error.code}); send it again"
            )

    def knows(self, head: Delivery) -> bool:
        """Whether the request has a valid secret of its sender. Nothing is read or enqueued."""
        return standing_of(head, self.authorities[head.sender]) is not None

    def _unauthorized(self, head: Delivery) -> Problem:
        schemes = (*FOR_EVERY_SENDER, *self.senders[head.sender].accepts)
        return problems.unauthorized([scheme.label for scheme in schemes])

    def _take(
        self,
        delivery: Delivery,
        standing: Standing,
        pushes: list[Push],
        arrived: float,
        traceparent: str,
    ) -> Reply:
        """Enqueue the pushes that these secrets may report."""
        taken: list[Push] = []
        tells_time = True
        reasons: dict[str, None] = {}  # an ordered set
        for push in pushes:
            # What a secret may not report is passed over, not refused: the delivery's other pushes are valid, and the
            # sender would repeat a refused delivery in vain.
            if reason := _why_not_reported(push, delivery, standing):
                reasons[reason] = None
                continue
            # A sender's clock that is ahead would let its push outrank all others until that time has come.
            told = push.pushed_at
            push = push.not_after(delivery.received_at)
            tells_time = tells_time and told is not None and push.pushed_at == told
            taken.append(push.model_copy(update={"proof": standing.proof_of(push)}))
        if not taken:
            return _ignored(list(reasons))
        replayed_id = None if tells_time else _id_of_replays(delivery, standing)
        delivery_id = replayed_id or self.new_id()
        return self._enqueue(
            delivery, delivery_id, taken, tuple(reasons), arrived, traceparent
        )

    def _enqueue(
        self,
        delivery: Delivery,
        delivery_id: str,
        pushes: list[Push],
        passed_over: tuple[str, ...],
        arrived: float,
        traceparent: str,
    ) -> Reply:
        with self._sending(delivery_id, len(pushes)) as span:
            messages = [
                UpdateMessage(
                    id=message_id,
                    kind="push",
                    push=push,
                    received_at=delivery.received_at,
                    traceparent=span.traceparent or traceparent,
                )
                for message_id, push in zip(
                    _ids(delivery_id, len(pushes)), pushes, strict=True
                )
            ]
            with self.metrics.enqueue_seconds.time():
                self.outbox.send(messages, arrived)
        self.metrics.pushes.labels(delivery.sender).inc(len(pushes))
        body = {
            "status": "queued",
            "id": delivery_id,
            "pushes": [
                {"image": str(push.image), "digest": push.digest} for push in pushes
            ],
        }
        return Reply(202, "queued", body, passed_over)

    def _sending(self, delivery_id: str, pushes: int) -> AbstractContextManager[Span]:
        """The span of putting a delivery onto the queue: the parent of everything that is done about its pushes."""
        attributes = {
            "messaging.system": "azure.storage_queues",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.message.id": delivery_id if pushes == 1 else None,
            "messaging.batch.message_count": pushes if pushes > 1 else None,
            "aci_hooks.push.id": delivery_id,
        }
        return tracing.span("send push", "producer", attributes)


def _ignored(reasons: list[str]) -> Reply:
    """The reply to what was understood. A 4xx would make some senders repeat it, and others switch the webhook off."""
    reason = "; ".join(reasons[:_MAX_REASONS])
    return Reply(200, "ignored", {"status": "ignored", "reason": reason})


def _why_not_reported(push: Push, delivery: Delivery, standing: Standing) -> str | None:
    """Why this sender, or the secret that proves the delivery, may not report the push; None if it may."""
    if reason := why_not(delivery.sender, push.registry):
        return reason
    if standing.proof_of(push) is None:
        return f"{push.image.name} is not among the images that this secret may report"
    return None


def _ids(delivery_id: str, pushes: int) -> list[str]:
    """An id for each push. `follow` finds all of them by the delivery's own, which the 202 gives."""
    if pushes == 1:
        return [delivery_id]
    return [f"{delivery_id}.{number}" for number in range(1, pushes + 1)]


def _id_of_replays(delivery: Delivery, standing: Standing) -> str | None:
    """The id of a signed delivery that does not tell when its pushes were made: the same each time it is received.

    Whoever has seen such a delivery can replay it without the key, and it would count as the newest push each time.
    With the same id it is the push that a record knows. What carries a time keeps its place by that, unless the time is
    yet to come, and so stands for that of each arrival. A token is no proof of the bytes, while senders that have
    nothing else (Quay) say the same of every push of one tag.
    """
    signature = standing.signature(delivery)
    if signature is None:
        return None
    # The zero bytes keep the parts apart: without them the end of one could be taken for the beginning of the next.
    signed = b"\0".join((delivery.sender.encode(), signature, delivery.body))
    return hashlib.sha256(signed).hexdigest()[:_ID_LENGTH]
