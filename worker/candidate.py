"""A push that wants to be admitted, held against those that are wanted, run well, or have failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.image import rewrite
from shared.message import UpdateMessage
from worker.policies.parse import Policy, Skip
from worker.record_parts import Failure, Good, Wanted


@dataclass(frozen=True, slots=True)
class Candidate:
    """A push for one container: the policy that judges it, and its image's digest if it is known."""

    message: UpdateMessage
    policy: Policy
    digest: str | None
    now: datetime

    def beats(self, other: Wanted) -> bool:
        """Is it the newer one, by the policy's order or else by time? A push does not beat itself."""
        return self._outranks(other.message.push.tag, other.message.order)

    def beats_good(self, good: Good) -> bool:
        """The same against an image that ran well; one whose push is not known is beaten by every push."""
        return good.order is None or good.tag is None or self._outranks(good.tag, good.order)

    def _outranks(self, tag: str, order: tuple[datetime, datetime]) -> bool:
        ranked = self.policy.outranks(self.message.push.tag, tag) if tag != self.message.push.tag else None
        return self.message.order > order if ranked is None else ranked

    def objection(self, wanted: Wanted) -> tuple[str, bool]:
        """Why it does not take the place of `wanted`, which it does not beat, as a sentence; and: is that one newer?

        Of two that the policy can't compare neither is.
        """
        tag, before = self.message.push.tag, wanted.message.push.tag
        decision = self.policy.decide(before, tag)
        if isinstance(decision, Skip):
            return decision.reason, self.policy.outranks(before, tag) is True
        return f"{wanted.message.push.image} is newer", True

    def repeats(self, failure: Failure) -> bool:
        """Is it the push that failed, delivered again?"""
        mine, failed = self.message.push, failure.message.push
        if mine.tag != failed.tag:
            return False
        if self.digest and failure.digest:
            return self.digest == failure.digest
        return mine.pushed_at is not None and mine.pushed_at == failed.pushed_at

    def wanted(self, written: str, *, same_tag: bool, running: str | None = None) -> Wanted:
        """Itself as what is wanted: a new tag by its name, a tag that moved by its digest or else by a restart."""
        push = self.message.push
        image = rewrite(written, digest=self.digest) if same_tag and self.digest else rewrite(written, tag=push.tag)
        return Wanted(
            message=self.message,
            image=image,
            restart=image == running,
            digest=self.digest,
            admitted_at=self.now,
        )
