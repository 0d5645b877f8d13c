"""The ports of this host that grids may have: which of them are its own, where they are, what stops it."""

from netns.kernel.addresses import addresses
from netns.kernel.sockets import ports_in_use
from netns.kernel.sysctl import forwarding
from netns.model import VXLAN_PORT
from overlayd.config.daemonfile import NetworkTable, OverlayTable
from overlayd.config.values import is_address
from protocol.capacity.advert import GivenPorts
from protocol.terms.refusal import PORTS


def fault_of(network: NetworkTable, overlay: OverlayTable, underlay: str) -> str:
    """Why guests are not reached from outside though they are to be, and what would help; empty if they are.

    `underlay` is this host's address towards others.
    """
    if not network.expose:
        return ""
    if not forwarding():
        return (
            "guests are not reached from outside: this host does not forward packets (network.expose); "
            "`sysctl -w net.ipv4.ip_forward=1`, and a firewall that lets pass what is to reach them"
        )
    if underlay and not entered_at(network, overlay, underlay):
        return (
            f"guests are not reached from outside: that is by IPv4, and this host is at {underlay}; "
            "write an IPv4 address of this host as network.expose-address"
        )
    return ""


def given(network: NetworkTable, overlay: OverlayTable, underlay: str) -> GivenPorts:
    """The ports that it gives; none if it cannot."""
    if not network.expose or not underlay or fault_of(network, overlay, underlay):
        return GivenPorts()
    first, last = network.expose.ends
    own = {
        VXLAN_PORT: "VXLAN",
        network.tunnel_port: "`network.tunnel-port`",
        network.wireguard_port: "`network.wireguard-port`",
    }
    if overlay.listen:
        own[overlay.listen.address.port] = "`overlay.listen`"
    there = dict.fromkeys(ports_in_use(), "a program of this host uses it") | own
    used = ((number, there[number]) for number in sorted(there) if first <= number <= last)
    return GivenPorts(first, last, _address(network, overlay, underlay), tuple(used))


def counted(ports: GivenPorts) -> dict[str, int]:
    """How many of them there are to give, as a host's capacity has it."""
    return {PORTS: ports.last - ports.first + 1 - len(ports.used)} if ports.first else {}


def entered_at(network: NetworkTable, overlay: OverlayTable, underlay: str) -> str:
    """The IPv4 address of this host at which what is for guests comes in; empty if it has none such."""
    address = _address(network, overlay, underlay)
    here = address if any(one.address == address for one in addresses()) else underlay
    return here if is_address(here) else ""


def _address(network: NetworkTable, overlay: OverlayTable, underlay: str) -> str:
    advertised = overlay.advertise or overlay.listen
    reached = underlay if not advertised or advertised.is_everywhere else advertised.host
    return network.expose_address or reached
