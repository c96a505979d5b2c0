"""Where a registry may lead: never closer to this machine than it is itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.adapters.registry.addresses import Reach, may_lead, reach_of


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("93.184.216.34", Reach.PUBLIC),
        ("2606:2800:220:1::1", Reach.PUBLIC),
        ("10.0.0.4", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("100.100.100.200", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("203.0.113.1", Reach.PRIVATE),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.9.9.9", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("::ffff:10.0.0.4", Reach.PRIVATE),
        ("2002:0a00:0004::1", Reach.PRIVATE),
        ("64:ff9b::a00:4", Reach.PRIVATE),
        ("64:ff9b::5db8:d822", Reach.PUBLIC),
        ("64:ff9b:1::5db8:d822", Reach.PRIVATE),
        ("fec0::1", Reach.PRIVATE),
        ("::10.0.0.4", Reach.PRIVATE),
        ("::127.0.0.1", Reach.LOOPBACK),
        ("::ffff:0:127.0.0.1", Reach.LOOPBACK),
        ("::ffff:0:93.184.216.34", Reach.PUBLIC),
        ("::169.254.169.254", Reach.NEVER),
        ("169.254.169.254", Reach.NEVER),
        ("64:ff9b::a9fe:a9fe", Reach.NEVER),
        ("fe80::1", Reach.NEVER),
        ("fe80::1%eth0", Reach.NEVER),
        ("168.63.129.16", Reach.NEVER),
        ("0.0.0.0", Reach.NEVER),
        ("::", Reach.NEVER),
        ("224.0.0.1", Reach.NEVER),
        ("localhost", Reach.NEVER),
        ("", Reach.NEVER),
    ],
)
def test_how_close_an_address_is(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


@pytest.mark.parametrize(
    ("registry", "to", "may"),
    [
        (["93.184.216.34"], ["1.1.1.1"], True),
        (["93.184.216.34"], ["10.0.0.4"], False),
        (["93.184.216.34"], ["1.1.1.1", "10.0.0.4"], False),
        (["93.184.216.34"], ["127.0.0.1"], False),
        (["10.0.0.4"], ["10.0.0.5"], True),
        (["10.0.0.4"], ["1.1.1.1"], True),
        (["10.0.0.4"], ["127.0.0.1"], False),
        (["127.0.0.1"], ["10.0.0.5"], True),
        (["127.0.0.1"], ["127.0.0.2"], True),
        (["127.0.0.1"], ["169.254.169.254"], False),
        (["169.254.1.1"], ["169.254.169.254"], False),
        (["93.184.216.34", "10.0.0.4"], ["10.0.0.5"], False),
        ([], ["10.0.0.5"], False),
        (["93.184.216.34"], [], True),
        ([], [], True),
    ],
)
def test_where_a_registry_may_lead(registry: list[str], to: list[str], *, may: bool) -> None:
    assert may_lead(registry, to) is may


ADDRESSES = st.ip_addresses().map(str)


@given(
    st.lists(ADDRESSES, min_size=1, max_size=3),
    st.lists(ADDRESSES | st.text(max_size=20), min_size=1, max_size=3),
)
def test_no_registry_leads_closer_than_it_is(registry: list[str], to: list[str]) -> None:
    if may_lead(registry, to):
        assert max(map(reach_of, to)) <= min(map(reach_of, registry))
