"""Delivery: one HTTP request of a sender, without HTTP; and the results of a sender's parser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.push import Push


class Malformed(Exception):
    """The delivery is not what its sender sends; the message says where and why. A retry can't help."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Understood, but nothing to do: a ping, a delete, an untagged manifest. Answered with a 200."""

    reason: str


@dataclass(frozen=True, slots=True)
class Handshake:
    """The sender asks whether this endpoint wants its events; `answer` is the JSON that says so."""

    answer: Mapping[str, Any]


Parsed = list[Push] | Ignored | Handshake
"""What `parse(delivery)` gives; a list holds at least one push. It raises Malformed for anything else."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request. `headers` has lower-case names and every value of each; `url_token` is the path's last part."""

    sender: str
    headers: Mapping[str, tuple[bytes, ...]] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: datetime
    url_token: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        sender: str,
        headers: Iterable[tuple[str, bytes]],
        body: bytes,
        received_at: datetime,
        url_token: bytes | None = None,
    ) -> Delivery:
        """A delivery from header fields in any case, repeated ones included."""
        gathered: dict[str, tuple[bytes, ...]] = {}
        for name, value in headers:
            gathered[name.lower()] = (*gathered.get(name.lower(), ()), value)
        return cls(sender, gathered, body, received_at, url_token)

    def with_body(self, body: bytes, received_at: datetime) -> Delivery:
        """The delivery with this head."""
        return replace(self, body=body, received_at=received_at)

    def header(self, name: str) -> bytes | None:
        """The header's only value, stripped; None if it is missing, or repeated and so ambiguous."""
        # A proxy in front may check one of two values, and a program behind it use the other one.
        values = self.headers.get(name.lower(), ())
        return values[0].strip() if len(values) == 1 else None
