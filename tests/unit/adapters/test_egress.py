"""The way out that a host gives: what is closed, who is asked for names, and what stops it."""

import msgspec
import pytest

from netns.kernel.addresses import LinkAddress
from overlayd.adapters import egress
from overlayd.adapters.egress import fault_of, way_out
from overlayd.config.daemonfile import EgressUse, NetworkTable

NAT = NetworkTable(egress=EgressUse.NAT, resolvers=("192.0.2.53",))
ADDRESSES = (
    LinkAddress("lo", "127.0.0.1", 65536, loopback=True, prefix_bits=8),
    LinkAddress("eth0", "198.51.100.7", 1500, prefix_bits=28),
    LinkAddress("ove-00abcd", "169.254.192.0", 1500, prefix_bits=31),
)


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that forwards, with those addresses."""
    monkeypatch.setattr(egress, "addresses", lambda: ADDRESSES)
    monkeypatch.setattr(egress, "forwarding", lambda: True)


def test_its_own_networks_and_other_hosts_are_closed_besides_what_is_written() -> None:
    network = msgspec.structs.replace(NAT, egress_closed=("10.0.0.0/8",))
    found = way_out(network, ["203.0.113.9", "198.51.100.8", "nowhere"])
    assert found is not None
    closed = ("10.0.0.0/8", "127.0.0.0/8", "198.51.100.0/28", "203.0.113.9/32")
    assert (found.closed, found.resolvers) == (closed, ("192.0.2.53",))


def test_what_is_not_public_is_closed_unless_something_else_is_written() -> None:
    found = way_out(NAT, [])
    assert found is not None
    assert {"10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16", "224.0.0.0/3"} <= {*found.closed}


def test_a_host_that_does_not_forward_gives_none_and_says_what_would_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(egress, "forwarding", lambda: False)
    assert way_out(NAT, []) is None
    assert "sysctl -w net.ipv4.ip_forward=1" in fault_of(NAT)
    assert fault_of(NetworkTable()) == "", "it is not to give any"


def test_without_leave_there_is_none() -> None:
    assert way_out(NetworkTable(), []) is None


def test_without_resolvers_it_is_left_to_the_host_whom_it_asks() -> None:
    found = way_out(NetworkTable(egress=EgressUse.NAT), [])
    assert found is not None
    assert found.resolvers == ()
