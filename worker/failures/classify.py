"""Failures are values: is an error worth another try, when, and how often? One total function, `classify`. Pure.

The codes are those of Azure Container Instances and Azure Storage. Sources, at learn.microsoft.com:
azure/container-instances/container-instances-troubleshooting, rest/api/storageservices/common-rest-api-error-codes,
azure/azure-resource-manager/management/request-limits-and-throttling.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from shared.errors import RemoteError

SHORT = 3
"""Tries for what heals only now and then: an image that was pushed a moment ago."""
SLOWLY = 60.0
"""Seconds at least, while a quota or a region's capacity is used up: neither changes within moments."""
TRANSITION_PAUSE = 10.0
"""Seconds at least: of a group in transition, Azure says no more than "please retry later"."""

_THROTTLED = frozenset(
    {"TooManyRequests", "SubscriptionRequestsThrottled", "OperationNotAllowedThrottled"}
)
# A registry's limit or day off lasts for hours, and Azure says InaccessibleImage of it, too.
_SOON = frozenset(
    {
        "RegistryErrorResponse",
        "ServiceUnavailable",
        "InternalServerError",
        "ServerTimeout",
        "BadGateway",
        "InaccessibleImage",
    }
)
_A_FEW_TIMES = frozenset({"ManifestUnknown"})
_SLOW = frozenset({"ContainerGroupQuotaReached"})
_QUOTA = re.compile(r"quota|capacity", re.IGNORECASE)
_MISCONFIGURED = frozenset({"SecretUnavailable"})
# A new role assignment takes up to half an hour. A record that can't be read waits for somebody to repair it.
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
        "RequestDisallowedByPolicy",
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
    """No further try can succeed. A `circumstance` says nothing of the image that is to be brought in."""

    code: str
    detail: str
    circumstance: bool = False


Failure = Transient | Permanent


def classify(error: BaseException) -> Failure:
    """What to make of any error. What nobody foresaw is tried again: the attempt limit ends it."""
    if not isinstance(error, RemoteError):
        return Transient(type(error).__name__, str(error) or type(error).__name__)
    failures = [_classified(code, error) for code in _codes(error)]
    # One error that no further try can overcome is enough; else the one that is tried the least often counts.
    return min(failures, key=_hope)


def _classified(code: str, error: RemoteError) -> Failure:
    """What to make of an error of this code, which is its own or one that it wraps."""
    detail = str(error)
    if error.status == 429 or code in _THROTTLED:
        return Transient(code, detail, error.retry_after, circumstance=True)
    if code == "ContainerGroupTransitioning":
        return Transient(
            code, detail, error.retry_after, circumstance=True, pause=TRANSITION_PAUSE
        )
    # This is asked before the status: none of these passes, whatever status Azure sends with it.
    if code in _NEVER:
        return Permanent(code, detail)
    # Every resource provider names its quotas in its own way, so the word within the code counts.
    if code in _SLOW or _QUOTA.search(code):
        return Transient(
            code, detail, error.retry_after, circumstance=True, pause=SLOWLY
        )
    # The tag was pushed a moment ago, perhaps, and its registry does not show it everywhere yet.
    if code in _A_FEW_TIMES:
        return Transient(code, detail, error.retry_after, limit=SHORT)
    # Tried a number of times and not for hours: it lasts until somebody corrects the configuration.
    if code in _MISCONFIGURED:
        return Transient(code, detail, error.retry_after)
    if code in _SOON or code in _WAIT_FOR_PEOPLE or _heals(error):
        return Transient(code, detail, error.retry_after, circumstance=True)
    # What is wrong with a secret or a registry's answer says nothing of the image.
    return Permanent(code, detail, circumstance=error.service != "arm")


def _hope(failure: Failure) -> int:
    """How long it is worth another try: not at all, a few times, some times, for hours."""
    if isinstance(failure, Permanent):
        return 0
    if failure.limit is not None:
        return 1
    return 3 if failure.circumstance else 2


_SAYS_NOTHING_OF_THE_IMAGE = frozenset(
    {
        "MissingSecrets",
        "NotOurs",
        "SecretUnavailable",
        "ManifestUnknown",
        "StuckInTransition",
        "WorkerCrash",
    }
)
ABOUT_ONE_IMAGE = frozenset({"InaccessibleImage", "RegistryErrorResponse"})
"""The codes of what keeps one image from being pulled, and not the others of the group."""
GONE = frozenset({"ResourceNotFound", "ResourceGroupNotFound"})
"""The codes that say that there is no such group."""


def is_circumstance(failure: Failure) -> bool:
    """Does it say nothing of the image, so that the same push may be tried again when it comes once more?"""
    return failure.circumstance or failure.code in _SAYS_NOTHING_OF_THE_IMAGE | GONE


def passes(failure: Failure) -> bool:
    """Will it pass by itself, as far as anybody can tell? What is tried a few times on the off chance may not."""
    return isinstance(failure, Transient) and failure.limit is None


def nothing_done(error: RemoteError) -> bool:
    """After this answer to a change of a group, is it certain that the group was not changed?"""
    # Other services are asked before anything is sent. A 408 or a 5xx may come after Azure has accepted the change, and
    # what is no refusal at all, but no answer of Azure's either, may hide one that did.
    return error.service != "arm" or (
        error.status is not None and 400 <= error.status < 500 and error.status != 408
    )


def _heals(error: RemoteError) -> bool:
    # 401: a token that ran out, or a credential being replaced. 403: a role that is missing, or new. 409 on a group:
    # somebody is at work on it.
    return (
        error.status is None
        or error.status in {401, 403, 408, 409, 412}
        or error.status >= 500
    )


def _codes(error: RemoteError) -> tuple[str, ...]:
    """The codes that say what happened: those of the errors that this one wraps, where its own says nothing."""
    if error.code in _KNOWN:
        return (error.code,)
    telling = (_telling_code(path) for path in error.inner)
    inner = tuple(dict.fromkeys(code for code in telling if code))
    if inner or error.code != _WRAPPER:
        return inner or (error.code,)
    # Some wrap them in their message alone.
    named = tuple(
        code for code in sorted(_KNOWN) if re.search(rf"\b{code}\b", error.message)
    )
    return named or (error.code,)


def _telling_code(path: str) -> str | None:
    """Of the codes of errors that wrap each other, `Outer/Inner`, the one that says what happened; None if none does.

    That is the first one that is known here, or else the innermost.
    """
    codes = [code for code in path.split("/") if code and code != _WRAPPER]
    known = (code for code in codes if code in _KNOWN or _QUOTA.search(code))
    return next(known, codes[-1] if codes else None)


_KNOWN = frozenset(
    {
        *_THROTTLED,
        *_SOON,
        *_A_FEW_TIMES,
        *_SLOW,
        *_MISCONFIGURED,
        *_WAIT_FOR_PEOPLE,
        *_NEVER,
        "ContainerGroupTransitioning",
    }
)


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
        # A circumstance is limited by time and not by tries: eight tries, the default, are over within minutes.
        if failure.circumstance:
            return waited >= self.outage_patience
        return attempts >= min(self.max_attempts, failure.limit or self.max_attempts)

    def delay(self, failure: Transient, attempts: int, chance: random.Random) -> float:
        """Seconds until the next try: full jitter over an exponential bound; a Retry-After wins.

        See "Exponential Backoff And Jitter", AWS Architecture Blog.
        """
        # The exponent is bounded because attempts go on for hours: a power of thousands would overflow.
        doublings = min(max(attempts - 1, 0), 30)
        bound = min(self.longest, self.base * 2**doublings)
        jitter = chance.uniform(0, bound)
        if failure.retry_after is None:
            return max(failure.pause, jitter)
        # Stretched by up to a second, because every worker was told the same time.
        return failure.retry_after + min(jitter, 1.0)
