"""Between which addresses hosts carry a grid's networks, and how large a packet each network takes.

Each host tells its own end: the address that others send the frames of its workspaces to, and the largest
packet it can carry for them. What a record says of a host is what was known when the record was made. What the
host itself tells later goes before it, for a host may get another address, and its link another MTU. A network
takes what all of its hosts carry: a larger packet would be lost on the way, and nobody would be told.
"""

from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address

import msgspec

from protocol.grid.addresses import Card
from protocol.grid.record import GridRecord
from protocol.terms.ids import PeerId
from protocol.terms.limits import MTU_LEAST, MTU_MOST, MTU_USUAL
from protocol.terms.ranges import Count, Place


class TunnelEnd(msgspec.Struct, frozen=True, array_like=True):
    """One host's end of the tunnels of its grids' networks."""

    underlay: Place
    """An IPv4 address."""
    mtu: Count
    """The largest packet that its guests may send, in bytes."""


def usable(end: TunnelEnd) -> bool:
    """Whether a host can mean it: a unicast address, and a size that is possible."""
    try:
        address = IPv4Address(end.underlay)
    except AddressValueError:
        return False
    odd = address.is_multicast or address.is_unspecified or address.is_reserved
    return not odd and MTU_LEAST <= end.mtu <= MTU_MOST


def end_of(
    record: GridRecord, told: Iterable[tuple[PeerId, TunnelEnd]], peer: PeerId
) -> TunnelEnd | None:
    """The end of one host of a record, as `ends_of` has it; None if the record does not name the host."""
    for host, end in told:
        if host == peer:
            return end
    for ref in record.hosts:
        if ref.peer == peer:
            return TunnelEnd(ref.underlay, ref.mtu or MTU_USUAL)
    return None


def ends_of(
    record: GridRecord, told: Mapping[PeerId, TunnelEnd]
) -> tuple[tuple[PeerId, TunnelEnd], ...]:
    """The end of each host of a record: as the host told it, or else as the record has it."""
    return tuple(
        (ref.peer, told.get(ref.peer) or TunnelEnd(ref.underlay, ref.mtu or MTU_USUAL))
        for ref in record.hosts
    )


def mtus(
    record: GridRecord, cards: Iterable[Card], mtu_of_host: Mapping[PeerId, int]
) -> tuple[tuple[str, int], ...]:
    """(network, MTU): the least of the hosts that carry a member. A network without members is left out.

    `cards` are of the whole grid. A host that `mtu_of_host` does not know is taken to carry the usual.
    """
    host_of = {a.workspace: a.host for a in record.assignments}
    least: dict[str, int] = {}
    for card in cards:
        if card.workspace in host_of:
            mtu = mtu_of_host.get(host_of[card.workspace], MTU_USUAL)
            least[card.network] = min(least.get(card.network, mtu), mtu)
    return tuple(least.items())
