"""azure-core's exceptions as RemoteError: the one place where the SDKs' errors are read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError

from shared.errors import RemoteError, retry_after


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Turn azure-core's exceptions into RemoteError."""
    try:
        yield
    except HttpResponseError as error:
        code, message = _code_and_message(error)
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        raise RemoteError(service, error.status_code, code, message, retry_after(headers, time.time())) from error
    except AzureError as error:
        raise RemoteError(service, None, "Unreachable", str(error.message or type(error).__name__)) from error


def _code_and_message(error: HttpResponseError) -> tuple[str, str]:
    # Storage sets error_code; ARM's body is {"error": {"code", "message"}}, parsed by azure-core into .error.
    inner = getattr(error, "error", None)
    code = (
        getattr(error, "error_code", None)
        or getattr(inner, "code", None)
        or (f"Http{error.status_code}" if error.status_code else "Unreachable")
    )
    message = getattr(inner, "message", None) or error.message or error.reason or ""
    return str(getattr(code, "value", code)), str(message).partition("\nRequestId:")[0]
