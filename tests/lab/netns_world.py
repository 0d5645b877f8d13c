"""Two hosts and a network over both, for the tests of the data plane, and a third that carries nothing.

Guests are namespaces on a veth whose other end bears the tap's name.
"""

import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from netns import apply, program
from netns.kernel import namespaces
from netns.lab.lab import Lab
from netns.lab.topology import Host, Site, Topology
from netns.model import Neighbour, NetworkPlan, Port, mac_of, tap_name, vni_of

NETWORK = "test-lan"
CIDR, GATEWAY = "10.42.0.0/24", "10.42.0.1"
GROUP, GROUP_PORT = "239.1.2.3", 5007
_serial = itertools.count()
_TALK_S = 20.0
_TRIES = 20
T = TypeVar("T")


class Guest:
    """A namespace that stands for a virtual machine."""

    def __init__(self, host: str, port: Port, prefix: str) -> None:
        self.port = port
        self.namespace = f"{prefix}.{port.name}"
        self.host = host

    def plug_in(self, *, instead: bool = False) -> None:
        """`instead`: of the tap that is there. If a daemon makes that anew in between, it is tried again."""
        namespaces.add(self.namespace)
        tap = self.port.tap
        lines = [f"link del {tap}"] if instead else []
        lines.append(f"link add {tap} type veth peer name eth0 netns {self.namespace}")
        for _ in range(_TRIES if instead else 1):
            words = ["ip", "-n", self.host, "-batch", "-"]
            status, _, said = program.attempt(words, text="\n".join(lines))
            if status == 0:
                break
        assert status == 0, said
        self.run("ip", "link", "set", "eth0", "address", self.port.mac, "mtu", "1400", "up")

    def take_address(self) -> None:
        self.run("ip", "address", "add", f"{self.port.address}/24", "dev", "eth0")

    def card_exists(self) -> bool:
        return program.attempt(["ip", "-n", self.host, "link", "show", self.port.tap])[0] == 0

    def run(self, *argv: str) -> str:
        return program.run(["nsenter", f"--net=/run/netns/{self.namespace}", *argv])

    def pings(self, address: str) -> bool:
        """Whether an answer comes; asks again for a while, for the machine may be busy."""
        return self._ping("-i", "0.2", "-w", "5", address)

    def misses(self, address: str, *options: str) -> bool:
        """Whether one echo request stays without an answer."""
        return not self._ping("-W", "0.5", *options, address)

    def _ping(self, *words: str) -> bool:
        argv = ["nsenter", f"--net=/run/netns/{self.namespace}", "ping", "-c", "1", *words]
        return program.attempt(argv)[0] == 0

    def received(self) -> int:
        """Frames that reached the guest's card."""
        return int(self.run("cat", "/proc/net/dev").split("eth0:")[1].split()[1])

    def ear(self, group: str) -> socket.socket:
        """A UDP socket that hears what goes to everybody, or to a group, at GROUP_PORT. Who calls closes it."""

        def listen() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(("", GROUP_PORT))
            member = socket.inet_aton(group) + socket.inet_aton(self.port.address)
            made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            made.settimeout(5)
            return made

        return namespaces.inside(self.namespace, listen)

    def says(self, to: str, what: bytes, times: int = 1) -> None:
        """Sends a datagram to a group, or to everybody, at GROUP_PORT."""

        def send() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
                mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
                own = socket.inet_aton(self.port.address)
                mouth.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
                for _ in range(times):
                    mouth.sendto(what, (to, GROUP_PORT))

        namespaces.inside(self.namespace, send)

    def host_link_mac(self, link: str) -> str:
        shown = program.run(["ip", "-n", self.host, "-o", "link", "show", link])
        return shown.split("link/ether ")[1].split()[0]


class Talk:
    """A TCP connection between two guests."""

    def __init__(self, one: Guest, other: Guest, within_s: float = _TALK_S) -> None:
        self._near = namespaces.stream_socket_in(one.namespace)
        with namespaces.stream_socket_in(other.namespace) as door:
            door.bind((other.port.address, 0))
            door.listen(1)
            self._near.settimeout(within_s)
            self._near.connect(door.getsockname())
            door.settimeout(within_s)
            self._far, _ = door.accept()
        self._far.settimeout(within_s)

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self._near.close()
        self._far.close()

    def crosses(self, content: bytes) -> bool:
        """Whether that gets there, and back."""
        return goes(self._near, self._far, content) and self.comes(content)

    def comes(self, content: bytes) -> bool:
        """Whether that gets back."""
        return goes(self._far, self._near, content)


def goes(here: socket.socket, there: socket.socket, content: bytes) -> bool:
    """Whether what is sent by one end of a connection comes out of the other."""
    sender = threading.Thread(target=here.sendall, args=(content,))
    sender.start()
    got = b""
    while len(got) < len(content) and (part := there.recv(1 << 16)):
        got += part
    sender.join()
    return got == content


class World:
    """Two hosts, a network over both, two guests on the first and one on the second."""

    def __init__(
        self, root: Path, network: str = NETWORK, lab: Lab | None = None, cidr6: str = ""
    ) -> None:
        self.owns_lab = lab is None
        tag = f"t{os.getpid() % 0xFFF:x}{next(_serial)}"
        self.lab = lab or Lab(
            Topology(
                tag,
                (
                    Site(
                        "s",
                        "192.0.2.0/24",
                        (Host("a", "192.0.2.1"), Host("b", "192.0.2.2"), Host("c", "192.0.2.3")),
                    ),
                ),
            )
        )
        self.network, self.cidr6 = network, cidr6
        self.run_dirs = {"a": root / f"{tag}-a", "b": root / f"{tag}-b"}
        # Others of this machine's tests may run beside: a namespace of theirs is not to be this one's.
        own = f"{os.getpid() % 0xFFF:03x}{next(_serial) % 100}"
        self.tags = {"a": f"a{own}", "b": f"b{own}"}
        on_a = (self.port("head", 2), self.port("near", 3))
        on_b = (self.port("far", 4),)
        self.plans = {"a": self.plan("a", on_a, on_b), "b": self.plan("b", on_b, on_a)}
        prefix = f"test-{tag}"
        self.guests = {
            port.name: Guest(self.lab.namespace(host), port, prefix)
            for host, ports in (("a", on_a), ("b", on_b))
            for port in ports
        }

    def port(self, name: str, last: int) -> Port:
        address = f"10.42.0.{last}"
        return Port(tap_name(self.network, name), mac_of(self.network, address), address, name)

    def plan(self, host: str, ports: tuple[Port, ...], others: tuple[Port, ...]) -> NetworkPlan:
        via = self.lab.address("b" if host == "a" else "a")
        return NetworkPlan(
            self.network, self.tags[host], vni_of(self.network), CIDR, GATEWAY, 1400,
            self.lab.address(host), "star", 1, ports,
            tuple(Neighbour(one.mac, one.address, one.name, via) for one in others),
            cidr6=self.cidr6,
        )  # fmt: skip

    def start(self) -> None:
        """Lab up, guests plugged in with their addresses, networks in force on both hosts."""
        self.lab.up()
        for guest in self.guests.values():
            guest.plug_in()
        for host in ("a", "b"):
            self.ensure(host)
        for guest in self.guests.values():
            guest.take_address()

    def reaches(self, address: str, port: int) -> bool:
        """Whether that port answers, from the network's namespace on the first host."""
        return apply.reachable(self.network, self.run_dirs["a"], address, port, 0.5)

    def on(self, host: str, work: Callable[[], T]) -> T:
        return namespaces.inside(self.lab.namespace(host), work)

    def ensure(self, host: str, plan: NetworkPlan | None = None) -> list[str]:
        plan = plan or self.plans[host]
        done = self.on(host, lambda: apply.ensure(plan, self.run_dirs[host]))
        return [str(step) for step in done.steps]

    def remove(self, host: str) -> None:
        self.on(host, lambda: apply.remove(self.network, self.run_dirs[host], self.tags[host]))

    def observe(self, host: str) -> tuple[str, ...]:
        return self.on(host, lambda: apply.observe(self.run_dirs[host], self.tags[host]))

    def count(self, host: str, counter: str) -> int:
        """A counter of the vxlan device, as /sys has it."""
        vxlan = self.plans[host].vxlan
        lines = program.run(
            ["ip", "-n", self.lab.namespace(host), "-s", "-o", "link", "show", vxlan]
        )
        fields = lines.split("TX:")[1].split("\\")[1].split()
        return int(fields[{"packets": 1, "dropped": 3}[counter]])

    def left_on(self, host: str) -> str:
        """Everything of any grid network on a host; empty when nothing is left."""
        inside = self.lab.namespace(host)
        links = program.run(["ip", "-n", inside, "-o", "link"]).splitlines()
        found = [line for line in links if ": ov" in line]
        found.append(self.on(host, lambda: program.run(["nft", "list", "ruleset"])).strip())
        found += [name for name in namespaces.names() if name.startswith(f"ovl-{self.tags[host]}-")]
        if self.run_dirs[host].is_dir():
            found += [str(path) for path in self.run_dirs[host].rglob("*")]
        mark = str(self.run_dirs[host])
        found += [str(pid) for pid, words in _command_lines() if mark in words]
        return "\n".join(line for line in found if line)

    def tear_down(self) -> None:
        for guest in self.guests.values():
            namespaces.delete(guest.namespace)
        for host in ("a", "b"):
            if namespaces.is_mounted(self.lab.namespace(host)):
                self.remove(host)
        if self.owns_lab:
            self.lab.down(force=True)


def eventually(condition: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"


def _command_lines() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue  # gone meanwhile


def ask_dns(name: str, server: str) -> tuple[int, list[str]]:
    """Answer code and IPv4 addresses for a name, asked over UDP from the thread's namespace."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.settimeout(3)
        handle.sendto(query, (server, 53))
        reply = handle.recv(1500)
    code, count = reply[3] & 15, struct.unpack("!H", reply[6:8])[0]
    rest, found = reply[len(query) :], []
    for _ in range(count):
        rest = rest[2:]  # a pointer to the question
        size = struct.unpack("!H", rest[8:10])[0]
        found.append(socket.inet_ntoa(rest[10 : 10 + size]))
        rest = rest[10 + size :]
    return code, found


def send_frames(*frames: bytes) -> None:
    """Whole Ethernet frames out of eth0 of the thread's namespace."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as handle:
        handle.bind(("eth0", 0))
        for frame in frames:
            handle.send(frame)


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def echos_received() -> int:
    """ICMP echo requests the thread's namespace has received."""
    rows = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()]
    names, values = (row for row in rows if row[0] == "Icmp:")
    return int(values[names.index("InEchos")])
