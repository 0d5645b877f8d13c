"""What a host's forwarder is told of the hosts that it seals traffic for: where they are, and by what keys.

Keys are `Secret`: nothing prints, logs, encodes, copies into a file or compares them by accident.
"""

from enum import StrEnum
from hmac import compare_digest
from typing import NoReturn

import msgspec

from protocol.terms.ids import PeerId


class Cipher(StrEnum):
    """What seals a frame."""

    AES_256_GCM = "aes-256-gcm"
    CHACHA20_POLY1305 = "chacha20-poly1305"


class Secret:
    """Bytes that only who asks for them by `reveal` gets. No encoder takes it, and its repr says nothing."""

    __slots__ = ("_bytes",)

    def __init__(self, content: bytes) -> None:
        self._bytes = content

    def reveal(self) -> bytes:
        """The bytes. Whoever has them keeps them out of logs and files."""
        return self._bytes

    def __repr__(self) -> str:
        return "Secret()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and compare_digest(self._bytes, other.reveal())

    __hash__ = None  # type: ignore[assignment]  # a hash of a key says something of it

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied into anything that lasts")


class TunnelPlace(msgspec.Struct, frozen=True):
    """Where a forwarder is, or is seen: an IP address, and a port of UDP."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}" if self.port else "it does not tell where"


class TunnelProbe(msgspec.Struct, frozen=True):
    """A sealed frame that another host's forwarder is to answer."""

    peer: PeerId
    number: int
    """The answer has it: 64 bits, another for each probe of a life."""
    size_bytes: int = 0
    """Of the datagram, without the headers of IP and UDP; 0 for as small as a probe can be."""
    place: TunnelPlace | None = None
    """Where to send it; None for where what is sealed for that host goes."""
    pair: int = 0
    """Of the relay that is at `place`; 0 if the host itself is."""


class TunnelAnswer(msgspec.Struct, frozen=True):
    """What another host's forwarder answered to a probe."""

    peer: PeerId
    number: int
    round_trip_s: float
    place: TunnelPlace
    """Where the answer came from."""
    seen: TunnelPlace
    """Where the other saw the probe come from. It says so, and may say anything."""


class SealedSession(msgspec.Struct, frozen=True):
    """The keys by which two forwarders seal for each other: one a direction, each used by one sender only."""

    index: int
    """What the other end puts into its headers: 32 bits, above 0, of no other session of this host."""
    peer_index: int
    """What this end puts into its headers."""
    send: Secret
    """32 bytes."""
    receive: Secret
    """32 bytes."""
    made_s: float
    """When this end made it, Unix seconds by this host's clock."""
    cipher: Cipher


class SealedPeer(msgspec.Struct, frozen=True):
    """Another host with members on a sealed network that has members here, too."""

    peer: PeerId
    address: str
    """Where its forwarder takes frames, IPv4; empty if it has not told yet."""
    port: int
    """UDP; 0 if it has not told, or cannot seal."""
    sessions: tuple[SealedSession, ...]
    """What is sent goes by the first; what comes may come by any. There are SESSIONS_MOST at most."""
    mtu: int = 0
    """The largest packet of guests that gets there, in bytes, if that is less than their networks say; else
    0."""
    pair: int = 0
    """The relay that is there passes on to it, for the pair of that number; 0: it is there itself."""


class RelayedPair(msgspec.Struct, frozen=True):
    """Two hosts that this one passes sealed datagrams on between."""

    number: int
    """What both write into what they send. It has 24 bits, and is above 0."""
    one: PeerId
    other: PeerId
    bytes_per_s: float
