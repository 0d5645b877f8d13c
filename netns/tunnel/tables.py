"""What a forwarder is told: whole tables with an epoch, and what it answers.

The daemon decides who is where. A table replaces the one before it, and an older epoch never replaces a newer
one. Both tables can be told in any order: a network's members may name peers without sessions yet, whose frames
are dropped until then.

Times are seconds of CLOCK_MONOTONIC, which all processes of a host share.
"""

import enum
import re
import socket
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import AddressValueError, IPv4Address

import msgspec

from netns.model import IFNAME_MAX, MTU_MAX, MTU_MIN, PORTS_MAX, VNI_MAX, is_cidr6

KEY_BYTES = 32
PEER_NAME_MAX = 128
NETWORKS_MAX = 4_096
"""As many taps are open at once."""
PEERS_MAX = 8_192
SESSIONS_PER_PEER_MAX = 4
"""The newest, the one before it while its last packets are on their way, and two that are being begun."""
MEMBERS_MAX = 65_536
"""Members of all networks together, local and remote: about 40 MB of a forwarder's memory."""
COUNTER_END = 1 << 32
"""A session ends before this counter. Far below what AES-GCM allows for one key (NIST SP 800-38D)."""
SESSION_SENDS_S = 600.0
"""A session that was not replaced sends no more after this long."""
SESSION_RECEIVES_S = SESSION_SENDS_S + 60.0
"""What the other side sent last has arrived by then, though its clock runs a little slower."""

PROBE_BYTES_MIN, PROBE_BYTES_MAX = 68, 65_507
"""Of the datagram of a probe: as long as its answer, and what UDP over IPv4 carries."""
PROBES_MAX = 1_024
"""In one request."""
PAIRS_MAX = 4_096
"""Pairs of hosts that one relay passes on for."""
RATE_MAX = 1e12
"""Bytes a second, which is no limit."""
PAIR_MAX = (1 << 24) - 1
"""Numbers of pairs have 24 bits, and are above 0."""

NOWHERE = ("", 0)
"""Address and port of a peer of whom nobody knows where it is."""

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_LINK = re.compile(rf"[A-Za-z0-9_.-]{{1,{IFNAME_MAX}}}")


class Cipher(enum.Enum):
    """How a session's frames are sealed. Both have keys of 32 bytes, nonces of 12 and tags of 16."""

    AES_256_GCM = "aes-256-gcm"
    CHACHA20_POLY1305 = "chacha20-poly1305"


class Member(msgspec.Struct, frozen=True):
    """A workspace at another host. `address` is its IPv4 address in the network; `peer` names the host."""

    mac: str
    address: str
    peer: str


class OwnCard(msgspec.Struct, frozen=True):
    """The host's own place on a network that it carries nothing of."""

    mac: str
    address: str
    prefix: int


class SealedNetwork(msgspec.Struct, frozen=True):
    """One network on this host.

    - `tap`: the tap on its bridge behind which the remote members are.
    - `mtu`: the largest packet of guests, in bytes. Longer segments are cut, longer packets dropped; who sent
      one that is not to be cut is told so.
    - `local`: MACs of the members here. Frames go out from them only, and come in for them only.
    - `gateway_mac`: the gateway's, which each host has for itself. Its frames neither leave nor enter.
    - `multicast`: frames to groups, and to all, go to each host of a member, and come in from there.
    - `cidr6`: a /64 in which members have addresses besides, the IPv4 address behind the prefix. Empty: none.
    - `card`: `tap` is this host's own card, on no bridge (own_card.py); None for a network with guests here. It
      says how the card is made. The forwarder itself does not ask.
    """

    vni: int
    tap: str
    mtu: int
    local: tuple[str, ...]
    gateway_mac: str
    members: tuple[Member, ...]
    cidr6: str = ""
    multicast: bool = False
    card: OwnCard | None = None


class Session(msgspec.Struct, frozen=True):
    """Keys for one direction each, with one peer. They are told to one instance of a forwarder only.

    - `index`: ours; what the peer writes into its frames. Each session has another.
    - `peer_index`: the peer's; what we write.
    - `made_s`: its age counts from here. After SESSION_SENDS_S it does not send.
    """

    index: int
    peer_index: int
    send_key: bytes
    receive_key: bytes
    made_s: float
    cipher: Cipher = Cipher.AES_256_GCM

    def __repr__(self) -> str:
        return f"Session({self.index} -> {self.peer_index}, {self.cipher.value}, keys not shown)"


class SealedPeer(msgspec.Struct, frozen=True):
    """A host, where its forwarder was told to be, and its sessions, the one to send with first.

    Frames go under the first session that may send; what comes is opened under any. They go to where the last
    frame that opened came from; to `address` and `port` as long as none has, or once these are told anew. An
    empty address with port 0: nobody knows yet, so it has to be heard first.

    `keep`: sessions that the forwarder has for this peer stay behind the told ones. A daemon that was started
    again does not know their keys. A told session that is there already goes on as it is.

    `mtu`: the largest packet of guests that the way there takes, in bytes, if that is less than their network
    says; 0 if nobody knows. TCP is cut and begun by it, and who sends a longer packet that is not to be cut is
    told so. Any other goes as it is, in fragments underneath.

    `pair`: the relay at `address` and `port` is to pass frames on to it, for the pair of that number; 0: it is
    there itself. A peer behind a relay is not moved by what comes from it.
    """

    peer: str
    address: str
    port: int
    sessions: tuple[Session, ...]
    keep: bool = False
    mtu: int = 0
    pair: int = 0


class RelayPair(msgspec.Struct, frozen=True):
    """Two peers that this host passes datagrams on between. Both name the pair by that number."""

    number: int
    one: str
    other: str
    bytes_per_s: float


class Networks(msgspec.Struct, frozen=True):
    """All networks of this host."""

    epoch: int
    networks: tuple[SealedNetwork, ...] = ()

    def check(self) -> None:
        """Raises ValueError if it makes no sense, with everything that is wrong, `; ` between."""
        _raise("networks", _wrong_in_networks(self))


class Peers(msgspec.Struct, frozen=True):
    """All hosts that this one shares a network with."""

    epoch: int
    peers: tuple[SealedPeer, ...] = ()
    pairs: tuple[RelayPair, ...] | None = ()
    """None leaves those that there are, and their rate."""
    relay_bytes_per_s: float = 0.0
    """What is passed on for all pairs together. 0: nothing."""

    def check(self) -> None:
        """Raises ValueError if it makes no sense, with everything that is wrong, `; ` between."""
        _raise("peers", _wrong_in_peers(self))


class Probe(msgspec.Struct, frozen=True):
    """A sealed frame that a peer is to answer.

    - `number`: the answer has it. It is of no other probe of that peer under way.
    - `size_bytes`: of the datagram, without the headers of IP and UDP.
    - `address`, `port`: where to send it; an empty address with port 0 for where the peer's frames go.
    - `pair`: of the relay that is there; 0 if the peer itself is.
    """

    peer: str
    number: int
    size_bytes: int = PROBE_BYTES_MIN
    address: str = ""
    port: int = 0
    pair: int = 0


class ProbeAnswer(msgspec.Struct, frozen=True):
    """What a peer answered.

    - `address`, `port`: where the answer came from.
    - `seen_address`, `seen_port`: where the peer saw the probe come from, as it says.
    - `pair`: of the relay there, if it came through one; else 0.
    """

    peer: str
    number: int
    round_trip_s: float
    address: str
    port: int
    seen_address: str
    seen_port: int
    pair: int = 0


def check_probes(probes: Sequence[Probe]) -> None:
    """Raises ValueError if one makes no sense, with everything that is wrong, `; ` between."""
    _raise("probes", _wrong_in_probes(probes))


class PeerState(msgspec.Struct, frozen=True):
    """What a forwarder knows of a peer.

    - `address`, `port`: where frames go now; a relay is there if `pair` is not 0.
    - `last_heard_s`: when a frame of its opened last; 0.0 if none has.
    - `index`: the session that sends; 0 if none may. `packets_left`: how many it may still seal.
    - `received`, `sent`: frames opened and sealed in all its sessions that are still told.
    """

    peer: str
    address: str
    port: int
    last_heard_s: float
    index: int
    packets_left: int
    received: int
    sent: int
    pair: int = 0


class State(msgspec.Struct, frozen=True):
    """What runs, and how it goes.

    - `instance`: another number in each process, never 0.
    - `port`: of its UDP socket; 0 while it has none.
    - `taps`: names of those that it has open.
    - `native`: whether the loop in C carries the frames.
    - `ciphers`: those that it has, the fastest on this CPU first.
    - `counters`: frames by what became of them, see `counters.py`.
    """

    instance: int
    pid: int
    port: int
    networks_epoch: int
    peers_epoch: int
    native: bool
    ciphers: tuple[Cipher, ...]
    taps: tuple[str, ...]
    counters: dict[str, int]
    peers: tuple[PeerState, ...]


def _raise(what: str, wrong: Iterator[str]) -> None:
    found = list(wrong)
    if found:
        raise ValueError(f"{what}: " + "; ".join(found))


def _wrong_in_networks(table: Networks) -> Iterator[str]:
    if table.epoch < 1:
        yield f"epoch {table.epoch} is not above 0"
    if len(table.networks) > NETWORKS_MAX:
        yield f"{len(table.networks)} networks are more than {NETWORKS_MAX}"
    everybody = sum(len(network.local) + len(network.members) for network in table.networks)
    if everybody > MEMBERS_MAX:
        yield f"{everybody} members of all networks are more than {MEMBERS_MAX}"
    yield from _twice("vni", (str(network.vni) for network in table.networks))
    yield from _twice("tap", (network.tap for network in table.networks))
    for network in table.networks:
        yield from (f"vni {network.vni}: {wrong}" for wrong in _wrong_in_network(network))


def _wrong_in_network(network: SealedNetwork) -> Iterator[str]:
    if not 1 <= network.vni <= VNI_MAX:
        yield f"not in 1..{VNI_MAX}"
    if not _LINK.fullmatch(network.tap):
        yield f"tap {network.tap!r} is not the name of a link"
    if not MTU_MIN <= network.mtu <= MTU_MAX:
        yield f"mtu {network.mtu} is not in {MTU_MIN}..{MTU_MAX}"
    if network.cidr6 and not is_cidr6(network.cidr6):
        yield f"cidr6 {network.cidr6!r} is not an IPv6 network of 64 bits"
    if len(network.local) + len(network.members) > PORTS_MAX:
        yield f"{len(network.local) + len(network.members)} members are more than {PORTS_MAX}"
    macs = [network.gateway_mac, *network.local, *(one.mac for one in network.members)]
    for mac in macs:
        if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1:
            yield f"{mac!r} is not a unicast MAC in lower case"
    for member in network.members:
        if not _is_address(member.address):
            yield f"{member.mac}: {member.address!r} is not an IPv4 address"
        yield from _wrong_name(member.peer)
    yield from _twice("mac", macs)
    yield from _twice("address", (member.address for member in network.members))


def _wrong_in_peers(table: Peers) -> Iterator[str]:
    if table.epoch < 1:
        yield f"epoch {table.epoch} is not above 0"
    if len(table.peers) > PEERS_MAX:
        yield f"{len(table.peers)} peers are more than {PEERS_MAX}"
    yield from _twice("peer", (peer.peer for peer in table.peers))
    sessions = [session for peer in table.peers for session in peer.sessions]
    yield from _twice("session", (str(session.index) for session in sessions))
    keys = [key for session in sessions for key in (session.send_key, session.receive_key)]
    if len(set(keys)) < len(keys):
        yield "a key is there twice"
    yield from _wrong_in_pairs(table)
    for peer in table.peers:
        yield from _wrong_name(peer.peer)
        yield from (f"{peer.peer}: {wrong}" for wrong in _wrong_in_peer(peer))


def _wrong_in_probes(probes: Sequence[Probe]) -> Iterator[str]:
    if len(probes) > PROBES_MAX:
        yield f"{len(probes)} at once are more than {PROBES_MAX}"
    for probe in probes:
        yield from _wrong_place(probe.address, probe.port)
        if not PROBE_BYTES_MIN <= probe.size_bytes <= PROBE_BYTES_MAX:
            yield f"{probe.size_bytes} bytes are not in {PROBE_BYTES_MIN}..{PROBE_BYTES_MAX}"
        yield from _wrong_pair(probe.pair)
        if not 0 <= probe.number < 1 << 64:
            yield f"number {probe.number} has not 64 bits"


def _wrong_in_pairs(table: Peers) -> Iterator[str]:
    pairs = table.pairs or ()
    if len(pairs) > PAIRS_MAX:
        yield f"{len(pairs)} pairs are more than {PAIRS_MAX}"
    yield from _twice("pair", (str(pair.number) for pair in pairs))
    for pair in pairs:
        if pair.one == pair.other or not pair.number:
            yield f"pair {pair.number} of {pair.one} and {pair.other} is none"
        yield from _wrong_pair(pair.number)
    for rate in (table.relay_bytes_per_s, *(pair.bytes_per_s for pair in pairs)):
        if not 0.0 <= rate <= RATE_MAX:
            yield f"{rate} bytes a second are not in 0..{RATE_MAX:.0f}"


def _wrong_pair(number: int) -> Iterator[str]:
    if not 0 <= number <= PAIR_MAX:
        yield f"pair {number} is not in 0..{PAIR_MAX}"


def _wrong_place(address: str, port: int) -> Iterator[str]:
    if (address, port) != NOWHERE:
        if not _is_place(address):
            yield f"{address!r} is not an address of one family"
        if not 1 <= port <= 0xFFFF:
            yield f"port {port} is not in 1..65535"


def _wrong_in_peer(peer: SealedPeer) -> Iterator[str]:
    yield from _wrong_place(peer.address, peer.port)
    yield from _wrong_pair(peer.pair)
    if peer.mtu and not MTU_MIN <= peer.mtu <= MTU_MAX:
        yield f"mtu {peer.mtu} is not in {MTU_MIN}..{MTU_MAX}"
    if len(peer.sessions) > SESSIONS_PER_PEER_MAX:
        yield f"{len(peer.sessions)} sessions are more than {SESSIONS_PER_PEER_MAX}"
    for session in peer.sessions:
        for index in (session.index, session.peer_index):
            if not 1 <= index <= 0xFFFF_FFFF:
                yield f"session {index} is not in 1..{0xFFFF_FFFF}"
        if {len(session.send_key), len(session.receive_key)} != {KEY_BYTES}:
            yield f"session {session.index}: keys have {KEY_BYTES} bytes"


def _wrong_name(peer: str) -> Iterator[str]:
    if not 1 <= len(peer) <= PEER_NAME_MAX:
        yield f"the name of a peer has 1 to {PEER_NAME_MAX} characters, not {len(peer)}"


def _is_place(text: str) -> bool:
    """Whether it is an address of either family as the C library writes it, so that texts can be compared."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        written = socket.inet_ntop(family, socket.inet_pton(family, text))
    except (OSError, ValueError):
        return False
    return written == text and not text.startswith("::ffff:")


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _twice(what: str, values: Iterable[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for value in values:
        seen[value] = seen.get(value, 0) + 1
    yield from (
        f"{what} {value} is there {count} times" for value, count in seen.items() if count > 1
    )
