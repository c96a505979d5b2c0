"""What is read of Azure Resource Manager's answers: a group, a log, its clock, and where a list goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core.rest import HttpResponse

from shared import tracing
from shared.errors import RemoteError
from worker.groups.health import CLOCK_TOLERANCE

_LATEST = 2200
"""The last year that a Date header may say."""
_LARGEST_LOG = 4 * 1024 * 1024
"""Bytes of an answer with the last lines of a container. A line may be of any length, and these are read in a hurry."""

Page = tuple[list[dict[str, Any]], str, timedelta]
"""The groups of one page of a list, where the list goes on, and how far ARM's clock is ahead of ours."""
_PARTS_OF_ID = 8


def group_of(response: HttpResponse) -> tuple[dict[str, Any], timedelta]:
    """A group as it is, and how far ARM's clock is ahead of ours."""
    raw = _object_of(response)
    # A group without containers would be one that its owner has emptied, so that nothing waits for it any more.
    if not _is_group(raw):
        raise _bad_answer(response, "the answer is not a group")
    return raw, ahead_of_ours(response.headers.get("Date"))


def page_of(response: HttpResponse) -> Page:
    """One page of a list of groups."""
    page = _object_of(response)
    groups = page.get("value")
    # What is no list must not pass for an empty one: a group that no list shows counts as gone.
    if not isinstance(groups, list) or not all(_is_group(each) for each in groups):
        raise _bad_answer(response, "the answer is not a list of groups")
    following = str(page.get("nextLink") or "")
    return groups, following, ahead_of_ours(response.headers.get("Date"))


def _object_of(response: HttpResponse) -> dict[str, Any]:
    try:
        raw = json.loads(response.content)
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raise _bad_answer(response, "the answer is not a JSON object")
    return raw


def _is_group(value: object) -> bool:
    # The id is /subscriptions/…/resourceGroups/…/providers/Microsoft.ContainerInstance/containerGroups/….
    return isinstance(value, dict) and str(value.get("id")).count("/") >= _PARTS_OF_ID


def _bad_answer(response: HttpResponse, what: str) -> RemoteError:
    return RemoteError("arm", response.status_code, "BadGateway", what)


def note_answer(answer: Any) -> None:
    """Say in the request's span what Azure's support asks for first."""
    response = answer.http_response
    tracing.current().note(
        {
            "http.response.status_code": response.status_code,
            "azure.service.request.id": response.headers.get("x-ms-request-id"),
        }
    )


def log_of(response: HttpResponse) -> str:
    """The text of a container's log, which may be of any size."""
    with response:
        if response.status_code >= 400:
            response.read()  # its error says what is wrong
            response.raise_for_status()
        # Read piece by piece, so that a log that is too large is noticed before all of it is in memory.
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LARGEST_LOG:
                raise RemoteError(
                    "arm",
                    200,
                    "BadGateway",
                    f"the log has more than {_LARGEST_LOG} bytes",
                )
    try:
        content = json.loads(body)["content"]
    # The cause is left out, because a JSONDecodeError holds the whole text that it could not read, and so whatever the
    # container wrote.
    except (ValueError, TypeError, LookupError):
        raise RemoteError(
            "arm", 200, "BadGateway", "the answer contains no log"
        ) from None
    return content if isinstance(content, str) else ""


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL; all of them empty for a text that is not a URL."""
    # A URL with its scheme's own port and one without it are of one origin.
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None
    return parts.scheme, parts.hostname, port


def ahead_of_ours(date: str | None) -> timedelta:
    # Events are told from those of earlier rollouts by Azure's times, so its clock counts, not ours. The header is
    # cut to the second, and what is within that is no difference.
    try:
        told = parsedate_to_datetime(date or "")
        ahead = told - datetime.now(UTC)
    except (ValueError, TypeError):
        return timedelta(0)
    # Ours may be wrong by decades, where a machine has forgotten the time. But no clock of Azure's says such a year,
    # and a record with times of it could not be read again.
    if told.year > _LATEST:
        return timedelta(0)
    return timedelta(0) if abs(ahead) < CLOCK_TOLERANCE else ahead
