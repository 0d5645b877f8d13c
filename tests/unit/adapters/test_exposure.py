"""The ports that a host gives: which are its own, where they are, and what stops it."""

import socket
from pathlib import Path

import msgspec
import pytest

from netns.kernel.addresses import LinkAddress
from netns.kernel.sockets import ports_in_use
from overlayd.adapters import exposure
from overlayd.adapters.exposure import counted, entered_at, fault_of, given
from overlayd.config.daemonfile import NetworkTable, OverlayTable
from overlayd.config.values import Endpoint, Ipv4, PortRange
from protocol.capacity.advert import GivenPorts
from protocol.terms.refusal import PORTS

NETWORK = NetworkTable(expose=PortRange("30000-30009"), tunnel_port=30_001, wireguard_port=30_002)
OVERLAY = OverlayTable(listen=Endpoint("198.51.100.7:30000"))
OWN = (
    (30_000, "`overlay.listen`"),
    (30_001, "`network.tunnel-port`"),
    (30_002, "`network.wireguard-port`"),
)


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that forwards, with one address."""
    there = (LinkAddress("eth0", "198.51.100.7", 1500), LinkAddress("eth1", "192.0.2.7", 1500))
    monkeypatch.setattr(exposure, "addresses", lambda: there)
    monkeypatch.setattr(exposure, "forwarding", lambda: True)
    monkeypatch.setattr(exposure, "ports_in_use", lambda: (22, 30_001, 30_005))


def test_its_own_ports_are_named_and_those_of_other_programs_are_not_given_either() -> None:
    ports = given(NETWORK, OVERLAY, "192.0.2.7")
    used = (*OWN, (30_005, "a program of this host uses it"))
    assert ports == GivenPorts(30_000, 30_009, "198.51.100.7", used)
    assert counted(ports) == {PORTS: 6}
    assert given(NetworkTable(), OVERLAY, "192.0.2.7") == GivenPorts()
    assert counted(GivenPorts()) == {}


def test_where_they_are_is_as_written_or_where_others_reach_this_host() -> None:
    def at(network: NetworkTable, overlay: OverlayTable) -> str:
        return given(network, overlay, "192.0.2.7").address

    assert at(NETWORK, OVERLAY) == "198.51.100.7"
    assert at(NETWORK, OverlayTable(listen=Endpoint("0.0.0.0:7700"))) == "192.0.2.7"
    assert at(NETWORK, OverlayTable()) == "192.0.2.7"
    behind = msgspec.structs.replace(NETWORK, expose_address=Ipv4("203.0.113.5"))
    assert at(behind, OVERLAY) == "203.0.113.5"


def test_behind_a_router_that_translates_it_is_entered_at_the_hosts_own_address() -> None:
    behind = msgspec.structs.replace(NETWORK, expose_address=Ipv4("203.0.113.5"))
    assert entered_at(behind, OVERLAY, "192.0.2.7") == "192.0.2.7"
    other = msgspec.structs.replace(NETWORK, expose_address=Ipv4("198.51.100.7"))
    assert entered_at(other, OVERLAY, "192.0.2.7") == "198.51.100.7"


def test_a_host_that_does_not_forward_gives_none_and_says_what_would_help(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exposure, "forwarding", lambda: False)
    assert given(NETWORK, OVERLAY, "192.0.2.7") == GivenPorts()
    assert "sysctl -w net.ipv4.ip_forward=1" in fault_of(NETWORK, OVERLAY, "192.0.2.7")
    assert fault_of(NetworkTable(), OVERLAY, "192.0.2.7") == "", "it is not to give any"


def test_a_host_of_ipv6_gives_none_unless_it_has_another_address_for_that() -> None:
    overlay = OverlayTable(listen=Endpoint("[2001:db8::7]:7700"))
    assert given(NETWORK, overlay, "2001:db8::7") == GivenPorts()
    assert "network.expose-address" in fault_of(NETWORK, overlay, "2001:db8::7")
    other = msgspec.structs.replace(NETWORK, expose_address=Ipv4("198.51.100.7"))
    assert given(other, overlay, "2001:db8::7").address == "198.51.100.7"
    assert fault_of(other, overlay, "2001:db8::7") == ""
    assert given(NETWORK, overlay, "") == GivenPorts(), "it has no address yet"


def test_sockets_that_wait_for_others_are_in_use(tmp_path: Path) -> None:
    """TCP listeners and UDP sockets, of either family; no connection that this host made."""
    with (
        socket.create_server(("127.0.0.1", 0)) as door,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp,
        socket.create_connection(door.getsockname()) as dialled,
    ):
        udp.bind(("::1", 0))
        there = ports_in_use()
        assert door.getsockname()[1] in there
        assert udp.getsockname()[1] in there
        assert dialled.getsockname()[1] not in there
        bound = udp.getsockname()[1]
    assert bound not in ports_in_use()
