"""The quotas of a subscription: always counted and reported, enforced on demand.

Container Instances counts creates-or-updates and deletes over five minutes and an hour; Resource Manager has a token
bucket for reads and one for writes. https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from .messages import ArmError

_FIVE_MINUTES, _HOUR = 300.0, 3600.0
_PER_FIVE_MINUTES, _PER_HOUR = 100, 300
_QUOTA_HEADER = "x-ms-ratelimit-remaining-subscription-resource-requests-"


@dataclass
class _Bucket:
    depth: float
    per_second: float
    tokens: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.depth

    def take(self, now: float) -> bool:
        self.tokens = min(self.depth, self.tokens + max(0.0, now - self.filled_at) * self.per_second)
        self.filled_at = now
        taken = self.tokens >= 1
        self.tokens = max(0.0, self.tokens - 1) if taken else self.tokens
        return taken


class _Quota:
    """The times of the newest requests; as many as the larger of the two limits."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_PER_HOUR)

    def remaining(self, now: float) -> tuple[int, int]:
        """What is left for the five minutes and for the hour."""
        recent = sum(1 for time in self._times if time > now - _FIVE_MINUTES)
        hourly = sum(1 for time in self._times if time > now - _HOUR)
        return max(0, _PER_FIVE_MINUTES - recent), max(0, _PER_HOUR - hourly)

    def take(self, now: float) -> None:
        self._times.append(now)

    def free_again_after(self, now: float) -> float:
        """Seconds until a request fits in again."""
        recent = [time for time in self._times if time > now - _FIVE_MINUTES]
        hourly = [time for time in self._times if time > now - _HOUR]
        waits = [0.0]
        if len(recent) >= _PER_FIVE_MINUTES:
            waits.append(recent[-_PER_FIVE_MINUTES] + _FIVE_MINUTES - now)
        if len(hourly) >= _PER_HOUR:
            waits.append(hourly[-_PER_HOUR] + _HOUR - now)
        return max(waits)


class _Subscription:
    def __init__(self) -> None:
        self.reads = _Bucket(depth=250, per_second=25)
        self.writes = _Bucket(depth=200, per_second=10)
        self.quotas = {"PUT": _Quota(), "DELETE": _Quota()}


class RateLimits:
    """All subscriptions' quotas. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, _Subscription] = defaultdict(_Subscription)

    def spend(self, subscription: str, method: str, now: float, *, enforce: bool) -> Mapping[str, str]:
        """Counts a request, and says what is left as headers. Raises ArmError (429) if enforced and nothing is."""
        limits = self._subscriptions[subscription.lower()]
        reading = method == "GET"
        quota = limits.quotas.get(method)
        bucket = limits.reads if reading else limits.writes
        if enforce and quota and (wait := quota.free_again_after(now)) > 0:
            raise _throttled("TooManyRequests", "The subscription has used up its container group quota.", wait)
        if not bucket.take(now) and enforce:
            raise _throttled("SubscriptionRequestsThrottled", "The subscription is throttled.", 1 / bucket.per_second)
        headers = {f"x-ms-ratelimit-remaining-subscription-{'reads' if reading else 'writes'}": f"{bucket.tokens:.0f}"}
        if quota:
            quota.take(now)
            recent, hourly = quota.remaining(now)
            headers |= {f"{_QUOTA_HEADER}pt5m": str(recent), f"{_QUOTA_HEADER}pt1h": str(hourly)}
        return headers


def _throttled(code: str, message: str, wait: float) -> ArmError:
    return ArmError(429, code, f"{message} Please try again later.", {"Retry-After": str(max(1, ceil(wait)))})
