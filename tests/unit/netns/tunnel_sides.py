"""Two forwarders with the same tables, one in Python and one in C, given the same bytes by real sockets.

A tap is one end of a socket pair that keeps messages apart. As a program it says random things to both for
so many seconds, and compares; so it runs under a sanitizer: `tunnel_sides.py MODULE.so SECONDS SEED`.
"""

import importlib.util
import random
import socket
import struct
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from netns.model import address6
from netns.tunnel import native_loops, opening, probes
from netns.tunnel.checksum import pseudo
from netns.tunnel.forwarder import Forwarder
from netns.tunnel.frame import RELAY, RELAYED, header, inner_header, paired
from netns.tunnel.orders import HoldTaps, Request, TakeSocket, TellNetworks, TellPeers
from netns.tunnel.tables import (
    Cipher,
    Member,
    Networks,
    Peers,
    RelayPair,
    SealedNetwork,
    SealedPeer,
    Session,
    State,
)
from netns.tunnel.vnet import written

TOP = Path(__file__).resolve().parents[3]
VNI, MTU = 7, 1418
LOCAL, REMOTE, GATEWAY = "02:00:00:00:00:02", "02:00:00:00:01:02", "02:00:00:00:00:01"
SILENT, LOST, GONE = "02:00:00:00:01:03", "02:00:00:00:01:04", "02:00:00:00:01:05"
MACS = [bytes.fromhex(mac.replace(":", "")) for mac in (LOCAL, REMOTE, SILENT, LOST, GONE, GATEWAY)]
MACS.append(b"\xff" * 6)
HERE, THERE = socket.inet_aton("10.42.0.2"), socket.inet_aton("10.42.0.3")
ENDLESS = 1 << 62
"""No limit of answers to probes: a new second would begin between what the two are told."""
FREE = 1e12
"""No limit of a relay."""
PAIRS = (RelayPair(5, "far", "mate", FREE), RelayPair(6, "far", "lost", FREE))
CIDR6 = "fd12:3456:789a:1::/64"
HERE6, THERE6 = (socket.inet_pton(socket.AF_INET6, address6(CIDR6, f"10.42.0.{n}")) for n in (2, 3))
KEYS = [bytes([number] * 32) for number in range(1, 13)]
TCP, UDP, ICMPV6 = 6, 17, 58
NARROW, NARROWER = 1300, 1200
MAXSEG = b"\x02\x04\x05\x8a"


def compiled(folder: Path, *more: str) -> Path:
    """The module, built as `pyproject.toml` says, with more flags."""
    tools = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]
    (extension,) = tools["ext-modules"]
    made = folder / f"native{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run(
        [
            "gcc", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", *extension["extra-compile-args"],
            *more, *(str(TOP / name) for name in extension["sources"]), "-o", str(made), "-lcrypto",
        ],
        check=True,
    )  # fmt: skip
    return made


def use(module: Path) -> None:
    """Forwarders of this process use that build."""
    spec = importlib.util.spec_from_file_location("netns.tunnel.native", module)
    assert spec is not None
    assert spec.loader is not None
    native_loops.native = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(native_loops.native)


LOOPS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def udp(family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket on the loopback, with room."""
    handle = socket.socket(family, socket.SOCK_DGRAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    handle.bind((LOOPS[family], 0))
    return handle


class Side:
    """A forwarder, and the test's ends of its tap and its socket."""

    def __init__(
        self,
        native: bool,
        far: socket.socket,
        mtu: int = MTU,
        takes: int = 0,
        multicast: bool = False,
    ) -> None:
        self._calls: dict[int, Callable[[], None]] = {}
        self.forwarder = Forwarder(1, lambda fd, _, call: self._calls.update({fd: call}), native)
        self.tap, tap = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self.tap, tap):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        self._tap = tap.fileno()
        handle = opening.open_socket(0)  # of both families
        self.at, self._socket = (LOOPS[far.family], handle.getsockname()[1]), handle.fileno()
        self.ask(TakeSocket(self.at[1]), handle.detach())
        self.ask(HoldTaps(("tap0",)), tap.detach())
        members = tuple(
            Member(mac, f"10.42.0.{number}", peer)
            for number, (mac, peer) in enumerate(
                ((REMOTE, "far"), (SILENT, "silent"), (LOST, "lost"), (GONE, "gone")), 3
            )
        )
        self._mate = far.getsockname()[:2]
        network = SealedNetwork(VNI, "tap0", mtu, (LOCAL,), GATEWAY, members, CIDR6, multicast)
        self.ask(TellNetworks(Networks(1, (network,))))
        self.tell(
            SealedPeer(
                "far",
                *far.getsockname()[:2],
                (session(1), session(2, Cipher.CHACHA20_POLY1305)),
                mtu=takes,
            )
        )

    def tell(
        self, peer: SealedPeer, epoch: int = 1, pairs: tuple[RelayPair, ...] | None = PAIRS
    ) -> None:
        """The peer that matters; two others have no session, or no place, and one is where that is."""
        others = (
            SealedPeer("silent", "192.0.2.9", 9, ()),
            SealedPeer("lost", "", 0, (session(3),)),
            SealedPeer("mate", *self._mate, ()),
        )
        self.ask(TellPeers(1, Peers(epoch, (peer, *others), pairs, FREE)))

    def ask(self, request: Request, *descriptors: int) -> None:
        answer = self.forwarder.answer(request, list(descriptors))
        assert answer.refusal is None, answer.words

    def from_tap(self, frames: Sequence[bytes]) -> None:
        """A turn with these in the tap."""
        for frame in frames:
            self.tap.send(frame)
        self._calls[self._tap]()

    def from_socket(self, datagrams: Sequence[bytes], sender: socket.socket) -> None:
        """A turn with these in the socket, at most a batch."""
        for datagram in datagrams:
            sender.sendto(datagram, (LOOPS[sender.family], self.at[1]))
        self.turn()

    def turn(self) -> None:
        """A turn with what is in the socket."""
        self._calls[self._socket]()

    def written(self) -> list[bytes]:
        """What was written to the tap since."""
        return drained(self.tap)

    def told(self) -> tuple[dict[str, int], list[tuple[object, ...]]]:
        """Counters, and what is known of peers, without times."""
        state: State = self.forwarder.state()
        rows = [
            (p.peer, p.address, p.port, p.index, p.packets_left, p.received) for p in state.peers
        ]
        return state.counters, [*rows, *((p.last_heard_s > 0,) for p in state.peers)]

    def close(self) -> None:
        self.ask(TellNetworks(Networks(2)))
        self.tap.close()
        self.ask(TakeSocket(1), socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach())


def session(number: int, cipher: Cipher = Cipher.AES_256_GCM, age_s: float = 0.0) -> Session:
    made_s = time.monotonic() - age_s
    return Session(number, 100 + number, KEYS[2 * number - 2], KEYS[2 * number - 1], made_s, cipher)


def drained(handle: socket.socket) -> list[bytes]:
    found = []
    handle.setblocking(False)
    while True:
        try:
            found.append(handle.recv(1 << 17))
        except BlockingIOError:
            return found


def sealed(number: int, counter: int, plain: bytes, chacha: bool = False) -> bytes:
    """A datagram as the far end sends it in session `number`."""
    head = header(number, counter)
    cipher = ChaCha20Poly1305 if chacha else AESGCM
    return head + cipher(KEYS[2 * number - 1]).encrypt(head[4:], plain, head)


def packet(
    to: bytes, sender: bytes, source: bytes, target: bytes, transport: bytes, protocol: int = TCP,
    ident: int = 0, fragment: int = 0x4000, options: bytes = b"",
) -> bytes:  # fmt: skip
    """An Ethernet frame with an IPv4 packet, its header's checksum right."""
    length = 20 + len(options) + len(transport)
    version, size = 0x45 + len(options) // 4, length & 0xFFFF
    head = struct.pack(">BBHHHBBH", version, 0, size, ident, fragment, 64, protocol, 0)
    head += source + target + options
    total = sum(struct.unpack(f">{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (
        to
        + sender
        + b"\x08\x00"
        + head[:10]
        + struct.pack(">H", ~total & 0xFFFF)
        + head[12:]
        + transport
    )


def packet6(
    to: bytes, sender: bytes, source: bytes, target: bytes, transport: bytes, protocol: int = TCP
) -> bytes:
    """An Ethernet frame with an IPv6 packet."""
    head = struct.pack(">IHBB", 0x6000_0000, len(transport) & 0xFFFF, protocol, 255)
    return to + sender + b"\x86\xdd" + head + source + target + transport


def solicitation(source: bytes, target: bytes, to: bytes = b"\x33\x33\xff\x2a\x00\x03") -> bytes:
    """The guest here asks who has an address."""
    group = bytes.fromhex("ff0200000000000000000001ff") + target[-3:]
    asked = struct.pack(">BBHI", 135, 0, 0, 0) + target + b"\x01\x01" + MACS[0]
    return packet6(to, MACS[0], source, group, asked, ICMPV6)


def tcp(
    sequence: int, data: bytes, flags: int = 0x10, options: bytes = b"", ports: int = 5000
) -> bytes:
    offset = (20 + len(options)) << 2
    return (
        struct.pack(">HHIIBBHHH", ports, 80, sequence & 0xFFFF_FFFF, 1, offset, flags, 500, 0, 0)
        + options
        + data
    )


def outgoing(
    data: bytes, *, flags: int = 0x18, gso_size: int = 1366, gso: int = 1, **more: object
) -> bytes:
    """A superframe of the guest here for the one there, as a tap gives it."""
    frame = packet(MACS[1], MACS[0], HERE, THERE, tcp(1000, data, flags), **more)  # type: ignore[arg-type]
    return written(1, gso, 54, gso_size, frame.index(struct.pack(">HH", 5000, 80)), 16) + frame


def outgoing6(data: bytes, *, flags: int = 0x18, gso_size: int = 1346, gso: int = 4) -> bytes:
    """The same over IPv6."""
    frame = packet6(MACS[1], MACS[0], HERE6, THERE6, tcp(1000, data, flags))
    return written(1, gso, 74, gso_size, 54, 16) + frame


def incoming6(
    sequence: int, data: bytes, *, flags: int = 0x10, ports: int = 5000, options: bytes = b""
) -> bytes:
    """What is sealed of a segment over IPv6 from there to here."""
    segment = tcp(sequence, data, flags, options, ports)
    frame = packet6(MACS[0], MACS[1], THERE6, HERE6, segment)
    check = pseudo(THERE6 + HERE6, len(segment))
    return inner_header(1, VNI, 54, 16) + frame[:70] + struct.pack(">H", check) + frame[72:]


def incoming(
    sequence: int, data: bytes, *, flags: int = 0x10, ports: int = 5000, options: bytes = b""
) -> bytes:
    """What is sealed of a segment from there to here."""
    segment = tcp(sequence, data, flags, options, ports)
    frame = packet(MACS[0], MACS[1], THERE, HERE, segment)
    check = pseudo(THERE + HERE, len(segment))
    return inner_header(1, VNI, 34, 16) + frame[:50] + struct.pack(">H", check) + frame[52:]


class Chaos:
    """Frames and datagrams, most of them nearly right."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._counter = {1: 0, 2: 0}
        self._next = {5000: 0, 5001: 0, 5002: 0}

    def mangled(self, data: bytes) -> bytes:
        """The same with something wrong, perhaps."""
        dice, raw = self._dice, bytearray(data)
        for _ in range(dice.choice((0, 0, 0, 1, 1, 3))):
            if not raw:
                break
            match dice.randrange(4):
                case 0:
                    raw[dice.randrange(min(len(raw), 80))] = dice.choice(
                        (0, 1, 0x45, 0x7F, 0x80, 0xFF)
                    )
                case 1:
                    raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)
                case 2:
                    del raw[dice.randrange(len(raw)) :]
                case 3:
                    raw += bytes(dice.randrange(40))
        return bytes(raw)

    def frame(self) -> bytes:
        """One read of the tap."""
        dice = self._dice
        data = dice.randbytes(dice.choice((0, 1, 5, 64, 1366, 1367, 4000, 9000, 40_000)))
        match dice.randrange(9):
            case 6:
                options = dice.choice((b"", MAXSEG, b"\1" + MAXSEG + b"\1\1\1"))
                segment = tcp(9, data[:1358], dice.choice((0x02, 0x10)), options)
                frame = packet6(MACS[1], MACS[0], HERE6, THERE6, segment)
                return self.mangled(written(dice.choice((0, 1)), 0, 0, 0, 54, 16) + frame)
            case 7:
                return self.mangled(
                    outgoing6(
                        data, flags=dice.choice((0x10, 0x18, 0x19, 0x90)), gso=dice.choice((4, 4, 4, 0x84, 1)),
                        gso_size=1346 if len(data) > 4000 else dice.choice((1346, 1000, 1, 0)),
                    )
                )  # fmt: skip
            case 8:
                target = dice.choice((THERE6, THERE6, HERE6, THERE6[:12] + HERE, bytes(16)))
                source = dice.choice((HERE6, HERE6, THERE6, bytes(16), b"\xfe\x80" + HERE6[2:]))
                return self.mangled(bytes(10) + solicitation(source, target, dice.choice(MACS)))
            case 0 | 1:
                return self.mangled(
                    outgoing(
                        data, flags=dice.choice((0x10, 0x18, 0x19, 0x90)),
                        gso_size=1366 if len(data) > 4000 else dice.choice((1366, 1000, 1, 0)),
                        gso=dice.choice((1, 1, 0x81, 3, 5)), fragment=dice.choice((0x4000, 0, 0, 0x2000)),
                        ident=dice.randrange(1 << 16), options=bytes(dice.choice((0, 0, 4, 40))),
                    )
                )  # fmt: skip
            case 2:
                to, sender = dice.choice((MACS[1], *MACS)), dice.choice((MACS[0], *MACS))
                fragment = dice.choice((0x4000, 0))
                frame = packet(to, sender, HERE, THERE, data[:1398], UDP, fragment=fragment)
                return self.mangled(bytes(10) + frame)
            case 3:
                ask = struct.pack(
                    ">HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, MACS[0], HERE, bytes(6), THERE
                )
                return self.mangled(bytes(10) + dice.choice(MACS) + MACS[0] + b"\x08\x06" + ask)
            case 4:
                start, offset = dice.choice(
                    ((34, 16), (34, 6), (13, 0), (1400, 18), (0xFFFF, 0xFFFF))
                )
                frame = packet(MACS[1], MACS[0], HERE, THERE, tcp(9, data[:1378]))
                return self.mangled(written(1, 0, 0, 0, start, offset) + frame)
            case 5:
                options = dice.choice((MAXSEG, b"\1" + MAXSEG + b"\1\1\1", b"\3\3\7\1" + MAXSEG))
                syn = tcp(9, b"", dice.choice((0x02, 0x12, 0x10)), options)
                frame = packet(MACS[1], MACS[0], HERE, THERE, syn)
                return self.mangled(written(dice.choice((0, 1)), 0, 0, 0, 34, 16) + frame)
            case _:
                return dice.randbytes(dice.randrange(200))

    def plain(self) -> bytes:
        """What a hostile peer may seal."""
        dice = self._dice
        port = dice.choice((5000, 5000, 5000, 5001, 5002))
        size = dice.choice((1366, 1366, 1366, 1366, 100, 1, 0, 1378))
        made = dice.choice((incoming, incoming, incoming6))(
            self._next[port], dice.randbytes(size), ports=port,
            flags=dice.choice((0x10,) * 8 + (0x18, 0x11, 0x12, 0x50, 0x90, 0x00)),
            options=dice.choice((b"",) * 6 + (bytes(12), bytes(40))),
        )  # fmt: skip
        self._next[port] += size
        if dice.random() < 0.1:
            made = made[:8] + dice.choice((MACS[-1], b"\x01\x00\x5e\x01\x02\x03")) + made[14:]
        probe = inner_header(0, 0, 0, 0) + bytes([dice.choice((1, 1, 1, 2, 0, 9))])
        probe += bytes(dice.choice((27, 27, 26, 700)))
        return dice.choice(
            (made, made, made, self.mangled(made), probe, dice.randbytes(dice.randrange(90)))
        )

    def calm(self, count: int) -> list[bytes]:
        """Datagrams of two flows, one over IPv6, that are joined, but where a header differs in a bit."""
        dice, made = self._dice, []
        for _ in range(count):
            port, size = dice.choice((5000, 5000, 5001)), dice.choice((1366,) * 15 + (600,))
            flags = dice.choice((0x10,) * 15 + (0x18,))
            make = incoming6 if port == 5001 else incoming
            plain = make(self._next[port], dice.randbytes(size), flags=flags, ports=port)
            self._next[port] += size
            self._counter[1] += 1
            if dice.random() < 0.1:
                raw = bytearray(plain)
                raw[dice.randrange(8, 8 + 74)] ^= 1 << dice.randrange(8)
                plain = bytes(raw)
            made.append(sealed(1, self._counter[1], plain))
        return made

    def datagram(self) -> bytes:
        """One of them."""
        dice = self._dice
        number = dice.choice((1, 1, 1, 1, 2))
        step = dice.choice((1,) * 12 + (0, -1, -100, -2047, -2048, 2, 70, 3000))
        counter = max(0, self._counter[number] + step)
        self._counter[number] = max(self._counter[number], counter)
        if dice.random() < 0.01:
            counter = dice.choice((1 << 32, (1 << 64) - 1, 1 << 63))
        made = sealed(number, counter, self.plain(), chacha=number == 2)
        if dice.random() < 0.2:
            made = paired(made, dice.choice((RELAY, RELAY, RELAYED)), dice.choice((5, 5, 6, 7)))
        return self.mangled(made) if dice.random() < 0.2 else made


def compare(seed: int, for_s: float, turns: int) -> int:
    """Says the same to both until time or turns are over; how many turns there were. Raises AssertionError."""
    chaos, dice, done, until_s = Chaos(seed), random.Random(seed), 0, time.monotonic() + for_s
    with (
        patch.object(probes, "ECHOES_PER_S", ENDLESS),
        udp((socket.AF_INET, socket.AF_INET6)[seed // 2 % 2]) as far,
    ):
        sides = [
            Side(native, far, takes=(0, NARROW, NARROWER)[seed % 3], multicast=seed % 2 == 0)
            for native in (False, True)
        ]
        try:
            while done < turns and time.monotonic() < until_s:
                done += 1
                if dice.random() < 0.5:
                    frames = [chaos.frame() for _ in range(dice.choice((1, 8, 32)))]
                    heard = []
                    for side in sides:
                        side.from_tap(frames)
                        heard.append((drained(far), side.written()))
                else:
                    count = dice.choice((1, 8, 64))
                    if dice.random() < 0.3:
                        datagrams = chaos.calm(count)
                    else:
                        datagrams = [chaos.datagram() for _ in range(count)]
                    heard = []
                    for side in sides:
                        side.from_socket(datagrams, far)
                        heard.append((drained(far), side.written()))
                assert heard[0] == heard[1], f"turn {done} of seed {seed}"
                assert sides[0].told() == sides[1].told(), f"turn {done} of seed {seed}"
        finally:
            for side in sides:
                side.close()
    return done


if __name__ == "__main__":
    use(Path(sys.argv[1]))
    print(compare(int(sys.argv[3]), float(sys.argv[2]), 1 << 30), "turns")
