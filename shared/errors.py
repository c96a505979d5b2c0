"""RemoteError: the error of an outside system as a value, so that decisions don't depend on its SDK. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_RETRY_AFTER = 3600.0
"""Seconds: no server may have us wait longer, whatever it asks for."""


class RemoteError(Exception):
    """An outside system refused, failed or could not be reached.

    `service` names it (queue, records, arm, registry, key vault); `status` is the HTTP status, None if there was no
    answer; `code` the service's own error code, or `Unreachable`; `retry_after` is in seconds; `inner` are the codes of
    the errors that this one wraps, `Outer/Inner` where one of them wraps another.
    """

    def __init__(
        self,
        service: str,
        status: int | None,
        code: str,
        message: str,
        retry_after: float | None = None,
        inner: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            f"{service}: {code}{f' ({status})' if status else ''}: {message}"
        )
        self.service = service
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.inner = inner


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110 §10.2.3), at most an hour; None without a usable one.

    `now` is a POSIX time, needed only for the form with a date.
    """
    value = headers.get("Retry-After") or headers.get("retry-after")
    if not value:
        return None
    if value.strip().isdecimal():
        return min(float(value), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    # The pause is bounded on both sides: a wrong clock must make it neither negative nor days long.
    return None if now is None else min(max(0.0, at - now), LONGEST_RETRY_AFTER)
