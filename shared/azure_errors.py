"""azure-core's exceptions as RemoteError: the one place where the SDKs' errors are read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ODataV4Format

from shared.errors import RemoteError, retry_after

_MOST_DETAILS, _DEEPEST = 20, 3
_LONGEST_CODE = 128
"""Characters: codes are words, which records, letters and the history keep as they are."""


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Turn azure-core's exceptions into RemoteError."""
    try:
        yield
    except HttpResponseError as error:
        code, message = _code_and_message(error)
        details = tuple(_details(getattr(error, "error", None)))
        message = "; ".join(
            [message, *(f"{wrapped}: {said}" for wrapped, said in details)]
        )
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        asked = retry_after(headers, time.time())
        inner = tuple(wrapped for wrapped, _ in details)
        raise RemoteError(
            service, error.status_code, code, message, asked, inner
        ) from error
    # There is no answer: the connection could not be made, or it broke.
    except AzureError as error:
        raise RemoteError(
            service, None, "Unreachable", str(error.message or type(error).__name__)
        ) from error


def _details(error: ODataV4Format | None, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Code and message of each error that an error wraps. Some codes of ARM appear only there."""
    for detail in (getattr(error, "details", None) or ())[:_MOST_DETAILS]:
        # An error may wrap errors that wrap others. The innermost ones say what happened, and nobody bounds how deep
        # they lie.
        inner = list(_details(detail, depth + 1)) if depth < _DEEPEST else []
        code = str(detail.code or "")[:_LONGEST_CODE]
        yield from inner or [(code, str(detail.message or ""))]


def _code_and_message(error: HttpResponseError) -> tuple[str, str]:
    # Storage sets error_code; ARM's body is {"error": {"code", "message"}}, parsed by azure-core into .error.
    inner = getattr(error, "error", None)
    code = (
        getattr(error, "error_code", None)
        or getattr(inner, "code", None)
        or (f"Http{error.status_code}" if error.status_code else "Unreachable")
    )
    message = getattr(inner, "message", None) or error.message or error.reason or ""
    # Storage appends the request's id and time, which would make each error differ from the one before.
    text = str(message).partition("\nRequestId:")[0]
    # Some of the SDKs' codes are enumerations.
    return str(getattr(code, "value", code))[:_LONGEST_CODE], text
