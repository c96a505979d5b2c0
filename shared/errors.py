"""RemoteError: what an outside system answered, as a value that decisions can be made on without its SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from azure.core.exceptions import AzureError, HttpResponseError


class RemoteError(Exception):
    """An outside system refused, failed or could not be reached.

    `service` names it (queue, records, arm, registry, key vault); `status` is the HTTP status, None if there was no
    answer; `code` the service's own error code, or `Unreachable`; `retry_after` is in seconds.
    """

    def __init__(
        self, service: str, status: int | None, code: str, message: str, retry_after: float | None = None
    ) -> None:
        super().__init__(f"{service}: {code}{f' ({status})' if status else ''}: {message}")
        self.service = service
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Turn azure-core's exceptions into RemoteError."""
    try:
        yield
    except HttpResponseError as error:
        code, message = _code_and_message(error)
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        raise RemoteError(service, error.status_code, code, message, retry_after(headers)) from error
    except AzureError as error:
        raise RemoteError(service, None, "Unreachable", str(error.message or type(error).__name__)) from error


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110 §10.2.3), None without a usable one.

    `now` is a POSIX time, needed only for the form with a date.
    """
    value = headers.get("Retry-After") or headers.get("retry-after")
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None
    return None if now is None else max(0.0, at - now)


def _code_and_message(error: HttpResponseError) -> tuple[str, str]:
    # Storage sets error_code; ARM's body is {"error": {"code", "message"}}, parsed by azure-core into .error.
    inner = getattr(error, "error", None)
    code = getattr(error, "error_code", None) or getattr(inner, "code", None) or f"Http{error.status_code}"
    message = getattr(inner, "message", None) or error.message or error.reason or ""
    return str(getattr(code, "value", code)), str(message).partition("\nRequestId:")[0]
