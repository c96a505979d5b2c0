"""azure-core's exceptions as RemoteError: the one place where the SDKs' errors are read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from azure.core.exceptions import AzureError, HttpResponseError, ODataV4Format

from shared.errors import RemoteError, retry_after

_MOST_DETAILS, _DEEPEST = 20, 8
_LONGEST_CODE = 128
"""Characters: codes are words, which records, letters and the history keep as they are."""


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Turn azure-core's exceptions into RemoteError."""
    try:
        yield
    except HttpResponseError as error:
        code, message = _code_and_message(error)
        details = list(islice(_details(getattr(error, "error", None)), _MOST_DETAILS))
        message = "; ".join([message, *(detail.told for detail in details)])
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        asked = retry_after(headers, time.time())
        inner = tuple("/".join(detail.path) for detail in details if detail.innermost)
        raise RemoteError(
            service, error.status_code, code, message, asked, inner
        ) from error
    # There is no answer: the connection could not be made, or it broke.
    except AzureError as error:
        raise RemoteError(
            service, None, "Unreachable", str(error.message or type(error).__name__)
        ) from error


@dataclass(frozen=True, slots=True)
class _Detail:
    """An error that another one wraps: its code behind those of the errors around it, and its message."""

    path: tuple[str, ...]
    message: str
    innermost: bool

    @property
    def told(self) -> str:
        return f"{self.path[-1]}: {self.message}"


def _details(
    error: ODataV4Format | None, path: tuple[str, ...] = ()
) -> Iterator[_Detail]:
    """Each error that an error wraps, at whatever depth. Some codes of ARM appear only there."""
    for detail in (getattr(error, "details", None) or ())[:_MOST_DETAILS]:
        # An error may wrap errors that wrap others, and nobody bounds how deep. Which of them says what happened, only
        # somebody who knows the codes can tell, so none is left out.
        codes = (*path, str(detail.code or "")[:_LONGEST_CODE])
        inner = _details(detail, codes) if len(codes) < _DEEPEST else iter(())
        first = next(inner, None)
        yield _Detail(codes, str(detail.message or ""), innermost=first is None)
        if first:
            yield first
            yield from inner


def _code_and_message(error: HttpResponseError) -> tuple[str, str]:
    # Storage sets error_code; ARM's body is {"error": {"code", "message"}}, parsed by azure-core into .error.
    inner = getattr(error, "error", None)
    code = (
        getattr(error, "error_code", None)
        or getattr(inner, "code", None)
        or _code_of_status(error.status_code)
    )
    message = getattr(inner, "message", None) or error.message or error.reason or ""
    # Storage appends the request's id and time, which would make each error differ from the one before.
    text = str(message).partition("\nRequestId:")[0]
    # Some of the SDKs' codes are enumerations.
    return str(getattr(code, "value", code))[:_LONGEST_CODE], text


def _code_of_status(status: int | None) -> str:
    if status is None:
        return "Unreachable"
    # Nothing was refused, but the answer is not the service's own: the page of a proxy, say.
    return f"Http{status}" if status >= 400 else "BadGateway"
