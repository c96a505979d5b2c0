"""Reads the hosts of registries, as leniently as senders write them. Pure.

A webhook gives the host as a header's value, as a URL or as the beginning of an image's name: with or without a scheme,
with the scheme's default port, in capitals, with a final dot. All of these are the same host.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

from ingress.delivery import Malformed
from shared.image import InvalidImage, check_registry, is_written_as_host

_SCHEME = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9+.-]*:)?//")
_FINAL_DOT = re.compile(r"\.(?=(?::[0-9]*)?\Z)")
# Names that are unknown outside: RFC 6761, RFC 6762, and the names of Kubernetes services.
_INNER_ENDINGS = (".local", ".localhost", ".localdomain", ".internal", ".svc")


def host_of(text: str) -> str:
    """The host[:port] of a URL or of what is written like one, normalised; raises Malformed."""
    host, path = _split(text)
    if not host:
        raise Malformed(f"{f'/{path}'[:80]!r} does not contain a host to pull from")
    try:
        return check_registry(host)
    except InvalidImage as error:
        raise Malformed(str(error)) from error


def host_if_any(text: str | None) -> str | None:
    """The host[:port] in `text`, None if there is no usable one."""
    try:
        return host_of(text or "")
    except Malformed:
        return None


def split_host(name: str) -> tuple[str, str]:
    """The parts of `host/repository`, the host normalised; raises Malformed."""
    host, repository = _split(name)
    if not host or not repository:
        raise Malformed(f"{f'{host}/{repository}'[:80]!r} is not host/repository")
    return host_of(host), repository


def reach(host: str) -> int:
    """How likely images can be pulled by this host: 2 likely, 1 an internal name, 0 impossible in an image's name.

    Behind a proxy a registry may only know its internal name: one label, a private address, a cluster's name.
    """
    if not is_written_as_host(host):
        return 0
    # Only a guess, as a registry may well be used within its own network. So it ranks hosts, and refuses none.
    return 1 if _is_inner(_name_in(host)) else 2


def _is_inner(name: str) -> bool:
    try:
        return not ip_address(name.strip("[]")).is_global
    except ValueError:
        return "." not in name or name.endswith(_INNER_ENDINGS)


def _name_in(host: str) -> str:
    return re.sub(r":[0-9]+\Z", "", host)


def _split(text: str) -> tuple[str, str]:
    """The host as written, and the rest after its slash; raises Malformed."""
    # Not urllib: without a scheme it takes `host:5000/name` for a URL of the scheme `host`.
    authority, _, path = _SCHEME.sub("", text.strip(), count=1).partition("/")
    host = re.split(r"[?#]", authority)[0]
    if "@" in host:
        # The message does not repeat the user name because a password may follow it.
        raise Malformed(
            "a user name before the registry's host: an image's name can't contain one"
        )
    return _FINAL_DOT.sub("", host), path.rstrip("/")
