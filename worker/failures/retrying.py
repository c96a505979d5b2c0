"""The retries inside a step: a few tries within seconds. For anything longer, the message goes back to the queue.

These are the only retries at this level. Those of the SDKs are turned off, because layers of retries multiply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from shared.errors import RemoteError
from worker.failures.classify import Transient, classify

T = TypeVar("T")

TRIES = 3
LONGEST_PAUSE = 2.0
"""Seconds. A try that would have to wait longer is left to the queue, so that it blocks no thread."""
_backoff = wait_exponential(multiplier=0.1, max=LONGEST_PAUSE) + wait_random(0, 0.2)


def call_with_retries(call: Callable[[], T]) -> T:
    """Make a call that is safe to repeat, up to TRIES times while its error may pass soon. Raises the last error."""
    return _retrying(_passes_soon)(call)


def call_with_retries_if_untouched(call: Callable[[], T]) -> T:
    """Make a call that changes something, and repeat it only after an answer that proves that nothing was changed."""
    # Repeating it after any passing error is tempting. But without an answer, or after a 5xx, the change may be under
    # way, and a second try would start it twice. Throttling is the one answer that passes soon and proves the opposite.
    return _retrying(_is_throttled_for_a_moment)(call)


def _retrying(worth_it: Callable[[BaseException], bool]) -> Retrying:
    return Retrying(
        stop=stop_after_attempt(TRIES),
        wait=_wait,
        retry=retry_if_exception(worth_it),
        reraise=True,
    )


def _is_throttled_for_a_moment(error: BaseException) -> bool:
    is_throttled = isinstance(error, RemoteError) and error.status == 429
    return is_throttled and _passes_soon(error)


def _passes_soon(error: BaseException) -> bool:
    if not isinstance(error, RemoteError):
        # A bug of ours. The queue tries the message again (see classify); repeating the call at once would not help.
        return False
    failure = classify(error)
    if not isinstance(failure, Transient):
        return False
    return max(failure.retry_after or 0.0, failure.pause) <= LONGEST_PAUSE


def _wait(state: RetryCallState) -> float:
    """Seconds until the next try: what the server asks for, or else a little longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, RemoteError) else None
    return asked if asked is not None else _backoff(state)
