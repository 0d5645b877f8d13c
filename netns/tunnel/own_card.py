"""A card of the host itself on a sealed network: no bridge, no namespace, only a tap that the forwarder has.

The kernel takes the tap away with its last descriptor. So it outlives neither the forwarder nor the table that
leaves it out. What is let in is what answers, and pings: whatever serves on this host is not for guests. It
forwards nothing. The rules for that outlive both; which there are is noted beside the forwarder before they are
made.
"""

import fcntl
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import msgspec

from netns import program, saved, tun
from netns.failures import NetnsError
from netns.tunnel import opening, process
from netns.tunnel.tables import SealedNetwork

_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_SIOCSIFMTU, _SIOCSIFHWADDR = 0x8922, 0x8924
_IFF_UP, _ARPHRD_ETHER = 0x1, 1
_ROUTES = Path("/proc/thread-self/net/route")
_RULES = """
add table ip {table}
delete table ip {table}
table ip {table} {{
    chain in {{
        type filter hook input priority -5
        iifname "{link}" ct state established,related accept
        iifname "{link}" icmp type echo-request accept
        iifname "{link}" drop
    }}
    chain through {{
        type filter hook forward priority -5
        iifname "{link}" drop
        oifname "{link}" drop
    }}
}}
"""


class _Noted(msgspec.Struct, frozen=True):
    """Cards that there may be rules for."""

    links: tuple[str, ...] = ()


def opened(directory: Path, network: SealedNetwork) -> int:
    """A descriptor of the network's own card, made and up in the calling thread's namespace; the caller's.

    `directory` is the forwarder's. Raises NetnsError, with nothing left.
    """
    card, link = network.card, network.tap
    assert card is not None
    place = IPv4Interface(f"{card.address}/{card.prefix}")
    for other, ours in _routes():
        if ours.overlaps(place.network) and other != link:
            raise NetnsError(
                f"{place.network} overlaps {ours}, which {other} of this host leads to"
            )
    _note(directory, {*_noted(directory), link})
    handle = tun.opened(os.O_NONBLOCK)
    try:
        tun.be_tap(handle, link)
        opening.offload(handle)
        program.run(["nft", "-f", "-"], text=_RULES.format(table=_table(link), link=link))
        _without_ipv6(link)
        _configure(link, bytes.fromhex(card.mac.replace(":", "")), place, network.mtu)
    except (OSError, NetnsError) as error:
        os.close(handle)
        forget(directory, set(_noted(directory)) - {link})
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise NetnsError(f"cannot make the card {link}: {why}") from error
    return handle


def forget(directory: Path, links: Iterable[str]) -> None:
    """Leaves no rules but those of these cards. Raises NetnsError."""
    noted = _noted(directory)
    kept = tuple(link for link in noted if link in links)
    if kept == noted:
        return
    gone = [_table(link) for link in noted if link not in kept]
    text = "".join(f"add table ip {table}\ndelete table ip {table}\n" for table in gone)
    program.run(["nft", "-f", "-"], text=text)
    _note(directory, kept)


def _table(link: str) -> str:
    return "ovl_" + link.replace("-", "_")


def _noted(directory: Path) -> tuple[str, ...]:
    found = saved.read(directory / process.CARDS, _Noted)
    return found.links if found is not None else ()


def _note(directory: Path, links: Iterable[str]) -> None:
    links = tuple(sorted(links))
    if links:
        saved.write(directory / process.CARDS, _Noted(links))
    else:
        (directory / process.CARDS).unlink(missing_ok=True)


def _routes() -> Iterator[tuple[str, IPv4Network]]:
    """(link, range) of every route but the default one."""
    for line in _ROUTES.read_text().splitlines()[1:]:
        words = line.split()
        target, mask = (IPv4Address(bytes.fromhex(words[at])[::-1]) for at in (1, 7))
        if int(mask):
            yield words[0], IPv4Network(f"{target}/{mask}", strict=False)


def _without_ipv6(link: str) -> None:
    setting = Path(f"/proc/sys/net/ipv6/conf/{link}/disable_ipv6")
    if setting.exists():
        setting.write_text("1")


def _configure(link: str, mac: bytes, place: IPv4Interface, mtu: int) -> None:
    name = link.encode()
    address, mask = (
        struct.pack("16sHH4s8x", name, socket.AF_INET, 0, each.packed)
        for each in (place.ip, place.netmask)
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        fcntl.ioctl(asks, _SIOCSIFHWADDR, struct.pack("16sH6s8x", name, _ARPHRD_ETHER, mac))
        fcntl.ioctl(asks, _SIOCSIFMTU, struct.pack("16si12x", name, mtu))
        fcntl.ioctl(asks, _SIOCSIFADDR, address)
        fcntl.ioctl(asks, _SIOCSIFNETMASK, mask)
        fcntl.ioctl(asks, _SIOCSIFFLAGS, struct.pack("16sh14x", name, _IFF_UP))
