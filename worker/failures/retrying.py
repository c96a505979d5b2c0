"""The retries inside a step: a few, within seconds. For anything longer the message goes back to the queue.

They are the only ones: the SDKs' own are off, since layers of retries multiply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from shared.errors import RemoteError
from worker.failures.classify import Transient, classify

T = TypeVar("T")

TRIES = 3
LONGEST_PAUSE = 2.0
"""Seconds: who has to wait longer between two tries leaves it to the queue."""
_backoff = wait_exponential(multiplier=0.1, max=LONGEST_PAUSE) + wait_random(0, 0.2)


def briefly(call: Callable[[], T]) -> T:
    """Run a call that is safe to repeat, up to TRIES times while its error may pass soon; raises the last error."""
    return _retrying(_passes_soon)(call)


def briefly_if_untouched(call: Callable[[], T]) -> T:
    """The same for a call that changes something: repeated only after an answer that says that nothing was done.

    Throttling is the one such answer that passes soon. After any other one, or none, the change may be under way, and
    a second try would start it twice.
    """
    return _retrying(lambda error: _is_throttled(error) and _passes_soon(error))(call)


def _retrying(worth_it: Callable[[BaseException], bool]) -> Retrying:
    return Retrying(stop=stop_after_attempt(TRIES), wait=_wait, retry=retry_if_exception(worth_it), reraise=True)


def _is_throttled(error: BaseException) -> bool:
    return isinstance(error, RemoteError) and error.status == 429


def _passes_soon(error: BaseException) -> bool:
    if not isinstance(error, RemoteError):
        # A mistake of ours: classify lets the queue try it again, but not this step.
        return False
    failure = classify(error)
    if not isinstance(failure, Transient):
        return False
    return max(failure.retry_after or 0.0, failure.pause) <= LONGEST_PAUSE


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: what the server asks for, else a little longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RemoteError) else None
    return asked if asked is not None else _backoff(state)
