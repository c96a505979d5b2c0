"""The retries inside a step: a few, within seconds. What takes longer is the queue's affair."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from shared.errors import RemoteError
from worker.failures.classify import Transient, classify

Result = TypeVar("Result")

TRIES = 3
PATIENCE = 2.0
"""Seconds: a Retry-After beyond it is left to the queue."""
_backoff = wait_exponential(multiplier=0.1, max=PATIENCE) + wait_random(0, 0.2)


def briefly(call: Callable[[], Result]) -> Result:
    """Run a call that is safe to repeat, up to TRIES times while its error is a passing one; raises the last error."""
    return _retrying(_passes)(call)


def briefly_if_untouched(call: Callable[[], Result]) -> Result:
    """The same for a call that changes something: again only after an answer that says that nothing was done."""
    return _retrying(lambda error: _passes(error) and isinstance(error, RemoteError) and error.status == 429)(call)


def _retrying(worth_it: Callable[[BaseException], bool]) -> Retrying:
    return Retrying(stop=stop_after_attempt(TRIES), wait=_wait, retry=retry_if_exception(worth_it), reraise=True)


def _passes(error: BaseException) -> bool:
    failure = classify(error)
    if not isinstance(error, RemoteError) or not isinstance(failure, Transient):
        return False
    return max(failure.retry_after or 0, failure.pause) <= PATIENCE


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RemoteError) else None
    return asked if asked is not None else _backoff(state)
