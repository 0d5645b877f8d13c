"""Between which addresses hosts carry a grid's networks, and how large a packet each network takes.

Each host tells its own end in its presence, which it signed: the address that others send the frames of its
workspaces to, and the largest packet it can carry for them. Nothing else says where a host is, so no record of
anybody can lead traffic elsewhere, and a host may get another address. A network takes what all of its hosts
carry: a larger packet would be lost on the way, and nobody would be told.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.grid.addresses import Card
from protocol.grid.carrier import Carrier, carriers_of, carries
from protocol.grid.model import NetworkSpec
from protocol.grid.record import GridRecord
from protocol.terms.address import ip_of, is_one_host
from protocol.terms.ids import PeerId
from protocol.terms.limits import MTU_LEAST, MTU_MOST, MTU_USUAL
from protocol.terms.ranges import Count, Place
from protocol.terms.wireguard import WireguardEnd


class TunnelEnd(msgspec.Struct, frozen=True, array_like=True):
    """One host's end of the tunnels of its grids' networks."""

    underlay: Place
    """An address, IPv4 or IPv6, written in one way: `2001:db8::7`."""
    mtu: Count
    """The largest packet that its guests may send on a plain network, in bytes."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Where its forwarder takes what is sealed, UDP. 0: it does not say, or cannot seal."""
    wireguard: WireguardEnd | None = None
    """Its end of WireGuard; None if it does not say, or has none."""
    relay_bytes_s: Count = 0
    """What it lends for passing on between hosts that do not reach each other."""


class ToldEnd(msgspec.Struct, frozen=True, array_like=True):
    """What a host told of its end, and in which of its incarnations: an older one is not believed again."""

    peer: PeerId
    end: TunnelEnd
    incarnation: int = 0


Telling = Callable[[PeerId], ToldEnd | None]
"""Answers what a host told last; None if nothing is known of it."""


def untold(_peer: PeerId) -> None:
    """The Telling of a host that knows of no other."""


def usable(end: TunnelEnd) -> bool:
    """Whether a host can mean it: an address of one host, and a size that is possible."""
    ip = ip_of(end.underlay)
    meant = ip is not None and is_one_host(ip) and str(ip) == end.underlay
    return meant and MTU_LEAST <= end.mtu <= MTU_MOST


def same_family(here: str, there: str) -> bool:
    """Whether two addresses are both IPv4, or both IPv6."""
    return (":" in here) == (":" in there)


def reaches(here: str, there: str) -> bool:
    """Whether a host whose traffic is taken `here` may send to `there`.

    By one family of addresses: neither says whether it has the other, too. Not to itself: services of a host
    may trust whoever is on it. An address that it was given after the other had it is of the other's past.
    """
    own, other = ip_of(here), ip_of(there)
    if own is None or other is None or own == other or other.is_loopback:
        return False
    return same_family(here, there)


def newest(
    record: GridRecord,
    kept: Iterable[ToldEnd],
    telling: Telling,
    me: PeerId,
    also: Iterable[PeerId] = (),
) -> tuple[ToldEnd, ...]:
    """What the other carriers of a record told last, and the hosts `also`: `kept` is what was known before."""
    before = {told.peer: told for told in kept}
    ends = []
    for peer in dict.fromkeys((*record.carriers(), *also)):
        old, new = before.get(peer), telling(peer)
        if old is None or (new is not None and new.incarnation >= old.incarnation):
            old = new or old
        if old is not None and peer != me:
            ends.append(old)
    return tuple(ends)


def mtus(
    record: GridRecord,
    networks: Collection[NetworkSpec],
    cards: Collection[Card],
    mtu_of_host: Mapping[PeerId, int],
) -> tuple[tuple[str, int], ...]:
    """(network, MTU): the least of the hosts that carry a member. A network without members is left out.

    `networks` and `cards` are of the whole grid. A host that `mtu_of_host` does not know is taken to carry the
    usual.
    """
    host_of = record.placed
    least: dict[str, int] = {}
    for card in cards:
        if card.workspace in host_of:
            mtu = mtu_of_host.get(host_of[card.workspace], MTU_USUAL)
            least[card.network] = min(least.get(card.network, mtu), mtu)
    carrier = carriers_of(record, networks, cards)
    return tuple(
        (name, carries(carrier[name], mtu, MTU_LEAST))
        for name, mtu in least.items()
        if name in carrier
    )


def narrowest(
    record: GridRecord,
    networks: Collection[NetworkSpec],
    cards: Collection[Card],
    sizes: Iterable[tuple[str, int]],
    takes: Mapping[PeerId, int],
) -> tuple[tuple[str, int], ...]:
    """(network, what its guests here are told): its MTU, or what the narrowest path to its other hosts takes.

    `sizes` are MTUs, as `mtus` answers them; `takes` has the paths from here that are narrower than hosts said.
    """
    least = dict(sizes)
    if not takes:
        return tuple(least.items())
    host_of = record.placed
    carrier = carriers_of(record, networks, cards)
    for card in cards:
        if carrier.get(card.network) is Carrier.SEALED and card.workspace in host_of:
            narrow = takes.get(host_of[card.workspace], least[card.network])
            least[card.network] = min(least[card.network], narrow)
    return tuple(least.items())
