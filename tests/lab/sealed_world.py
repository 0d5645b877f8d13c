"""Two hosts with a forwarder each, and guests behind their taps. Only what a sealed network needs: no daemon.

Guests are namespaces on a veth into the host's bridge. The underlay is one veth pair, with packets of
wire size.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from netns import program
from netns.kernel import namespaces
from netns.model import address6
from netns.tunnel import client, process
from netns.tunnel.tables import Member, Networks, Peers, SealedNetwork, SealedPeer, Session, State

VNI, TAP, PORT, MTU = 7, "ovs-000007", 7790, 1418
CIDR6 = "fd42::/64"
GATEWAY_MAC = "02:00:00:00:00:01"
T = TypeVar("T")

_RECEIVER = """
import hashlib, socket, sys
size, got, hashed = int(sys.argv[2]), 0, hashlib.sha256()
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], 5001), family=family) as server:
    print("listening", flush=True)
    connection, _ = server.accept()
    while data := connection.recv(1 << 18):
        hashed.update(data)
        if got < size // 8 <= got + len(data):
            print("some", flush=True)
        got += len(data)
    connection.sendall(b"thanks")
assert got == size, got
print(hashed.hexdigest())
"""
_SENDER = """
import hashlib, random, socket, sys
left, hashed, dice = int(sys.argv[2]), hashlib.sha256(), random.Random(7)
with socket.create_connection((sys.argv[1], 5001), timeout=60) as connection:
    while left:
        data = dice.randbytes(min(left, dice.choice([1, 3, 777, 1378, 1379, 8191, 65537, 99991])))
        connection.sendall(data)
        hashed.update(data)
        left -= len(data)
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(10) == b"thanks"
print(hashed.hexdigest())
"""
_ECHO = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
    handle.bind((sys.argv[1], 5002))
    print("listening", flush=True)
    while True:
        data, source = handle.recvfrom(65536)
        handle.sendto(data, source)
"""
_ASKER = """
import os, socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
    handle.connect((sys.argv[1], 5002))
    handle.settimeout(0.5)
    for size in map(int, sys.argv[2].split(",")):
        data = os.urandom(size)
        for _ in range(20):
            handle.send(data)
            try:
                if handle.recv(65536) == data:
                    break
            except TimeoutError:
                pass
        else:
            sys.exit(f"a datagram of {size} bytes did not come back")
"""


class Host:
    """A host's namespace, its forwarder, and the guest on it."""

    def __init__(self, name: str, prefix: str, last: int, root: Path) -> None:
        self.name, self.namespace, self.guest = name, f"{prefix}-{name}", f"{prefix}-g{name}"
        self.underlay, self.address = f"192.0.2.{last}", f"10.42.0.{last + 1}"
        self.address6 = address6(CIDR6, self.address)
        self.mac = f"02:00:00:00:00:0{last + 1}"
        self.run_dir = root / name
        self.epoch = 0

    def run(self, command: str) -> str:
        return program.run(["ip", "netns", "exec", self.namespace, *command.split()])

    def in_guest(self, *argv: str, timeout_s: float = 60.0) -> str:
        return program.run(["ip", "netns", "exec", self.guest, *argv], timeout_s=timeout_s)

    def on(self, work: Callable[[], T]) -> T:
        return namespaces.inside(self.namespace, work)

    def next_epoch(self) -> int:
        self.epoch += 1
        return self.epoch

    def state(self) -> State:
        return client.state(self.run_dir)


class SealedWorld:
    """Hosts `a` and `b`, wired but silent until `start`."""

    def __init__(self, native: bool) -> None:
        self.native = native
        self.prefix = f"sw{os.getpid() % 0xFFF:x}"
        self.root = Path(tempfile.mkdtemp(prefix="ovl", dir="/tmp"))
        self.a = Host("a", self.prefix, 1, self.root)
        self.b = Host("b", self.prefix, 2, self.root)
        self.mtu = MTU
        """Of the guests' network."""
        self.takes = 0
        """What the way takes of a guest's packet, as both forwarders are told."""
        self.generation = 0
        self.sessions: dict[str, tuple[Session, ...]] = {}

    @property
    def hosts(self) -> tuple[Host, Host]:
        return self.a, self.b

    def start(self) -> None:
        for host in self.hosts:
            for name in (host.namespace, host.guest):
                namespaces.add(name)
        program.run(
            f"ip -n {self.a.namespace} link add eth0 type veth "
            f"peer name eth0 netns {self.b.namespace}".split()
        )
        for host in self.hosts:
            self._wire(host)
            self.ensure(host)
        self.tell_networks()
        self.new_sessions()

    def ensure(self, host: Host) -> State:
        """A forwarder of the kind that is tried."""
        if process.running(host.run_dir) is None:
            process.start(host.run_dir, native=self.native)
        return host.on(lambda: client.ensure(host.run_dir, PORT))

    def _wire(self, host: Host) -> None:
        lines = f"""
            address add {host.underlay}/24 dev eth0
            link set eth0 mtu 1500 gso_max_segs 1 up
            link add br0 type bridge mcast_snooping 0
            link set br0 up
            link add g0 type veth peer name eth0 netns {host.guest}
            link set g0 master br0 up
        """
        inside = f"""
            link set eth0 address {host.mac} mtu {MTU} up
            address add {host.address}/24 dev eth0
            address add {host.address6}/64 dev eth0 nodad
        """
        for namespace, text in ((host.namespace, lines), (host.guest, inside)):
            program.run(
                [
                    "ip",
                    "netns",
                    "exec",
                    namespace,
                    "sysctl",
                    "-qw",
                    f"net.ipv6.conf.default.disable_ipv6={int(namespace == host.namespace)}",
                ]
            )
            program.run(["ip", "-n", namespace, "-batch", "-"], text=text)
        self.make_tap(host)

    def make_tap(self, host: Host) -> None:
        """In place of the one that may be there."""
        if TAP in host.run("ip -o link"):
            host.run(f"ip link del {TAP}")
        host.run(f"ip tuntap add {TAP} mode tap vnet_hdr")
        host.run(f"ip link set {TAP} master br0 up")

    def widen(self, underlay_mtu: int, mtu: int = MTU) -> None:
        """The wire carries that much from now on, and guests send so much."""
        self.mtu = mtu
        for host in self.hosts:
            host.run(f"ip link set eth0 mtu {underlay_mtu}")
            for link in (TAP, "g0", "br0"):
                host.run(f"ip link set {link} mtu {max(1500, mtu)}")
            host.in_guest("ip", "link", "set", "eth0", "mtu", str(mtu))
            host.in_guest("ip", "route", "flush", "cache")  # it remembers what it was told by ICMP
        self.tell_networks()

    def other(self, host: Host) -> Host:
        return self.b if host is self.a else self.a

    def tell_networks(self) -> None:
        for host in self.hosts:
            there = self.other(host)
            network = SealedNetwork(
                VNI,
                TAP,
                self.mtu,
                (host.mac,),
                GATEWAY_MAC,
                (Member(there.mac, there.address, there.name),),
                CIDR6,
            )
            table = Networks(host.next_epoch(), (network,))
            host.on(lambda host=host, table=table: client.tell_networks(host.run_dir, table))

    def new_sessions(self, places: dict[str, tuple[str, int]] | None = None) -> None:
        """Keys that nobody has used, told to both sides; and where each is, if not at its host."""
        self.generation += 1
        for host in self.hosts:
            there = self.other(host)
            session = Session(
                index=self.generation * 10 + ord(host.name),
                peer_index=self.generation * 10 + ord(there.name),
                send_key=self._key(host, there),
                receive_key=self._key(there, host),
                made_s=time.monotonic(),
            )
            address, port = (places or {}).get(there.name, (there.underlay, PORT))
            before = self.sessions.get(host.name, ())
            self.sessions[host.name] = (session, *before)[:2]
            peer = SealedPeer(there.name, address, port, self.sessions[host.name], mtu=self.takes)
            client.tell_peers(
                host.run_dir, host.state().instance, Peers(host.next_epoch(), (peer,))
            )

    def _key(self, sender: Host, receiver: Host) -> bytes:
        return bytes([ord(sender.name), ord(receiver.name), self.generation] + [9] * 29)

    def carries(
        self, size_bytes: int, between: Callable[[], None] | None = None, to: str = ""
    ) -> None:
        """A stream from the guest on `a` to the one on `b`, in odd pieces: what arrives is what was sent.

        `between` is done while it runs, once a part of it has arrived. `to` is the address of the guest on `b`.
        """
        to = to or self.b.address
        listens = self._python(self.b, _RECEIVER, to, str(size_bytes))
        try:
            assert listens.stdout is not None
            assert listens.stdout.readline() == "listening\n"
            sends = self._python(self.a, _SENDER, to, str(size_bytes))
            try:
                assert listens.stdout.readline() == "some\n"
                if between is not None:
                    between()
                received, _ = listens.communicate(timeout=60)
                sent, _ = sends.communicate(timeout=60)
            finally:
                sends.kill()
        finally:
            listens.kill()
        assert received == sent
        assert len(sent.strip()) == 64

    def _python(self, host: Host, program_text: str, *words: str) -> subprocess.Popen[str]:
        argv = ["ip", "netns", "exec", host.guest, sys.executable, "-I", "-c", program_text, *words]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def echoes(self, sizes: list[int]) -> None:
        """Datagrams of those sizes to the guest on `b` and back; each comes back as it was sent."""
        answers = self._python(self.b, _ECHO, self.b.address)
        try:
            assert answers.stdout is not None
            assert answers.stdout.readline() == "listening\n"
            self.a.in_guest(
                sys.executable, "-I", "-c", _ASKER, self.b.address, ",".join(map(str, sizes))
            )
        finally:
            answers.kill()
            answers.communicate()

    def pings(self, host: Host, *options: str) -> bool:
        """Whether the other guest answers; asks again for a while."""
        words = ["ip", "netns", "exec", host.guest, "ping", "-c", "1", "-i", "0.2", "-w", "5"]
        return program.attempt([*words, *options, self.other(host).address])[0] == 0

    def tear_down(self) -> None:
        for host in self.hosts:
            client.stop(host.run_dir)
            namespaces.delete(host.guest)
            namespaces.delete(host.namespace)
        program.run(["rm", "-r", str(self.root)])
