"""Failures are values: is an error worth another try, when, and how often? One total function, `classify`. Pure.

The codes are those of Azure Container Instances and Azure Storage. Sources, at learn.microsoft.com:
azure/container-instances/container-instances-troubleshooting, rest/api/storageservices/common-rest-api-error-codes,
azure/azure-resource-manager/management/request-limits-and-throttling.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from shared.errors import RemoteError

SHORT = 3
"""Tries for what heals only now and then: an image that was pushed a moment ago."""
SLOWLY = 60.0
TRANSITION_PAUSE = 10.0

_THROTTLED = frozenset({"TooManyRequests", "SubscriptionRequestsThrottled", "OperationNotAllowedThrottled"})
_SOON = frozenset({"RegistryErrorResponse", "ServiceUnavailable", "InternalServerError", "ServerTimeout", "BadGateway"})
_A_FEW_TIMES = frozenset({"InaccessibleImage", "ManifestUnknown"})
_SLOW = frozenset({"ContainerGroupQuotaReached"})
# A fresh role assignment takes up to half an hour. A record that can't be read waits for somebody to mend it.
_MISCONFIGURED = frozenset({"SecretUnavailable"})
_WAIT_FOR_PEOPLE = frozenset(
    {
        "AuthenticationFailed",
        "AuthorizationFailed",
        "AuthorizationFailure",
        "AuthorizationPermissionMismatch",
        "LinkedAuthorizationFailed",
        "UnreadableRecord",
    }
)
# With whatever status: that of some is not documented, and 409 is often a passing one.
_NEVER = frozenset(
    {
        "InvalidContainerGroupUpdate",
        "InvalidEnvironmentVariable",
        "InvalidImageRegistryPassword",
        "InvalidRequestContent",
        "InvalidStorageAccountKey",
    }
)
_WRAPPER = "MultipleErrorsOccurred"


@dataclass(frozen=True, slots=True)
class Transient:
    """Worth another try: not before `retry_after` seconds if given, at most `limit` tries if given.

    `pause` is the shortest time in seconds that makes sense where the server names none. A `circumstance` says nothing
    of the image that is to be brought in: it is tried for hours, not a number of times.
    """

    code: str
    detail: str
    retry_after: float | None = None
    limit: int | None = None
    circumstance: bool = False
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class Permanent:
    """No further try can mend it."""

    code: str
    detail: str


Failure = Transient | Permanent


def classify(error: BaseException) -> Failure:
    """What to make of any error. What nobody foresaw is tried again: the attempt limit ends it."""
    if not isinstance(error, RemoteError):
        return Transient(type(error).__name__, str(error) or type(error).__name__)
    code = _inner_code(error) if error.code == _WRAPPER else error.code
    detail = str(error)
    if error.status == 429 or code in _THROTTLED:
        return Transient(code, detail, error.retry_after, circumstance=True)
    if code == "ContainerGroupTransitioning":
        return Transient(code, detail, error.retry_after, circumstance=True, pause=TRANSITION_PAUSE)
    if code in _SLOW or code in _WAIT_FOR_PEOPLE:
        pause = SLOWLY if code in _SLOW else 0.0
        return Transient(code, detail, error.retry_after, circumstance=True, pause=pause)
    if code in _NEVER:
        return Permanent(code, detail)
    if code in _A_FEW_TIMES:
        return Transient(code, detail, error.retry_after, limit=SHORT)
    if code in _MISCONFIGURED:
        return Transient(code, detail, error.retry_after)
    if code in _SOON or _heals(error):
        return Transient(code, detail, error.retry_after, circumstance=True)
    return Permanent(code, detail)


_SAYS_NOTHING_OF_THE_IMAGE = frozenset(
    {"MissingSecrets", "SecretUnavailable", "ManifestUnknown", "StuckInTransition", "WorkerCrash"}
)
GONE = frozenset({"ResourceNotFound", "ResourceGroupNotFound"})
"""The codes that say that there is no such group."""


def is_circumstance(failure: Failure) -> bool:
    """Does it say nothing of the image, so that the same push may be tried again when it comes once more?"""
    passing = isinstance(failure, Transient) and failure.circumstance
    return passing or failure.code in _SAYS_NOTHING_OF_THE_IMAGE | GONE


def passes(failure: Failure) -> bool:
    """Will it pass by itself, as far as anybody can tell? What is tried a few times on the off chance may not."""
    return isinstance(failure, Transient) and failure.limit is None


def nothing_done(error: RemoteError) -> bool:
    """After this answer to a change of a group, is it certain that the group was not changed?"""
    return error.service != "arm" or (error.status is not None and error.status < 500 and error.status != 408)


def _heals(error: RemoteError) -> bool:
    # 401: a token that ran out, or a credential being replaced. 409 on a group: somebody is at work on it.
    return error.status is None or error.status in {401, 408, 409, 412} or error.status >= 500


def _inner_code(error: RemoteError) -> str:
    passing = (*_THROTTLED, *_SOON, *_A_FEW_TIMES, *_SLOW, *_WAIT_FOR_PEOPLE, "ContainerGroupTransitioning")
    known = [*sorted(_NEVER), *sorted(passing)]
    return next((code for code in known if code in error.message), error.code)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how far apart: `base`, `longest` and `outage_patience` are in seconds."""

    max_attempts: int
    base: float
    longest: float
    outage_patience: float = 21600.0

    def is_over(self, failure: Failure, attempts: int, waited: float = 0.0) -> bool:
        """Has it been tried often enough: `attempts` tries have failed, between which `waited` seconds were spent?"""
        if isinstance(failure, Permanent):
            return True
        if failure.circumstance:
            return waited >= self.outage_patience
        return attempts >= min(self.max_attempts, failure.limit or self.max_attempts)

    def delay(self, failure: Transient, attempts: int, chance: random.Random) -> float:
        """Seconds until the next try: full jitter over an exponential bound; a Retry-After wins.

        See "Exponential Backoff And Jitter", AWS Architecture Blog.
        """
        bound = min(self.longest, self.base * 2 ** min(max(attempts - 1, 0), 30))
        jitter = chance.uniform(0, bound)
        return max(failure.pause, jitter) if failure.retry_after is None else failure.retry_after + min(jitter, 1.0)
