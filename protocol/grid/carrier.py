"""What carries the frames of a grid's network from host to host, and what that takes of each packet.

It follows from what the grid says of the network, alone, so all of its hosts come to the same. A sealed
network is sealed also between hosts of one site.
"""

from enum import StrEnum

from protocol.grid.model import Encryption, NetworkSpec

SEALED_MORE_BYTES = 32
"""What sealing takes of a packet beyond what VXLAN takes: 16 of a header, 16 of a tag; both have 8 more."""


class Carrier(StrEnum):
    """How frames cross."""

    PLAIN = "plain"
    """In VXLAN, readable on the way."""
    SEALED = "sealed"
    """Sealed by the forwarder of each host, with keys that the two hosts alone have."""


def carrier_of(network: NetworkSpec) -> Carrier:
    """What carries a network."""
    return Carrier.SEALED if network.encryption is Encryption.REQUIRED else Carrier.PLAIN


def carries(network: NetworkSpec, mtu: int, least: int) -> int:
    """The largest packet of guests on a network, in bytes, where plain ones have `mtu`; never below `least`."""
    more = SEALED_MORE_BYTES if carrier_of(network) is Carrier.SEALED else 0
    return max(least, mtu - more)
