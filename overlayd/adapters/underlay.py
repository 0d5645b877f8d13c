"""This host's address towards other hosts, and what its link carries: found at start, and followed after.

A site's administrator writes an address, which is meant word for word, an interface, whose address is followed,
or `auto`. What `auto` finds is, in this order: the address in overlay.advertise, the one from which a peer of
overlay.join is reached that is not a name, the one of the default route, and the only one that there is. Where
both are, IPv4 goes first: hosts carry a network together by one family, and that is the one that most have.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import msgspec

from netns.kernel.addresses import LinkAddress, addresses, drain, listener, source_towards
from netns.model import vxlan_overhead
from overlayd.config.daemonfile import DaemonConfig
from overlayd.config.values import AUTO, Endpoint
from overlayd.telemetry.logs import logger
from protocol.terms.address import Address, ip_of
from protocol.terms.limits import MTU_LEAST

_LOOK_EVERY_S = 30.0
"""Also when netlink says nothing: a full socket loses what it was to say."""
_SETTLES_S = 0.5
"""A DHCP client takes the old address away before it gives the new one."""
EVERY_IPV4 = "0.0.0.0"  # noqa: S104  a peer listens for strangers; what they may say is CURVE's affair
OURS = "ov"
"""Links that netns makes begin so. They are never the way to another host."""


class Underlay(msgspec.Struct, frozen=True):
    """Where this host takes the traffic of grids' networks."""

    address: str
    mtu: int
    """The largest packet that guests may send, in bytes."""
    link: str = ""
    fault: str = ""
    """What stops it, and what would help, for people; empty if nothing does."""
    lowered: str = ""
    """Why `mtu` is less than network.mtu; empty if it is not."""
    unheard: str = ""
    """Why nobody can dial this host, and what would help, for people; empty if it listens."""


class Source(msgspec.Struct, frozen=True):
    """What the configuration says of it."""

    wanted: str
    """An address, an interface's name, or `auto`."""
    mtu: int
    advertised: str = ""
    """The host part of overlay.advertise, if it is one address; else empty."""
    peers: tuple[str, ...] = ()
    """Addresses of peers."""
    listens: str = ""
    """The one address that it listens on; empty if it is every one, a name, or none."""
    listens_ipv4: bool = False
    """It listens on every IPv4 address and on no other, and is to be dialled where its underlay is."""


def source_of(config: DaemonConfig) -> Source:
    """What a daemon's configuration says of its underlay."""
    overlay = config.overlay
    return Source(
        wanted=str(config.network.underlay),
        mtu=config.network.mtu,
        advertised=_ip_in(overlay.advertise),
        peers=tuple(ip for contact in overlay.join if (ip := _ip_in(contact.endpoint))),
        listens=_ip_in(overlay.listen),
        listens_ipv4=overlay.listen.host == EVERY_IPV4 and overlay.advertise.is_everywhere,
    )


def dialled_at(config: DaemonConfig, now: Underlay) -> str:
    """HOST:PORT at which others dial this peer: as configured, or else at its underlay; empty if none."""
    advertise = config.overlay.advertise
    if not advertise.is_everywhere:
        return str(advertise)
    return str(Address(now.address, advertise.address.port)) if now.address else ""


def _ip_in(endpoint: Endpoint) -> str:
    """The one address that it has; empty if it is a name, or every address."""
    return endpoint.host if not endpoint.is_everywhere and ip_of(endpoint.host) else ""


def found(source: Source, there: Sequence[LinkAddress], ways: Callable[[str], str]) -> Underlay:
    """The underlay, given the addresses that this host has. `ways` answers from which one a peer is reached
    ("" is any outside), or empty.
    """
    if ip_of(source.wanted):
        chosen = _on(there, source.wanted)
        fault = f"{source.wanted} (network.underlay) is on no link of this host"
        would = "write the address it has now, an interface or auto, which are followed"
    elif source.wanted == AUTO:
        chosen = _likely(source, there, ways)
        fault = (
            "it is not clear which address of this host others can reach (network.underlay: auto)"
        )
        would = "write the address, or its interface"
    else:
        chosen = next((one for one in there if one.link == source.wanted), None)
        fault = f"interface {source.wanted} (network.underlay) has no address"
        would = "give it one, or write another interface, or auto"
    if chosen is None:
        has = ", ".join(f"{one.address} on {one.link}" for one in _outer(there)) or "none"
        return Underlay(_said(source), source.mtu, fault=f"{fault}, which has {has}; {would}")
    return _measured(source, chosen)


def _unheard(source: Source, there: Sequence[LinkAddress], at: str) -> str:
    if source.listens_ipv4 and ":" in at:
        why = f"{EVERY_IPV4} (overlay.listen) is IPv4 only, and its address is {at}"
    elif source.listens and not _on(there, source.listens):
        why = f"{source.listens} (overlay.listen) is on none of its links"
    else:
        return ""
    return (
        f"nobody can dial this host: {why}; "
        "write [::]:PORT there: others are then told the address that it has"
    )


def _measured(source: Source, chosen: LinkAddress) -> Underlay:
    takes = vxlan_overhead(chosen.address)
    room = chosen.mtu - takes
    mtu = min(source.mtu, room)
    carries = f"{chosen.link} carries packets of {chosen.mtu}, VXLAN takes {takes}"
    if mtu < MTU_LEAST:
        fault = f"{carries}: {room} are left, {MTU_LEAST} are needed; raise its mtu"
        return Underlay(chosen.address, MTU_LEAST, chosen.link, fault)
    lowered = f"{mtu} instead of {source.mtu} (network.mtu): {carries}" if mtu < source.mtu else ""
    return Underlay(chosen.address, mtu, chosen.link, lowered=lowered)


def _likely(
    source: Source, there: Sequence[LinkAddress], ways: Callable[[str], str]
) -> LinkAddress | None:
    if chosen := _on(there, source.advertised):
        return chosen
    for towards in (*source.peers, ""):
        if (chosen := _on(there, ways(towards))) and not chosen.loopback:
            return chosen
    outer = _outer(there)
    ipv4 = [one for one in outer if one.is_ipv4]
    links = {one.link for one in outer}
    # By IPv6 a link has several addresses, and the best is first.
    clear = len(ipv4) == 1 or (not ipv4 and len(links) == 1)
    return (ipv4 or outer)[0] if clear else None


def _on(there: Sequence[LinkAddress], address: str) -> LinkAddress | None:
    """The link that has an address. All of 127.0.0.0/8 is on the loopback, though it shows one of them."""
    for one in there:
        if one.address == address:
            return one
    if (ip := ip_of(address)) is not None and ip.version == 4 and ip.is_loopback:
        for one in there:
            if one.loopback:
                return msgspec.structs.replace(one, address=address)
    return None


def _outer(there: Sequence[LinkAddress]) -> list[LinkAddress]:
    return [one for one in there if not one.loopback and not one.link.startswith(OURS)]


def _said(source: Source) -> str:
    return source.wanted if ip_of(source.wanted) else source.advertised


class UnderlayWatch:
    """The underlay as it is now."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.now = Underlay(_said(source), source.mtu)

    def look(self) -> Underlay:
        """Looks anew. What is lost keeps its address until there is another one."""
        try:
            there = addresses()
            seen = found(self._source, there, _way)
        except OSError as error:
            # A kernel that does not say what it has is believed to have what was written.
            logger().warning("underlay.unseen", error=str(error))
            return self.now
        if seen.fault and not ip_of(self._source.wanted):
            seen = msgspec.structs.replace(seen, address=self.now.address, mtu=self.now.mtu)
        seen = msgspec.structs.replace(seen, unheard=_unheard(self._source, there, seen.address))
        if seen != self.now:
            self.now = seen
            if why := seen.fault or seen.unheard or seen.lowered:
                logger().warning("underlay", address=seen.address, why=why)
        return self.now

    async def watch(self, looked: Callable[[Underlay], None]) -> None:
        """Looks whenever links or addresses change, and now and then; says each time what it saw."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        looked(
            self.look()
        )  # also if there can be no listener: then this is begun again now and then
        with listener() as ear:

            def heard() -> None:
                drain(ear)
                changed.set()

            loop.add_reader(ear, heard)
            try:
                while True:
                    looked(self.look())
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY_S):
                            await changed.wait()
                        await asyncio.sleep(_SETTLES_S)
                    changed.clear()
            finally:
                loop.remove_reader(ear)


def _way(address: str) -> str:
    return source_towards(address) if address else source_towards()
