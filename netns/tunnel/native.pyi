"""The loops in C. Numbers instead of text and bytes: MACs have 48 bits, addresses 32, both big-endian.

They raise what Python's own calls raise; nothing that a stranger sends makes them raise.
"""

class Session:
    """Both keys, each of 32 bytes. `sent` is the counter of the next frame; it begins at 0."""

    sent: int
    received: int

    def __new__(
        cls,
        index: int,
        peer_index: int,
        send_key: bytes,
        receive_key: bytes,
        chacha: bool,
        made_s: float,
    ) -> Session: ...
    def seal(self, plain: bytes) -> bytes | None:
        """The next datagram, with that sealed; None if it has had its last."""

class Peer:
    """Where a peer is, and its sessions. Whatever opens moves it."""

    endpoint: tuple[str, int]
    heard_s: float
    mtu: int
    """The largest packet that the way there takes, if that is less than the network's; 0 if nobody knows."""

    def carry(self, sessions: tuple[Session, ...]) -> None:
        """These from now on, the one to send with first; at most 16."""

    def move(self, address: str, port: int, pair: int) -> None:
        """It is there; or the relay is that passes on for that pair, if it is not 0. Port 0: nobody knows."""

class Network:
    """A network and its tap's descriptor. `members` elsewhere: peer (None: unknown) and IPv4 address.

    `prefix`: the 12 bytes before that of its IPv6 addresses; empty if it has none. `multicast`: what goes to a
    group comes in.
    """

    def __new__(
        cls,
        vni: int,
        tap: int,
        mtu: int,
        local: frozenset[int],
        members: dict[int, tuple[Peer | None, int]],
        prefix: bytes,
        multicast: bool,
    ) -> Network: ...

class Pair:
    """Two peers that datagrams are passed on between."""

    def __new__(cls, one: Peer, other: Peer) -> Pair: ...
    def lend(self, bytes_per_s: float) -> None:
        """So much from now on. At first it is nothing."""

class Loops:
    """A turn of the socket, and a turn of a tap. Sockets and taps do not block."""

    def receive(
        self,
        socket: int,
        sessions: dict[int, Peer],
        networks: dict[int, Network],
        pairs: dict[int, Pair],
    ) -> list[tuple[int, bytes, bytes, int]]:
        """Takes a batch of datagrams. Peers by index of a session, networks by VNI, pairs by number.

        Those of no network are for Python: the session's index, the kernel's form of the source, and the first
        PROBE_BYTES of what was sealed behind its eight bytes, and the number of its pair if it came by a relay.
        """

    def send(self, socket: int, network: Network) -> list[bytes]:
        """Takes a batch of the tap's frames; those that are for Python, as they were read: ARP, ND, packets
        that are too long and not to be cut, and with `multicast` what goes to a group. Raises OSError if it is
        gone."""

    def lend(self, bytes_per_s: float) -> None:
        """So much is passed on for all pairs together. At first it is nothing."""

    def counted(self) -> dict[str, int]:
        """What became of all frames, by the names of `Count`."""
