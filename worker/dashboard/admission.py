"""Who may look at the status page: whoever has a token; if there are no tokens, this machine alone. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from ipaddress import ip_address

CHALLENGE = 'Basic realm="aci-hooks", charset="UTF-8"'
_LONGEST = 4096


def is_loopback(host: str) -> bool:
    """Is it this machine, by its name or by its address?"""
    bare = host.strip("[]").lower()
    if bare == "localhost":
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def names_loopback(host: str | None) -> bool:
    """Does a Host header name this machine?

    A page elsewhere can have a name of its own point at 127.0.0.1, and then read what is served there as its own (DNS
    rebinding). The browser still sends that name.
    """
    if not host:
        return False
    name, colon, port = host.rpartition(":")
    # An IPv6 address stands in brackets (RFC 3986 §3.2.2), and its own colons begin no port.
    if host.endswith("]") or not colon:
        name = host
    elif not (port.isascii() and port.isdigit()):
        return False
    return is_loopback(name)


def may_enter(authorization: str | None, tokens: Sequence[str]) -> bool:
    """Does the Authorization header hold one of the tokens, as the Basic password (of any user) or as Bearer?"""
    given = _given(authorization or "")
    # Each is compared, so that the time tells neither which one it was nor how much of it was right.
    found = [hmac.compare_digest(given, token.encode()) for token in tokens]
    return any(found)


def _given(authorization: str) -> bytes:
    """The token in the header, empty if there is none."""
    scheme, _, value = authorization[:_LONGEST].partition(" ")
    if scheme.lower() == "bearer":
        # Servers hand headers over as Latin-1.
        return value.strip().encode("latin-1", errors="replace")
    if scheme.lower() != "basic":
        return b""
    try:
        # A token may hold a colon, a user's name can't: RFC 7617.
        return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
