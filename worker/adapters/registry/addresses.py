"""Which addresses a registry may lead us to, with a realm or a redirect. Pure.

A registry's answer names hosts of its choice. If a public one could lead to a private address, everybody who owns a
registry could have the worker ask what only its own network can reach: other services, or the metadata of its machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_WIRE_SERVER = ip_address("168.63.129.16")
"""Azure's own service for machines, at an address that looks public: learn.microsoft.com/azure/virtual-network,
"What is IP address 168.63.129.16?"."""
# Prefixes before an IPv4 address: RFC 6052 §2.1 (NAT64), RFC 2765 §2.1 (SIIT), RFC 4291 §2.5.5.1 (deprecated).
_BEFORE_IPV4 = (
    IPv6Network("64:ff9b::/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("::/96"),
)
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
"""Of a network's own, RFC 8215. Not every Python has it in its list of what is not global."""


class Reach(IntEnum):
    """How close to this machine an address is: a higher one must not be reached from a lower one."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2
    NEVER = 3


def may_lead(registry: Iterable[str], to: Iterable[str]) -> bool:
    """May a registry at these addresses lead to a host at those? Unknown ones count as public.

    They are unknown where a proxy resolves names, and then no private address is reached from here.
    """
    # A name may have several addresses. The registry counts by its most public one, and the other host by its most
    # private one, so that one harmless address excuses none of the others.
    own = min(map(reach_of, registry), default=Reach.PUBLIC)
    there = max(map(reach_of, to), default=Reach.PUBLIC)
    return there <= own and there is not Reach.NEVER


def reach_of(text: str) -> Reach:
    """How close the address is; one that is none is never to be reached."""
    try:
        # What follows the percent sign is the zone of an IPv6 address (RFC 4007 §11), which says nothing about its
        # reach.
        address = _embedded(ip_address(text.partition("%")[0]))
    except ValueError:
        return Reach.NEVER
    if address.is_loopback:
        return Reach.LOOPBACK
    # At the link-local address 169.254.169.254, machines of Azure have the service that hands out the tokens of their
    # identity. https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service
    unusual = (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address == _WIRE_SERVER
    )
    if unusual:
        return Reach.NEVER
    return Reach.PUBLIC if _is_global(address) else Reach.PRIVATE


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (
        address.is_site_local or address in _LOCAL_NAT64
    ):
        return False
    return address.is_global


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv4Address):
        return address
    # A private address must not get through in another spelling, such as ::ffff:10.0.0.1.
    # `::` and `::1` are none of these: nothing and this machine.
    if int(address) > 1 and any(address in prefix for prefix in _BEFORE_IPV4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
