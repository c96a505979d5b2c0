"""Errors as problem details (RFC 9457): what was wrong, in a machine-readable form, without internal details."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "5"
"""Seconds after which a sender should try again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer. `detail` is for the person who configured the webhook."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words, as RFC 9457 §4.2.1 asks of the type about:blank."""
        return HTTPStatus(self.status).phrase

    def body(self) -> bytes:
        """The JSON document."""
        members = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}
        return json.dumps(members).encode("ascii")


def malformed(detail: str) -> Problem:
    """The request is not what its sender sends: sending it again can't help."""
    return Problem(400, f"{detail}; docs/senders.md shows what is expected")


def unauthorized(accepted: list[str]) -> Problem:
    """No valid secret; `accepted` says where it may be given."""
    detail = f"no valid secret; it may be given as {', or as '.join(accepted)}"
    return Problem(401, detail, {"WWW-Authenticate": 'Bearer realm="aci-hooks"'})


def unavailable(detail: str) -> Problem:
    """Nothing was accepted, so nothing is lost: send it again."""
    return Problem(503, detail, {"Retry-After": RETRY_AFTER})
