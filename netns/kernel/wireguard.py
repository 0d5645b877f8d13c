"""The WireGuard interface of this host: tried, compared with what is wanted, and made so.

The `wg` program tells it keys and peers: by netlink where the kernel has WireGuard, by a socket where a program
stands in for it. So an interface that somebody made by wireguard-go is taken as it is.

A peer's endpoint is told when another one is wanted than was told last. In between WireGuard follows the peer,
if packets that it sealed come from elsewhere.
"""

import contextlib
import socket
import struct
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

from netns import program, saved
from netns.failures import NetnsError
from netns.inside import MTU_MIN, PREFIX, inside_address, is_key, link_name
from netns.kernel import filters, namespaces, observe, rtnetlink, sysctl
from netns.kernel.rtnetlink import attributes, ip
from netns.resources import Filter, WireguardLink

_STATE = ".wireguard"
"""The folder in a run directory with the private key and what was told last. No network has such a name."""
_ALIAS = "networks-of-grids"
_TRIAL = "ovwt-"
_KIND = "wireguard"
"""What the kernel calls such a link."""
_BITS = int(PREFIX.partition("/")[2])
_ADDRESS_HEAD = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_IFA_ADDRESS = 1


class Said(NamedTuple):
    """What `wg` says of an interface."""

    private: str
    port: int
    peers: dict[str, str]
    """The addresses that each may send from, by public key."""


class _Look(NamedTuple):
    """What can change of a link, but for what `wg` says."""

    up: bool
    mtu: int
    addresses: tuple[str, ...]
    """But for those of the link alone."""


def fault(port: int, owner_tag: str) -> str:
    """Why this host cannot carry networks by WireGuard, for people; empty if it can.

    It is done, in a namespace that vanishes: an interface is made, given a key, a port and an address.
    """
    name = f"{_TRIAL}{owner_tag}"
    config, own = f"ListenPort = {port}\n", inside_address("trial")
    trial = WireguardLink(name, own, port, MTU_MIN, (), config, Filter("", ""))
    try:
        private = program.run(["wg", "genkey"]).strip()
        namespaces.inside_fresh(lambda: _try(trial, private))
    except (NetnsError, OSError) as error:
        return str(error)
    return ""


def _try(trial: WireguardLink, private: str) -> None:
    try:
        _make(trial, private)
    finally:  # a program that stands in for the kernel would keep the namespace
        program.attempt(["ip", "link", "delete", trial.name])


def port_fault(port: int, owner_tag: str) -> str:
    """Why the interface cannot have that UDP port of this host; empty if it can, or has it."""
    name = link_name(owner_tag)
    if (said := _asked(name)) is not None and said.port == port:
        return ""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried:
            tried.bind(("", port))
    except OSError as error:
        return f"UDP port {port} is not to be had: {error.strerror}; wireguard-port names another"
    return ""


def public_key(run_dir: Path) -> str:
    """This host's own, as `wg` writes it. The private one is made if there is none. Raises NetnsError."""
    return program.run(["wg", "pubkey"], text=_private_key(run_dir)).strip()


def told(run_dir: Path) -> WireguardLink | None:
    """What the interface was told last; None if there is to be none."""
    return saved.read(run_dir / _STATE / "told.json", WireguardLink)


def wrong(link: WireguardLink, run_dir: Path, printed: str | None) -> tuple[str, ...]:
    """What is not as wanted, in words. `printed` is what nft prints of the interface's table. Reads only."""
    what, words = f"WireGuard interface {link.name}", []
    rules = filters.observe(link.filter.table, run_dir / _STATE, printed)
    if rules != link.filter:
        how = "was gone" if rules is None else "had other rules than ours"
        words.append(f"packet filter of {link.name} {how}")
    there = _look(link.name)
    if there is None:
        return (*words, f"{what} was gone")
    if _asked(link.name) != _to_say(link, _private_key(run_dir)):
        words.append(f"{what} had another key or other peers")
    if not there.up:
        words.append(f"{what} was down")
    elif there != _to_look(link):
        words.append(f"{what} had other addresses, or another mtu")
    return tuple(words)


def settle(link: WireguardLink, run_dir: Path) -> tuple[str, ...]:
    """Brings it about. Answers what was wrong, if just this had been in force. Raises NetnsError."""
    table, directory = link.filter.table, run_dir / _STATE
    found, same = wrong(link, run_dir, filters.printed(table)), told(run_dir) == link
    if same and not found:
        return ()
    if filters.observe(table, directory, filters.printed(table)) != link.filter:
        filters.load(link.filter, directory)  # before anything can come by it
    _make(link, _private_key(run_dir))
    saved.write(directory / "told.json", link)
    return found if same else ()


def remove(name: str, table: str, run_dir: Path) -> None:
    """Leaves nothing of it but this host's key."""
    if told(run_dir) is None and name not in [link for _, link in socket.if_nameindex()]:
        return
    program.attempt(["ip", "link", "delete", name])  # it may be gone
    filters.delete(table, run_dir / _STATE)
    (run_dir / _STATE / "told.json").unlink(missing_ok=True)


def _private_key(run_dir: Path) -> str:
    path = run_dir / _STATE / "key"
    with contextlib.suppress(FileNotFoundError):
        if is_key(key := path.read_text()):
            return key
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = program.run(["wg", "genkey"]).strip()
    saved.write_text(path, key)
    return key


def _make(link: WireguardLink, private: str) -> None:
    """An interface as wanted, whatever is there of it. In the namespace of the calling thread.

    By programs alone: every daemon tries this when it starts, and netlink's library takes 10 MiB.
    """
    if observe.link_state(link.name) is None:
        status, _, said = program.attempt(["ip", "link", "add", link.name, "type", _KIND])
        if status != 0:
            why = "" if "Unknown device type" in said else f": {said.strip()}"
            raise NetnsError(f"this kernel has no WireGuard (CONFIG_WIREGUARD){why}")
    text = f"[Interface]\nPrivateKey = {private}\n{link.config}"
    program.run(["wg", "syncconf", link.name, "/dev/stdin"], text=text)
    sysctl.enable_ipv6(link.name)
    own = f"{link.address}/{_BITS}"
    lines = [f"link set {link.name} mtu {link.mtu} alias {_ALIAS}"]
    lines += [f"address del {a} dev {link.name}" for a in _addresses(link.name) if a != own]
    lines += [f"address replace {own} dev {link.name} nodad", f"link set {link.name} up"]
    program.run(["ip", "-batch", "-"], text="\n".join([*lines, ""]))


def _asked(name: str) -> Said | None:
    """What `wg` says of it; None if that is no WireGuard interface."""
    status, out, _ = program.attempt(["wg", "show", name, "dump"])
    return read(out) if status == 0 else None


def read(dump: str) -> Said | None:
    """What `wg show LINK dump` printed; None if it is something else."""
    rows = [line.split("\t") for line in dump.splitlines()]
    if not rows or len(rows[0]) != 4 or any(len(row) != 8 for row in rows[1:]):
        return None
    private, _, port, _ = rows[0]
    return Said(private, int(port), {row[0]: row[3] for row in rows[1:]})


def _to_say(link: WireguardLink, private: str) -> Said:
    return Said(private, link.port, {peer.key: f"{peer.address}/128" for peer in link.peers})


def _to_look(link: WireguardLink) -> _Look:
    return _Look(up=True, mtu=link.mtu, addresses=(f"{link.address}/{_BITS}",))


def _look(name: str) -> _Look | None:
    """The link as it is; None if there is none."""
    found = observe.link_state(name)
    return _Look(*found, _addresses(name)) if found is not None else None


def _addresses(name: str) -> tuple[str, ...]:
    """The IPv6 addresses that a link has, but for those of the link alone."""
    index = socket.if_nametoindex(name)
    with rtnetlink.open_socket() as handle:
        found = rtnetlink.dump(
            handle, rtnetlink.GETADDR, _ADDRESS_HEAD.pack(socket.AF_INET6, 0, 0, 0, 0)
        )
    addresses = []
    for payload in found:
        _, bits, _, _, at = _ADDRESS_HEAD.unpack_from(payload)
        address = ip(attributes(payload, _ADDRESS_HEAD.size).get(_IFA_ADDRESS))
        if at == index and not IPv6Address(address).is_link_local:
            addresses.append(f"{address}/{bits}")
    return tuple(sorted(addresses))
