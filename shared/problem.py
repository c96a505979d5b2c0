"""Errors as problem details (RFC 9457): what was wrong, in a machine-readable form, without internal details."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer. `detail` is for the person who can correct it."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words, as RFC 9457 §4.2.1 asks of the type about:blank."""
        return HTTPStatus(self.status).phrase

    def body(self) -> bytes:
        """The JSON document."""
        members = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        return json.dumps(members).encode("ascii")
