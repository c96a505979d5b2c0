"""The head of a webhook: the delivery that it begins, and the size of the body that it announces.

A head is judged twice: by ingress.front, to know whether the body is worth reading, and by the view.
"""

from __future__ import annotations

from datetime import UTC, datetime

from werkzeug.datastructures import Headers

from ingress.delivery import Delivery

WEBHOOKS = "/webhooks/"
"""How the paths of webhooks begin. The sender follows, and then perhaps the token."""

_LONGEST_LENGTH = 18
"""Digits of a Content-Length that are read as a number."""


def head_of(sender: str, headers: Headers, token: bytes) -> Delivery:
    """The delivery before its body is read. `token` is what the URL has behind the sender's name."""
    # WSGI gives headers as Latin-1 (PEP 3333), so this restores the bytes that were sent.
    fields = [(name, value.encode("latin-1", "replace")) for name, value in headers]
    # Some senders add a slash at the URL's end. No token ends with one.
    return Delivery.of(
        sender, fields, b"", datetime.now(UTC), token.removesuffix(b"/") or None
    )


def is_too_large(length: str | None, limit: int) -> bool:
    """Whether a Content-Length announces a body of more bytes than the limit."""
    digits = (length or "").strip()
    is_number = digits.isascii() and digits.isdigit()
    # Measured before it is read: Python refuses more than 4300 digits with a ValueError, since reading a long number
    # can take seconds (docs.python.org/3/library/stdtypes.html#integer-string-conversion-length-limitation).
    return is_number and (len(digits) > _LONGEST_LENGTH or int(digits) > limit)
