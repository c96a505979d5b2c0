"""Which hosts may be spoken to in plain http: this machine, and hosts with a name of one label. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_address

PLAIN_HTTP = "plain http is allowed only for loopback and single-label hosts"

_LABEL = re.compile(r"[A-Za-z](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


def is_local(host: str) -> bool:
    """Is the host this machine, or one with a single-label name? Plain http is acceptable there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # A name of one label is resolved by the network that it is on, such as that of docker-compose. It begins with a
        # letter: many clients read 134744072 and 0x8080808 as addresses.
        return bool(_LABEL.fullmatch(host))
